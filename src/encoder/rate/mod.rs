//! Rate control: the quantizer of each frame.
//!
//! | module | part |
//! | --- | --- |
//! | `config` | what the caller asks for: bitrates, the buffer, bounds |
//! | `split` | the bitrate of each layer, where the caller gives the sum alone |
//! | `layer` | what one layer's frames cost at each quantizer, and how far the layer is ahead of its bitrate |
//! | `refine` | screens that stand still |
//! | `buffer` | the buffer of each decode target |
//! | `bitrate` | the quantizers of a picture, by all of these |

mod bitrate;
mod buffer;
mod config;
mod layer;
mod refine;
mod split;
#[cfg(test)]
mod tests;

pub use config::{Bitrate, LayerBitrates, RateConfig};

pub(super) use bitrate::BitrateController;
pub(super) use split::highest_bitrate;

use super::config::SvcConfig;
use super::error::EncodeError;
use super::quantizer::{self, Place, Pulse, Quantizer};
use crate::Time;
use crate::structure::{DecodeTargets, FramePlan, PicturePlan};

/// A frame of a still picture is coded again with a step that is at most so many times as large.
const MOST_STILL: f64 = 1.5;
/// A frame that took fewer times its most bits than this took a little too much, and aims at this share of them then.
const LITTLE: f64 = 1.5;
const AIM: f64 = 0.8;

/// Chooses the quantizers of each picture before it is coded, and learns its size afterwards.
pub(super) enum Controller {
    /// Constant quality, whatever it takes in bits.
    Fixed(u8),
    /// Constant bitrate.
    Bitrate(Box<BitrateController>),
}

/// The quantizer of a frame, and what to do if it takes too many bits at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameBudget {
    pub(super) q: Quantizer,
    /// The value of a bit at it (see [`Quantizer::new`]).
    lambda: f32,
    /// Whether it was coded again already, or its layer begins with it, so that all that follow pay for it.
    tried: bool,
    /// Above so many bits the frame is coded again.
    most: f64,
    /// The largest index that it may have.
    largest: u8,
    /// Whether its picture shows nothing new, and it is coded to be sharper.
    still: bool,
    /// Of what stands still on a screen, as much becomes sharper as takes about so many bits; all if it is none.
    pub(super) refine: Option<u64>,
}

/// What there is to code in a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    /// How much it differs from the source of the temporal reference or, if there is none, from sample to sample.
    pub(super) novelty: f64,
    /// Of a screen: the largest quantizer index of what the temporal reference shows already; none if all is new.
    pub(super) coarsest: Option<u8>,
}

/// What a frame took.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodedBits {
    pub(super) qindex: u8,
    pub(super) bits: u64,
    /// The index that it was coded with first, and its bits then, but for those of what only became finer.
    pub(super) tried_at: u8,
    pub(super) tried: u64,
}

impl Controller {
    /// What an encoder of this configuration keeps.
    ///
    /// # Errors
    /// [`EncodeError::Rate`] if the configuration of a bitrate is out of range.
    pub(super) fn new(config: &SvcConfig) -> Result<Self, EncodeError> {
        match &config.rate {
            None => Ok(Self::Fixed(config.quantizer)),
            Some(rate) if rate.is_valid() => {
                let controller = BitrateController::new(rate.clone(), config.mode, config.size);
                Ok(Self::Bitrate(Box::new(controller)))
            }
            Some(_) => Err(EncodeError::Rate),
        }
    }

    /// The quantizers of the frames of a picture that is about to be coded, in the order of the plan; `screen` if it shows
    /// one. `look` tells what there is to code in a frame.
    pub(super) fn plan(
        &mut self,
        captured: Time,
        picture: &PicturePlan,
        screen: bool,
        look: impl Fn(&FramePlan) -> Source,
    ) -> Vec<FrameBudget> {
        match self {
            Self::Fixed(base) => {
                let structure = picture.mode.structure();
                let pulse = Pulse::of(picture);
                let budget = |layer| {
                    let place = Place::new(structure, layer, picture.key).with_screen(screen);
                    let lambda = pulse.lambda(place.lambda());
                    let q = Quantizer::new(pulse.qindex(place.qindex(*base)), lambda);
                    FrameBudget {
                        q,
                        lambda,
                        tried: false,
                        most: f64::INFINITY,
                        largest: 255,
                        still: false,
                        refine: None,
                    }
                };
                picture.frames.iter().map(|frame| budget(frame.layer)).collect()
            }
            Self::Bitrate(controller) => controller.plan(captured, picture, look),
        }
    }

    /// The highest temporal layer to code of a picture, or none if the picture is to be left out whole.
    pub(super) fn admits(&self, captured: Time, wanted: DecodeTargets) -> Option<u8> {
        match self {
            Self::Fixed(_) => Some(u8::MAX),
            Self::Bitrate(controller) => controller.admits(captured, wanted),
        }
    }

    /// Takes note of the frames of the picture planned last, in the order of the plan: what each took.
    pub(super) fn coded(&mut self, picture: &PicturePlan, frames: impl Iterator<Item = CodedBits>) {
        match self {
            Self::Fixed(_) => {}
            Self::Bitrate(controller) => controller.coded(picture, frames),
        }
    }
}

impl FrameBudget {
    /// Whether a frame that took so many bits is to be coded again; with a larger quantizer then.
    pub(super) fn again(&mut self, bits: u64) -> bool {
        let bits = bits as f64;
        if bits <= self.most || self.q.qindex >= self.largest {
            return false;
        }
        // A frame is coded again at most a few times: the step is larger by a quarter at least. Only if it took a little too much,
        // it is first tried with the step that fits: far coarser, it would leave more to the next picture.
        let little = !self.tried && bits < LITTLE * self.most;
        let larger = if little {
            layer::step_for(AIM * self.most / bits)
        } else {
            (bits / (0.7 * self.most)).max(1.25)
        };
        // Of a still picture a step that is too large codes nothing at all.
        let larger = if self.still { larger.min(MOST_STILL) } else { larger };
        let step = quantizer::step(self.q.qindex) * larger;
        let qindex = quantizer::index_of(step).clamp(self.q.qindex + 1, self.largest);
        self.q = Quantizer::new(qindex, self.lambda);
        self.tried = true;
        true
    }
}
