//! What came, in files: the opened temporal units of each stream as IVF, the frames of sound as Ogg Opus and with the times at
//! which they came, and the packets as they came, still sealed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use layercast::bitstream::{IvfHeader, IvfWriter};
use layercast::rtp::DecodableUnit;
use layercast_examples::{Result, at};
use ogg::{PacketWriteEndInfo, PacketWriter};

use super::sound::samples;

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

/// Sound of each stream: `sound-N.opus`, in Ogg (RFC 7845). Where frames are missing, the decoder is asked to conceal them.
pub struct Sounds {
    directory: PathBuf,
    files: HashMap<u32, OpusFile>,
}

struct OpusFile {
    path: PathBuf,
    writer: PacketWriter<'static, BufWriter<File>>,
    /// Of the next frame, by the clock of 48 kHz.
    timestamp: u32,
    /// Samples before the frame that waits, and that frame: the last of a file is marked.
    position: u64,
    waiting: Option<Bytes>,
}

/// Samples that are not played at the beginning, by which a decoder finds its way into a stream (RFC 7845, section 4.2).
const PRE_SKIP: u16 = 3840;
/// Samples that are filled in at most where some are missing: 10 s. Who was mute for longer goes on where it was.
const MAX_MISSING: u32 = 480_000;

impl Sounds {
    /// Files in this directory.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.into(), files: HashMap::new() }
    }

    /// Writes a frame of a stream, with its RTP timestamp. What is no frame of Opus is left out.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, stream: u32, timestamp: u32, frame: &Bytes) -> Result<()> {
        let Some(length) = samples(frame) else { return Ok(()) };
        let file = match self.files.entry(stream) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(place) => {
                let path = self.directory.join(format!("sound-{stream}.opus"));
                place.insert(OpusFile::new(path, stream, timestamp)?)
            }
        };
        let missing = timestamp.wrapping_sub(file.timestamp);
        if missing <= MAX_MISSING {
            // One frame of the same kind without a byte of sound (section 4.1).
            let concealed = Bytes::copy_from_slice(&[frame[0] & !3]);
            for _ in 0..missing / samples(&concealed).unwrap_or(length) {
                file.put(stream, concealed.clone())?;
            }
        }
        file.timestamp = timestamp.wrapping_add(length);
        file.put(stream, frame.clone())
    }

    /// Writes what is still to be written.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(self) -> Result<()> {
        for (stream, mut file) in self.files {
            file.write_waiting(stream, PacketWriteEndInfo::EndStream)?;
            at(&file.path, file.writer.into_inner().flush())?;
        }
        Ok(())
    }
}

impl OpusFile {
    /// Writes the headers (RFC 7845, section 5): two channels, whatever frames have, and no gain.
    fn new(path: PathBuf, stream: u32, timestamp: u32) -> Result<Self> {
        let mut writer = PacketWriter::new(BufWriter::new(at(&path, File::create(&path))?));
        let [low, high] = PRE_SKIP.to_le_bytes();
        let [a, b, c, d] = 48_000_u32.to_le_bytes();
        let head = [&b"OpusHead"[..], &[1, 2, low, high, a, b, c, d, 0, 0, 0]].concat();
        let vendor = b"layercast";
        let tags = [b"OpusTags", &(vendor.len() as u32).to_le_bytes()[..], vendor, &[0; 4]].concat();
        for header in [head, tags] {
            at(&path, writer.write_packet(header, stream, PacketWriteEndInfo::EndPage, 0))?;
        }
        Ok(Self { path, writer, timestamp, position: 0, waiting: None })
    }

    fn put(&mut self, stream: u32, packet: Bytes) -> Result<()> {
        self.write_waiting(stream, PacketWriteEndInfo::NormalPacket)?;
        self.waiting = Some(packet);
        Ok(())
    }

    fn write_waiting(&mut self, stream: u32, end: PacketWriteEndInfo) -> Result<()> {
        let Some(packet) = self.waiting.take() else { return Ok(()) };
        self.position += u64::from(samples(&packet).unwrap_or_default());
        at(&self.path, self.writer.write_packet(packet.to_vec(), stream, end, self.position))
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

#[cfg(test)]
mod tests {
    use ogg::PacketReader;

    use super::super::sound::{read, silence};
    use super::*;

    #[test]
    fn sound_is_written_as_it_is_played() {
        let directory = tempfile::tempdir().unwrap();
        let mut sounds = Sounds::new(directory.path());
        let frame = silence();
        // The clock comes around. Two frames are lost after the third, and then its sender was mute for a minute.
        let times = [0_u32, 960, 1920, 4800, 2_884_800].map(|at| at.wrapping_sub(1000));
        for timestamp in times {
            sounds.write(7, timestamp, &frame).unwrap();
            sounds.write(7, timestamp, &Bytes::from_static(b"\xff\x3f no Opus")).unwrap();
        }
        sounds.finish().unwrap();
        let path = directory.path().join("sound-7.opus");
        let lengths: Vec<_> = read(&path).unwrap().iter().map(Bytes::len).collect();
        assert_eq!(lengths, [80, 80, 80, 1, 1, 80, 80]);
        let mut reader = PacketReader::new(File::open(&path).unwrap());
        let packets: Vec<_> = std::iter::from_fn(|| reader.read_packet().unwrap()).collect();
        let last = packets.last().unwrap();
        assert_eq!((last.absgp_page(), last.last_in_stream()), (7 * 960, true));
    }

    #[test]
    fn a_file_that_is_damaged_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut sounds = Sounds::new(directory.path());
        (0..50).for_each(|n| sounds.write(1, 960 * n, &silence()).unwrap());
        sounds.finish().unwrap();
        let path = directory.path().join("sound-1.opus");
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let sixty: Vec<u8> = {
            let mut sounds = Sounds::new(directory.path());
            sounds.write(2, 0, &Bytes::from_static(&[3 << 3, 1])).unwrap();
            sounds.finish().unwrap();
            std::fs::read(directory.path().join("sound-2.opus")).unwrap()
        };
        let files = [
            ("damaged", flipped, ""),
            ("other", b"RIFF, a file of another kind".to_vec(), ""),
            ("empty", Vec::new(), ""),
            ("long", sixty, "not of 20 ms"),
            ("headers", whole[..60].to_vec(), ""),
        ];
        for (name, bytes, why) in files {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
        assert_eq!(read(&path).unwrap().len(), 50);
    }
}
