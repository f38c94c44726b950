//! What of the others is shown, and how large.

use layercast::Time;
use layercast::select::{Cap, Cpu, DecodeTime, Priority, ReceiverReport, StreamId, Window};
use layercast_meeting::{Kind, Request};

use super::requests::Purpose;
use super::{Feed, REPORT, Seat};

impl Seat {
    /// What of the others is shown, and how fast this machine decodes.
    fn report(&self) -> ReceiverReport {
        let shown = self.window.width > 0 && self.window.height > 0;
        let videos =
            self.downlink.feeds().filter(|feed| matches!(feed.stream.kind, Kind::Camera | Kind::Screen));
        let window = |feed: &Feed| {
            let is_screen = feed.stream.kind == Kind::Screen;
            let priority = if is_screen { Priority::ScreenShare } else { Priority::Thumbnail };
            (StreamId(feed.stream.stream), Window::new(self.window, priority))
        };
        let cpu = self.config.cpu_budget.filter(|_| !self.decode_times.is_empty()).map(|budget| {
            let times = self.decode_times.iter();
            Cpu {
                decode_times: times.map(|&(luma_samples, time)| DecodeTime { luma_samples, time }).collect(),
                cores: Some(budget.as_secs_f32()),
                load: None,
            }
        });
        // What has no key here need not come.
        let cap = |feed: &Feed| {
            let max_spatial_id = self.circle.cap(feed.stream.member, feed.stream.track)?;
            let cap = Cap { max_spatial_id: Some(max_spatial_id), ..Cap::default() };
            Some((StreamId(feed.stream.stream), cap))
        };
        let videos: Vec<_> = videos.collect();
        let caps = videos.iter().copied().filter_map(cap).map(|(stream, cap)| (Some(stream), cap)).collect();
        ReceiverReport { windows: videos.into_iter().filter(|_| shown).map(window).collect(), cpu, caps }
    }

    pub(super) fn send_report(&mut self, now: Time) {
        let mut bytes = Vec::new();
        if self.report().write(&mut bytes).is_ok() {
            let report = layercast_meeting::Bytes(bytes);
            self.ask(Purpose::Other("report"), Request::Report { report });
        }
        self.next_report = Some(now + REPORT);
    }

    pub(super) fn windows_changed(&mut self, now: Time) {
        let shown = self.window.width > 0 && self.window.height > 0;
        let streams: Vec<_> = self.downlink.feeds().map(|feed| feed.stream.stream).collect();
        for stream in streams {
            if let Some(feed) = self.downlink.feed_mut(stream) {
                feed.account.set_watched(shown);
            }
        }
        if self.admitted {
            self.next_report = Some(now);
        }
    }
}
