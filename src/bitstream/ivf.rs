//! IVF files: a header, then frames, each with its size and time.

#![allow(clippy::exhaustive_structs, reason = "the fields of the file format, which is fixed")]

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::error::{BitstreamError, FileError};
use super::obu::{ObuType, obus};
use super::section5::{starts_with_delimiter, with_sizes};

/// The largest frame or temporal unit, in bytes.
const MAX_SIZE: usize = 256 << 20;
const HEADER_LEN: u16 = 32;
const SIGNATURE: &[u8; 4] = b"DKIF";
const FOURCC: &[u8; 4] = b"AV01";

/// The file header of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IvfHeader {
    /// In luma samples; a hint.
    pub width: u16,
    /// In luma samples; a hint.
    pub height: u16,
    /// Time units in one second, divided by `timebase_numerator`.
    pub timebase_denominator: u32,
    /// The seconds that `timebase_denominator` time units take.
    pub timebase_numerator: u32,
    /// Frames in the file; 0 if the writer did not know.
    pub frame_count: u32,
}

/// One frame of a file, or one temporal unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IvfFrame {
    /// Presentation time in units of the time base.
    pub pts: u64,
    /// The OBUs.
    pub data: Vec<u8>,
}

/// Reads an IVF file of AV1. It is an iterator over the frames and ends after an error. The source can be a
/// slice of bytes.
#[derive(Debug)]
pub struct IvfReader<R> {
    source: R,
    header: IvfHeader,
    ended: bool,
}

impl<R: Read> IvfReader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// [`FileError::Io`] if the source cannot be read; [`FileError::NotIvf`] if it is no IVF file of AV1.
    pub fn new(mut source: R) -> Result<Self, FileError> {
        let mut bytes = [0; HEADER_LEN as usize];
        source.read_exact(&mut bytes)?;
        let u16_at = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
        let u32_at = |i: usize| u32::from(u16_at(i)) | u32::from(u16_at(i + 2)) << 16;
        let len = u16_at(6);
        if &bytes[..4] != SIGNATURE || &bytes[8..12] != FOURCC || len < HEADER_LEN {
            return Err(FileError::NotIvf);
        }
        let header = IvfHeader {
            width: u16_at(12),
            height: u16_at(14),
            timebase_denominator: u32_at(16),
            timebase_numerator: u32_at(20),
            frame_count: u32_at(24),
        };
        let more = u64::from(len - HEADER_LEN);
        if io::copy(&mut source.by_ref().take(more), &mut io::sink())? < more {
            return Err(FileError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Self { source, header, ended: false })
    }

    /// The file header.
    pub fn header(&self) -> &IvfHeader {
        &self.header
    }

    /// The temporal units, however the file divides them into frames. Some encoders write one frame per
    /// layer, so a unit goes on until a temporal delimiter or a change of time.
    pub fn temporal_units(self) -> IvfTemporalUnits<R> {
        IvfTemporalUnits { frames: self, pieces: VecDeque::new(), open: None }
    }

    fn frame(&mut self) -> Result<Option<IvfFrame>, FileError> {
        let mut head = vec![];
        self.source.by_ref().take(12).read_to_end(&mut head)?;
        if head.is_empty() {
            return Ok(None);
        }
        let [s0, s1, s2, s3, pts @ ..]: [u8; 12] =
            head.try_into().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        if size > MAX_SIZE {
            return Err(FileError::TooLarge { size });
        }
        // The vector grows with the data that are there, not to the size that the file claims.
        let mut data = vec![];
        self.source.by_ref().take(size as u64).read_to_end(&mut data)?;
        if data.len() < size {
            return Err(FileError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some(IvfFrame { pts: u64::from_le_bytes(pts), data }))
    }
}

impl<R: Read> Iterator for IvfReader<R> {
    type Item = Result<IvfFrame, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.frame().transpose();
        self.ended = !matches!(frame, Some(Ok(_)));
        frame
    }
}

/// Iterator of [`IvfReader::temporal_units`], which ends after an error. All OBUs have a size field.
#[derive(Debug)]
pub struct IvfTemporalUnits<R> {
    frames: IvfReader<R>,
    /// Parts of the last frame, each from one temporal delimiter to the next.
    pieces: VecDeque<IvfFrame>,
    /// The temporal unit that may still grow.
    open: Option<IvfFrame>,
}

impl<R: Read> IvfTemporalUnits<R> {
    fn unit(&mut self) -> Result<Option<IvfFrame>, FileError> {
        loop {
            let Some(piece) = self.pieces.pop_front() else {
                match self.frames.next().transpose()? {
                    Some(frame) => self.pieces = pieces(frame)?,
                    None => return Ok(self.open.take()),
                }
                continue;
            };
            match &mut self.open {
                Some(open) if open.pts == piece.pts && !starts_with_delimiter(&piece.data)? => {
                    let size = open.data.len() + piece.data.len();
                    if size > MAX_SIZE {
                        return Err(FileError::TooLarge { size });
                    }
                    open.data.extend_from_slice(&piece.data);
                }
                open => {
                    if let Some(unit) = open.replace(piece) {
                        return Ok(Some(unit));
                    }
                }
            }
        }
    }
}

impl<R: Read> Iterator for IvfTemporalUnits<R> {
    type Item = Result<IvfFrame, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let unit = self.unit();
        if unit.is_err() {
            self.frames.ended = true;
            self.pieces.clear();
            self.open = None;
        }
        unit.transpose()
    }
}

/// Cuts a frame at its temporal delimiters.
fn pieces(frame: IvfFrame) -> Result<VecDeque<IvfFrame>, BitstreamError> {
    let data = with_sizes(&frame.data)?;
    let mut pieces: VecDeque<IvfFrame> = VecDeque::new();
    for obu in obus(&data) {
        let obu = obu?;
        match pieces.back_mut() {
            Some(piece) if obu.header.obu_type != ObuType::TemporalDelimiter => {
                piece.data.extend_from_slice(obu.bytes);
            }
            _ => pieces.push_back(IvfFrame { pts: frame.pts, data: obu.bytes.to_vec() }),
        }
    }
    Ok(pieces)
}

/// Writes an IVF file of AV1.
#[derive(Debug)]
pub struct IvfWriter<W> {
    sink: W,
    frame_count: u32,
}

impl<W: Write> IvfWriter<W> {
    /// Writes the file header as it is, its frame count included.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn new(mut sink: W, header: &IvfHeader) -> Result<Self, FileError> {
        let mut bytes = Vec::with_capacity(HEADER_LEN.into());
        bytes.extend(SIGNATURE);
        bytes.extend(0u16.to_le_bytes());
        bytes.extend(HEADER_LEN.to_le_bytes());
        bytes.extend(FOURCC);
        bytes.extend(header.width.to_le_bytes());
        bytes.extend(header.height.to_le_bytes());
        bytes.extend(header.timebase_denominator.to_le_bytes());
        bytes.extend(header.timebase_numerator.to_le_bytes());
        bytes.extend(header.frame_count.to_le_bytes());
        bytes.extend([0; 4]);
        sink.write_all(&bytes)?;
        Ok(Self { sink, frame_count: 0 })
    }

    /// Writes a frame, which should be a whole temporal unit.
    ///
    /// # Errors
    /// [`FileError::Io`]; [`FileError::TooLarge`] above 256 MiB.
    pub fn write(&mut self, pts: u64, data: &[u8]) -> Result<(), FileError> {
        let size = data.len();
        let coded = u32::try_from(size).ok().filter(|_| size <= MAX_SIZE);
        let coded = coded.ok_or(FileError::TooLarge { size })?;
        self.sink.write_all(&coded.to_le_bytes())?;
        self.sink.write_all(&pts.to_le_bytes())?;
        self.sink.write_all(data)?;
        self.frame_count = self.frame_count.saturating_add(1);
        Ok(())
    }

    /// Returns the sink. The frame count in the file header stays as it was written.
    pub fn into_inner(self) -> W {
        self.sink
    }
}

impl<W: Write + Seek> IvfWriter<W> {
    /// Corrects the frame count in the file header, flushes and returns the sink. The file header must be at
    /// the start of the sink.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn finish(mut self) -> Result<W, FileError> {
        self.sink.seek(SeekFrom::Start(24))?;
        self.sink.write_all(&self.frame_count.to_le_bytes())?;
        self.sink.seek(SeekFrom::End(0))?;
        self.sink.flush()?;
        Ok(self.sink)
    }
}
