//! Messages: the reports of receivers to the relay, and the demand that the relay sends to senders, as bytes.
//!
//! Each message is the whole state and replaces the one before, so that a lost one does no harm; the
//! transport keeps them in order, or drops late ones. The first byte is the version (the high four bits) and
//! the kind of message; numbers follow as leb128() (AV1 4.10.5), fractions as IEEE 754 single precision, low
//! byte first. Nothing may follow the last field.

use std::time::Duration;

use super::demand::{Demand, LayerDemand};
use super::input::{Cap, Cpu, DecodeTime, MAX_LAYERS, Priority, StreamId, Window};
use crate::Size;
use crate::bitstream::{self, leb128, write_leb128};
use crate::structure::LayerId;

/// The version of the messages that this crate writes, and the only one that it reads.
pub const MESSAGE_VERSION: u8 = 1;

/// The most windows in a message, and the most caps.
pub const MAX_STREAMS: usize = 1024;

const REPORT: u8 = 0;
const DEMAND: u8 = 1;

/// The reason why bytes are not a message, or why a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The data ends within a field, or a number has more than 32 bits.
    #[error(transparent)]
    Bits(#[from] bitstream::BitstreamError),
    /// Another version.
    #[error("a message of version {0}")]
    Version(u8),
    /// The message is of another kind than the one to be read.
    #[error("a message of kind {0} where another is expected")]
    Kind(u8),
    /// A value that is not allowed, or does not fit into 32 bits.
    #[error("{field} has a value that is not allowed")]
    Value {
        /// What the value is of.
        field: &'static str,
    },
    /// More windows, caps or targets than there may be.
    #[error("too many: {field}")]
    TooMany {
        /// What there are too many of.
        field: &'static str,
    },
    /// Data after the last field.
    #[error("data after the end of a message")]
    Trailing,
}

/// From a receiver to the relay: its windows, its processor and its caps.
#[derive(Debug, Clone, PartialEq, Default)]
#[allow(clippy::exhaustive_structs)] // A message, whose fields the version fixes.
pub struct ReceiverReport {
    /// The windows of the streams that it watches; all other streams are hidden.
    pub windows: Vec<(StreamId, Window)>,
    /// Its processor, as far as it is known. Times are written in whole microseconds.
    pub cpu: Option<Cpu>,
    /// The caps of streams, or of all together if there is no stream; all other caps are lifted.
    pub caps: Vec<(Option<StreamId>, Cap)>,
}

impl ReceiverReport {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`MessageError::TooMany`] above [`MAX_STREAMS`], [`MessageError::Value`] for fractions that are
    /// negative or not finite, bitrates of more than 32 bits and decode times of more than 71 minutes. `out`
    /// then ends within the message.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        out.push(MESSAGE_VERSION << 4 | REPORT);
        write_count(out, self.windows.len(), MAX_STREAMS, "windows")?;
        for (stream, window) in &self.windows {
            write_leb128(out, stream.0);
            let rate = window.max_frame_rate;
            out.push(code(window.priority) | bit(2, window.visible) | bit(3, rate.is_some()));
            write_leb128(out, window.size.width);
            write_leb128(out, window.size.height);
            write_fraction(out, rate, "max_frame_rate")?;
        }
        write_cpu(out, self.cpu.as_ref())?;
        write_count(out, self.caps.len(), MAX_STREAMS, "caps")?;
        for (stream, cap) in &self.caps {
            out.push(
                bit(0, stream.is_some())
                    | bit(1, cap.max_spatial_id.is_some())
                    | bit(2, cap.max_temporal_id.is_some())
                    | bit(3, cap.max_height.is_some())
                    | bit(4, cap.max_frame_rate.is_some())
                    | bit(5, cap.max_bitrate.is_some()),
            );
            stream.iter().for_each(|stream| write_leb128(out, stream.0));
            out.extend(cap.max_spatial_id.iter().chain(&cap.max_temporal_id));
            cap.max_height.iter().for_each(|height| write_leb128(out, *height));
            write_fraction(out, cap.max_frame_rate, "max_frame_rate")?;
            cap.max_bitrate.iter().try_for_each(|bits| write_bitrate(out, *bits))?;
        }
        Ok(())
    }

    /// Reads a message of untrusted origin. The memory that it allocates is in proportion to `data`.
    ///
    /// # Errors
    /// [`MessageError`], if `data` is anything but one message of this kind and version.
    pub fn read(data: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(data, REPORT)?;
        let mut report = Self::default();
        for _ in 0..reader.count(MAX_STREAMS, "windows")? {
            let stream = StreamId(reader.number()?);
            let flags = reader.flags(4)?;
            let size = Size::new(reader.number()?, reader.number()?);
            let max_frame_rate = reader.fraction(flags & 8 != 0, "max_frame_rate")?;
            let window = Window { size, visible: flags & 4 != 0, max_frame_rate, priority: priority(flags) };
            report.windows.push((stream, window));
        }
        report.cpu = reader.cpu()?;
        for _ in 0..reader.count(MAX_STREAMS, "caps")? {
            let flags = reader.flags(6)?;
            let has = |bit: u8| flags >> bit & 1 != 0;
            let stream = has(0).then(|| reader.number()).transpose()?.map(StreamId);
            let cap = Cap {
                max_spatial_id: has(1).then(|| reader.byte()).transpose()?,
                max_temporal_id: has(2).then(|| reader.byte()).transpose()?,
                max_height: has(3).then(|| reader.number()).transpose()?,
                max_frame_rate: reader.fraction(has(4), "max_frame_rate")?,
                max_bitrate: has(5).then(|| reader.number()).transpose()?.map(u64::from),
            };
            report.caps.push((stream, cap));
        }
        reader.end()?;
        Ok(report)
    }
}

/// From the relay to a sender: what to encode of one of its streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // A message, whose fields the version fixes.
pub struct DemandMessage {
    /// The stream.
    pub stream: StreamId,
    /// The layers that its receivers want. A bitrate of more than 32 bits, such as that of a path without a
    /// known limit, is written as `u32::MAX`.
    pub demand: Demand,
}

impl DemandMessage {
    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`MessageError::Value`] for a target whose `spatial_id` is above 3 or `temporal_id` above 7. `out`
    /// then ends within the message.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), MessageError> {
        out.push(MESSAGE_VERSION << 4 | DEMAND);
        write_leb128(out, self.stream.0);
        let layers = self.demand.layers();
        write_count(out, layers.len(), MAX_LAYERS, "targets")?;
        for LayerDemand { target, bitrate } in layers {
            let LayerId { spatial_id, temporal_id } = *target;
            if spatial_id > 3 || temporal_id > 7 {
                return Err(MessageError::Value { field: "target" });
            }
            out.push(spatial_id << 3 | temporal_id);
            write_leb128(out, u32::try_from(*bitrate).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// Reads a message of untrusted origin. Nothing is allocated.
    ///
    /// # Errors
    /// [`MessageError`], if `data` is anything but one message of this kind and version, with the targets in
    /// rising order.
    pub fn read(data: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(data, DEMAND)?;
        let stream = StreamId(reader.number()?);
        let mut demand = Demand::default();
        for _ in 0..reader.count(MAX_LAYERS, "targets")? {
            let code = reader.flags(5)?;
            let target = LayerId::new(code >> 3, code & 7);
            let higher = |last: &LayerDemand| target > last.target;
            if !demand.layers.last().is_none_or(higher) {
                return Err(MessageError::Value { field: "target" });
            }
            demand.layers.push(LayerDemand { target, bitrate: reader.number()?.into() });
        }
        reader.end()?;
        Ok(Self { stream, demand })
    }
}

/// The priorities, by their codes.
const PRIORITIES: [Priority; 4] =
    [Priority::Thumbnail, Priority::ActiveSpeaker, Priority::ScreenShare, Priority::Pinned];

fn code(priority: Priority) -> u8 {
    match priority {
        Priority::Thumbnail => 0,
        Priority::ActiveSpeaker => 1,
        Priority::ScreenShare => 2,
        Priority::Pinned => 3,
    }
}

fn priority(flags: u8) -> Priority {
    PRIORITIES[usize::from(flags & 3)]
}

fn bit(bit: u8, set: bool) -> u8 {
    u8::from(set) << bit
}

fn write_count(out: &mut Vec<u8>, count: usize, max: usize, field: &'static str) -> Result<(), MessageError> {
    match u32::try_from(count) {
        Ok(number) if count <= max => write_leb128(out, number),
        _ => return Err(MessageError::TooMany { field }),
    }
    Ok(())
}

fn write_bitrate(out: &mut Vec<u8>, bitrate: u64) -> Result<(), MessageError> {
    write_leb128(out, u32::try_from(bitrate).map_err(|_| MessageError::Value { field: "max_bitrate" })?);
    Ok(())
}

fn write_fraction(out: &mut Vec<u8>, value: Option<f32>, field: &'static str) -> Result<(), MessageError> {
    let Some(value) = value else { return Ok(()) };
    out.extend_from_slice(&fraction(value, field)?.to_le_bytes());
    Ok(())
}

fn fraction(value: f32, field: &'static str) -> Result<f32, MessageError> {
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(MessageError::Value { field }) }
}

fn write_cpu(out: &mut Vec<u8>, cpu: Option<&Cpu>) -> Result<(), MessageError> {
    let Some(cpu) = cpu else {
        out.push(0);
        return Ok(());
    };
    let times = cpu.decode_times.len() as u8;
    out.push(1 | bit(1, cpu.cores.is_some()) | bit(2, cpu.load.is_some()) | times << 3);
    write_fraction(out, cpu.cores, "cores")?;
    write_fraction(out, cpu.load, "load")?;
    for DecodeTime { luma_samples, time } in cpu.decode_times.iter() {
        write_leb128(out, *luma_samples);
        let time = u32::try_from(time.as_micros());
        write_leb128(out, time.map_err(|_| MessageError::Value { field: "time" })?);
    }
    Ok(())
}

/// Takes the fields of a message off its bytes.
struct Reader<'a> {
    data: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(data: &'a [u8], kind: u8) -> Result<Self, MessageError> {
        let mut reader = Self { data };
        let first = reader.byte()?;
        match (first >> 4, first & 15) {
            (MESSAGE_VERSION, read) if read == kind => Ok(reader),
            (MESSAGE_VERSION, other) => Err(MessageError::Kind(other)),
            (version, _) => Err(MessageError::Version(version)),
        }
    }

    fn byte(&mut self) -> Result<u8, MessageError> {
        let (byte, rest) = self.data.split_first().ok_or(bitstream::BitstreamError::End)?;
        self.data = rest;
        Ok(*byte)
    }

    /// A byte of which the low `n` bits are in use.
    fn flags(&mut self, n: u32) -> Result<u8, MessageError> {
        let flags = self.byte()?;
        if flags >> n == 0 { Ok(flags) } else { Err(MessageError::Value { field: "flags" }) }
    }

    fn number(&mut self) -> Result<u32, MessageError> {
        let (number, len) = leb128(self.data)?;
        self.data = &self.data[len..];
        Ok(number)
    }

    fn count(&mut self, max: usize, field: &'static str) -> Result<usize, MessageError> {
        let count = self.number()? as usize;
        if count <= max { Ok(count) } else { Err(MessageError::TooMany { field }) }
    }

    fn fraction(&mut self, present: bool, field: &'static str) -> Result<Option<f32>, MessageError> {
        if !present {
            return Ok(None);
        }
        let (bytes, rest) = self.data.split_first_chunk().ok_or(bitstream::BitstreamError::End)?;
        self.data = rest;
        fraction(f32::from_le_bytes(*bytes), field).map(Some)
    }

    fn cpu(&mut self) -> Result<Option<Cpu>, MessageError> {
        let flags = self.flags(7)?;
        if flags & 1 == 0 {
            return if flags == 0 { Ok(None) } else { Err(MessageError::Value { field: "flags" }) };
        }
        let cores = self.fraction(flags & 2 != 0, "cores")?;
        let load = self.fraction(flags & 4 != 0, "load")?;
        let mut cpu = Cpu { cores, load, ..Cpu::default() };
        for _ in 0..flags >> 3 {
            let luma_samples = self.number()?;
            let time = Duration::from_micros(self.number()?.into());
            let frame = DecodeTime { luma_samples, time };
            let pushed = cpu.decode_times.push(frame);
            pushed.map_err(|_| MessageError::TooMany { field: "decode times" })?;
        }
        Ok(Some(cpu))
    }

    fn end(&self) -> Result<(), MessageError> {
        if self.data.is_empty() { Ok(()) } else { Err(MessageError::Trailing) }
    }
}
