//! Screens that stand still: they become sharp a part at a time, and what they show anew is coded as finely as fits.

use super::Source;
use super::config::{LAYERS, LayerBitrates};
use super::layer::is_still;
use crate::encoder::quantizer;
use crate::structure::{LayerId, PicturePlan, Structure};

/// The share of the buffer that what stands still leaves for what will move.
pub(super) const RESERVE: f64 = 0.5;
/// The share of the most bits of a frame that it aims at: the last superblock may take more than is left.
pub(super) const AIM: f64 = 0.7;
/// What stands still becomes so many times finer at once.
const FINER: f64 = 4.0;
/// The share of its bitrate that a higher temporal layer keeps while a screen stands still.
const KEPT: f64 = 0.1;

/// The index of a step that is [`FINER`].
pub(super) fn finer(qindex: u8) -> u8 {
    quantizer::index_of(quantizer::step(qindex) / FINER)
}

/// For each spatial layer, what its frames have to do.
#[derive(Debug, Default)]
pub(super) struct Refinement {
    /// Whether the lowest temporal layer makes finer what stands still.
    refines: [bool; LAYERS],
    /// Whether a higher one has something new to show in the picture.
    moves: [bool; LAYERS],
}

impl Refinement {
    /// Takes note of a picture: what there is to code in each frame, and the least quantizer index that one may have.
    pub(super) fn note(&mut self, picture: &PicturePlan, sources: &[Source], least: u8) {
        self.moves = [false; LAYERS];
        for (frame, source) in picture.frames.iter().zip(sources) {
            let spatial_id = usize::from(frame.layer.spatial_id);
            let coarse = source.coarsest.is_some_and(|qindex| finer(qindex).max(least) < qindex);
            match frame.layer.temporal_id {
                0 => self.refines[spatial_id] = coarse,
                _ => self.moves[spatial_id] = !is_still(source.novelty),
            }
        }
    }

    /// Gives nearly all bits of a spatial layer that is made finer to the frames that do it, since no other frame refers to
    /// those of higher temporal layers.
    pub(super) fn give(&self, structure: &Structure, bitrates: &mut LayerBitrates) {
        for spatial_id in 0..structure.spatial_layers {
            let at = usize::from(spatial_id);
            if !self.refines[at] || self.moves[at] {
                continue;
            }
            let lowest = LayerId::new(spatial_id, 0);
            for temporal_id in 1..structure.temporal_layers {
                let layer = LayerId::new(spatial_id, temporal_id);
                let own = bitrates.get(layer);
                let kept = (own as f64 * KEPT) as u64;
                bitrates.set(layer, kept);
                bitrates.set(lowest, bitrates.get(lowest) + own - kept);
            }
        }
    }
}
