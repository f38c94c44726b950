//! What of the others is shown, and how large.

use std::time::Duration;

use layercast::Time;
use layercast::select::{
    Cap, Cpu, DecodeTime, MAX_DECODE_TIMES, MAX_STREAMS, Priority, ReceiverReport, StreamId, Window,
};
use layercast_meeting::{Kind, Request, Stream};

use crate::requests::Purpose;
use crate::{Attendee, Media, REPORT, REPORT_AGAIN};

impl<M: Media> Attendee<M> {
    /// The windows of the streams of others, one for each. What is not named is not shown.
    pub fn set_windows(&mut self, now: Time, windows: impl IntoIterator<Item = (u32, Window)>) {
        self.windows = Some(windows.into_iter().take(MAX_STREAMS).collect());
        self.windows_changed(now);
    }

    /// How long decoding a picture of so many samples took.
    pub fn handle_decode_time(&mut self, samples: u32, took: Duration) {
        if let Some((_, mean)) = self.decode_times.iter_mut().find(|(known, _)| *known == samples) {
            *mean = (*mean * 15 + took) / 16;
        } else if self.decode_times.len() < MAX_DECODE_TIMES {
            self.decode_times.push((samples, took));
        }
    }

    /// Of each second, the time for decoding.
    pub fn set_cpu_budget(&mut self, budget: Option<Duration>) {
        self.config.cpu_budget = budget;
    }

    /// The window of a stream, if it is shown.
    fn window(&self, stream: &Stream) -> Option<Window> {
        let priority = match stream.kind {
            Kind::Screen => Priority::ScreenShare,
            Kind::Camera => Priority::Thumbnail,
            Kind::Audio | Kind::Data => return None,
        };
        let shown = |window: &Window| window.size.width > 0 && window.size.height > 0;
        let window = match &self.windows {
            Some(windows) => windows.get(&stream.stream).copied(),
            None => Some(Window::new(self.window, priority)),
        };
        window.filter(shown)
    }

    /// What of the others is shown, and how fast this machine decodes.
    fn report(&self) -> ReceiverReport {
        let windows = self.media.streams().filter_map(|it| Some((StreamId(it.stream), self.window(it)?)));
        let cpu = self.config.cpu_budget.filter(|_| !self.decode_times.is_empty()).map(|budget| {
            let times = self.decode_times.iter();
            Cpu {
                decode_times: times.map(|&(luma_samples, time)| DecodeTime { luma_samples, time }).collect(),
                cores: Some(budget.as_secs_f32()),
                load: None,
            }
        });
        // What has no key here need not come.
        let videos = self.media.streams().filter(|it| matches!(it.kind, Kind::Camera | Kind::Screen));
        let caps = videos.filter_map(|stream| {
            let max_spatial_id = self.circle.cap(stream.member, stream.track)?;
            let cap = Cap { max_spatial_id: Some(max_spatial_id), ..Cap::default() };
            Some((Some(StreamId(stream.stream)), cap))
        });
        ReceiverReport { windows: windows.collect(), cpu, caps: caps.collect() }
    }

    pub(crate) fn send_report(&mut self, now: Time) {
        let mut bytes = Vec::new();
        if self.report().write(&mut bytes).is_ok() {
            let report = layercast_meeting::Bytes(bytes);
            self.ask(Purpose::Other("report"), Request::Report { report });
        }
        (self.last_report, self.next_report) = (Some(now), Some(now + REPORT));
    }

    pub(crate) fn windows_changed(&mut self, now: Time) {
        let streams: Vec<_> = self.media.streams().map(|it| (it.stream, self.window(it).is_some())).collect();
        for (stream, shown) in streams {
            self.media.set_watched(stream, shown);
        }
        if self.admitted {
            self.next_report = Some(self.last_report.map_or(now, |last| now.max(last + REPORT_AGAIN)));
        }
    }
}
