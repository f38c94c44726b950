//! Sound: the packets of an Ogg Opus file (RFC 7845), or packets that decode to silence. Nothing here codes or plays sound.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use layercast_examples::{Result, at};
use ogg::PacketReader;

/// Length of a packet's sound, and in ticks of the RTP clock (RFC 7587, section 4.1).
const FRAME: Duration = Duration::from_millis(20);
const TICKS: u32 = 960;
/// The most that a packet may have: 120 ms (RFC 6716, section 3.2.5).
const MAX_SAMPLES: u32 = 5760;
/// Bytes of a packet of the tone: 32 kbit/s, whatever there is to hear, which gives nothing away (RFC 6562).
const TONE: usize = 80;

/// Where sound comes from.
#[derive(Debug, Clone)]
pub enum Sound {
    /// Valid packets of Opus without a tone in them: there is no coder here.
    Tone,
    /// A file with packets of 20 ms, which is played again and again.
    File(PathBuf),
}

/// A packet of Opus of 20 ms of silence: one frame of CELT at full band, mono, padded (RFC 6716, section 3.2.5).
pub fn silence() -> Bytes {
    let mut packet = vec![0; TONE];
    // Configuration 31 with a frame count byte; one frame with padding, whose length stands next.
    packet[..5].copy_from_slice(&[31 << 3 | 3, 0x41, (TONE - 5) as u8, 0xff, 0xfe]);
    packet.into()
}

/// The packets of a file.
///
/// # Errors
/// If it is no Ogg Opus file, or has packets of another length.
pub fn read(path: &Path) -> Result<Vec<Bytes>> {
    let mut reader = PacketReader::new(BufReader::new(at(path, File::open(path))?));
    let mut packets = Vec::new();
    let mut headers = 0;
    while let Some(packet) = at(path, reader.read_packet())? {
        match headers {
            0 if !packet.data.starts_with(b"OpusHead") => return at(path, Err("not an Ogg Opus file")),
            0 | 1 => headers += 1,
            _ if duration(&packet.data) != Some(FRAME) => {
                return at(path, Err("its packets are not of 20 ms"));
            }
            _ => packets.push(packet.data.into()),
        }
    }
    match packets.is_empty() {
        true => at(path, Err("no sound")),
        false => Ok(packets),
    }
}

/// How many samples of 48 kHz the sound of a packet has. `None` if it is no packet of Opus.
pub(super) fn samples(packet: &[u8]) -> Option<u32> {
    let micros = duration(packet)?.as_micros();
    u32::try_from(micros * 48 / 1000).ok().filter(|samples| (1..=MAX_SAMPLES).contains(samples))
}

/// How long the sound of a packet is (RFC 6716, section 3.1).
fn duration(packet: &[u8]) -> Option<Duration> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let micros = match config {
        0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        12..=15 => [10_000, 20_000][usize::from(config % 2)],
        _ => [2500, 5000, 10_000, 20_000][usize::from(config % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1)? & 0x3f,
    };
    Some(Duration::from_micros(micros) * u32::from(frames))
}

impl Sound {
    /// Whether there is something to play.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Tone => Ok(()),
            Self::File(path) => read(path).map(drop),
        }
    }

    /// Gives one packet after the other with its timestamp, at its time, until `take` returns `false`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn play(&self, mut take: impl FnMut(Bytes, u32) -> bool) -> Result<()> {
        let packets = match self {
            Self::Tone => vec![silence()],
            Self::File(path) => read(path)?,
        };
        let start = Instant::now();
        for (n, packet) in (0_u32..).zip(packets.iter().cycle()) {
            if !take(packet.clone(), n.wrapping_mul(TICKS)) {
                return Ok(());
            }
            if let Some(early) = (FRAME * (n + 1)).checked_sub(start.elapsed()) {
                std::thread::sleep(early);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_is_a_packet_of_20_ms() {
        let packet = silence();
        assert_eq!((packet.len(), duration(&packet)), (TONE, Some(FRAME)));
        // One frame of two bytes remains without the padding.
        assert_eq!(packet.len() - 3 - usize::from(packet[2]), 2);
        assert_eq!(duration(&[0x78, 0]), Some(FRAME), "hybrid, as many coders have it");
        assert_eq!(duration(&[]), None);
        assert_eq!(samples(&packet), Some(TICKS));
        assert_eq!(samples(&[31 << 3 | 3, 63, 0]), None, "longer than 120 ms");
        assert_eq!(samples(&[31 << 3 | 3, 0]), None, "no frame at all");
    }
}
