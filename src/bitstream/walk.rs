//! The header reader, which finds the frames of each temporal unit and reads their headers.

use std::ops::Range;

use super::bits::BitReader;
use super::error::BitstreamError;
use super::frame::FrameHeader;
use super::obu::{Obu, ObuHeader, ObuType, Obus, obus};
use super::sequence::SequenceHeader;
use super::slots::RefSlots;
use crate::structure::LayerId;

/// Reads the headers of a stream, temporal unit by temporal unit, and keeps the state that they depend on.
///
/// It reads the frames of all layers, whatever operating point a decoder would choose. A layer refers only to
/// layers at or below its own (section 6.2.3), so the headers of a layer read the same with and without the
/// layers above.
#[derive(Debug, Clone, Default)]
pub struct HeaderReader {
    sequence: Option<SequenceHeader>,
    slots: RefSlots,
}

/// One frame of a temporal unit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameInfo {
    /// The OBU header of the frame's first OBU, with the frame's layer.
    pub obu: ObuHeader,
    /// The frame header.
    pub header: FrameHeader,
    /// Bytes of all OBUs of the frame: headers, redundant headers and tile groups.
    pub size: usize,
    /// From the start of the frame's first OBU to the end of its last, within the temporal unit.
    pub range: Range<usize>,
}

impl FrameInfo {
    /// The layer of the frame.
    pub fn layer(&self) -> LayerId {
        self.obu.layer()
    }
}

impl HeaderReader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last sequence header read.
    pub fn sequence(&self) -> Option<&SequenceHeader> {
        self.sequence.as_ref()
    }

    /// The reference slots after the last frame read.
    pub fn slots(&self) -> &RefSlots {
        &self.slots
    }

    /// Iterates over the frames of one temporal unit in order. Metadata, padding and reserved OBUs are
    /// skipped. The iteration ends after an error. Callers should go through to the end: frames that they
    /// leave unread do not update the reference slots.
    pub fn temporal_unit<'a>(&'a mut self, data: &'a [u8]) -> Frames<'a> {
        Frames { reader: self, obus: obus(data), open: None, ended: false }
    }
}

/// Iterator of [`HeaderReader::temporal_unit`].
#[derive(Debug)]
pub struct Frames<'a> {
    reader: &'a mut HeaderReader,
    obus: Obus<'a>,
    open: Option<OpenFrame>,
    ended: bool,
}

/// A frame whose tiles are not all there yet.
#[derive(Debug)]
struct OpenFrame {
    info: FrameInfo,
    num_tiles: usize,
    next_tile: usize,
}

impl Iterator for Frames<'_> {
    type Item = Result<FrameInfo, BitstreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let frame = match self.obus.next() {
                Some(obu) => obu.and_then(|obu| self.obu(&obu)).transpose(),
                None => {
                    self.ended = true;
                    self.open.take().map(|_| Err(BitstreamError::MissingTiles))
                }
            };
            if let Some(frame) = frame {
                self.ended |= frame.is_err();
                return Some(frame);
            }
        }
        None
    }
}

impl Frames<'_> {
    /// Takes in one OBU and returns the frame that it completes, if any.
    fn obu(&mut self, obu: &Obu<'_>) -> Result<Option<FrameInfo>, BitstreamError> {
        let order = BitstreamError::Order { obu_type: obu.header.obu_type.into() };
        match obu.header.obu_type {
            ObuType::SequenceHeader => {
                self.reader.sequence = Some(SequenceHeader::parse(obu.payload)?);
                Ok(None)
            }
            ObuType::TemporalDelimiter | ObuType::FrameHeader | ObuType::Frame if self.open.is_some() => {
                Err(order)
            }
            ObuType::FrameHeader => self.frame_header(obu),
            ObuType::Frame => {
                let tiles = self.begin(obu)?.byte_alignment()?;
                self.tile_group(obu, tiles)
            }
            ObuType::TileGroup => {
                self.add(obu).ok_or(order)?;
                self.tile_group(obu, obu.payload)
            }
            ObuType::RedundantFrameHeader => {
                self.add(obu).ok_or(order)?;
                Ok(None)
            }
            ObuType::TileList => Err(order),
            ObuType::TemporalDelimiter | ObuType::Metadata | ObuType::Padding | ObuType::Reserved(_) => {
                Ok(None)
            }
        }
    }

    fn frame_header(&mut self, obu: &Obu<'_>) -> Result<Option<FrameInfo>, BitstreamError> {
        self.begin(obu)?.trailing_bits()?;
        match &self.open {
            Some(open) if open.info.header.show_existing_frame => self.complete(),
            _ => Ok(None),
        }
    }

    /// Reads the frame header at the start of the OBU and returns the reader, which stands behind it.
    fn begin<'b>(&mut self, obu: &Obu<'b>) -> Result<BitReader<'b>, BitstreamError> {
        let sequence = self.reader.sequence.as_ref().ok_or(BitstreamError::MissingSequenceHeader)?;
        let mut r = BitReader::new(obu.payload);
        let header = FrameHeader::parse(&mut r, sequence, &self.reader.slots, obu.header.layer())?;
        if header.show_existing_frame && obu.header.obu_type == ObuType::Frame {
            return Err(BitstreamError::Value { field: "show_existing_frame" });
        }
        let layout = header.tile_layout(sequence).ok_or(BitstreamError::Value { field: "tile_info" })?;
        let end = obu.offset + obu.bytes.len();
        self.open = Some(OpenFrame {
            num_tiles: layout.num_tiles(),
            next_tile: 0,
            info: FrameInfo { obu: obu.header, header, size: obu.bytes.len(), range: obu.offset..end },
        });
        Ok(r)
    }

    /// Adds the size of an OBU to the open frame; `None` if no frame of its layer is open.
    fn add(&mut self, obu: &Obu<'_>) -> Option<()> {
        let open = self.open.as_mut().filter(|open| open.info.obu.extension == obu.header.extension)?;
        open.info.size += obu.bytes.len();
        open.info.range.end = obu.offset + obu.bytes.len();
        Some(())
    }

    /// Reads the start of tile_group_obu() (section 5.11.1).
    fn tile_group(&mut self, obu: &Obu<'_>, payload: &[u8]) -> Result<Option<FrameInfo>, BitstreamError> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let mut r = BitReader::new(payload);
        let present = open.num_tiles > 1 && r.bits(1)? == 1;
        let (mut tg_start, mut tg_end) = (0, open.num_tiles - 1);
        if present {
            let info = &open.info.header.tile_info;
            let n = u32::from(info.tile_cols_log2) + u32::from(info.tile_rows_log2);
            (tg_start, tg_end) = (r.bits(n)? as usize, r.bits(n)? as usize);
        }
        if r.byte_alignment()?.is_empty() {
            return Err(BitstreamError::End);
        }
        if present && obu.header.obu_type == ObuType::Frame {
            return Err(BitstreamError::Value { field: "tile_start_and_end_present_flag" });
        }
        if tg_start != open.next_tile || tg_end < tg_start || tg_end >= open.num_tiles {
            return Err(BitstreamError::Value { field: "tg_start" });
        }
        open.next_tile = tg_end + 1;
        if open.next_tile == open.num_tiles { self.complete() } else { Ok(None) }
    }

    /// Closes the open frame, updates the slots with it and returns it.
    fn complete(&mut self) -> Result<Option<FrameInfo>, BitstreamError> {
        let sequence = self.reader.sequence.as_ref().ok_or(BitstreamError::MissingSequenceHeader)?;
        let frame = self.open.take().map(|open| open.info);
        if let Some(frame) = &frame {
            self.reader.slots.update(sequence, &frame.header);
        }
        Ok(frame)
    }
}
