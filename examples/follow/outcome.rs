//! What became of a call.

use std::fmt::{self, Write};
use std::time::Duration;

use layercast::picture::{Picture, PictureView};
use layercast::quality::Quality;
use layercast::session::SenderStatistics;
use layercast::simulate::Trace;
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};

use crate::run::{Rate, Run};

/// A longer gap between two pictures is a freeze.
const FREEZE: Duration = Duration::from_millis(200);

/// The first line of the CSV file.
pub const CSV_HEADS: &str = "mode,rate,second,capacity_kbps,estimate_kbps,set_kbps,media_kbps,padding_kbps,\
lost_packets,queue_ms,pacer_ms,shown,delay_ms,ssim,skipped,dropped,refreshes,keys\n";

/// What the sender believes at a time, and what is true. Bitrates are in bit/s.
#[derive(Debug, Clone, Copy, Default)]
pub struct Note {
    /// What the link carries in the second that follows.
    pub capacity: u64,
    /// What it is believed to carry, and what the encoder is to take.
    pub estimate: u64,
    pub set: u64,
    /// How long the packets take that wait in the pacer.
    pub queued: Duration,
    /// The counts so far.
    pub statistics: SenderStatistics,
}

/// What happened in a second.
#[derive(Debug, Clone, Default)]
pub struct Second {
    /// As of its beginning.
    pub note: Note,
    media: usize,
    padding: usize,
    lost: u64,
    /// The longest wait in the link's queue, and from capture to showing.
    waited: Duration,
    delay: Duration,
    shown: u64,
    /// SSIM of what was on the screen at each capture.
    screen: Vec<f64>,
}

/// What became of a call.
pub struct Outcome {
    mode: ScalabilityMode,
    rate: Rate,
    trace: Trace,
    length: Duration,
    captured: u64,
    /// Of each packet that arrived, in its order: how long it waited in the link's queue.
    waits: Vec<Duration>,
    delays: Vec<Duration>,
    gaps: Vec<Duration>,
    last_shown: Time,
    screen: Option<Picture>,
    /// Each picture shown, beside its source.
    coded: Quality,
    statistics: SenderStatistics,
    pub seconds: Vec<Second>,
}

impl Outcome {
    /// Nothing has happened yet.
    pub fn new(run: &Run<'_>) -> Self {
        Self {
            mode: run.mode,
            rate: run.rate,
            trace: run.trace.clone(),
            length: run.seconds,
            captured: 0,
            waits: Vec::new(),
            delays: Vec::new(),
            gaps: Vec::new(),
            last_shown: Time::ZERO,
            screen: None,
            coded: Quality::default(),
            statistics: SenderStatistics::default(),
            seconds: vec![Second::default(); run.seconds.as_secs() as usize],
        }
    }

    fn second(&mut self, now: Time) -> &mut Second {
        let last = self.seconds.len() - 1;
        &mut self.seconds[(now.since_start().as_secs() as usize).min(last)]
    }

    /// The sender has taken a picture: the first one of each second says what it believes.
    pub fn note(&mut self, now: Time, note: impl FnOnce() -> Note) {
        let second = self.second(now);
        if second.note.estimate == 0 {
            second.note = note();
        }
    }

    /// A picture is captured, and compared with what is on the screen by then.
    pub fn look(&mut self, now: Time, picture: &Picture) {
        self.captured += 1;
        if let Some(screen) = &self.screen {
            let sizes_are_equal = "the screen has the pictures' size, and they are large enough";
            let mut quality = Quality::default();
            quality.add(picture.view(), screen.view()).expect(sizes_are_equal);
            self.second(now).screen.push(quality.y_ssim());
        }
    }

    /// A packet is sent, and waits for so long in the queue unless it is lost.
    pub fn sent(&mut self, now: Time, bytes: usize, padding: bool, waited: Option<Duration>) {
        self.waits.extend(waited);
        let second = self.second(now);
        match waited {
            None => second.lost += 1,
            Some(waited) => {
                let sum = if padding { &mut second.padding } else { &mut second.media };
                *sum += bytes;
                second.waited = second.waited.max(waited);
            }
        }
    }

    /// A picture is shown.
    pub fn show(&mut self, now: Time, delay: Duration, source: &Picture, shown: Picture) {
        self.gaps.push(now - self.last_shown);
        self.last_shown = now;
        self.delays.push(delay);
        let shown = if shown.size() == source.size() { shown } else { enlarged(&shown, source.size()) };
        self.coded.add(source.view(), shown.view()).expect("they have one size, and are large enough");
        self.screen = Some(shown);
        let second = self.second(now);
        (second.shown, second.delay) = (second.shown + 1, second.delay.max(delay));
    }

    /// The call is over.
    pub fn finish(&mut self, end: Time, statistics: SenderStatistics) {
        self.gaps.push(end - self.last_shown);
        self.statistics = statistics;
        self.waits.sort_unstable();
        self.delays.sort_unstable();
    }

    /// Mean SSIM of what is on the screen.
    pub fn on_screen(&self) -> f64 {
        let all = || self.seconds.iter().flat_map(|second| &second.screen);
        all().sum::<f64>() / all().count().max(1) as f64
    }

    /// What this is.
    pub fn name(&self) -> String {
        let rate = match self.rate {
            Rate::Learned => "learned split".into(),
            Rate::Fixed => "fixed split".into(),
            Rate::Constant(quantizer) => format!("constant {quantizer}"),
        };
        format!("{} {rate}", self.mode)
    }

    /// The heads of the table.
    pub fn heads() -> &'static str {
        "| run                | used % | kbit/s | padding | queue ms p50 | p95 | delay ms p50 | p95 | shown % | freezes | \
         frozen s | SSIM on screen | of shown | left out | dropped | keys | lost |\n\
         | ------------------ | -----: | -----: | ------: | -----------: | --: | -----------: | --: | ------: | ------: | \
         -------: | -------------: | -------: | -------: | ------: | ---: | ---: |"
    }

    /// Appends a line for each second.
    pub fn csv(&self, csv: &mut String) {
        let kbps = |bytes: usize| bytes * 8 / 1000;
        for (at, second) in self.seconds.iter().enumerate() {
            let next = self.seconds.get(at + 1).map_or(&self.statistics, |next| &next.note.statistics);
            let since = |count: fn(&SenderStatistics) -> u64| {
                count(next).saturating_sub(count(&second.note.statistics))
            };
            let _ = writeln!(
                csv,
                "{},{},{at},{},{},{},{},{},{},{},{},{},{},{:.4},{},{},{},{}",
                self.mode,
                self.name(),
                second.note.capacity / 1000,
                second.note.estimate / 1000,
                second.note.set / 1000,
                kbps(second.media),
                kbps(second.padding),
                second.lost,
                second.waited.as_millis(),
                second.note.queued.as_millis(),
                second.shown,
                second.delay.as_millis(),
                second.ssim(),
                since(|statistics| statistics.skipped),
                since(|statistics| statistics.dropped),
                since(|statistics| statistics.refreshes),
                since(|statistics| statistics.key_pictures),
            );
        }
    }
}

impl Second {
    /// Bit/s of all but padding that arrived of what was sent in this second.
    pub fn media(&self) -> u64 {
        8 * self.media as u64
    }

    /// The longest time from capture to showing.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Mean SSIM of what was on the screen.
    pub fn ssim(&self) -> f64 {
        self.screen.iter().sum::<f64>() / self.screen.len().max(1) as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = Time::ZERO + self.length;
        let bits = |bytes: usize| 8.0 * bytes as f64 / self.length.as_secs_f64();
        let media = bits(self.seconds.iter().map(|second| second.media).sum());
        let padding = bits(self.seconds.iter().map(|second| second.padding).sum());
        let freezes = self.gaps.iter().filter(|gap| **gap > FREEZE);
        let frozen: Duration = freezes.clone().sum();
        let percentile = |of: &[Duration], share: f64| {
            let at = (of.len().saturating_sub(1) as f64 * share) as usize;
            of.get(at).copied().unwrap_or_default().as_millis()
        };
        write!(
            f,
            "| {:18} | {:6.1} | {:6.0} | {:7.0} | {:12} | {:3} | {:12} | {:3} | {:7.1} | {:7} | {:8.1} | {:14.4} | {:8.4} | \
             {:8} | {:7} | {:4} | {:4} |",
            self.name(),
            100.0 * media / self.trace.bitrate(Time::ZERO, end).max(1) as f64,
            media / 1000.0,
            padding / 1000.0,
            percentile(&self.waits, 0.5),
            percentile(&self.waits, 0.95),
            percentile(&self.delays, 0.5),
            percentile(&self.delays, 0.95),
            100.0 * self.delays.len() as f64 / self.captured.max(1) as f64,
            freezes.count(),
            frozen.as_secs_f64(),
            self.on_screen(),
            self.coded.y_ssim(),
            self.statistics.skipped,
            self.statistics.dropped,
            self.statistics.key_pictures,
            self.seconds.iter().map(|second| second.lost).sum::<u64>(),
        )
    }
}

/// A picture of a lower spatial layer as a receiver enlarges it. Its chroma is left out: nobody looks at it here.
fn enlarged(picture: &Picture, size: Size) -> Picture {
    let view: PictureView<'_> = picture.view();
    let luma = view.luma();
    let rows: Vec<&[u8]> = luma.rows().collect();
    let mut to = Picture::new(size);
    let (width, height) = (size.width as usize, size.height as usize);
    // The place of a sample among those of the smaller picture: the one before it, and how far it is from there.
    let place = |at: usize, of: usize, from: usize| {
        let at = ((at as f32 + 0.5) * from as f32 / of as f32 - 0.5).clamp(0.0, (from - 1) as f32);
        (at as usize, (at as usize + 1).min(from - 1), at.fract())
    };
    let columns: Vec<_> = (0..width).map(|x| place(x, width, luma.width())).collect();
    for (y, to) in to.plane_mut(0).chunks_exact_mut(width).enumerate() {
        let (above, below, down) = place(y, height, luma.height());
        for (to, &(left, right, across)) in to.iter_mut().zip(&columns) {
            let mix = |row: &[u8]| f32::from(row[left]) * (1.0 - across) + f32::from(row[right]) * across;
            *to = (mix(rows[above]) * (1.0 - down) + mix(rows[below]) * down + 0.5) as u8;
        }
    }
    to
}
