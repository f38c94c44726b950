//! The extractor, which drops the layers of a stream above a chosen (spatial_id, temporal_id).

use super::error::BitstreamError;
use super::obu::{ObuType, obus, write_obu, write_sequence_obu, write_temporal_delimiter};
use super::sequence::{OperatingPoint, SequenceHeader};
use crate::structure::LayerId;

/// Drops the layers above `top` from a stream, temporal unit by temporal unit.
///
/// It looks only at OBU headers and keeps no state, so it works on any AV1 stream and may start anywhere. It
/// keeps all sequence headers, and OBUs without an extension header, because those belong to every layer.
///
/// By default it reduces the operating points of the sequence header to the layers that are left, as
/// [`operating_points_below`] describes, so that a decoder that follows the list does not wait for a
/// spatial layer that never comes. max_frame_width and max_frame_height stay as they are, because the frame
/// headers are coded against them.
///
/// ```
/// use layercast::bitstream::{BitstreamError, Extractor};
/// use layercast::structure::LayerId;
///
/// fn base_layer(units: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, BitstreamError> {
///     let extractor = Extractor::new(LayerId { spatial_id: 0, temporal_id: 0 });
///     units.iter().filter_map(|unit| extractor.temporal_unit(unit).transpose()).collect()
/// }
/// # assert_eq!(base_layer(&[]), Ok(vec![]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extractor {
    /// The highest spatial_id and the highest temporal_id to keep.
    pub top: LayerId,
    /// Reduce the list of operating points. If false, sequence headers pass as they are, and the receiver has
    /// to choose an operating point for its decoder.
    pub rewrite_operating_points: bool,
}

impl Extractor {
    /// An extractor that keeps layers up to `top` and rewrites the operating points.
    pub fn new(top: LayerId) -> Self {
        Self { top, rewrite_operating_points: true }
    }

    /// Whether the extractor keeps OBUs of this layer.
    pub fn keeps(&self, layer: LayerId) -> bool {
        layer.spatial_id <= self.top.spatial_id && layer.temporal_id <= self.top.temporal_id
    }

    /// Returns the OBUs of one temporal unit that are kept, with a temporal delimiter in front; `None` if the
    /// unit had frames and all of them are dropped. All OBUs of the result have a size field.
    ///
    /// # Errors
    /// [`BitstreamError`] if the OBUs are damaged. Rewriting operating points also reads the sequence
    /// headers, and gives [`BitstreamError::DecoderModel`] if frame headers depend on the list that would
    /// change.
    pub fn temporal_unit(&self, unit: &[u8]) -> Result<Option<Vec<u8>>, BitstreamError> {
        let mut out = Vec::with_capacity(unit.len() + 2);
        write_temporal_delimiter(&mut out);
        let (mut frames, mut kept_frames) = (0, 0);
        for obu in obus(unit) {
            let obu = obu?;
            let is_frame = matches!(obu.header.obu_type, ObuType::Frame | ObuType::FrameHeader);
            frames += usize::from(is_frame);
            // Decoders take these two whatever extension they carry (section 5.3.1).
            let is_of_all =
                matches!(obu.header.obu_type, ObuType::SequenceHeader | ObuType::TemporalDelimiter);
            if !is_of_all && !obu.header.extension.is_none_or(|layer| self.keeps(layer)) {
                continue;
            }
            kept_frames += usize::from(is_frame);
            match obu.header.obu_type {
                ObuType::TemporalDelimiter => {}
                ObuType::SequenceHeader if self.rewrite_operating_points => {
                    match self.sequence(obu.payload)? {
                        Some(sequence) => write_sequence_obu(&mut out, &sequence)?,
                        None => write_obu(&mut out, obu.header, obu.payload)?,
                    }
                }
                _ if obu.has_size_field => out.extend_from_slice(obu.bytes),
                _ => write_obu(&mut out, obu.header, obu.payload)?,
            }
        }
        Ok((frames == 0 || kept_frames > 0).then_some(out))
    }

    /// The sequence header for the layers that are kept; `None` if it stays as it is.
    fn sequence(&self, payload: &[u8]) -> Result<Option<SequenceHeader>, BitstreamError> {
        let mut sequence = SequenceHeader::parse(payload)?;
        let points = operating_points_below(&sequence.operating_points, self.top);
        if points == sequence.operating_points {
            return Ok(None);
        }
        // buffer_removal_time in frame headers has one entry for each of these.
        if sequence.operating_points.iter().any(|point| point.operating_parameters.is_some()) {
            return Err(BitstreamError::DecoderModel);
        }
        sequence.operating_points = points;
        Ok(Some(sequence))
    }
}

/// The operating points of a stream that has only the layers up to `top`, in the same order.
///
/// Each point loses the dropped layers. A point that has no layer left is removed. Of several points that
/// have become alike, one stays: the one that lost no layer, else the first of them, whose level is high
/// enough for the others. The first point of the result is therefore made of the first point of `points`. If
/// no point has a layer left, the list stays as it is. A point of idc 0 stands for the whole stream and
/// always stays.
pub fn operating_points_below(points: &[OperatingPoint], top: LayerId) -> Vec<OperatingPoint> {
    let spatial = (1u16 << (top.spatial_id.min(3) + 1)) - 1;
    let temporal = (1u16 << (top.temporal_id.min(7) + 1)) - 1;
    let mut below: Vec<OperatingPoint> = vec![];
    for point in points {
        let idc = point.idc & (spatial << 8 | temporal);
        let is_left = point.idc == 0 || idc >> 8 != 0 && idc & 0xff != 0;
        if is_left && !below.iter().any(|other| other.idc == idc) {
            let complete = points.iter().find(|other| other.idc == idc).unwrap_or(point);
            below.push(OperatingPoint { idc, ..*complete });
        }
    }
    if below.is_empty() { points.to_vec() } else { below }
}
