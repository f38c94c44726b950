//! Scalability structures: which layers a picture is coded in, and what each frame refers to.
//!
//! The 25 scalability modes of W3C `webrtc-svc` whose layers differ by 2:1 are one table of constants
//! ([`ScalabilityMode::structure`]), drawn mode by mode in its source. Encoder, packetizer and relay read the
//! same table; a [`Planner`] walks it picture by picture and plans only the frames that somebody wants.

mod frames;
mod layer;
mod lookup;
mod mode;
mod planner;
mod refresh;
mod table;
#[cfg(test)]
mod tests;

pub use frames::{FrameTemplate, Structure};
pub use layer::{DecodeTarget, DecodeTargets, LayerId};
pub use mode::{ScalabilityMode, UnknownScalabilityMode};
pub use planner::{FrameKind, FramePlan, GOLDEN_FRAME, LAST_FRAME, PicturePlan, PictureRequest, Planner};
pub use refresh::Refresh;
