//! Lines for people, or JSON lines for programs.

use std::collections::BTreeMap;
use std::io::Write;

use layercast::Time;
use layercast_meeting::Kind;
use serde::Serialize;

use super::link::{Counts, WayCounts};
use crate::notice::Notice;
use crate::seat::account::{Account, Figures};
use crate::seat::{Seat, SourceCounts};

/// A line about a stream of somebody else.
#[derive(Debug, Serialize)]
pub struct StreamLine {
    stream: u32,
    who: String,
    kind: &'static str,
    /// What is shown: the layers, and the size of the pictures.
    target: Option<String>,
    size: Option<String>,
    #[serde(flatten)]
    figures: Figures,
    /// What did not open, by the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    closed: BTreeMap<String, u64>,
    undecoded: u64,
    /// Frames that the sender signed for, and those that it did not, since the stream began.
    attested: u64,
    unattested: u64,
}

/// A line about a stream of one's own.
#[derive(Debug, Serialize)]
pub struct SourceLine {
    stream: Option<u32>,
    kind: &'static str,
    kbps: f64,
    pictures: u64,
    skipped: u64,
    /// How long a picture was coded for, on the average.
    #[serde(skip_serializing_if = "Option::is_none")]
    coding_ms: Option<f64>,
    /// The level of effort, and the layers that are given up since the machine has no time for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up: Option<usize>,
    /// The highest layers that others watch.
    demand: Vec<String>,
    /// What the path carries, in kbit/s.
    path_kbps: Option<u64>,
}

/// One way of the path to the relay.
#[derive(Debug, Serialize)]
pub struct WayLine {
    offered_kbps: f64,
    carried_kbps: f64,
    /// Datagrams.
    lost: u64,
}

/// A line about the path to the relay, if it is an emulated one of a certain bitrate.
#[derive(Debug, Serialize)]
pub struct LinkLine {
    capacity_kbps: u32,
    down: WayLine,
    up: WayLine,
}

#[derive(Serialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line<'a> {
    Notice(&'a Notice),
    Stream(&'a StreamLine),
    Source(&'a SourceLine),
    Summary(&'a StreamLine),
    Link(&'a LinkLine),
}

#[derive(Serialize)]
struct Timed<'a> {
    /// Seconds since the start, and since 1970.
    t: f64,
    unix: f64,
    #[serde(flatten)]
    line: Line<'a>,
}

/// Prints what happens.
pub struct Printer {
    json: bool,
    unix: u64,
    /// The accounts as of the last lines.
    before: BTreeMap<(u32, u32), Account>,
    sent: BTreeMap<usize, SourceCounts>,
    path: Counts,
    last: Time,
    /// Names of those whose streams came, who may be gone at the end: by their number.
    names: BTreeMap<u32, String>,
}

/// A relay may name as many people as it likes.
const MOST_NAMES: usize = 1024;

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Camera => "camera",
        Kind::Screen => "screen",
        Kind::Audio => "voice",
        Kind::Data => "messages",
    }
}

/// The relay, and others, write some of the texts: none is to begin a line of its own, or to look like another.
fn printable(text: &str) -> String {
    let deceives = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if deceives(c) { '\u{fffd}' } else { c }).collect()
}

impl Printer {
    /// Lines for people, or JSON. `unix` is the time 0 in microseconds since 1970.
    pub fn new(json: bool, unix: u64) -> Self {
        Self {
            json,
            unix,
            before: BTreeMap::new(),
            sent: BTreeMap::new(),
            path: Counts::default(),
            last: Time::ZERO,
            names: BTreeMap::new(),
        }
    }

    fn write(&self, now: Time, line: Line<'_>, text: &str) {
        let t = now.since_start().as_secs_f64();
        let mut out = std::io::stdout().lock();
        let written = match self.json {
            true => {
                let timed = Timed { t, unix: self.unix as f64 / 1e6 + t, line };
                serde_json::to_string(&timed).map_err(Into::into).and_then(|json| writeln!(out, "{json}"))
            }
            false => writeln!(out, "{t:8.3} {}", printable(text)),
        };
        // Whoever read has seen enough; the meeting goes on.
        let _ = written.and_then(|()| out.flush());
    }

    /// Prints a notice.
    pub fn notice(&self, now: Time, notice: &Notice) {
        self.write(now, Line::Notice(notice), &notice.to_string());
    }

    /// Prints a line about the path, if it is limited, for the time since the last lines. It comes before those of streams.
    pub fn link(&mut self, now: Time, counts: Counts) {
        let before = std::mem::replace(&mut self.path, counts);
        let Some(capacity_kbps) = counts.capacity_kbps else { return };
        let seconds = (now - self.last).as_secs_f64().max(0.001);
        let way = |counts: WayCounts, before: WayCounts| WayLine {
            offered_kbps: (counts.offered - before.offered) as f64 / 125.0 / seconds,
            carried_kbps: (counts.carried - before.carried) as f64 / 125.0 / seconds,
            lost: counts.lost - before.lost,
        };
        let line =
            LinkLine { capacity_kbps, down: way(counts.down, before.down), up: way(counts.up, before.up) };
        self.write(now, Line::Link(&line), &line.text());
    }

    /// Prints a line for each stream, about the time since the last lines.
    pub fn streams(&mut self, now: Time, seat: &Seat) {
        for participant in seat.feeds().map(|feed| feed.stream.participant) {
            if let Some(name) = seat.known_name_of(participant).filter(|_| self.names.len() < MOST_NAMES) {
                self.names.insert(participant.0, name);
            }
        }
        for feed in seat.feeds() {
            let before =
                self.before.get(&(feed.stream.stream, feed.stream.ssrc)).map(|before| (self.last, before));
            let figures = feed.account.figures(now, before);
            let line = stream_line(seat, &feed.stream, &feed.account, figures);
            self.write(now, Line::Stream(&line), &format!("  <- {}", line.text()));
        }
        self.before =
            seat.feeds().map(|feed| ((feed.stream.stream, feed.stream.ssrc), feed.account.clone())).collect();
        let seconds = (now - self.last).as_secs_f64().max(0.001);
        for (place, source, counts) in seat.sources() {
            let before = self.sent.remove(&place).unwrap_or_default();
            let pictures = counts.pictures.saturating_sub(before.pictures);
            let coding = counts.coding.saturating_sub(before.coding).as_secs_f64() * 1e3;
            let line = SourceLine {
                stream: source.live.map(|live| live.stream),
                kind: kind_name(source.kind),
                kbps: counts.bytes.saturating_sub(before.bytes) as f64 / 125.0 / seconds,
                pictures,
                skipped: counts.skipped.saturating_sub(before.skipped),
                coding_ms: (pictures > 0 && coding > 0.0).then(|| coding / pictures as f64),
                effort: counts.effort.map(|(level, _)| level),
                given_up: counts.effort.map(|(_, given_up)| given_up),
                demand: source.demand.iter().map(ToString::to_string).collect(),
                path_kbps: counts.path.map(|path| path / 1000),
            };
            self.sent.insert(place, counts);
            self.write(now, Line::Source(&line), &format!("  -> {}", line.text(seconds)));
        }
        self.last = now;
    }

    /// Prints what came of each stream in all.
    pub fn summary(&self, now: Time, seat: &Seat) {
        let ended = seat.ended_feeds().iter().map(|(stream, account)| (stream, account));
        for (stream, account) in ended.chain(seat.feeds().map(|feed| (&feed.stream, &feed.account))) {
            let mut line = stream_line(seat, stream, account, account.figures(now, None));
            if let (None, Some(name)) =
                (seat.known_name_of(stream.participant), self.names.get(&stream.participant.0))
            {
                line.who.clone_from(name);
            }
            self.write(now, Line::Summary(&line), &format!("in all {}", line.text()));
        }
    }
}

fn stream_line(
    seat: &Seat,
    stream: &layercast_meeting::Stream,
    account: &Account,
    figures: Figures,
) -> StreamLine {
    let signed = seat.circle().attested().counts(stream);
    StreamLine {
        stream: stream.stream,
        who: seat.name_of(stream.participant),
        kind: kind_name(stream.kind),
        target: account.last.map(|(_, target, _)| target.to_string()),
        size: account.last.map(|(.., size)| size.to_string()),
        figures,
        closed: account.closed.clone(),
        undecoded: account.undecoded,
        attested: signed.attested,
        unattested: signed.unattested + signed.forged,
    }
}

impl StreamLine {
    fn text(&self) -> String {
        let Self { stream, who, kind, figures, .. } = self;
        let Figures { count, rate, kbps, longest_ms, freezes, .. } = figures;
        let mut text = format!("{stream} {who}, {kind}: ");
        if let (Some(target), Some(size)) = (&self.target, &self.size) {
            text += &format!("{target} {size}, {count} pictures, {rate:.1}/s, {kbps:.0} kbit/s");
            if let (Some(half), Some(most)) = (figures.delay_p50_ms, figures.delay_p95_ms) {
                text += &format!(", delay {half} ms (95 %: {most})");
            }
            let freezes = match freezes {
                0 => String::new(),
                1 => ", 1 freeze".into(),
                freezes => format!(", {freezes} freezes"),
            };
            text += &format!(", longest pause {longest_ms} ms{freezes}");
        } else {
            text += &format!("{count} came, {rate:.1}/s, {kbps:.0} kbit/s");
        }
        for (why, count) in &self.closed {
            text += &format!("; {count} not opened: {why}");
        }
        if self.unattested > 0 {
            text += &format!("; {} not signed for, and {} were", self.unattested, self.attested);
        }
        text
    }
}

impl LinkLine {
    fn text(&self) -> String {
        let way = |way: &WayLine| {
            let WayLine { offered_kbps, carried_kbps, lost } = way;
            format!("{carried_kbps:.0} of {offered_kbps:.0} kbit/s, {lost} datagrams lost")
        };
        let Self { capacity_kbps, down, up } = self;
        format!("path of {capacity_kbps} kbit/s: down {}; up {}", way(down), way(up))
    }
}

impl SourceLine {
    fn text(&self, seconds: f64) -> String {
        let Self { kind, kbps, pictures, skipped, .. } = self;
        let Some(stream) = self.stream else { return format!("{kind}: not sent") };
        let mut text = format!("{stream} {kind}: {kbps:.0} kbit/s");
        if matches!(*kind, "camera" | "screen") {
            text += &format!(", {:.1} pictures/s", *pictures as f64 / seconds);
            if *skipped > 0 {
                text += &format!(" ({skipped} left out, since packets waited)");
            }
            if let Some(ms) = self.coding_ms {
                text += &format!(", {ms:.0} ms each");
            }
            match self.given_up {
                Some(1) => text += ", 1 layer given up for want of time",
                Some(layers @ 2..) => text += &format!(", {layers} layers given up for want of time"),
                _ => {}
            }
            match self.demand.is_empty() {
                true => text += ", nobody watches",
                false => text += &format!(", watched as {}", self.demand.join(", ")),
            }
        }
        if let Some(path) = self.path_kbps {
            text += &format!("; the path carries {path} kbit/s");
        }
        text
    }
}
