//! What sender and receiver reports hold (RFC 3550, section 6.4).

use bytes::BufMut;

/// What a sender has sent (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct SenderInfo {
    /// When the report was sent, in units of 2^-32 s. Senders without a wallclock may count from any start.
    pub ntp: u64,
    /// The same time as an RTP timestamp of the stream.
    pub timestamp: u32,
    /// Packets sent since the start, modulo 2^32.
    pub packets: u32,
    /// Bytes of their payloads, without headers and padding, modulo 2^32.
    pub octets: u32,
}

impl SenderInfo {
    pub(super) const SIZE: usize = 20;

    pub(super) fn read(info: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| u32::from_be_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
        Self {
            ntp: u64::from(word(0)) << 32 | u64::from(word(4)),
            timestamp: word(8),
            packets: word(12),
            octets: word(16),
        }
    }

    pub(super) fn put(&self, into: &mut impl BufMut) {
        into.put_u64(self.ntp);
        into.put_u32(self.timestamp);
        into.put_u32(self.packets);
        into.put_u32(self.octets);
    }

    /// The middle 32 bits of [`ntp`](Self::ntp), which receivers send back as [`ReportBlock::last_report`].
    pub fn middle(&self) -> u32 {
        (self.ntp >> 16) as u32
    }
}

/// What was received of one stream (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Packets lost since the report before, in parts of 256 of those expected.
    pub fraction_lost: u8,
    /// Packets lost since the start, -2^23 to 2^23 - 1: below 0 if more came than were expected, since some came twice.
    pub lost: i32,
    /// The highest sequence number received, with its wraps in the upper 16 bits.
    pub highest: u32,
    /// The mean deviation of the time between packets, in ticks of the media clock.
    pub jitter: u32,
    /// [`SenderInfo::middle`] of the last sender report that came, 0 if none did.
    pub last_report: u32,
    /// The time since then, in units of 2^-16 s.
    pub since_last_report: u32,
}

impl ReportBlock {
    pub(super) const SIZE: usize = 24;

    /// The blocks of a report. What a profile appends is passed over (section 6.4.3); `None` if there are fewer.
    pub(super) fn read_all(count: u8, blocks: &[u8]) -> Option<Vec<Self>> {
        let (blocks, _) = blocks.as_chunks::<{ Self::SIZE }>();
        let blocks = blocks.get(..usize::from(count))?;
        Some(blocks.iter().map(Self::read).collect())
    }

    fn read(block: &[u8; Self::SIZE]) -> Self {
        let word = |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        Self {
            ssrc: word(0),
            fraction_lost: block[4],
            lost: (word(4) << 8) as i32 >> 8,
            highest: word(8),
            jitter: word(12),
            last_report: word(16),
            since_last_report: word(20),
        }
    }

    pub(super) fn put(&self, into: &mut impl BufMut) {
        let lost = self.lost.clamp(-(1 << 23), (1 << 23) - 1);
        into.put_u32(self.ssrc);
        into.put_u32(u32::from(self.fraction_lost) << 24 | lost as u32 & 0xff_ffff);
        into.put_u32(self.highest);
        into.put_u32(self.jitter);
        into.put_u32(self.last_report);
        into.put_u32(self.since_last_report);
    }
}
