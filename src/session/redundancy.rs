//! How much of a stream is protected by parity packets.

use crate::structure::PicturePlan;

/// From this share of lost packets on, the lowest temporal layer is protected.
const LOWEST_FROM: f64 = 0.03;
/// From this share on, every picture is.
const EVERY_FROM: f64 = 0.08;

/// How much of a stream is protected by parity packets (FlexFEC), so that a receiver need not wait a round trip for a
/// packet that is lost: one packet in ten that follow each other in a picture, or the only one lost of fewer.
///
/// That is worth its bits if the path is lossy and long. A relay drops parity packets, since it renumbers what it
/// forwards; it can make its own ([`rtp::fec`](crate::rtp::fec)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Redundancy {
    /// Nothing is protected.
    #[default]
    None,
    /// The pictures of the lowest temporal layer, to which all others refer.
    LowestTemporalLayer,
    /// Every picture.
    EveryPicture,
    /// By the loss that the sender is told of: nothing below 3 %, the lowest temporal layer below 8 %, and from there on
    /// every picture.
    Adaptive,
}

impl Redundancy {
    /// Whether a picture is protected on a path that loses this share of the packets.
    pub(super) fn protects(self, loss: f64, plan: &PicturePlan) -> bool {
        let lowest = plan.frames.first().is_some_and(|frame| frame.layer.temporal_id == 0);
        match self {
            Self::None => false,
            Self::LowestTemporalLayer => lowest,
            Self::EveryPicture => true,
            Self::Adaptive => loss >= EVERY_FROM || lowest && loss >= LOWEST_FROM,
        }
    }
}
