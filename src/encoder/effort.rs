//! The effort that goes into deciding a block: a row of thresholds for each speed, and which frames get which speed.
//!
//! What the levels cost, against speed 2 for all frames: bits at equal Y-PSNR and at equal SSIM, and time in the coder
//! on one thread. Each level is faster than the one before.
//! Means over three real clips (two people who sign at 640x360, a hand-held camera at 1280x720), 12 pictures each, `L1T3`
//! and `L3T3`, at the quantizers 60, 100 and 160. Speed 3 is not among them: level 6 takes as long, and by SSIM
//! 2 % fewer bits. Since then speed 2 takes 7 % less time for 1.5 % more bits below 1280x720, and speeds 3 to 7 about 4 % less
//! for 0.2 %. Level 16 came later: it is level 15 with what `L1T1` took at speed 8 beside speed 7 on four clips, 24 pictures each.
//! Since then speed 8 takes 2 % fewer bits in 5 to 10 % less time; in `L3T3` speed 2 takes 0.91 of its time, and speed 3 0.87 of it for 1.7 %
//! fewer bits (2.1 % by SSIM). A choice of CDEF's strengths saves 1 to 2 % at all speeds, by SSIM 1 to 5 %, the faster the more.
//!
//! | level | key | base | middle | top | bits, Y-PSNR | bits, SSIM | time |
//! | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
//! | 0 | 0 | 0 | 0 | 0 | -2.6 % | -1.9 % | 1.40 |
//! | 1 | 0 | 0 | 1 | 1 | -2.1 % | -1.7 % | 1.24 |
//! | 2 | 1 | 1 | 1 | 1 | -1.9 % | -1.4 % | 1.18 |
//! | 3 | 1 | 1 | 1 | 2 | -1.2 % | -1.2 % | 1.11 |
//! | 4 | 2 | 2 | 2 | 2 | 0.0 % | 0.0 % | 1.00 |
//! | 5 | 2 | 2 | 2 | 4 | +1.6 % | +0.9 % | 0.93 |
//! | 6 | 2 | 2 | 4 | 4 | +2.8 % | +1.7 % | 0.87 |
//! | 7 | 4 | 4 | 4 | 4 | +4.3 % | +5.1 % | 0.78 |
//! | 8 | 4 | 4 | 4 | 5 | +5.6 % | +5.9 % | 0.76 |
//! | 9 | 5 | 5 | 5 | 5 | +6.7 % | +8.1 % | 0.71 |
//! | 10 | 5 | 5 | 5 | 6 | +9.0 % | +9.6 % | 0.67 |
//! | 11 | 5 | 5 | 6 | 6 | +10.4 % | +10.8 % | 0.65 |
//! | 12 | 5 | 6 | 6 | 6 | +12.1 % | +12.7 % | 0.64 |
//! | 13 | 6 | 6 | 6 | 6 | +12.5 % | +14.6 % | 0.63 |
//! | 14 | 6 | 6 | 7 | 7 | +13.9 % | +16.0 % | 0.61 |
//! | 15 | 7 | 7 | 7 | 7 | +19.0 % | +26.1 % | 0.59 |
//! | 16 | 8 | 8 | 8 | 8 | +20.7 % | +29.7 % | 0.53 |

use super::config::MAX_SPEED;
use super::error::EncodeError;
use crate::structure::{FrameKind, FramePlan, PicturePlan};

/// A speed for each class of frames, 0 (fewest bits) to [`MAX_SPEED`].
///
/// The same speeds give the same bits, whatever the time that coding takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // AV1 frames are of these four classes.
pub struct Speeds {
    /// For the frames of key pictures, and for intra-only frames.
    pub key: u8,
    /// For the other frames of temporal layer 0, on which all later ones depend.
    pub base: u8,
    /// For the temporal layers between the lowest and the highest.
    pub middle: u8,
    /// For the highest temporal layer, to which no frame of another picture refers. In modes of one temporal layer no
    /// frame is of this class.
    pub top: u8,
}

/// The class of a frame that has a speed of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Key,
    Base,
    Middle,
    Top,
}

impl Class {
    /// The class of a frame; `key` if it is of a key picture or intra-only.
    pub(super) fn new(key: bool, temporal_id: u8, temporal_layers: u8) -> Self {
        match temporal_id {
            _ if key => Self::Key,
            0 => Self::Base,
            _ if temporal_id + 1 < temporal_layers => Self::Middle,
            _ => Self::Top,
        }
    }

    pub(super) fn of(picture: &PicturePlan, frame: &FramePlan) -> Self {
        let key = picture.key || frame.kind != FrameKind::Inter;
        Self::new(key, frame.layer.temporal_id, picture.mode.structure().temporal_layers)
    }
}

impl Speeds {
    /// The levels of effort, from slow to fast: from 3 % fewer bits than at [`DEFAULT_SPEED`](super::DEFAULT_SPEED) in
    /// 1.4 times the time to 21 % more bits, at equal Y-PSNR, in 0.53 times the time. The source has the whole table.
    pub const LEVELS: [Self; 17] = [
        Self::new(0, 0, 0, 0),
        Self::new(0, 0, 1, 1),
        Self::new(1, 1, 1, 1),
        Self::new(1, 1, 1, 2),
        Self::new(2, 2, 2, 2),
        Self::new(2, 2, 2, 4),
        Self::new(2, 2, 4, 4),
        Self::new(4, 4, 4, 4),
        Self::new(4, 4, 4, 5),
        Self::new(5, 5, 5, 5),
        Self::new(5, 5, 5, 6),
        Self::new(5, 5, 6, 6),
        Self::new(5, 6, 6, 6),
        Self::new(6, 6, 6, 6),
        Self::new(6, 6, 7, 7),
        Self::new(7, 7, 7, 7),
        Self::new(8, 8, 8, 8),
    ];

    /// The same speed for all frames.
    pub const fn uniform(speed: u8) -> Self {
        Self::new(speed, speed, speed, speed)
    }

    const fn new(key: u8, base: u8, middle: u8, top: u8) -> Self {
        Self { key, base, middle, top }
    }

    /// For each class the faster of two speeds.
    pub fn max(self, other: Self) -> Self {
        Self {
            key: self.key.max(other.key),
            base: self.base.max(other.base),
            middle: self.middle.max(other.middle),
            top: self.top.max(other.top),
        }
    }

    pub(super) fn of_class(self, class: Class) -> u8 {
        match class {
            Class::Key => self.key,
            Class::Base => self.base,
            Class::Middle => self.middle,
            Class::Top => self.top,
        }
    }

    /// The speed of a frame of a picture.
    pub(super) fn of_frame(self, picture: &PicturePlan, frame: &FramePlan) -> u8 {
        self.of_class(Class::of(picture, frame))
    }

    /// The speeds themselves, if all of them exist.
    pub(super) fn check(self) -> Result<Self, EncodeError> {
        match [self.key, self.base, self.middle, self.top].into_iter().find(|&speed| speed > MAX_SPEED) {
            Some(speed) => Err(EncodeError::Speed(speed)),
            None => Ok(self),
        }
    }
}

/// For each speed, the time that a frame of each class takes, relative to the same frame at speed 2: key, base, middle,
/// top. Measured as the table above.
pub(super) static TIMES: [[f64; 4]; MAX_SPEED as usize + 1] = [
    [1.17, 1.44, 1.44, 1.46],
    [1.12, 1.22, 1.2, 1.18],
    [1.0, 1.0, 1.0, 1.0],
    [0.91, 0.84, 0.88, 0.88],
    [0.84, 0.73, 0.76, 0.77],
    [0.78, 0.62, 0.68, 0.71],
    [0.73, 0.52, 0.58, 0.6],
    [0.62, 0.47, 0.55, 0.59],
    [0.61, 0.42, 0.49, 0.53],
];

/// Thresholds at which the decisions for a block stop, and what is not tried at all.
#[derive(Debug)]
pub(crate) struct Effort {
    /// A block of 64x64, 32x32, 16x16 that costs fewer bits than this for each 64 samples is not tried in
    /// smaller blocks.
    pub(crate) stop: [f32; 3],
    /// A block of 64x64, 32x32 whose prediction costs more bits a sample than this is not coded whole.
    pub(crate) hopeless: [f32; 2],
    /// A block that another picture predicts at fewer bits a sample than this is not tried as an intra block.
    pub(crate) good: f32,
    /// If the first intra mode costs more than this many times the inter prediction, no other mode is tried.
    pub(crate) rival: f32,
    /// If the best vector of whole samples costs more than this many times the hopeless cost, fractions are
    /// not tried.
    pub(crate) fractions: f32,
    /// ... and if it costs more than this many times of it, nothing else is: the block is hopeless. None if all is tried first.
    pub(crate) out_of_reach: Option<f32>,
    /// The largest step of the search for vectors of whole samples, as an index into 4, 2, 1.
    pub(crate) first_step: usize,
    /// ... where the block around is searched already, and its vector is a start.
    pub(crate) inner_step: usize,
    /// Whether fractions of a vector are computed from the differences around it, and not searched for.
    pub(crate) fit: bool,
    /// Whether vectors of half samples are tried on one side alone, that of the better whole sample.
    pub(crate) one_side: bool,
    /// How many intra modes without a direction are tried in frames that refer to others. Intra frames try all of them.
    /// Where all are tried, so is the direction of the block's samples.
    pub(crate) modes: usize,
    /// Transform types that are tried besides the usual one, in intra blocks and in others.
    pub(crate) transforms: [usize; 2],
    /// Whether chroma is tried as predicted from luma.
    pub(crate) chroma_from_luma: bool,
    /// So many times the usual error, a block that another picture predicts stays uncoded without a transform; 0 for never.
    pub(crate) quiet: f32,
    /// Whether blocks that stand still are taken from the temporal reference without a search, where the camera stands still.
    pub(crate) steady: bool,
    /// Whether CDEF filters chroma, too.
    pub(crate) chroma_cdef: bool,
    /// The secondary strength of CDEF in frames that refer to others, relative to its usual one.
    pub(crate) secondary: f32,
    /// The value of a bit, relative to its usual one.
    pub(crate) bit: f32,
    /// The part of a step that is added to the last coefficient of a block that another picture predicts.
    pub(crate) last_rounding: f32,
}

/// Pictures with at least this many samples have their detail in larger blocks.
const LARGE: usize = 1280 * 720;

/// The effort at `speed` for pictures of `size`; nothing if there is no such speed.
pub(crate) fn effort(speed: u8, size: (usize, usize)) -> Option<&'static Effort> {
    Some(&EFFORTS.get(usize::from(speed))?[usize::from(size.0 * size.1 >= LARGE)])
}

/// Beside the thresholds, what the default speed tries.
const MUCH: Effort = Effort {
    stop: [0.0; 3],
    hopeless: [0.0; 2],
    good: 0.0,
    rival: 0.0,
    fractions: 0.0,
    out_of_reach: Some(1.1),
    first_step: 0,
    inner_step: 2,
    fit: false,
    one_side: true,
    modes: 3,
    transforms: [4, 3],
    chroma_from_luma: true,
    quiet: 0.0,
    steady: false,
    chroma_cdef: true,
    secondary: 1.0,
    bit: 1.0,
    last_rounding: 0.3,
};
/// All that can be tried is, transforms among it.
const MOST: Effort = Effort { transforms: [4, 8], one_side: false, inner_step: 0, modes: 7, ..MUCH };
/// Few intra modes where another picture predicts a block.
const SOME: Effort = Effort { quiet: 1.0, modes: 2, ..MUCH };
/// The most likely alone.
const FEW: Effort = Effort { quiet: 1.0, first_step: 1, modes: 1, transforms: [3, 0], ..MUCH };
/// That, in less time. Where smaller blocks are hardly tried, those that whole samples alone call hopeless are missed.
const FAST: Effort = Effort { fit: true, quiet: 1.5, out_of_reach: None, ..FEW };
/// And the least.
const BARE: Effort = Effort { transforms: [1, 0], chroma_from_luma: false, ..FAST };

/// The least, and what stands still without a search. What is decided in haste is filtered more, and a bit is worth
/// less error there. Measured on real clips.
const LEAST: Effort = Effort {
    first_step: 2,
    transforms: [3, 0],
    steady: true,
    chroma_cdef: false,
    secondary: 1.3,
    bit: 0.85,
    last_rounding: 0.26,
    ..BARE
};

/// For each speed, slow to fast, one for pictures below `LARGE` and one for the others. The thresholds come
/// from logs of which choices won, and were selected by bits over coding time on real clips.
#[rustfmt::skip]
static EFFORTS: [[Effort; 2]; MAX_SPEED as usize + 1] = [
    [
        Effort { stop: [1.5, 6.0, 16.0], hopeless: [0.45, 0.8], good: 0.04, rival: 2.5, fractions: 2.5, ..MOST },
        Effort { stop: [1.5, 6.0, 16.0], hopeless: [0.45, 0.8], good: 0.04, rival: 2.5, fractions: 2.5, ..MOST },
    ],
    [
        Effort { stop: [2.5, 8.5, 21.0], hopeless: [0.35, 0.6], good: 0.06, rival: 1.6, fractions: 1.8, ..MOST },
        Effort { stop: [3.5, 11.0, 30.0], hopeless: [0.35, 0.6], good: 0.06, rival: 1.6, fractions: 1.8, ..MOST },
    ],
    [
        Effort { stop: [4.0, 9.5, 29.0], hopeless: [0.21, 0.29], good: 0.12, rival: 1.2, fractions: 1.2, ..MUCH },
        Effort { stop: [6.0, 17.0, 45.0], hopeless: [0.28, 0.45], good: 0.12, rival: 1.6, fractions: 1.8, ..MUCH },
    ],
    [
        Effort { stop: [5.5, 16.0, 42.0], hopeless: [0.2, 0.35], good: 0.2, rival: 0.8, fractions: 1.2, ..SOME },
        Effort { stop: [7.5, 22.0, 56.0], hopeless: [0.2, 0.35], good: 0.2, rival: 0.8, fractions: 1.2, ..SOME },
    ],
    [
        Effort { stop: [6.0, 18.0, 45.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 1.2, ..FEW },
        Effort { stop: [7.0, 20.0, 52.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 1.2, ..FEW },
    ],
    [
        Effort { stop: [9.0, 28.0, 70.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 1.2, ..FEW },
        Effort { stop: [10.0, 30.0, 80.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 1.2, ..FEW },
    ],
    [
        Effort { stop: [13.0, 40.0, 100.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 1.2, ..FAST },
        Effort { stop: [14.0, 42.0, 110.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 1.2, ..FAST },
    ],
    [
        Effort { stop: [16.0, 50.0, 150.0], hopeless: [0.2, 0.35], good: 0.3, rival: 0.6, fractions: 1.2, ..BARE },
        Effort { stop: [16.0, 50.0, 150.0], hopeless: [0.2, 0.35], good: 0.3, rival: 0.6, fractions: 1.2, ..BARE },
    ],
    [
        Effort { stop: [16.0, 50.0, 150.0], hopeless: [0.3, 0.5], good: 0.5, rival: 0.5, fractions: 1.2, ..LEAST },
        Effort { stop: [16.0, 50.0, 150.0], hopeless: [0.3, 0.5], good: 0.5, rival: 0.5, fractions: 1.2, ..LEAST },
    ],
];
