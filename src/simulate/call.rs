//! A call to simulate: its streams, its receivers, and the path to each of them.

use std::time::Duration;

use super::link::LinkConfig;
use super::trace::Trace;
use super::video::CodedVideo;
use crate::Time;
use crate::select::{DemandConfig, SelectorConfig, StreamId, Window};

/// A window, and the times when it changes.
pub type Script = Vec<(Time, Window)>;

/// A receiver: its path, and the streams that it watches.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverSpec {
    /// The capacity of the path from the relay.
    pub trace: Trace,
    /// The delay, queue and loss of that path. The way back has the same delay and loses nothing.
    pub link: LinkConfig,
    /// The streams it watches, each once.
    pub watches: Vec<(StreamId, Script)>,
}

impl ReceiverSpec {
    /// A receiver that watches nothing yet.
    pub fn new(trace: Trace, link: LinkConfig) -> Self {
        Self { trace, link, watches: Vec::new() }
    }
}

/// A call. Streams are numbered from 0; each shows the same coded video from another place on.
///
/// [`Call::gallery`], [`Call::speakers`] and [`Call::meeting`] make calls, whose fields can then be changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// Its name in reports.
    pub name: String,
    /// How long it lasts.
    pub duration: Duration,
    /// The video of all streams, in an `L` mode.
    pub video: CodedVideo,
    /// The same video as independent encodings (an `S` mode), for
    /// [`Policy::Simulcast`](super::Policy::Simulcast).
    pub simulcast: CodedVideo,
    /// Number of streams.
    pub streams: u32,
    /// The receivers.
    pub receivers: Vec<ReceiverSpec>,
    /// Whether senders encode only the layers that some receiver's decisions want; else they encode
    /// everything.
    pub on_demand: bool,
    /// How long a layer that nobody wants any more is still encoded.
    pub demand: DemandConfig,
    /// How careful the selector is.
    pub selector: SelectorConfig,
}
