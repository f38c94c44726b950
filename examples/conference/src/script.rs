//! What happens in a call, and when: a line of JSON for each event.

use std::time::Duration;

use layercast::select::Priority;
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};
use layercast_examples::Result;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The call that is held if no other is given.
pub const BUILT_IN: &str = include_str!("script.jsonl");

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub at: Time,
    pub action: Action,
    /// What the page says of it.
    pub note: Option<String>,
    /// Freezes up to this long are no surprise to the participant in the seconds that follow.
    pub freeze: Option<Duration>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Somebody joins. The first one makes the group, and adds and removes the others.
    Join {
        who: String,
        device: String,
        up: LinkSpec,
        down: LinkSpec,
        /// Nanoseconds that the processor takes to decode a luma sample; a fast one takes no time.
        #[serde(default)]
        decode_ns: f64,
        /// Holds the keys of the base layers of all cameras, and is no member of the group.
        #[serde(default)]
        observer: bool,
        /// Also listens to all that reaches the relay, with the keys that it has.
        #[serde(default)]
        taps: bool,
    },
    /// A participant sends a stream from now on.
    Publish {
        who: String,
        stream: String,
        content: Content,
        width: u32,
        height: u32,
        mode: String,
        fps: u32,
        max_kbps: u64,
    },
    /// A participant shows these streams from now on, and no others.
    Show { who: String, windows: Vec<WindowSpec> },
    /// The links of a participant change.
    Link { who: String, up: Option<LinkSpec>, down: Option<LinkSpec> },
    /// A participant is removed from the group and from the room.
    Remove { who: String },
    /// The pictures that everybody sees of a stream are kept for the page.
    Look { stream: String },
    /// The call is over.
    End {},
}

/// What a stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Camera,
    /// The same person in a mirror, at another time and in another light.
    OtherCamera,
    Screen,
}

/// One direction of a path.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// What it carries, in 1000 bit/s; the mean if it varies.
    pub kbps: u64,
    /// One way.
    pub delay_ms: u64,
    /// Packets lost, in percent.
    #[serde(default)]
    pub loss: f64,
    /// What the queue before the link holds.
    #[serde(default = "queue_kb")]
    pub queue_kb: usize,
    /// The capacity varies as that of LTE does in a car; another number draws another link.
    pub lte_seed: Option<u64>,
}

fn queue_kb() -> usize {
    100
}

/// A window.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    pub stream: String,
    pub width: u32,
    pub height: u32,
    #[serde(default)]
    pub priority: Rank,
}

/// How much a stream matters to its viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    #[default]
    Thumbnail,
    Speaker,
    Screen,
    Pinned,
}

impl From<Rank> for Priority {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Thumbnail => Self::Thumbnail,
            Rank::Speaker => Self::ActiveSpeaker,
            Rank::Screen => Self::ScreenShare,
            Rank::Pinned => Self::Pinned,
        }
    }
}

/// Reads a script.
pub fn parse(text: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let numbered = (1..).zip(text.lines());
    for (number, text) in numbered.filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#')) {
        let line = line(text).and_then(|line| check(line, lines.last()));
        lines.push(line.map_err(|error| format!("line {number} of the script: {error}"))?);
    }
    if !matches!(lines.last(), Some(Line { action: Action::End {}, .. })) {
        return Err("the script has no end: {\"at\": 10, \"do\": \"end\"}".into());
    }
    Ok(lines)
}

fn line(text: &str) -> Result<Line> {
    let mut fields: Map<String, Value> = serde_json::from_str(text)?;
    let at = fields.remove("at").and_then(|at| at.as_f64()).ok_or("no time: \"at\", in seconds")?;
    let note = fields.remove("note").map(serde_json::from_value).transpose()?;
    let freeze = fields.remove("freeze_ms").map(serde_json::from_value).transpose()?;
    let action = serde_json::from_value(Value::Object(fields))?;
    if !(0.0..=3600.0).contains(&at) {
        return Err("a call lasts for an hour at most".into());
    }
    let at = Time::ZERO + Duration::from_secs_f64(at);
    Ok(Line { at, action, note, freeze: freeze.map(Duration::from_millis) })
}

fn check(line: Line, before: Option<&Line>) -> Result<Line> {
    if before.is_some_and(|before| before.at > line.at) {
        return Err("earlier than the line before".into());
    }
    if let Action::Publish { mode, width, height, fps, .. } = &line.action {
        mode.parse::<ScalabilityMode>()?;
        let size = Size::new(*width, *height);
        if !(64..=4096).contains(width) || !(64..=4096).contains(height) || !(1..=60).contains(fps) {
            return Err(format!("no camera has {size} at {fps} a second").into());
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_call_can_be_read() {
        let lines = parse(BUILT_IN).unwrap();
        assert!(lines.iter().any(|line| matches!(line.action, Action::Remove { .. })));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(error("{\"at\": 1}").starts_with("line 1"), "{}", error("{\"at\": 1}"));
        let unknown = "\n{\"at\": 1, \"do\": \"end\", \"what\": 2}";
        assert!(error(unknown).starts_with("line 2"), "{}", error(unknown));
        assert!(
            error("{\"at\": 2, \"do\": \"look\", \"stream\": \"a\"}\n{\"at\": 1, \"do\": \"end\"}")
                .contains("earlier")
        );
        assert!(error("").contains("no end"));
    }
}
