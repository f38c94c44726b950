//! The encoder at work on a clip, and what is noted of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use layercast::Time;
use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder, TemporalUnit};
use layercast::picture::Picture;
use layercast::structure::{DecodeTarget, LayerId, Structure};
use layercast_compare::coders::clip::Clip;
use layercast_compare::track::{Taken, Track};
use layercast_examples::Result;

/// The encoder, and what it made so far.
pub struct Player {
    pub encoder: SvcEncoder,
    /// Seconds from a picture to the next.
    interval: f64,
    pub made: Made,
}

/// A stream.
#[derive(Default)]
pub struct Made {
    pub units: Vec<Bytes>,
    /// Of each decode target, lowest first.
    pub tracks: Vec<(DecodeTarget, Track)>,
    /// When the key pictures were captured, in seconds.
    pub keys: Vec<f64>,
    /// The most bits of a key picture, in seconds of the bitrate of the spatial layer that is shown.
    pub longest_key: f64,
    /// The most that another picture took of its budget.
    pub largest: f64,
    /// What a buffer had at its emptiest, in seconds of its decode target's bitrate.
    pub lowest_buffer: f64,
    /// Pictures of which a frame had the least or the largest quantizer.
    pub at_bound: usize,
    /// What the encoder took for each picture.
    pub times: Vec<Duration>,
}

impl Player {
    /// Ready for the first picture.
    pub fn new(clip: &Clip, config: SvcConfig) -> Result<Self> {
        let structure = config.mode.structure();
        let tracks = structure.decode_targets().map(|target| (target, Track::default())).collect();
        Ok(Self {
            encoder: SvcEncoder::new(config)?,
            interval: clip.frame_rate.den as f64 / clip.frame_rate.num as f64,
            made: Made { tracks, lowest_buffer: f64::INFINITY, ..Made::default() },
        })
    }

    /// Codes the clip, played for so many seconds.
    pub fn play(clip: &Clip, config: SvcConfig, seconds: f64) -> Result<Made> {
        let mut player = Self::new(clip, config)?;
        for (picture, captured) in clip.played(seconds) {
            player.picture(picture, captured)?;
        }
        Ok(player.made)
    }

    /// Codes a picture.
    pub fn picture(&mut self, picture: &Picture, captured: Time) -> Result<()> {
        let start = Instant::now();
        let unit = self.encoder.encode(&picture.view(), captured, EncodeOptions::default())?;
        self.made.times.push(start.elapsed());
        self.made.units.push(unit.to_bytes());
        self.note(captured.since_start().as_secs_f64(), &unit);
        Ok(())
    }

    fn note(&mut self, at: f64, unit: &TemporalUnit) {
        let config = self.encoder.config();
        let structure = config.mode.structure();
        let quantizers = config.rate.as_ref().map(|rate| rate.quantizers.clone());
        let bound = |quantizer: u8| {
            quantizers.as_ref().is_some_and(|q| quantizer <= *q.start() || quantizer >= *q.end())
        };
        let bitrates = self.encoder.bitrates().copied().unwrap_or_default();
        let made = &mut self.made;
        made.at_bound += usize::from(unit.frames.iter().any(|frame| bound(frame.quantizer)));
        for (target, track) in &mut made.tracks {
            let bitrate = bitrates.of_target(structure, *target) as f64;
            let frames = || unit.frames.iter().filter(|frame| frame.plan.needed_by.contains(*target));
            let bits = frames().map(|frame| 8 * frame.data.len() as u64).sum();
            let bound = frames().any(|frame| bound(frame.quantizer));
            track.push(Taken { at, bits, budget: bitrate * self.interval, bound });
            let shown = target.temporal_id + 1 == structure.temporal_layers;
            if unit.plan.key && shown && bitrate > 0.0 {
                made.longest_key = made.longest_key.max(bits as f64 / bitrate);
            }
            if let Some(level) = self.encoder.buffer(*target) {
                made.lowest_buffer = made.lowest_buffer.min(level);
            }
        }
        if unit.plan.key {
            made.keys.push(at);
            return;
        }
        let budget =
            |layer: LayerId| bitrates.get(layer) as f64 * self.interval * pictures_to_next(structure, layer);
        let budget: f64 = unit.frames.iter().map(|frame| budget(frame.plan.layer)).sum();
        let bits: usize = unit.frames.iter().map(|frame| 8 * frame.data.len()).sum();
        if budget > 0.0 {
            made.largest = made.largest.max(bits as f64 / budget);
        }
    }
}

/// Pictures from one with a frame of the layer to the next.
fn pictures_to_next(structure: &Structure, layer: LayerId) -> f64 {
    let cycle = structure.cycle;
    let own = cycle.iter().filter(|picture| picture.iter().any(|frame| frame.layer == layer)).count();
    cycle.len() as f64 / own.max(1) as f64
}

impl Made {
    /// 1000 bits a second, of all layers.
    pub fn kbps(&self, seconds: f64) -> f64 {
        self.units.iter().map(|unit| unit.len() * 8).sum::<usize>() as f64 / seconds / 1000.0
    }

    /// Of the highest decode target.
    pub fn top(&self) -> &Track {
        &self.tracks[self.tracks.len() - 1].1
    }
}
