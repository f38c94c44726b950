//! Layers on demand: which decode target of each stream a receiver gets, and which layers a sender encodes at
//! all.
//!
//! A [`Selector`] decides for one receiver, from its windows, path and processor and from the layers that the
//! streams offer. A [`DemandFold`] combines the decisions of all receivers of one stream into what its sender
//! encodes. An SFU runs one selector for each receiver and one fold for each stream. Time and inputs are
//! arguments and decisions are results; the same inputs give the same decisions on every machine.
//!
//! # The value of a layer
//!
//! The value of a decode target in a window is the product of
//!
//! - the priority: thumbnail 1, active speaker 2, screen share and pinned 4;
//! - the shown size: the square root of the picture's area in the window, 1 at 1280x720, from 1/8 to 2;
//! - detail: with d the ratio of the layer's width to the shown width, at most 1: d (2 - d) for a face and d²
//!   for a screen;
//! - motion: with r pictures a second, r / (r + 10) for a face and r / (r + 2) for a screen, scaled to 1 at r
//!   = 30;
//! - quality, the same for all temporal layers of a spatial layer: SSIM to the fourth power, or PSNR from 20
//!   dB (0) to 40 dB (1). If neither was measured it is b / (b + 0.1), with b the bits of a picture divided
//!   by the number of its samples to the power of 3/4.
//!
//! A receiver's utility is the sum over its streams. If the path loses more packets than a threshold, the
//! value of a target is multiplied by the share of packets that arrive, once for each spatial layer below it,
//! because all of these have to arrive.
//!
//! # How the selector shares out
//!
//! 1. Caps exclude the layers above them. A window excludes a layer if a smaller one fills it already, or if
//!    the layer has a higher frame rate than the window shows and the same spatial layer has a lower one.
//! 2. The selector shares out the processor's time as if bits cost nothing, equal streams alike. This limits
//!    each stream.
//! 3. It then shares out the bits. Every stream gets its lowest target first. If these do not all fit,
//!    [`Decision::fits`] is false, and the selector pauses streams, those of the least value for their bits
//!    first. Streams that are shown already keep their lowest target above the budget for
//!    [`SelectorConfig::patience`], because most such estimates do not last. For [`SelectorConfig::start`] all
//!    streams get it, because nothing has been measured yet.
//! 4. The rest goes to the steps up of the most value for a bit, whichever the stream. The selector passes
//!    over a step that does not fit, and for the first few of these it also tries the choices in between.
//!
//! Of equal streams (same layers, window and caps) none is then more than one step above another. The total
//! never exceeds the budget if the minimum fits, and more bandwidth never lowers the utility.
//!
//! # The influence of earlier decisions
//!
//! A dip of the estimate counts at once. A rise counts once it has lasted: for [`SelectorConfig::settle`]
//! before the frame rate rises, for [`SelectorConfig::up_hold`] before the spatial layer does (for `settle`,
//! too, on a path that was never congested). After congestion no spatial layer rises for as long, unless the path has
//! carried twice as much as in its congestion for 1.5 s. Each rise that ends in a fall within 10 s makes that time twice as
//! long for rises beyond what was in use before it, until the path carries twice what was in use at the fall. A path that falls below half of what was in use before the rise has become
//! worse by itself, so that the rise has not failed. For a second after a rise its queue is that of the refresh, and takes
//! nothing from the budget.
//!
//! Spatial layers rise in two streams at once and four in the time of [`SelectorConfig::settle`] at most: each
//! rise costs a refresh, and those of many streams at once would be a queue on a path that carries the layers well.
//!
//! A stream makes at most [`SelectorConfig::max_switches`] spatial switches a minute, where falls within 2 s of each other
//! are one, as a drop of the path becomes known step by step. It rises, to any layer,
//! only if that leaves a switch to fall with, and with the last switch it falls to the lowest layer. The
//! spatial layer in use counts for more than others by [`SelectorConfig::switch_cost`], so that a short dip
//! costs only frame rate. A queue costs only frame rate, too: the spatial layers in use stay as long as the
//! estimate carries them at their lowest frame rates.
//!
//! Windows do not wait: a window that appears, grows or becomes more important gets its layers at once. With
//! a history the utility is the highest that the history allows.
//!
//! Every window that is hidden and shown again needs a refresh, which all receivers of the stream pay for. A selector
//! therefore asks for one refresh of a stream in [`SelectorConfig::refresh_interval`] at most: what is needed sooner
//! comes with a later decision, unless the window is hidden again by then.
//!
//! An estimate is often no higher than the bitrate sent. If the next step up needs more, [`Decision::probe`]
//! asks for a probe. If the estimate then follows the probe, the path has proven itself; if it does not, the
//! next probe waits longer. If not even the minimum service fits, the selector asks for a probe every two
//! seconds.
//!
//! # How inputs age
//!
//! | input | believed in full | then |
//! | --- | --- | --- |
//! | available bitrate | 2 s | it still limits, but no stream rises because of it |
//! | loss, queueing delay | 2 s | less in proportion, not at all after 10 s |
//! | load of the processor | 10 s | less in proportion, not at all after 60 s |
//! | decode times, windows, caps, offers | always | |
//!
//! # Loss and queues
//!
//! If loss exceeds [`SelectorConfig::loss_threshold`], the selector reserves twice the lost share of the bits
//! for redundancy, at most half of them. [`Decision::redundancy`] is everything that the path carries besides
//! the streams, this reserve included. A queueing delay of more than 100 ms lowers the budget, at 225 ms to a
//! half, so that the queue drains.

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
pub use decision::{Decision, Probe, Reason, StreamDecision};
pub use demand::{Demand, DemandConfig, DemandFold, LayerDemand, ReceiverId};
pub use input::{
    Cap, Cpu, DecodeTime, DecodeTimes, LayerOffer, LayerQuality, MAX_BITRATE, MAX_DECODE_TIMES, MAX_LAYERS,
    Network, Offer, Priority, StreamId, Switch, Window,
};
pub use messages::{DemandMessage, MAX_STREAMS, MESSAGE_VERSION, MessageError, ReceiverReport};
pub use selector::Selector;
