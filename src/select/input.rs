//! What a decision is made from. Every input is optional, and is given when it changes.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::picture::Size;
use crate::structure::{DecodeTarget, ScalabilityMode};

/// The most decode targets that one stream offers.
pub const MAX_LAYERS: usize = 16;

/// The highest bitrate that is told from a higher one, in bit/s.
pub const MAX_BITRATE: u64 = 1 << 40;

/// A stream that a receiver may watch: one sender's camera or screen. The numbers are the app's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId(pub u32);

/// How good the pictures of a layer are, compared with the scene at the layer's own size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LayerQuality {
    /// Mean SSIM, up to 1.
    Ssim(f32),
    /// PSNR of luma in dB.
    Psnr(f32),
}

/// One decode target of a stream, as it is or would be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerOffer {
    /// The decode target.
    pub target: DecodeTarget,
    /// Bit/s of all frames that the target needs, those of lower layers included.
    pub bitrate: u64,
    /// Width of its pictures in luma samples.
    pub width: u32,
    /// Height of its pictures in luma samples.
    pub height: u32,
    /// Pictures a second.
    pub frame_rate: f32,
    /// Luma samples a second that a decoder of the target goes through, those of lower layers included.
    pub luma_samples: u64,
    /// How good its pictures are, if measured; else this is guessed from the bitrate.
    pub quality: Option<LayerQuality>,
}

/// What a receiver has to ask for before it can take another spatial layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Switch {
    /// Nothing: the stream has switch points of its own (switch indications, AV1 RTP A.8.2).
    Free,
    /// A layer refresh: the next picture of the layer does not refer to earlier pictures of it.
    #[default]
    LayerRefresh,
    /// A key picture.
    KeyFrame,
}

/// The layers of one stream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Offer {
    /// The decode targets, in any order. One without samples, frame rate or at more than [`MAX_BITRATE`] is
    /// left out, and so is a second one of the same target.
    pub layers: ArrayVec<LayerOffer, MAX_LAYERS>,
    /// What a switch to a higher spatial layer needs.
    pub up: Switch,
    /// What a switch to a lower spatial layer needs.
    pub down: Switch,
}

impl Offer {
    /// The offer of a `width` x `height` stream of `frame_rate` pictures a second in one of the table's modes;
    /// `bitrate` gives the bit/s of each decode target, all that it needs included.
    ///
    /// In the `L` modes a layer refresh brings a higher spatial layer and lower ones are there already; in the
    /// `S` modes each switch takes a layer refresh, and in the `_KEY` modes a key picture.
    pub fn new(
        mode: ScalabilityMode,
        width: u32,
        height: u32,
        frame_rate: f32,
        mut bitrate: impl FnMut(DecodeTarget) -> u64,
    ) -> Self {
        let structure = mode.structure();
        let cycle = structure.cycle;
        let layer_size = |spatial_id| structure.layer_size(Size::new(width, height), spatial_id);
        let layers = structure.decode_targets().map(|target| {
            let Size { width: layer_width, height: layer_height } = layer_size(target.spatial_id);
            let needed =
                |picture: &&[_], spatial_id| structure.needed_by(picture, spatial_id).contains(target);
            let shown = cycle.iter().filter(|picture| needed(picture, target.spatial_id)).count();
            let samples: u64 = (0..=target.spatial_id)
                .map(|spatial_id| {
                    let frames = cycle.iter().filter(|picture| needed(picture, spatial_id)).count();
                    layer_size(spatial_id).samples() * frames as u64
                })
                .sum();
            let cycles = frame_rate / cycle.len() as f32;
            LayerOffer {
                target,
                bitrate: bitrate(target),
                width: layer_width,
                height: layer_height,
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

/// What a stream is to the one who watches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// One of many small pictures.
    #[default]
    Thumbnail,
    /// Who speaks.
    ActiveSpeaker,
    /// A screen or slides, where sharpness is worth more than motion.
    ScreenShare,
    /// Chosen by the one who watches.
    Pinned,
}

/// Where a stream is shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Window {
    /// Width in physical pixels of the rectangle that the whole picture is fitted into.
    pub width: u32,
    /// Height of the rectangle in physical pixels.
    pub height: u32,
    /// Whether any of it can be seen.
    pub visible: bool,
    /// Pictures a second that are of use, such as the display's refresh rate.
    pub max_frame_rate: Option<f32>,
    /// What the stream is to the one who watches it.
    pub priority: Priority,
}

/// What is known of the path to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Network {
    /// Bit/s that the path carries without a growing queue, by whatever estimates it.
    pub available_bitrate: Option<u64>,
    /// Round-trip time.
    pub round_trip: Option<Duration>,
    /// Share of the packets that are lost, 0 to 1.
    pub loss: Option<f32>,
    /// Time that packets now wait in queues beyond what they do on an idle path.
    pub queueing_delay: Option<Duration>,
}

/// A measured decode time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeTime {
    /// Luma samples of the frame.
    pub luma_samples: u32,
    /// Time that one core took.
    pub time: Duration,
}

/// What is known of the receiver's processor: decode times, or a load, or both.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cpu {
    /// Decode times of frames, such as the mean of each spatial layer. They give the time for a sample.
    pub decode_times: ArrayVec<DecodeTime, 8>,
    /// Cores that decode at the same time; 1 where it is not known.
    pub cores: Option<f32>,
    /// Share of the time for decoding that is in use now, 0 to 1; more where pictures come late.
    pub load: Option<f32>,
}

/// A limit that a user or an organizer sets. Nothing above it is ever chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cap {
    /// The highest spatial layer.
    pub max_spatial_id: Option<u8>,
    /// The highest temporal layer.
    pub max_temporal_id: Option<u8>,
    /// The most luma rows.
    pub max_height: Option<u32>,
    /// The most pictures a second.
    pub max_frame_rate: Option<f32>,
    /// The most bit/s: of the stream, or of all together where the cap is for all.
    pub max_bitrate: Option<u64>,
}
