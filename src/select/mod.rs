//! Layers on demand: which decode target of which stream a receiver gets, and what a sender encodes at all.
//!
//! A [`Selector`] decides for one receiver, from its windows, path and processor and from what the streams
//! offer. A [`DemandFold`] puts together what all receivers of one stream want of its sender.

mod allocate;
mod cpu;
mod decision;
mod demand;
mod input;
mod messages;
mod path;
#[cfg(test)]
mod properties;
mod selector;
#[cfg(test)]
mod tests;
mod value;

pub use decision::{Decision, Probe, Reason, Refresh, StreamDecision};
pub use demand::{Demand, DemandConfig, DemandFold, LayerDemand, ReceiverId};
pub use input::{
    Cap, Cpu, DecodeTime, LayerOffer, LayerQuality, MAX_BITRATE, MAX_LAYERS, Network, Offer, Priority,
    StreamId, Switch, Window,
};
pub use messages::{DemandMessage, MAX_STREAMS, MESSAGE_VERSION, MessageError, ReceiverReport};
pub use selector::{Selector, SelectorConfig};
