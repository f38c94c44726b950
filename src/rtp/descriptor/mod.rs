//! The Dependency Descriptor (AV1 RTP specification 1.0, Appendix A): what a frame is needed for, and what it
//! needs.
//!
//! A sender describes its frames once, as the templates of a [`DependencyStructure`]. Every packet then names
//! a template and a frame number in a [`DependencyDescriptor`], of three bytes for most. Out of the two come
//! the [`FrameDependencies`], by which a relay forwards and a receiver decodes without a look at the payload.
//!
//! Structures of other senders are read, forwarded and written as well as our own.

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

/// Where the extension is negotiated, it has this name (A.9).
pub const URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
