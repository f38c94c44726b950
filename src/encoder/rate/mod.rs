//! Rate control: the quantizer of each frame.

use super::quantizer::Quantizer;
use crate::structure::PicturePlan;

/// Chooses the quantizers of each picture before it is coded, and learns its size afterwards.
pub(super) enum Controller {
    /// Constant quality, whatever it takes in bits.
    Fixed(FixedQuantizer),
}

impl Controller {
    /// The quantizers of the frames of a picture that is about to be coded, in the order of the plan.
    pub(super) fn plan(&mut self, picture: &PicturePlan) -> Vec<Quantizer> {
        match self {
            Self::Fixed(fixed) => fixed.plan(picture),
        }
    }

    /// Takes note of the frames of the picture planned last: their sizes in bytes, in the order of the plan.
    pub(super) fn coded(&mut self, _picture: &PicturePlan, _sizes: &[usize]) {
        match self {
            // The quantizer stays the same, whatever the sizes.
            Self::Fixed(_) => {}
        }
    }
}

/// Derives the quantizer of each frame from one index, by the frame's place in the structure.
pub(super) struct FixedQuantizer {
    base: u8,
}

impl FixedQuantizer {
    /// `base` is `base_q_idx` of the lowest temporal layer, 1 to 255.
    pub(super) fn new(base: u8) -> Self {
        Self { base }
    }

    fn plan(&self, picture: &PicturePlan) -> Vec<Quantizer> {
        let temporal_layers = picture.mode.structure().temporal_layers;
        let quantizer =
            |temporal_id| Quantizer::of_frame(self.base, picture.key, temporal_id, temporal_layers);
        picture.frames.iter().map(|frame| quantizer(frame.layer.temporal_id)).collect()
    }
}
