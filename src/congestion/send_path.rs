//! The sending end of one path, for packets that are written already.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::feedback::FeedbackError;
use super::pacer::{PacedPacket, PacketClass};
use super::path::{PacedPath, PathOutput, SendPathConfig};
use super::types::{PathState, Probe};
use crate::Time;
use crate::rtp::{RtcpMessage, RtpPacket};

/// Bytes of the blocks that packets are copied into: one allocation for about 50 packets.
const BLOCK: usize = 64 << 10;

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
/// learns nothing from them. Feedback messages go to [`handle_feedback`](Self::handle_feedback). Probes bring packets of
/// padding: see [`PacedPath`].
#[derive(Debug)]
pub struct SendPath {
    path: PacedPath<Waiting>,
    transport_id: Option<u8>,
    /// Packets are copied in here, since those that are handed in are shared with a history.
    copies: BytesMut,
    padding: Vec<u8>,
}

impl SendPath {
    /// A path over which nothing was sent. `transport_id` is the identifier of the number's header extension
    /// ([`EXTENSION_URI`](super::feedback::EXTENSION_URI)); without it nothing is learnt, and packets are paced at
    /// [`SendPathConfig::start`]. It should be agreed on with the other end: one that sends no feedback is taken for a
    /// path that carries nothing.
    pub fn new(config: SendPathConfig, transport_id: Option<u8>) -> Self {
        let path = PacedPath::new(config, transport_id);
        Self { path, transport_id, copies: BytesMut::new(), padding: Vec::new() }
    }

    /// Sets [`SendPathConfig::wanted`].
    pub fn set_wanted(&mut self, bitrate: u64) {
        self.path.set_wanted(bitrate);
    }

    /// Bytes that each packet has on the wire besides those that are handed in ([`SendPathConfig::overhead`]).
    pub fn overhead(&self) -> usize {
        self.path.overhead()
    }

    /// How much the path carries, in bit/s on the wire.
    pub fn bitrate(&self) -> u64 {
        self.path.bitrate()
    }

    /// All that is known of the path at `now`.
    pub fn state(&mut self, now: Time) -> PathState {
        self.path.state(now)
    }

    /// When the path was last found to carry less than was sent.
    pub fn over_used(&self) -> Option<Time> {
        self.path.over_used()
    }

    /// Starts a probe: see [`PacedPath::start_probe`].
    pub fn start_probe(&mut self, now: Time, probe: Probe) -> bool {
        self.path.start_probe(now, probe)
    }

    /// How long the packets that wait would take at the estimate.
    pub fn queued_time(&self) -> Duration {
        self.path.queued_time()
    }

    /// Bytes of the packets that wait, as they are on the wire.
    pub fn queued_bytes(&self) -> usize {
        self.path.queued_bytes()
    }

    /// Takes a packet to be sent when it is due.
    pub fn handle_packet(&mut self, now: Time, packet: PathPacket) {
        let PathPacket { class, frame, packet } = packet;
        let number_at = self.transport_id.and_then(|id| {
            let range = RtpPacket::read(&packet).ok()?.extension_range(id).ok()??;
            (range.len() == 2).then_some(range.start)
        });
        let bytes = packet.len();
        let packet = Waiting { packet, number_at };
        self.path.handle_packet(now, PacedPacket { class, frame, bytes, packet });
    }

    /// Takes a message that came at `now`.
    ///
    /// # Errors
    /// [`FeedbackError`], if it is no transport-wide feedback about packets of this path. It says nothing then.
    pub fn handle_feedback(&mut self, now: Time, message: &RtcpMessage) -> Result<(), FeedbackError> {
        self.path.handle_feedback(now, message)
    }

    /// What there is to send or to tell at `now`. The caller polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> SendPathOutput {
        loop {
            return match self.path.poll(now) {
                PathOutput::Packet { packet, probe } => {
                    let PacedPacket { class, frame, bytes, packet } = packet;
                    let packet = self.number(now, packet, bytes, probe);
                    SendPathOutput::Transmit(PathPacket { class, frame, packet })
                }
                PathOutput::Padding(padding) => {
                    self.padding.clear();
                    // A vector has room for it.
                    let Ok(()) = padding.write(&mut self.padding) else { continue };
                    self.make_room(self.padding.len());
                    self.copies.extend_from_slice(&self.padding);
                    let packet = self.copies.split().freeze();
                    let (class, frame) = (PacketClass::Media, u64::MAX);
                    SendPathOutput::Transmit(PathPacket { class, frame, packet })
                }
                PathOutput::Dropped { frame, class } => SendPathOutput::Dropped { frame, class },
                PathOutput::Bitrate(bitrate) => SendPathOutput::Bitrate(bitrate),
                PathOutput::Timeout(at) => SendPathOutput::Timeout(at),
            };
        }
    }

    /// Gives a packet the next number. Packets without room for one stay as they are.
    fn number(&mut self, now: Time, waiting: Waiting, bytes: usize, probe: Option<u32>) -> Bytes {
        let Waiting { packet, number_at: Some(at) } = waiting else { return waiting.packet };
        let number = self.path.number(now, bytes, probe);
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
}

#[cfg(test)]
mod tests {
    use super::super::feedback::FeedbackConfig;
    use super::super::receive_path::ReceivePath;
    use super::*;
    use crate::rtp::{RtpHeader, rtcp};

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
        let is_padding = |packet: &&Bytes| packet[8..12] == path.path.padding_ssrc().to_be_bytes();
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
