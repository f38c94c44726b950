//! Open bitstream units, OBUs (section 5.3): reads a series of them and writes each kind.

#![allow(
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "the names and codes of the standard, which are fixed"
)]

use super::bits::{BitReader, BitWriter, leb128, write_leb128};
use super::error::BitstreamError;
use super::frame::FrameHeader;
use super::sequence::SequenceHeader;
use super::slots::RefSlots;
use crate::structure::LayerId;

/// obu_type (section 6.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObuType {
    /// OBU_SEQUENCE_HEADER.
    SequenceHeader,
    /// OBU_TEMPORAL_DELIMITER.
    TemporalDelimiter,
    /// OBU_FRAME_HEADER.
    FrameHeader,
    /// OBU_TILE_GROUP.
    TileGroup,
    /// OBU_METADATA.
    Metadata,
    /// OBU_FRAME: a frame header and its only tile group.
    Frame,
    /// OBU_REDUNDANT_FRAME_HEADER.
    RedundantFrameHeader,
    /// OBU_TILE_LIST.
    TileList,
    /// OBU_PADDING.
    Padding,
    /// A reserved type, 0 or 9 to 14.
    Reserved(u8),
}

impl From<ObuType> for u8 {
    fn from(obu_type: ObuType) -> u8 {
        match obu_type {
            ObuType::SequenceHeader => 1,
            ObuType::TemporalDelimiter => 2,
            ObuType::FrameHeader => 3,
            ObuType::TileGroup => 4,
            ObuType::Metadata => 5,
            ObuType::Frame => 6,
            ObuType::RedundantFrameHeader => 7,
            ObuType::TileList => 8,
            ObuType::Padding => 15,
            ObuType::Reserved(code) => code & 15,
        }
    }
}

impl From<u8> for ObuType {
    /// The type that has this code of four bits.
    fn from(code: u8) -> Self {
        match code {
            1 => Self::SequenceHeader,
            2 => Self::TemporalDelimiter,
            3 => Self::FrameHeader,
            4 => Self::TileGroup,
            5 => Self::Metadata,
            6 => Self::Frame,
            7 => Self::RedundantFrameHeader,
            8 => Self::TileList,
            15 => Self::Padding,
            other => Self::Reserved(other),
        }
    }
}

/// obu_header(), without the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObuHeader {
    /// obu_type.
    pub obu_type: ObuType,
    /// The layer in the extension header, if obu_extension_flag is 1.
    pub extension: Option<LayerId>,
}

impl ObuHeader {
    /// The layer of the OBU: that of the extension header, or the base layer without one (section 6.2.3).
    pub fn layer(&self) -> LayerId {
        self.extension.unwrap_or_default()
    }
}

/// One OBU of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obu<'a> {
    /// Type and layer.
    pub header: ObuHeader,
    /// The bytes that obu_size counts.
    pub payload: &'a [u8],
    /// Header, size and payload.
    pub bytes: &'a [u8],
    /// obu_has_size_field.
    pub has_size_field: bool,
    /// The position of `bytes` in the series.
    pub offset: usize,
}

/// Iterates over the OBUs in `data`. An OBU without a size field reaches to the end of the data. The
/// iteration ends after an error.
pub fn obus(data: &[u8]) -> Obus<'_> {
    Obus { data, offset: 0 }
}

/// Iterator of [`obus`].
#[derive(Debug, Clone)]
pub struct Obus<'a> {
    data: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<Obu<'a>, BitstreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.data[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let obu = read_obu(rest).map(|obu| Obu { offset: self.offset, ..obu });
        self.offset += obu.map_or(rest.len(), |obu| obu.bytes.len());
        Some(obu)
    }
}

/// The OBU at the start of `data`.
fn read_obu(data: &[u8]) -> Result<Obu<'_>, BitstreamError> {
    let mut r = BitReader::new(data);
    if r.bits(1)? != 0 {
        return Err(BitstreamError::Value { field: "obu_forbidden_bit" });
    }
    let obu_type = ObuType::from(r.bits(4)? as u8);
    let extension_flag = r.bits(1)? == 1;
    let has_size_field = r.bits(1)? == 1;
    // The reserved bits here and in the extension are ignored (section 6.2.2).
    r.bits(1)?;
    let extension = match extension_flag {
        true => {
            let layer = LayerId { temporal_id: r.bits(3)? as u8, spatial_id: r.bits(2)? as u8 };
            r.bits(3)?;
            Some(layer)
        }
        false => None,
    };
    let mut start = r.position() / 8;
    let mut end = data.len();
    if has_size_field {
        let (size, n) = leb128(&data[start..])?;
        start += n;
        let size = usize::try_from(size).map_err(|_| BitstreamError::End)?;
        end = start.checked_add(size).filter(|&end| end <= data.len()).ok_or(BitstreamError::End)?;
    }
    let header = ObuHeader { obu_type, extension };
    Ok(Obu { header, payload: &data[start..end], bytes: &data[..end], has_size_field, offset: 0 })
}

/// Appends an OBU with obu_has_size_field equal to 1.
///
/// # Errors
/// [`BitstreamError::Value`] if temporal_id is above 7, spatial_id above 3 or the payload 4 GiB or longer.
pub fn write_obu(out: &mut Vec<u8>, header: ObuHeader, payload: &[u8]) -> Result<(), BitstreamError> {
    let size = u32::try_from(payload.len()).map_err(|_| BitstreamError::Value { field: "obu_size" })?;
    let extension_flag = u8::from(header.extension.is_some());
    let extension = match header.extension {
        Some(layer) if layer.temporal_id > 7 => return Err(BitstreamError::Value { field: "temporal_id" }),
        Some(layer) if layer.spatial_id > 3 => return Err(BitstreamError::Value { field: "spatial_id" }),
        Some(layer) => Some(layer.temporal_id << 5 | layer.spatial_id << 3),
        None => None,
    };
    out.push(u8::from(header.obu_type) << 3 | extension_flag << 2 | 1 << 1);
    out.extend(extension);
    write_leb128(out, size);
    out.extend_from_slice(payload);
    Ok(())
}

/// Appends a temporal delimiter OBU: two bytes that start a temporal unit.
pub fn write_temporal_delimiter(out: &mut Vec<u8>) {
    out.extend([u8::from(ObuType::TemporalDelimiter) << 3 | 1 << 1, 0]);
}

/// Appends a sequence header OBU, without extension.
///
/// # Errors
/// As [`SequenceHeader::write`].
pub fn write_sequence_obu(out: &mut Vec<u8>, sequence: &SequenceHeader) -> Result<(), BitstreamError> {
    let mut w = BitWriter::new();
    sequence.write(&mut w)?;
    w.trailing_bits();
    write_obu(out, ObuHeader { obu_type: ObuType::SequenceHeader, extension: None }, &w.into_bytes())
}

/// Appends a frame OBU: the header and all tiles of the frame, which [`tile_group`](super::tile_group) puts
/// together. The OBU has an extension header if `extension` is a layer. `slots` is the state before the
/// frame.
///
/// # Errors
/// As [`FrameHeader::write`]; [`BitstreamError::Value`] for show_existing_frame, which needs
/// [`write_frame_header_obu`].
pub fn write_frame_obu(
    out: &mut Vec<u8>,
    extension: Option<LayerId>,
    sequence: &SequenceHeader,
    header: &FrameHeader,
    slots: &RefSlots,
    tile_group: &[u8],
) -> Result<(), BitstreamError> {
    if header.show_existing_frame {
        return Err(BitstreamError::Value { field: "show_existing_frame" });
    }
    let mut w = BitWriter::new();
    header.write(&mut w, sequence, slots, extension.unwrap_or_default())?;
    let mut payload = w.into_bytes();
    payload.extend_from_slice(tile_group);
    write_obu(out, ObuHeader { obu_type: ObuType::Frame, extension }, &payload)
}

/// Appends a frame header OBU, without tiles.
///
/// # Errors
/// As [`FrameHeader::write`].
pub fn write_frame_header_obu(
    out: &mut Vec<u8>,
    extension: Option<LayerId>,
    sequence: &SequenceHeader,
    header: &FrameHeader,
    slots: &RefSlots,
) -> Result<(), BitstreamError> {
    let mut w = BitWriter::new();
    header.write(&mut w, sequence, slots, extension.unwrap_or_default())?;
    w.trailing_bits();
    write_obu(out, ObuHeader { obu_type: ObuType::FrameHeader, extension }, &w.into_bytes())
}
