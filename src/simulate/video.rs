//! A coded video as the simulator knows it: the frame sizes, quality and encoding time of each layer.

use std::str::FromStr;

use super::model::{HEADERS, PAYLOAD};
use crate::Size;
use crate::select::{LayerQuality, Offer};
use crate::structure::{DecodeTarget, LayerId, ScalabilityMode};

/// The number of ages that a shown picture can have: 0 to 12 pictures, which is 400 ms at 30 pictures/s.
pub const AGES: usize = 13;
/// The most frames of a layer in a table.
pub const MAX_FRAMES: usize = 1 << 16;
/// Most bytes of a frame in a table.
const MAX_BYTES: u32 = 1 << 26;

/// Why a text is not the table of a coded video.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodedVideoError {
    /// A line is not one of those that a table has.
    #[error("line {line} is not a line of a table")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A field is not a number or not in its range, or the line has too few or too many of them.
    #[error("line {line} has a wrong number")]
    Number {
        /// Counted from 1.
        line: usize,
    },
    /// A line comes before the line `video`, or there is none.
    #[error("no line `video` before the others")]
    NoVideo,
    /// A line that every spatial layer needs is not there.
    #[error("no line `{what}` of spatial layer {spatial_id}")]
    Missing {
        /// The line's first word.
        what: &'static str,
        /// The spatial layer.
        spatial_id: u8,
    },
}

/// A spatial layer of a table.
#[derive(Debug, Clone, PartialEq, Default)]
struct Layer {
    /// Bytes of the frames in the pictures after the key picture; whole cycles of the structure.
    frames: Vec<u32>,
    /// Bytes of its frame in a key picture.
    key: u32,
    /// Bytes of a frame that does not refer to earlier pictures of the layer.
    refresh: Option<u32>,
    /// For a number of rows of a window: the SSIM in it, by the age of the picture in pictures.
    ssim: Vec<(u32, [f32; AGES])>,
    /// Microseconds to code a frame.
    encode: Option<u32>,
}

/// A coded video, as the example `table` measures it: a line each, fields divided by commas, comments from
/// `#`.
///
/// | line | fields |
/// | --- | --- |
/// | `video` | scalability mode, width, height, pictures a second |
/// | `frames` | spatial layer, bytes of its frame in each picture after the key picture |
/// | `key` | spatial layer, bytes of its frame in a key picture |
/// | `refresh` | spatial layer, bytes of a frame of it that does not refer to earlier pictures (as `key`, if not given) |
/// | `ssim` | spatial layer, rows of a window, SSIM in that window of pictures 0, 1, ... 12 pictures old |
/// | `encode` | spatial layer, microseconds to code a frame of it (0, if not given) |
#[derive(Debug, Clone, PartialEq)]
pub struct CodedVideo {
    mode: ScalabilityMode,
    size: Size,
    frame_rate: f32,
    layers: Vec<Layer>,
}

impl CodedVideo {
    /// The crate's own scene at 1280x720, 30 pictures/s, quantizer index 70, as `L3T3`: made by
    /// `cargo run --release -p layercast-table -- --mode L3T3 --qp 70 --output src/simulate/scene-l3t3.csv`, the
    /// time on one core of an EPYC.
    pub fn scene() -> Self {
        Self::builtin(include_str!("scene-l3t3.csv"))
    }

    /// The same scene as three encodings, `S3T3`, for simulcast.
    pub fn scene_simulcast() -> Self {
        Self::builtin(include_str!("scene-s3t3.csv"))
    }

    fn builtin(text: &str) -> Self {
        text.parse().expect("a table that a test reads")
    }

    /// The mode that the video was coded in.
    pub fn mode(&self) -> ScalabilityMode {
        self.mode
    }

    /// Size of the video in luma samples.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Pictures a second.
    pub fn frame_rate(&self) -> f32 {
        self.frame_rate
    }

    /// Pictures after the key picture whose sizes are known.
    pub fn pictures(&self) -> usize {
        self.layers[0].frames.len()
    }

    /// Bytes of the frame of a spatial layer in the given picture after the key picture, over and over.
    pub(super) fn frame_bytes(&self, spatial_id: u8, picture: usize) -> u32 {
        let frames = &self.layers[usize::from(spatial_id)].frames;
        frames[picture % frames.len()]
    }

    /// Bytes of its frame in a key picture.
    pub(super) fn key_bytes(&self, spatial_id: u8) -> u32 {
        self.layers[usize::from(spatial_id)].key
    }

    /// Bytes of a frame of it that does not refer to earlier pictures of the layer.
    pub(super) fn refresh_bytes(&self, spatial_id: u8) -> u32 {
        let layer = &self.layers[usize::from(spatial_id)];
        layer.refresh.unwrap_or(layer.key)
    }

    /// Microseconds to code a frame of a spatial layer.
    pub(super) fn encode_us(&self, spatial_id: u8) -> u32 {
        self.layers[usize::from(spatial_id)].encode.unwrap_or(0)
    }

    /// SSIM of a spatial layer in a window of `rows`, by the age of the picture in it. The smallest window
    /// that was measured and is as large stands for it, or the largest.
    pub(super) fn ssim(&self, spatial_id: u8, rows: u32) -> &[f32; AGES] {
        let ssim = &self.layers[usize::from(spatial_id)].ssim;
        let fits = ssim.iter().find(|(window, _)| *window >= rows);
        &fits.unwrap_or(&ssim[ssim.len() - 1]).1
    }

    /// Mean SSIM of a decode target in a window of `rows`, each of whose pictures is shown until the next one.
    pub(super) fn ssim_at(&self, target: DecodeTarget, rows: u32) -> f64 {
        let structure = self.mode.structure();
        let needs = |picture: &&&[_]| structure.needed_by(picture, target.spatial_id).contains(target);
        let shown = structure.cycle.iter().filter(needs).count().max(1);
        let ages = &self.ssim(target.spatial_id, rows)[..(structure.cycle.len() / shown).clamp(1, AGES)];
        ages.iter().map(|ssim| f64::from(*ssim)).sum::<f64>() / ages.len() as f64
    }

    /// Mean bit/s of a decode target, all that it needs and the packets' [`HEADERS`] included, key pictures
    /// apart.
    pub fn bitrate(&self, target: DecodeTarget) -> u64 {
        let structure = self.mode.structure();
        let bytes: u64 = (0..self.pictures())
            .map(|n| {
                let picture = structure.cycle[n % structure.cycle.len()];
                (0..self.layers.len() as u8)
                    .filter(|&s| structure.needed_by(picture, s).contains(target))
                    .map(|s| wire_bytes(self.frame_bytes(s, n)))
                    .sum::<u64>()
            })
            .sum();
        (bytes as f64 * 8.0 / self.pictures() as f64 * f64::from(self.frame_rate)) as u64
    }

    /// Bytes of the smallest picture of the lowest decode target, with its headers.
    pub(super) fn least_bytes(&self) -> usize {
        let lowest = (0..self.pictures()).filter(|&n| self.is_lowest(n));
        lowest.map(|n| wire_bytes(self.frame_bytes(0, n)) as usize).min().unwrap_or(HEADERS)
    }

    /// Whether a picture after the key picture belongs to the lowest decode target.
    fn is_lowest(&self, picture: usize) -> bool {
        let structure = self.mode.structure();
        let picture = structure.cycle[picture % structure.cycle.len()];
        structure.needed_by(picture, 0).contains(LayerId::new(0, 0))
    }

    /// The offer of a sender of the video.
    pub fn offer(&self) -> Offer {
        let bitrate = |target| self.bitrate(target);
        let mut offer = Offer::new(self.mode, self.size, self.frame_rate, bitrate);
        for layer in offer.layers_mut() {
            let ssim = self.ssim(layer.target.spatial_id, layer.size.height)[0];
            layer.quality = Some(LayerQuality::Ssim(ssim));
        }
        offer
    }

    /// The highest decode target.
    pub fn top(&self) -> DecodeTarget {
        let structure = self.mode.structure();
        LayerId::new(structure.spatial_layers - 1, structure.temporal_layers - 1)
    }

    /// Whether the spatial layers are independent encodings.
    pub fn is_simulcast(&self) -> bool {
        self.mode.structure().cycle.iter().all(|p| p.iter().all(|frame| frame.inter_layer_ref.is_none()))
    }

    fn line(&mut self, what: &str, fields: &[&str], number: usize) -> Result<(), CodedVideoError> {
        let wrong = CodedVideoError::Number { line: number };
        let whole = |field: &str, most: u32| {
            field.trim().parse().ok().filter(|value| (1..=most).contains(value)).ok_or(wrong.clone())
        };
        let (spatial_id, values) = fields.split_first().ok_or(wrong.clone())?;
        let spatial_id = spatial_id.trim().parse::<usize>().map_err(|_| wrong.clone())?;
        let layer = self.layers.get_mut(spatial_id).ok_or(wrong.clone())?;
        match (what, values) {
            ("frames", values) => {
                let cycle = self.mode.structure().cycle.len();
                if values.is_empty() || values.len() > MAX_FRAMES || values.len() % cycle != 0 {
                    return Err(wrong);
                }
                layer.frames = values.iter().map(|v| whole(v, MAX_BYTES)).collect::<Result<_, _>>()?;
            }
            ("key", [bytes]) => layer.key = whole(bytes, MAX_BYTES)?,
            ("refresh", [bytes]) => layer.refresh = Some(whole(bytes, MAX_BYTES)?),
            ("encode", [time]) => layer.encode = Some(whole(time, 1 << 24)?),
            ("ssim", [rows, values @ ..]) if values.len() == AGES && layer.ssim.len() < 8 => {
                let mut ages = [0.0; AGES];
                for (age, value) in ages.iter_mut().zip(values) {
                    let value = value.trim().parse::<f32>().ok().filter(|v| (0.0..=1.0).contains(v));
                    *age = value.ok_or(wrong.clone())?;
                }
                layer.ssim.push((whole(rows, 1 << 16)?, ages));
                layer.ssim.sort_by_key(|(rows, _)| *rows);
            }
            ("key" | "refresh" | "encode" | "ssim", _) => return Err(wrong),
            _ => return Err(CodedVideoError::Line { line: number }),
        }
        Ok(())
    }
}

impl FromStr for CodedVideo {
    type Err = CodedVideoError;

    fn from_str(text: &str) -> Result<Self, CodedVideoError> {
        let mut table: Option<Self> = None;
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let fields: Vec<&str> = line.splitn(MAX_FRAMES + 4, ',').collect();
            let (what, fields) = fields.split_first().ok_or(CodedVideoError::Line { line: number })?;
            match (&mut table, *what) {
                (None, "video") => {
                    table = Some(video(fields).ok_or(CodedVideoError::Number { line: number })?)
                }
                (None, _) => return Err(CodedVideoError::NoVideo),
                (Some(_), "video") => return Err(CodedVideoError::Line { line: number }),
                (Some(table), what) => table.line(what, fields, number)?,
            }
        }
        let table = table.ok_or(CodedVideoError::NoVideo)?;
        for (spatial_id, layer) in (0..).zip(&table.layers) {
            let missing = |what| CodedVideoError::Missing { what, spatial_id };
            if layer.frames.is_empty() || layer.frames.len() != table.layers[0].frames.len() {
                return Err(missing("frames"));
            }
            if layer.key == 0 {
                return Err(missing("key"));
            }
            if layer.ssim.is_empty() {
                return Err(missing("ssim"));
            }
        }
        Ok(table)
    }
}

/// Bytes of a frame with the headers of its packets.
pub(super) fn wire_bytes(bytes: u32) -> u64 {
    let bytes = bytes as usize;
    (bytes + bytes.div_ceil(PAYLOAD) * HEADERS) as u64
}

fn video(fields: &[&str]) -> Option<CodedVideo> {
    let &[mode, width, height, frame_rate] = fields else { return None };
    let mode: ScalabilityMode = mode.trim().parse().ok()?;
    let side = |field: &str| field.trim().parse::<u32>().ok().filter(|side| (16..=16384).contains(side));
    let frame_rate = frame_rate.trim().parse::<f32>().ok().filter(|rate| (1.0..=240.0).contains(rate))?;
    let structure = mode.structure();
    // A frame of every layer in every picture, as a table has it; and a key frame alone is no stream.
    let every = structure.cycle.iter().all(|p| p.len() == usize::from(structure.spatial_layers));
    let layers = vec![Layer::default(); usize::from(structure.spatial_layers)];
    every.then_some(CodedVideo { mode, size: Size::new(side(width)?, side(height)?), frame_rate, layers })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ssim(spatial_id: u8, rows: u32) -> String {
        let values: Vec<String> = (0..AGES).map(|age| format!("{}", 0.9 - 0.01 * age as f32)).collect();
        format!("ssim,{spatial_id},{rows},{}\n", values.join(","))
    }

    fn small() -> String {
        "# two temporal layers\nvideo,L1T2,64,48,10\nframes,0,100,300 # T1, T0\nkey,0,900\n".to_owned()
            + &ssim(0, 48)
    }

    #[test]
    fn a_table_is_read_and_offers_its_bitrates() {
        let table: CodedVideo = small().parse().unwrap();
        assert_eq!(table.bitrate(LayerId::new(0, 0)), (300 + 80) * 8 * 5);
        assert_eq!(table.bitrate(LayerId::new(0, 1)), (400 + 160) * 8 * 5);
        assert_eq!(table.refresh_bytes(0), 900);
        assert_eq!(table.ssim(0, 1000)[1], 0.89);
        assert_eq!(table.offer().layers()[1].frame_rate, 10.0);
    }

    #[test]
    fn the_built_in_tables_are_real_encodes_of_one_scene() {
        let (layered, simulcast) = (CodedVideo::scene(), CodedVideo::scene_simulcast());
        assert_eq!((layered.mode(), simulcast.mode()), (ScalabilityMode::L3T3, ScalabilityMode::S3T3));
        assert_eq!((layered.size(), layered.top()), (Size::new(1280, 720), LayerId::new(2, 2)));
        assert!(simulcast.is_simulcast() && !layered.is_simulcast());
        for table in [layered, simulcast] {
            for s in 0..3 {
                // A refresh costs more than the mean frame; a larger layer looks better in a large window.
                assert!(table.refresh_bytes(s) > table.frame_bytes(s, 3), "{s}");
                assert!(s == 0 || table.ssim(s, 720)[0] > table.ssim(s - 1, 720)[0]);
                assert!(table.ssim(s, 720)[0] > table.ssim(s, 720)[12]);
                assert!(table.encode_us(s) > 0);
            }
        }
    }

    #[test]
    fn what_is_no_table_is_told_with_its_line() {
        let read = |text: &str| text.parse::<CodedVideo>().err();
        assert_eq!(read(""), Some(CodedVideoError::NoVideo));
        assert_eq!(read("key,0,1"), Some(CodedVideoError::NoVideo));
        assert_eq!(read("video,L1T9,64,48,10"), Some(CodedVideoError::Number { line: 1 }));
        assert_eq!(read("video,L1T2,64,48,nan"), Some(CodedVideoError::Number { line: 1 }));
        assert_eq!(read(&(small() + "key,1,1")), Some(CodedVideoError::Number { line: 6 }));
        assert_eq!(read(&(small() + "frames,0,1,2,3")), Some(CodedVideoError::Number { line: 6 }));
        assert_eq!(read(&(small() + "colour,0,1")), Some(CodedVideoError::Line { line: 6 }));
        assert_eq!(read(&small().replace("key", "encode")), {
            Some(CodedVideoError::Missing { what: "key", spatial_id: 0 })
        });
    }

    proptest! {
        #[test]
        fn any_text_is_a_table_or_an_error(
            lines in prop::collection::vec("(video|frames|key|refresh|ssim|encode|#)?,(L1T2|0|1|9)(,[0-9.]{0,5}){0,16}", 0..8),
        ) {
            let text = small() + &lines.join("\n");
            if let Ok(table) = text.parse::<CodedVideo>() {
                prop_assert!(table.bitrate(table.top()) > 0);
                prop_assert!(table.pictures() <= MAX_FRAMES);
            }
        }
    }
}
