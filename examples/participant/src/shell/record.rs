//! What came, in files: the opened temporal units of each stream as IVF, the frames of sound, and the packets as they came,
//! still sealed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use layercast::bitstream::{IvfHeader, IvfWriter};
use layercast::rtp::DecodableUnit;
use layercast_examples::{Result, at};

/// Temporal units of each stream: `stream-N.ivf`, in ticks of 90 kHz.
pub struct Units {
    directory: PathBuf,
    files: HashMap<u32, (IvfWriter<BufWriter<File>>, u32)>,
}

impl Units {
    /// Files in this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.into(), files: HashMap::new() }
    }

    /// Writes a unit.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, stream: u32, unit: &DecodableUnit, bytes: &[u8]) -> Result<()> {
        let path = self.directory.join(format!("stream-{stream}.ivf"));
        if let Entry::Vacant(place) = self.files.entry(stream) {
            let top = unit.structure.resolutions.last().copied();
            let side = |length: Option<u32>| length.and_then(|length| length.try_into().ok()).unwrap_or(0);
            let header = IvfHeader {
                width: side(top.map(|top| top.width)),
                height: side(top.map(|top| top.height)),
                timebase_denominator: 90_000,
                timebase_numerator: 1,
                frame_count: 0,
            };
            let file = BufWriter::new(at(&path, File::create(&path))?);
            place.insert((at(&path, IvfWriter::new(file, &header))?, unit.timestamp));
        }
        let Some((file, first)) = self.files.get_mut(&stream) else { return Ok(()) };
        at(&path, file.write(unit.timestamp.wrapping_sub(*first).into(), bytes))
    }

    /// Writes what is still to be written.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(self) -> Result<()> {
        for (file, _) in self.files.into_values() {
            file.finish()?;
        }
        Ok(())
    }
}

/// Records of bytes, each behind the microseconds since the start, the number of its stream (0 for a packet) and its length:
/// 8, 4 and 4 bytes in network byte order. `packets.bin` has the RTP packets without SRTP, `sound.bin` the frames of sound.
pub struct Records {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Records {
    /// A file in this directory.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(name);
        let file = BufWriter::new(at(&path, File::create(&path))?);
        Ok(Self { path, file })
    }

    /// Writes a record.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, at: Duration, stream: u32, bytes: &[u8]) -> Result<()> {
        let mut header = [0; 16];
        header[..8].copy_from_slice(&(at.as_micros() as u64).to_be_bytes());
        header[8..12].copy_from_slice(&stream.to_be_bytes());
        header[12..].copy_from_slice(&u32::try_from(bytes.len())?.to_be_bytes());
        let written = self.file.write_all(&header).and_then(|()| self.file.write_all(bytes));
        layercast_examples::at(&self.path, written)
    }

    /// Writes what is still to be written.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        layercast_examples::at(&self.path, self.file.flush())
    }
}

/// Reads such a file: times, streams and bytes.
///
/// # Errors
/// If it ends within a record.
pub fn read_records(path: &Path) -> Result<Vec<(Duration, u32, Vec<u8>)>> {
    let data = at(path, std::fs::read(path))?;
    let mut rest = &data[..];
    let mut records = Vec::new();
    while let Some((header, behind)) = rest.split_first_chunk::<16>() {
        let number =
            |range: std::ops::Range<usize>| header[range].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let bytes = usize::try_from(number(12..16)).ok().and_then(|length| behind.split_at_checked(length));
        let Some((bytes, behind)) = bytes else { return at(path, Err("it ends within a record")) };
        records.push((Duration::from_micros(number(0..8)), number(8..12) as u32, bytes.to_vec()));
        rest = behind;
    }
    match rest.is_empty() {
        true => Ok(records),
        false => at(path, Err("it ends within a record")),
    }
}
