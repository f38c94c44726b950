//! The inputs of a decision. Each is optional, and the caller gives it when it changes.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::Size;
use crate::structure::{DecodeTarget, ScalabilityMode};

/// The most decode targets that one stream offers.
pub const MAX_LAYERS: usize = 16;

/// The highest bitrate that a selector tells from a higher one, in bit/s.
pub const MAX_BITRATE: u64 = 1 << 40;

/// A stream that a receiver may watch: one sender's camera or screen. The numbers are the app's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(clippy::exhaustive_structs)] // A number.
pub struct StreamId(pub u32);

/// The quality of a layer's pictures, compared with the scene at the layer's own size.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum LayerQuality {
    /// Mean SSIM, up to 1.
    Ssim(f32),
    /// PSNR of luma in dB.
    Psnr(f32),
}

/// One decode target of a stream, as it is or would be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::exhaustive_structs)] // Senders build it by literal.
pub struct LayerOffer {
    /// The decode target.
    pub target: DecodeTarget,
    /// Bit/s of all frames that the target needs, those of lower layers included.
    pub bitrate: u64,
    /// Size of its pictures in luma samples.
    pub size: Size,
    /// Pictures a second.
    pub frame_rate: f32,
    /// Luma samples a second that a decoder of the target decodes, those of lower layers included.
    pub luma_samples: u64,
    /// The quality of its pictures, if it was measured; otherwise the selector guesses it from the bitrate.
    pub quality: Option<LayerQuality>,
}

/// What a receiver needs before it can switch to another spatial layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Switch {
    /// Nothing: the stream has switch points of its own (switch indications, AV1 RTP A.8.2).
    Free,
    /// A layer refresh: the next frame of the layer does not refer to earlier pictures of it. If switches
    /// down need one as well, the layers are independent encodings (simulcast), and only the target's has to
    /// be refreshed; otherwise each layer above the one in use has to be.
    #[default]
    LayerRefresh,
    /// A key picture.
    KeyFrame,
}

/// The layers of one stream. The default offers none.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Offer {
    pub(super) layers: ArrayVec<LayerOffer, MAX_LAYERS>,
    /// What a switch to a higher spatial layer needs.
    pub up: Switch,
    /// What a switch to a lower spatial layer needs.
    pub down: Switch,
}

impl Offer {
    /// An offer of any decode targets, in any order, of which it takes the first [`MAX_LAYERS`].
    pub fn from_layers(layers: impl IntoIterator<Item = LayerOffer>, up: Switch, down: Switch) -> Self {
        Self { layers: layers.into_iter().take(MAX_LAYERS).collect(), up, down }
    }

    /// The decode targets. A selector ignores a target without samples or frame rate or of more than
    /// [`MAX_BITRATE`], and all but the first layer of the same target.
    pub fn layers(&self) -> &[LayerOffer] {
        &self.layers
    }

    /// The decode targets, whose measured figures change in the course of a call.
    pub fn layers_mut(&mut self) -> &mut [LayerOffer] {
        &mut self.layers
    }

    /// The offer of a stream of pictures of `size`, `frame_rate` a second, in one of the table's modes; `bitrate` gives
    /// the bit/s of each decode target, all that it needs included.
    ///
    /// In the `L` modes a switch up needs a layer refresh, and a switch down nothing. In the `S` modes each
    /// switch needs a layer refresh, and in the `_KEY` modes a key picture.
    pub fn new(
        mode: ScalabilityMode,
        size: Size,
        frame_rate: f32,
        mut bitrate: impl FnMut(DecodeTarget) -> u64,
    ) -> Self {
        let structure = mode.structure();
        let cycle = structure.cycle;
        let layers = structure.decode_targets().map(|target| {
            let needed =
                |picture: &&[_], spatial_id| structure.needed_by(picture, spatial_id).contains(target);
            let shown = cycle.iter().filter(|picture| needed(picture, target.spatial_id)).count();
            let samples: u64 = (0..=target.spatial_id)
                .map(|spatial_id| {
                    let frames = cycle.iter().filter(|picture| needed(picture, spatial_id)).count();
                    structure.layer_size(size, spatial_id).samples() * frames as u64
                })
                .sum();
            let cycles = frame_rate / cycle.len() as f32;
            LayerOffer {
                target,
                bitrate: bitrate(target),
                size: structure.layer_size(size, target.spatial_id),
                frame_rate: shown as f32 * cycles,
                luma_samples: (samples as f64 * f64::from(cycles)) as u64,
                quality: None,
            }
        });
        let layers = layers.collect();
        let inter_layer = |picture: &&[crate::structure::FrameTemplate]| {
            picture.iter().any(|frame| frame.inter_layer_ref.is_some())
        };
        let (up, down) = if cycle.iter().any(inter_layer) {
            (Switch::LayerRefresh, Switch::Free)
        } else if structure.key.iter().any(|frame| frame.inter_layer_ref.is_some()) {
            (Switch::KeyFrame, Switch::KeyFrame)
        } else {
            (Switch::LayerRefresh, Switch::LayerRefresh)
        };
        Self { layers, up, down }
    }
}

/// How much a stream matters to its viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Priority {
    /// One of many small pictures.
    #[default]
    Thumbnail,
    /// The person who speaks.
    ActiveSpeaker,
    /// A screen or slides, whose sharpness is worth more than their motion.
    ScreenShare,
    /// A stream that the viewer chose.
    Pinned,
}

/// The window in which a receiver shows a stream. The default is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[allow(clippy::exhaustive_structs)] // Apps build it by literal.
pub struct Window {
    /// Size in physical pixels of the rectangle that the whole picture is fitted into.
    pub size: Size,
    /// Whether any of it can be seen.
    pub visible: bool,
    /// The most pictures a second that the window can show, such as the display's refresh rate.
    pub max_frame_rate: Option<f32>,
    /// How much the stream matters to its viewer.
    pub priority: Priority,
}

impl Window {
    /// A visible window of any frame rate.
    pub fn new(size: Size, priority: Priority) -> Self {
        Self { size, visible: true, max_frame_rate: None, priority }
    }
}

/// What a relay knows of the path to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[allow(clippy::exhaustive_structs)] // Relays build it by literal.
pub struct Network {
    /// Bit/s that the path carries without a growing queue, as a bandwidth estimator says.
    pub available_bitrate: Option<u64>,
    /// Round-trip time.
    pub round_trip: Option<Duration>,
    /// Share of the packets that get lost, 0 to 1.
    pub loss: Option<f32>,
    /// Time that packets now wait in queues, beyond their wait on an idle path.
    pub queueing_delay: Option<Duration>,
}

/// A measured decode time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Receivers build it by literal.
pub struct DecodeTime {
    /// Luma samples of the frame.
    pub luma_samples: u32,
    /// Time that one core took.
    pub time: Duration,
}

/// The most decode times in [`DecodeTimes`].
pub const MAX_DECODE_TIMES: usize = 8;

/// Up to [`MAX_DECODE_TIMES`] decode times. Any iterator of them collects into this, which takes the first
/// ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecodeTimes(ArrayVec<DecodeTime, MAX_DECODE_TIMES>);

impl DecodeTimes {
    /// Adds one, or returns it if there are [`MAX_DECODE_TIMES`] already.
    ///
    /// # Errors
    /// The decode time that has no room.
    pub fn push(&mut self, time: DecodeTime) -> Result<(), DecodeTime> {
        self.0.try_push(time).map_err(|error| error.element())
    }
}

impl Deref for DecodeTimes {
    type Target = [DecodeTime];

    fn deref(&self) -> &[DecodeTime] {
        &self.0
    }
}

impl DerefMut for DecodeTimes {
    fn deref_mut(&mut self) -> &mut [DecodeTime] {
        &mut self.0
    }
}

impl FromIterator<DecodeTime> for DecodeTimes {
    fn from_iter<I: IntoIterator<Item = DecodeTime>>(times: I) -> Self {
        Self(times.into_iter().take(MAX_DECODE_TIMES).collect())
    }
}

/// What a receiver knows of its processor: decode times, or a load, or both.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(clippy::exhaustive_structs)] // Receivers build it by literal.
pub struct Cpu {
    /// Decode times of frames, such as the mean of each spatial layer. They give the time for a sample.
    pub decode_times: DecodeTimes,
    /// Cores that decode at the same time; 1 if it is not known.
    pub cores: Option<f32>,
    /// How much of its processor's time is in use now, 0 to 1; more if pictures come late. The selector takes it that decoding
    /// half as many samples halves it, and aims at [`SelectorConfig::cpu_share`]: report what decoding takes, with what the rest of
    /// the program takes for each picture. The time of other programs makes the streams smaller, too, down to the lowest
    /// layers, which a load alone never stops.
    ///
    /// [`SelectorConfig::cpu_share`]: super::SelectorConfig::cpu_share
    pub load: Option<f32>,
}

/// A limit that a user or an organizer sets. The selector never chooses a layer above it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[allow(clippy::exhaustive_structs)] // Apps build it by literal.
pub struct Cap {
    /// The highest spatial layer.
    pub max_spatial_id: Option<u8>,
    /// The highest temporal layer.
    pub max_temporal_id: Option<u8>,
    /// The most luma rows.
    pub max_height: Option<u32>,
    /// The most pictures a second.
    pub max_frame_rate: Option<f32>,
    /// The most bit/s: of the stream, or of all streams together if the cap is for all.
    pub max_bitrate: Option<u64>,
}

impl Cap {
    /// What both caps allow.
    pub fn and(self, other: Self) -> Self {
        fn least<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(if other < one { other } else { one }),
                (one, other) => one.or(other),
            }
        }
        Self {
            max_spatial_id: least(self.max_spatial_id, other.max_spatial_id),
            max_temporal_id: least(self.max_temporal_id, other.max_temporal_id),
            max_height: least(self.max_height, other.max_height),
            max_frame_rate: least(self.max_frame_rate, other.max_frame_rate),
            max_bitrate: least(self.max_bitrate, other.max_bitrate),
        }
    }
}
