//! The Dependency Descriptor (AV1 RTP specification 1.0, Appendix A): which frames a frame needs, and which decode
//! targets need it.
//!
//! A sender describes its frames once, as the templates of a [`DependencyStructure`]. Every packet then names
//! a template and a frame number in a [`DependencyDescriptor`], of three bytes for most. The two together give the
//! [`FrameDependencies`], by which a relay forwards and a receiver decodes without a look at the payload.
//!
//! The module reads and writes the structures of other senders as well as our own.

mod describer;
#[cfg(test)]
mod tests;
mod types;
mod wire;

pub use describer::Describer;
pub use types::{
    ChainDiffs, DecodeTargetIndication, DependencyDescriptor, DependencyStructure, DescriptorError,
    FrameDependencies, FrameDiffs, Indications, MAX_DECODE_TARGETS, MAX_FRAME_DIFFS, MAX_SPATIAL_LAYERS,
    MAX_TEMPLATES, Template,
};

/// The name of the header extension in a negotiation (A.9).
pub const URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
