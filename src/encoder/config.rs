//! What an encoder is made for, and what each picture is encoded for.

use super::rate::RateConfig;
use crate::picture::{Colours, Size};
use crate::structure::{DecodeTargets, Refresh, ScalabilityMode};

/// The smallest width and height of a picture, in luma samples.
pub const MIN_SIZE: u32 = 16;
/// The largest width and height of a picture, in luma samples.
pub const MAX_SIZE: u32 = 16384;
/// The fastest speed.
pub const MAX_SPEED: u8 = 8;
/// The speed that most calls want.
pub const DEFAULT_SPEED: u8 = 2;

/// What the pictures show, by which the encoder selects its tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Content {
    /// What a camera sees.
    Camera,
    /// A shared screen or window: text, lines and areas of one colour, with sharp edges.
    /// Modes of one spatial layer, such as `L1T3`, code it best: text at half its size says little about the text.
    Screen,
    /// Whichever of both the pictures look like. The encoder looks at every eighth picture, and takes it for a screen where
    /// many blocks have one colour in half of their samples and another that differs much.
    #[default]
    Automatic,
}

/// The configuration of an encoder: [`SvcConfig::new`], with the fields that differ changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SvcConfig {
    /// Size of the first picture, and of its highest spatial layer, in luma samples. Later pictures may have others.
    pub size: Size,
    /// The layers, and the references between them.
    pub mode: ScalabilityMode,
    /// `base_q_idx` (AV1 specification, section 6.8.11) of the lowest temporal layer, 1 (best) to 255, if there is no
    /// bitrate to keep.
    pub quantizer: u8,
    /// The bitrate to keep; none to code at a constant quantizer. A `session::VideoSender` that follows a path sets it by what the
    /// path carries, and takes from here the proportions of the layers at most.
    pub rate: Option<RateConfig>,
    /// log2 of the number of tile columns of the highest spatial layer, 0 to 6: 0 takes the fewest bits, n
    /// lets up to 2^n threads share a frame. Lower layers, and pictures that are too narrow, get as many
    /// columns as are at least 320 samples wide. `None` is four columns for pictures at least 1280 samples wide, and
    /// one for narrower ones, and for key pictures of a screen that shows much twice.
    pub tile_columns_log2: Option<u8>,
    /// Speed of all frames, 0 (fewest bits) to [`MAX_SPEED`](super::MAX_SPEED) (fastest);
    /// [`set_speeds`](super::SvcEncoder::set_speeds) tells classes of frames apart.
    pub speed: u8,
    /// Number of threads that the encoder starts for itself and shares its work among; 0 to start none and
    /// use the rayon thread pool that [`encode`](super::SvcEncoder::encode) is called in, which is rayon's
    /// global one unless the caller has set up another. The stream is the same with any number.
    pub threads: usize,
    /// What the samples of the pictures mean, for the sequence header.
    pub colours: Colours,
    /// What the pictures show; by default the encoder finds out.
    pub content: Content,
}

impl SvcConfig {
    /// Pictures of this size at a middling quantizer and [`DEFAULT_SPEED`], in rayon's thread pool, whose colours are
    /// not told. The encoder finds out what they show ([`Content::Automatic`]).
    pub fn new(size: Size, mode: ScalabilityMode) -> Self {
        Self {
            size,
            mode,
            quantizer: 100,
            rate: None,
            tile_columns_log2: None,
            speed: DEFAULT_SPEED,
            threads: 0,
            colours: Colours::default(),
            content: Content::default(),
        }
    }
}

/// What one picture is encoded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // Callers build it for each picture.
pub struct EncodeOptions {
    /// The layers to code anew, or a key picture, at which a receiver can begin. The encoder keeps it in mind
    /// until it is done.
    pub refresh: Refresh,
    /// The decode targets that somebody watches; `None` for all. Layers that none of them needs are neither
    /// coded nor referred to.
    pub wanted: Option<DecodeTargets>,
}
