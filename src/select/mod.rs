//! Layers on demand: which decode target of which stream a receiver gets, and what a sender encodes at all.
//!
//! A [`Selector`] decides for one receiver, from its windows, path and processor and from what the streams
//! offer. A [`DemandFold`] puts together what all receivers of one stream want of its sender. Time and inputs
//! are arguments and decisions are results; the same inputs give the same decisions on every machine.
//!
//! # What a layer is worth
//!
//! The value of a decode target in a window is the product of
//!
//! - the priority: thumbnail 1, active speaker 2, screen share and pinned 4;
//! - the size that the picture is shown at: the square root of its area, 1 at 1280x720, 1/8 to 2;
//! - detail: with d the layer's width to the shown width, at most 1, d (2 - d) for a face and d² for a screen;
//! - motion: with r pictures a second, r / (r + 10) for a face and r / (r + 2) for a screen, 1 at r = 30;
//! - quality, the same for all temporal layers of a spatial layer: SSIM to the fourth power, or PSNR from 20 dB
//!   (0) to 40 dB (1); where neither was measured b / (b + 0.1), with b the bits of a picture to its samples to
//!   the power of 3/4.
//!
//! A receiver's utility is the sum over its streams. Where more packets are lost than a threshold, each spatial
//! layer that a target is built of has to arrive: its value is multiplied by the share that does.
//!
//! # Who gets what
//!
//! Caps leave out layers above them, windows those which a smaller layer fills already, and those of a frame
//! rate that they do not show unless there is no lower. The processor comes next: its time is shared out as if
//! bits cost nothing, equals alike, which limits each stream. Then the bits are shared out. Everyone gets its
//! lowest target first; where these do not all fit [`Decision::fits`] says so, and streams are paused, those of
//! the least value for their bits first. Streams that are shown already keep their lowest target above the budget
//! for [`SelectorConfig::patience`], as most such estimates do not last. What is left goes to the steps up of the most value for a bit,
//! whichever the stream; a step that does not fit is passed over, and for the first few of these the choices in
//! between are tried too. Of equals (same layers, window and caps) none is then more than one step above
//! another, the total is never above the budget where the minimum fits, and more bandwidth never lowers the
//! utility.
//!
//! # What was decided before
//!
//! A dip of the estimate counts at once, a rise when it has lasted: [`SelectorConfig::settle`] for a higher
//! frame rate, [`SelectorConfig::up_hold`] for a higher spatial layer (`settle`, too, on a path that was never
//! congested). After congestion no spatial layer rises for a while, which doubles with each rise that was followed
//! by a fall within 10 s. A stream comes to no more than [`SelectorConfig::max_switches`] spatial switches a
//! minute: it rises, to any layer, where one more is left to fall with, and with the last it falls to the lowest.
//! The spatial layer in use counts for more than others by [`SelectorConfig::switch_cost`], so that a short dip
//! costs frame rate only, and so does a queue: where the estimate carries the spatial layers in use at their lowest
//! frame rates they stay.
//! Windows are another matter: one that is shown, grows or becomes more important gets its layers at once.
//! The utility with a history, then, is that of what the history allows.
//!
//! An estimate is often no higher than what is sent. Where the next step up needs more, [`Decision::probe`] says
//! what to try; if the estimate comes to follow it the path has proven itself, and if not the next probe waits
//! longer. Where not even the minimum service fits it asks every two seconds.
//!
//! # How inputs age
//!
//! | input | believed in full | then |
//! | --- | --- | --- |
//! | available bitrate | 2 s | it still limits, and nothing rises for it |
//! | loss, queueing delay | 2 s | less in proportion, nothing after 10 s |
//! | load of the processor | 10 s | less in proportion, nothing after 60 s |
//! | decode times, windows, caps, offers | always | |
//!
//! # Loss and queues
//!
//! Above [`SelectorConfig::loss_threshold`] twice the share that is lost is kept back, at most half of the bits.
//! [`Decision::redundancy`] is all that the path carries besides the streams, these bits included. A queueing
//! delay of more than 100 ms lowers the budget, at 225 ms to a half, so that the queue drains.

mod allocate;
mod config;
mod cpu;
mod decision;
mod demand;
mod input;
mod messages;
mod path;
#[cfg(test)]
mod properties;
mod selector;
mod stream;
#[cfg(test)]
mod tests;
mod value;

pub use config::SelectorConfig;
pub use decision::{Decision, Probe, Reason, Refresh, StreamDecision};
pub use demand::{Demand, DemandConfig, DemandFold, LayerDemand, ReceiverId};
pub use input::{
    Cap, Cpu, DecodeTime, DecodeTimes, LayerOffer, LayerQuality, MAX_BITRATE, MAX_DECODE_TIMES, MAX_LAYERS,
    Network, Offer, Priority, StreamId, Switch, Window,
};
pub use messages::{DemandMessage, MAX_STREAMS, MESSAGE_VERSION, MessageError, ReceiverReport};
pub use selector::Selector;
