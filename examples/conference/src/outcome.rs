//! What became of a call.

use std::time::Duration;

use layercast::picture::Picture;
use layercast::select::Reason;
use layercast::structure::{LayerId, ScalabilityMode};
use layercast::{Size, Time};

use crate::stream::Sent;

/// A picture that stays on the display for longer than this is a freeze.
pub const FREEZE: Duration = Duration::from_millis(400);
/// So long it may take until a window that appears shows its first picture.
const START: Duration = Duration::from_secs(1);
/// In real time freezes prove nothing on a machine that is farther behind the clock than this.
const TOO_SLOW: Duration = Duration::from_millis(150);
/// So long after an event of the script freezes may begin that it explains, and so long before: a picture that was shown
/// before it stays.
const EXPLAINED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(300));

/// What became of a call.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub duration: Duration,
    pub streams: Vec<StreamOutcome>,
    pub people: Vec<PersonOutcome>,
    /// Events of the script.
    pub notes: Vec<(Time, String)>,
    pub moments: Vec<Moment>,
    pub taps: Vec<TapOutcome>,
    pub relay: RelayOutcome,
    /// How far behind the clock the call was at most, in real time.
    pub behind: Option<Duration>,
}

/// What a sender did.
#[derive(Debug, Clone)]
pub struct StreamOutcome {
    pub name: String,
    pub mode: ScalabilityMode,
    pub size: Size,
    pub fps: u32,
    pub sent: Sent,
}

/// What a participant got.
#[derive(Debug, Clone)]
pub struct PersonOutcome {
    pub name: String,
    pub device: String,
    pub observer: bool,
    pub removed: Option<Time>,
    pub samples: Vec<Sample>,
    pub windows: Vec<WindowOutcome>,
    /// When freezes are no surprise, and how long they may be.
    pub explained: Vec<(Time, Duration)>,
    /// Bytes that came, and those that were shown late are among them.
    pub received: u64,
}

/// The path to a participant, in bit/s over a tenth of a second.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub at: Time,
    pub capacity: u64,
    pub received: u64,
    pub estimate: u64,
}

/// What a participant saw of a stream.
#[derive(Debug, Clone)]
pub struct WindowOutcome {
    pub stream: usize,
    /// When the window was to be seen, and how large it was; the last one may not be over.
    pub visible: Vec<(Time, Option<Time>, Size)>,
    pub shown: Vec<Shown>,
    pub decisions: Vec<Decided>,
    pub freezes: Vec<Freeze>,
    /// Pictures that are not what the encoder made.
    pub wrong: u64,
}

/// A picture on the display.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    pub at: Time,
    pub captured: Time,
    pub layer: LayerId,
    pub size: Size,
}

/// A decision of the relay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decided {
    pub at: Time,
    pub target: Option<LayerId>,
    pub reason: Reason,
    /// Bit/s that the target has.
    pub bitrate: u64,
}

/// A time without a new picture.
#[derive(Debug, Clone, Copy)]
pub struct Freeze {
    pub from: Time,
    pub to: Time,
    pub explained: bool,
}

/// What everybody saw at a time.
#[derive(Debug, Clone)]
pub struct Moment {
    pub at: Time,
    pub stream: usize,
    pub views: Vec<View>,
}

/// What one of them saw.
#[derive(Debug, Clone)]
pub struct View {
    pub title: String,
    pub caption: String,
    pub seen: Seen,
}

/// A picture on a display, or none.
#[derive(Debug, Clone)]
pub enum Seen {
    Picture(Picture),
    /// Bytes, each of which is a grey pixel.
    Ciphertext(Size, Vec<u8>),
}

/// What somebody could read of all that reached the relay.
#[derive(Debug, Clone)]
pub struct TapOutcome {
    pub person: usize,
    pub stream: usize,
    /// Pictures that could be opened, by the highest spatial layer.
    pub opened: [u64; 3],
    /// When the last of them was captured.
    pub last: Option<Time>,
    /// When the sender went on with keys that the listener has not.
    pub shut_out: Option<Time>,
}

/// What the relay did and knew.
#[derive(Debug, Clone, Default)]
pub struct RelayOutcome {
    pub packets_in: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub bytes_out: u64,
    /// Packets that a receiver had no use for, once for each receiver.
    pub dropped: u64,
    /// Bits of information in a byte of payload, by how often each value came.
    pub entropy: f64,
    pub payload_bytes: u64,
    /// Key pictures and other refreshes that it asked senders for.
    pub refreshes: u64,
    pub key_refreshes: u64,
    pub expelled: Vec<String>,
}

impl PersonOutcome {
    pub fn new(name: &str, device: &str, observer: bool) -> Self {
        Self {
            name: name.into(),
            device: device.into(),
            observer,
            removed: None,
            samples: Vec::new(),
            windows: Vec::new(),
            explained: Vec::new(),
            received: 0,
        }
    }

    /// What they see of a stream.
    pub fn window(&mut self, stream: usize) -> &mut WindowOutcome {
        let known = self.windows.iter().position(|window| window.stream == stream);
        let at = known.unwrap_or_else(|| {
            self.windows.push(WindowOutcome::new(stream));
            self.windows.len() - 1
        });
        &mut self.windows[at]
    }

    /// Windows appear, change and disappear.
    pub fn show(&mut self, now: Time, windows: &[(usize, Size)]) {
        for window in &mut self.windows {
            if let Some((.., end @ None, _)) = window.visible.last_mut() {
                *end = Some(now);
            }
        }
        for &(stream, size) in windows {
            self.window(stream).visible.push((now, None, size));
        }
    }

    /// Finds the freezes.
    fn finish(&mut self, end: Time) {
        let (end, explained) = (self.removed.unwrap_or(end), self.explained.clone());
        for window in &mut self.windows {
            window.find_freezes(end, &explained);
        }
    }

    /// The longest freeze, and how many there were.
    pub fn freezes(&self) -> impl Iterator<Item = &Freeze> {
        self.windows.iter().flat_map(|window| &window.freezes)
    }

    /// The time from capture to the display that a share of the pictures kept.
    pub fn delay(&self, share: f64) -> Option<Duration> {
        let shown = self.windows.iter().flat_map(|window| &window.shown);
        let mut delays: Vec<Duration> = shown.map(|shown| shown.at - shown.captured).collect();
        delays.sort_unstable();
        delays.get((delays.len().saturating_sub(1) as f64 * share) as usize).copied()
    }
}

impl WindowOutcome {
    fn new(stream: usize) -> Self {
        let (visible, shown, decisions, freezes) = Default::default();
        Self { stream, visible, shown, decisions, freezes, wrong: 0 }
    }

    /// The times in which the window was to be seen without a break.
    pub fn spans(&self, end: Time) -> Vec<(Time, Time)> {
        let mut spans: Vec<(Time, Time)> = Vec::new();
        for &(from, to, _) in &self.visible {
            let to = to.unwrap_or(end).min(end);
            match spans.last_mut() {
                Some((_, before)) if *before == from => *before = to,
                _ => spans.push((from, to)),
            }
        }
        spans.retain(|(from, to)| from < to);
        spans
    }

    fn find_freezes(&mut self, end: Time, explained: &[(Time, Duration)]) {
        for (from, to) in self.spans(end) {
            let shown = self.shown.iter().map(|shown| shown.at).filter(|at| (from..=to).contains(at));
            let times: Vec<Time> = [from].into_iter().chain(shown).chain([to]).collect();
            for (index, pair) in times.windows(2).enumerate() {
                let (since, until) = (pair[0], pair[1]);
                let most = if index == 0 { START } else { FREEZE };
                if until - since <= most {
                    continue;
                }
                let covers = |(at, longest): &(Time, Duration)| {
                    since + EXPLAINED.1 >= *at && since <= *at + EXPLAINED.0 && until - since <= *longest
                };
                let explained = explained.iter().any(covers);
                self.freezes.push(Freeze { from: since, to: until, explained });
            }
        }
    }
}

impl Outcome {
    /// Finds out what was wrong, once all is known.
    pub fn finish(&mut self) {
        let end = Time::ZERO + self.duration;
        self.people.iter_mut().for_each(|person| person.finish(end));
    }

    /// Whether the machine was too slow to hold the call in real time without freezes of its own.
    pub fn is_too_slow(&self) -> bool {
        self.behind.is_some_and(|behind| behind > TOO_SLOW)
    }

    /// Everything that should not be.
    pub fn failures(&self) -> Vec<String> {
        let (mut failures, counts) = (Vec::new(), !self.is_too_slow());
        for person in &self.people {
            for window in &person.windows {
                let stream = &self.streams[window.stream].name;
                if window.wrong > 0 {
                    failures.push(format!("{} saw {} wrong pictures of {stream}", person.name, window.wrong));
                }
                let end = person.removed.unwrap_or(Time::ZERO + self.duration);
                let was_long = window.spans(end).iter().any(|(from, to)| *to - *from > START);
                if window.shown.is_empty() && was_long {
                    failures.push(format!("{} saw nothing of {stream}", person.name));
                }
                for freeze in window.freezes.iter().filter(|freeze| counts && !freeze.explained) {
                    failures.push(format!(
                        "{} saw {stream} frozen for {} ms at {:.1} s, which the script does not explain",
                        person.name,
                        (freeze.to - freeze.from).as_millis(),
                        freeze.from.since_start().as_secs_f64()
                    ));
                }
            }
        }
        for tap in &self.taps {
            failures.extend(self.leak(tap));
        }
        failures.extend(self.relay.expelled.iter().map(|who| format!("the relay put out {who}")));
        failures
    }

    /// What a tap should not have heard.
    fn leak(&self, tap: &TapOutcome) -> Option<String> {
        let (person, stream) = (&self.people[tap.person], &self.streams[tap.stream]);
        let (name, stream) = (&person.name, &stream.name);
        if person.observer && tap.opened[1..].iter().any(|opened| *opened > 0) {
            return Some(format!("{name} could read more of {stream} than the base layer"));
        }
        let read_after = tap.last.zip(tap.shut_out).is_some_and(|(last, shut_out)| last > shut_out);
        if read_after || person.removed.is_some() && tap.shut_out.is_none() && tap.last > person.removed {
            return Some(format!("{name} could read {stream} after the removal"));
        }
        // Or it proves nothing that nothing could be read later.
        let heard: u64 = tap.opened.iter().sum();
        (heard == 0).then(|| format!("{name} could read nothing of {stream} with good keys"))
    }
}

/// What a reason means to those who read it.
pub fn explain(reason: Reason) -> &'static str {
    match reason {
        Reason::Full => "the best there is",
        Reason::Window => "fills the window",
        Reason::Cap => "no more may be had: keys or a rule",
        Reason::Cpu => "all that the processor decodes",
        Reason::Network => "all that the link is known to carry",
        Reason::Loss => "bits kept back against loss",
        Reason::Proving => "the link has still to prove more",
        Reason::Hidden => "hidden",
        Reason::NotOnOffer => "not on offer",
        _ => "another reason",
    }
}
