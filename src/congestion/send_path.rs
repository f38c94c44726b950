//! The sending end of one path, with all its parts joined.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::estimator::{Estimator, PROBE_BITS};
use super::feedback::FeedbackError;
use super::pacer::{PacedPacket, Pacer, PacerConfig, PacerOutput, PacketClass};
use super::sent::SentLog;
use super::types::{PathState, Probe};
use crate::Time;
use crate::rtp::{RtcpMessage, RtpHeader, RtpPacket};

/// Silence and probes are looked after in steps of this, as long as packets are sent.
const STEP: Duration = Duration::from_millis(20);
/// A path is in use for this long after a packet. One that is not in use is not probed.
const IN_USE: Duration = Duration::from_secs(1);
/// Media is held back while more is under way than the estimate brings in a round trip and this time, in which a report
/// comes, and than these bytes; all else but audio while it is so many times as much.
const WINDOW_REPORT: Duration = Duration::from_millis(150);
const LEAST_WINDOW: usize = 4000;
const WINDOWS_OF_ALL: usize = 2;
/// And only if the oldest packet under way was sent longer ago than this.
const LONG_QUEUE: Duration = Duration::from_millis(500);
/// A packet goes all the same after this time without one, or half a round trip if that is longer.
const HELD_FOR: Duration = Duration::from_millis(200);
/// How long silence is listened to.
const LISTENS: Duration = Duration::from_secs(5);
/// A bitrate is told of if it differs from the last one by one part in this.
const CHANGE: u64 = 20;
/// A probe that a caller asks for lasts no longer than this to have enough bits.
const LONGEST_PROBE: Duration = Duration::from_secs(1);
/// Bytes of the blocks that packets are copied into: one allocation for about 50 packets.
const BLOCK: usize = 64 << 10;
/// RTP padding has this many bytes at most (RFC 3550, section 5.1).
const MAX_PADDING: usize = 255;
/// The P bit of the first byte.
const PADDING_BIT: u8 = 0x20;

/// The properties of a [`SendPath`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SendPathConfig {
    /// The bit/s that the estimate begins with.
    pub start: u64,
    /// The bit/s that the streams could use if the path carried it. As long as the estimate is below that, the path is
    /// probed for more.
    pub wanted: u64,
    /// The properties of the pacer.
    pub pacer: PacerConfig,
    /// Bytes that each packet has on the wire besides those that are handed in: IP, UDP, SRTP's tag.
    pub overhead: usize,
    /// Synchronization source of the padding, which no stream has.
    pub padding_ssrc: u32,
    /// RTP payload type of the padding, 0 to 127. Nobody looks at it.
    pub padding_payload_type: u8,
}

impl Default for SendPathConfig {
    /// 300 kbit/s at the start, and all else as [`SendPathConfig::new`] has it.
    fn default() -> Self {
        Self::new(300_000)
    }
}

impl SendPathConfig {
    /// An estimate that begins with so many bit/s, 2.5 Mbit/s wanted, 38 bytes of overhead (IPv4, UDP, and a tag of 80
    /// bits), and padding of a random SSRC.
    pub fn new(start: u64) -> Self {
        Self {
            start,
            wanted: 2_500_000,
            pacer: PacerConfig::default(),
            overhead: 38,
            padding_ssrc: RandomState::new().hash_one("padding") as u32,
            padding_payload_type: 127,
        }
    }
}

/// A packet of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct PathPacket {
    /// How it is treated.
    pub class: PacketClass,
    /// A number of the frame that it belongs to, which no frame of another stream of the path has. The pacer drops whole
    /// frames.
    pub frame: u64,
    /// The packet from its RTP header on.
    pub packet: Bytes,
}

/// What a path has for its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendPathOutput {
    /// A packet to be sent now.
    Transmit(PathPacket),
    /// A frame that waited for too long. Its packets that are not sent yet are gone.
    Dropped {
        /// The number of the frame.
        frame: u64,
        /// The class of the packets.
        class: PacketClass,
    },
    /// The estimate has changed by 5 % since it was last told, in bit/s.
    Bitrate(u64),
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Time>),
}

/// Padding that is still to be sent for a probe.
#[derive(Debug, Clone, Copy)]
struct Padding {
    bytes: usize,
    probe: u32,
}

/// A packet that waits, and where its transport-wide number is.
#[derive(Debug)]
struct Waiting {
    packet: Bytes,
    number_at: Option<usize>,
}

/// Sends the packets of all streams of one path: paces and numbers them, and estimates what the path carries.
///
/// Packets go in by [`handle_packet`](Self::handle_packet), in any number of streams, and come out by
/// [`poll`](Self::poll) when they are due, each with the path's next transport-wide number. The number is written into
/// the header extension, which has to be there with two bytes; packets without it are paced all the same, but the path
/// learns nothing from them. Feedback messages go to [`handle_feedback`](Self::handle_feedback).
///
/// # Padding
///
/// Probes need packets when the streams have none. They are RTP packets of nothing but padding, up to 255 bytes each
/// (RFC 3550, section 5.1), of an SSRC of their own. So no stream has a gap in its sequence numbers, a relay that
/// forwards the streams it knows passes them over, and so does a receiver; all of them count for transport-wide
/// feedback, which goes by the path and not by the stream.
#[derive(Debug)]
pub struct SendPath {
    config: SendPathConfig,
    transport_id: Option<u8>,
    pacer: Pacer<Waiting>,
    log: SentLog,
    estimator: Estimator,
    padding: Option<Padding>,
    padding_number: u16,
    told: u64,
    /// When a packet was last sent that was handed in, and when silence and probes were last looked after.
    sent: Option<Time>,
    looked: Option<Time>,
    /// Packets are copied in here, since those that are handed in are shared with a history.
    copies: BytesMut,
}

impl SendPath {
    /// A path over which nothing was sent. `transport_id` is the identifier of the number's header extension
    /// ([`EXTENSION_URI`](super::feedback::EXTENSION_URI)); without it nothing is learnt, and packets are paced at
    /// [`SendPathConfig::start`]. It should be agreed on with the other end: one that sends no feedback is taken for a
    /// path that carries nothing.
    pub fn new(config: SendPathConfig, transport_id: Option<u8>) -> Self {
        let mut estimator = Estimator::new(config.start);
        estimator.set_wanted(config.wanted);
        Self {
            config,
            transport_id,
            pacer: Pacer::new(config.pacer, config.start),
            log: SentLog::new(),
            estimator,
            padding: None,
            padding_number: 0,
            told: config.start,
            sent: None,
            looked: None,
            copies: BytesMut::new(),
        }
    }

    /// Sets [`SendPathConfig::wanted`].
    pub fn set_wanted(&mut self, bitrate: u64) {
        self.estimator.set_wanted(bitrate);
    }

    /// Bytes that each packet has on the wire besides those that are handed in ([`SendPathConfig::overhead`]).
    pub fn overhead(&self) -> usize {
        self.config.overhead
    }

    /// How much the path carries, in bit/s on the wire.
    pub fn bitrate(&self) -> u64 {
        self.estimator.bitrate()
    }

    /// All that is known of the path at `now`.
    pub fn state(&mut self, now: Time) -> PathState {
        let under_way = self.log.under_way();
        self.estimator.path(now, under_way)
    }

    /// When the path was last found to carry less than was sent.
    pub fn over_used(&self) -> Option<Time> {
        self.estimator.over_used()
    }

    /// Starts a probe that the caller wants for a reason of its own, such as a layer that it would like to forward. The
    /// path makes its own as well, up to [`SendPathConfig::wanted`]; `false` if one of them is under way or is to come
    /// first, or if more is under way than the path carries. A probe of a low bitrate lasts longer than it is asked to,
    /// up to a second, since a few packets tell nothing.
    pub fn start_probe(&mut self, now: Time, probe: Probe) -> bool {
        let starts = self.transport_id.is_some() && self.is_open() && !self.estimator.is_starting();
        if starts {
            let enough = Duration::from_secs_f64(PROBE_BITS / probe.bitrate.max(1) as f64);
            let duration = probe.duration.max(enough.min(LONGEST_PROBE));
            self.pacer.start_probe(now, Probe { duration, ..probe });
        }
        starts
    }

    /// How long the packets that wait would take at the estimate.
    pub fn queued_time(&self) -> Duration {
        self.pacer.queued_time()
    }

    /// Bytes of the packets that wait, as they are on the wire.
    pub fn queued_bytes(&self) -> usize {
        self.pacer.queued_bytes()
    }

    /// Takes a packet to be sent when it is due.
    pub fn handle_packet(&mut self, now: Time, packet: PathPacket) {
        let PathPacket { class, frame, packet } = packet;
        let number_at = self.transport_id.and_then(|id| {
            let range = RtpPacket::read(&packet).ok()?.extension_range(id).ok()??;
            (range.len() == 2).then_some(range.start)
        });
        let bytes = packet.len() + self.config.overhead;
        let packet = Waiting { packet, number_at };
        self.pacer.handle_packet(now, PacedPacket { class, frame, bytes, packet });
    }

    /// Takes a message that came at `now`.
    ///
    /// # Errors
    /// [`FeedbackError`], if it is no transport-wide feedback about packets of this path. It says nothing then.
    pub fn handle_feedback(&mut self, now: Time, message: &RtcpMessage) -> Result<(), FeedbackError> {
        let reports = self.log.handle_feedback(now, message)?;
        self.estimator.report(now, reports);
        self.pacer.set_bitrate(now, self.estimator.bitrate());
        Ok(())
    }

    /// What there is to send or to tell at `now`. The caller polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> SendPathOutput {
        if let Some(packet) = self.pad(now) {
            return SendPathOutput::Transmit(packet);
        }
        self.look_after(now);
        let bitrate = self.bitrate();
        if bitrate.abs_diff(self.told).saturating_mul(CHANGE) > self.told {
            self.told = bitrate;
            return SendPathOutput::Bitrate(bitrate);
        }
        loop {
            self.hold(now);
            match self.pacer.poll(now) {
                PacerOutput::Packet { packet, probe } => {
                    let PacedPacket { class, frame, bytes, packet } = packet;
                    self.sent = Some(now);
                    let packet = self.number(now, packet, bytes, probe);
                    return SendPathOutput::Transmit(PathPacket { class, frame, packet });
                }
                PacerOutput::Padding { bytes, probe } => {
                    self.padding = Some(Padding { bytes, probe });
                    if let Some(packet) = self.pad(now) {
                        return SendPathOutput::Transmit(packet);
                    }
                }
                PacerOutput::Dropped { frame, class } => return SendPathOutput::Dropped { frame, class },
                PacerOutput::Timeout(at) => {
                    let step = self.looked.map(|looked| looked + STEP).filter(|_| self.listens(now));
                    return SendPathOutput::Timeout(at.into_iter().chain(step).min());
                }
            }
        }
    }

    /// Holds packets back while more is under way than there would be if the path carried the estimate: it carries less,
    /// or nothing, and what is sent now makes a queue that later packets wait behind. If everything under way was lost, no
    /// report says so, so that a packet goes all the same now and then. They are further apart on a path whose queue is
    /// long, since the slowest ones carry less than five packets a second.
    fn hold(&mut self, now: Time) {
        let (away, window) = (self.log.bytes_under_way(), self.window());
        let longest = HELD_FOR.max(self.estimator.round_trip().unwrap_or_default() / 2);
        let due = self.sent.is_none_or(|sent| now >= sent + longest);
        // The base layer is what is shown at all: it waits only behind a queue that is long in any case.
        let oldest = self.log.under_way().map(|sent| now - sent);
        let is_long = away > WINDOWS_OF_ALL * window && oldest.is_some_and(|age| age > LONG_QUEUE);
        let held = if is_long { PacketClass::Retransmission } else { PacketClass::Media };
        let goes = due || self.pacer.is_probing() || away <= window;
        self.pacer.set_held((!goes).then_some(held));
    }

    /// Bytes that are under way at most if the path carries the estimate.
    fn window(&self) -> usize {
        LEAST_WINDOW + self.estimator.window(WINDOW_REPORT)
    }

    /// Whether a probe may start: none is being sent, and the path carries what was sent.
    fn is_open(&self) -> bool {
        !self.pacer.is_probing() && self.log.bytes_under_way() <= self.window()
    }

    fn listens(&self, now: Time) -> bool {
        self.transport_id.is_some() && self.sent.is_some_and(|sent| now < sent + LISTENS)
    }

    /// Looks after silence and probes.
    fn look_after(&mut self, now: Time) {
        if !self.listens(now) || self.looked.is_some_and(|looked| now < looked + STEP) {
            return;
        }
        self.looked = Some(now);
        self.estimator.silence(now, self.log.under_way());
        let in_use = self.sent.is_some_and(|sent| now < sent + IN_USE);
        if in_use
            && self.is_open()
            && let Some(probe) = self.estimator.probe(now)
        {
            self.pacer.start_probe(now, probe);
        }
        self.pacer.set_bitrate(now, self.estimator.bitrate());
    }

    /// Gives a packet the next number. Packets without room for one stay as they are.
    fn number(&mut self, now: Time, waiting: Waiting, bytes: usize, probe: Option<u32>) -> Bytes {
        let Waiting { packet, number_at: Some(at) } = waiting else { return waiting.packet };
        let number = self.log.push(now, bytes, probe);
        self.make_room(packet.len());
        self.copies.extend_from_slice(&packet);
        self.copies[at..at + 2].copy_from_slice(&number.to_be_bytes());
        self.copies.split().freeze()
    }

    fn make_room(&mut self, bytes: usize) {
        if self.copies.capacity() < bytes {
            self.copies.reserve(BLOCK.max(bytes));
        }
    }

    /// The next packet of the padding that the pacer has asked for.
    fn pad(&mut self, now: Time) -> Option<PathPacket> {
        let Padding { bytes, probe } = self.padding?;
        let id = self.transport_id?;
        let header = RtpHeader {
            payload_type: self.config.padding_payload_type & 127,
            sequence_number: self.padding_number,
            ssrc: self.config.padding_ssrc,
            ..RtpHeader::default()
        };
        let around = self.config.overhead + header.size(&[(id, &[0; 2])]).ok()?;
        let Some(room) = bytes.checked_sub(around).filter(|room| *room > 0) else {
            self.padding = None;
            return None;
        };
        let padding = room.min(MAX_PADDING);
        self.padding = Some(Padding { bytes: room - padding, probe });
        self.padding_number = self.padding_number.wrapping_add(1);
        let number = self.log.push(now, around + padding, Some(probe));
        self.make_room(around + padding);
        header.write(&[(id, &number.to_be_bytes())], &mut self.copies).ok()?;
        self.copies.put_bytes(0, padding - 1);
        self.copies.put_u8(padding as u8);
        self.copies[0] |= PADDING_BIT;
        let packet = self.copies.split().freeze();
        Some(PathPacket { class: PacketClass::Media, frame: u64::MAX, packet })
    }
}

#[cfg(test)]
mod tests {
    use super::super::feedback::FeedbackConfig;
    use super::super::receive_path::ReceivePath;
    use super::*;
    use crate::rtp::rtcp;

    const ID: u8 = 3;

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    /// A packet of a stream, with room for a number beside another extension of so many bytes.
    fn packet(ssrc: u32, sequence_number: u16, other: usize, payload: usize) -> Bytes {
        let header = RtpHeader { ssrc, sequence_number, payload_type: 45, ..RtpHeader::default() };
        let mut packet = Vec::new();
        header.write(&[(4, &vec![9; other]), (ID, &[0; 2])], &mut packet).unwrap();
        packet.resize(packet.len() + payload, 7);
        packet.into()
    }

    fn media(sequence_number: u16, packet: Bytes) -> PathPacket {
        PathPacket { class: PacketClass::Media, frame: sequence_number.into(), packet }
    }

    fn number(packet: &[u8]) -> Option<u16> {
        let number = RtpPacket::read(packet).unwrap().extension(ID).unwrap()?;
        Some(u16::from_be_bytes(number.try_into().unwrap()))
    }

    /// Polls a path until it waits.
    fn drain(path: &mut SendPath, now: Time) -> (Vec<Bytes>, Option<Time>) {
        let mut packets = vec![];
        loop {
            match path.poll(now) {
                SendPathOutput::Transmit(packet) => packets.push(packet.packet),
                SendPathOutput::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > now), "{at:?} at {now:?}");
                    return (packets, at);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn packets_of_all_streams_are_numbered_as_they_go_out() {
        let config = SendPathConfig { start: 50_000_000, wanted: 0, ..SendPathConfig::default() };
        let mut path = SendPath::new(config, Some(ID));
        let first = packet(1, 70, 5, 100);
        // A descriptor of more than 16 bytes makes the extensions those of two bytes.
        let originals = [first.clone(), packet(2, 9, 40, 100), first.clone()];
        for (n, packet) in (0..).zip(&originals) {
            path.handle_packet(ms(0), media(n, packet.clone()));
        }
        let plain: Bytes = {
            let mut plain = Vec::new();
            RtpHeader::default().write(&[], &mut plain).unwrap();
            plain.into()
        };
        path.handle_packet(ms(0), PathPacket { class: PacketClass::Audio, ..media(4, plain.clone()) });
        let sent = drain(&mut path, ms(0)).0;
        assert_eq!(sent[0], plain, "as it was");
        let is_padding = |packet: &&Bytes| packet[8..12] == path.config.padding_ssrc.to_be_bytes();
        let streams: Vec<&Bytes> = sent[1..].iter().filter(|packet| !is_padding(packet)).collect();
        assert_eq!(streams.len(), 3);
        let numbers: Vec<u16> = streams.iter().map(|packet| number(packet).unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
        for (sent, original) in streams.iter().zip(&originals) {
            let mut back = sent.to_vec();
            crate::rtp::RtpPacketMut::new(&mut back).unwrap().set_extension(ID, &[0; 2]).unwrap();
            assert_eq!(&back, original);
            assert_eq!(number(original), Some(0), "the history's packet stays");
        }
    }

    /// A path of `capacity` bit/s and 30 ms each way with a stream that uses what is estimated, for some seconds. Gives
    /// the estimate in the end, and all packets.
    fn run(path: &mut SendPath, capacity: u64, seconds: u64) -> (u64, Vec<Bytes>) {
        let mut receiver = ReceivePath::new(ID, FeedbackConfig::new(1, 2));
        let (mut there, mut back) = (std::collections::VecDeque::new(), std::collections::VecDeque::new());
        let (mut free, mut all, mut sequence_number) = (Time::ZERO, vec![], 0u16);
        for n in 0..seconds * 1000 {
            let now = ms(n);
            if n % 33 == 0 {
                let bytes = path.bitrate() as usize / 30 / 8;
                for _ in 0..bytes.div_ceil(1100) {
                    sequence_number = sequence_number.wrapping_add(1);
                    let size = bytes / bytes.div_ceil(1100);
                    path.handle_packet(now, media(sequence_number, packet(1, sequence_number, 5, size)));
                }
            }
            for packet in drain(path, now).0 {
                free = free.max(now)
                    + Duration::from_secs_f64((packet.len() + 38) as f64 * 8.0 / capacity as f64);
                there.push_back((free + Duration::from_millis(30), packet.clone()));
                all.push(packet);
            }
            while there.front().is_some_and(|(at, _)| *at <= now) {
                let (_, packet): (Time, Bytes) = there.pop_front().unwrap();
                receiver.handle_packet(now, &packet);
            }
            while let Some(packet) = receiver.poll(now) {
                back.push_back((now + Duration::from_millis(30), packet));
            }
            while back.front().is_some_and(|(at, _)| *at <= now) {
                let (_, packet): (Time, Bytes) = back.pop_front().unwrap();
                for message in rtcp::read(&packet) {
                    path.handle_feedback(now, &message.unwrap()).unwrap();
                }
            }
        }
        (path.bitrate(), all)
    }

    #[test]
    fn a_path_is_probed_with_padding_that_is_no_stream() {
        let config = SendPathConfig { padding_ssrc: 77, ..SendPathConfig::default() };
        let mut path = SendPath::new(config, Some(ID));
        let (bitrate, packets) = run(&mut path, 2_000_000, 4);
        assert!((1_400_000..2_200_000).contains(&bitrate), "{bitrate}");
        let padding: Vec<RtpPacket<'_>> = packets
            .iter()
            .map(|packet| RtpPacket::read(packet).unwrap())
            .filter(|packet| packet.header.ssrc == 77)
            .collect();
        assert!(padding.len() > 20);
        assert!(padding.iter().all(|packet| packet.payload.is_empty()));
        assert!(
            padding
                .windows(2)
                .all(|pair| pair[1].header.sequence_number == pair[0].header.sequence_number + 1)
        );
        // Numbers go through all packets without a gap.
        let numbers: Vec<u16> = packets.iter().map(|packet| number(packet).unwrap()).collect();
        assert!(numbers.iter().zip(0..).all(|(number, n)| *number == n));
    }

    #[test]
    fn silence_lowers_the_estimate_only_while_packets_are_sent() {
        let mut path = SendPath::new(SendPathConfig::default(), Some(ID));
        let begin = 60_000;
        for n in 0..20 {
            path.handle_packet(ms(begin + 10 * n), media(n as u16, packet(1, n as u16, 5, 100)));
            drain(&mut path, ms(begin + 10 * n));
        }
        assert_eq!(path.bitrate(), 300_000, "the first packets have their time");
        let mut now = ms(begin + 200);
        let mut wakes = 0;
        while let (_, Some(at)) = drain(&mut path, now) {
            now = at;
            wakes += 1;
        }
        assert!(path.bitrate() < 200_000, "{}", path.bitrate());
        assert!(now < ms(begin + 6000) && wakes < 500, "{wakes} until {now:?}");
        assert!(path.queued_bytes() == 0);
        // After a long pause the next packet is not taken for a sign of silence.
        let before = path.bitrate();
        path.handle_packet(ms(600_000), media(0, packet(1, 0, 5, 100)));
        drain(&mut path, ms(600_000));
        drain(&mut path, ms(600_100));
        assert_eq!(path.bitrate(), before);
    }

    #[test]
    fn packets_are_held_back_while_nothing_is_heard_but_for_a_few() {
        let of_streams = |packet: &&Bytes| packet[8..12] == 1u32.to_be_bytes();
        for (class, before) in [(PacketClass::Media, 20..60), (PacketClass::Base, 50..110)] {
            let mut path = SendPath::new(SendPathConfig::new(1_000_000), Some(ID));
            // 1 Mbit/s over a path that says nothing: as much goes out as would be under way before the first report.
            let mut sent = [0; 40];
            for n in 0..400 {
                let packet = media(n as u16, packet(1, n as u16, 5, 1200));
                path.handle_packet(ms(10 * n), PathPacket { class, ..packet });
                sent[n as usize / 10] += drain(&mut path, ms(10 * n)).0.iter().filter(of_streams).count();
            }
            let first: usize = sent[..15].iter().sum();
            assert!(before.contains(&first), "{sent:?}");
            assert!(sent[15..].iter().all(|sent| *sent <= 1), "{sent:?}");
            let few: usize = sent[20..].iter().sum();
            assert!((8..=10).contains(&few), "a path that returns is heard of: {sent:?}");
            // Audio does not wait.
            path.handle_packet(
                ms(4001),
                PathPacket { class: PacketClass::Audio, ..media(0, packet(1, 0, 5, 100)) },
            );
            assert_eq!(drain(&mut path, ms(4001)).0.iter().filter(of_streams).count(), 1);
        }
    }

    #[test]
    fn without_numbers_packets_are_paced_and_nothing_is_probed() {
        let mut path = SendPath::new(SendPathConfig::default(), None);
        for n in 0..20 {
            path.handle_packet(ms(0), media(n, packet(1, n, 5, 1000)));
        }
        let mut sent = vec![];
        let mut now = ms(0);
        loop {
            let (packets, at) = drain(&mut path, now);
            sent.extend(packets.into_iter().map(|packet| (now, packet)));
            let Some(at) = at else { break };
            now = at;
        }
        assert_eq!(sent.len(), 20);
        assert!(sent.iter().all(|(_, packet)| number(packet) == Some(0)));
        assert!(now > ms(200) && path.bitrate() == 300_000, "{now:?}");
    }
}
