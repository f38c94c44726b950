//! The parts of a path's sending end, joined for packets of any form.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::BufMut;

use super::estimator::{Estimator, Outlook, PROBE_BITS};
use super::feedback::FeedbackError;
use super::pacer::{PacedPacket, Pacer, PacerConfig, PacerOutput, PacketClass};
use super::sent::SentLog;
use super::types::{PathState, Probe};
use crate::Time;
use crate::rtp::{PacketError, RtcpMessage, RtpHeader};

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
/// RTP padding has this many bytes at most (RFC 3550, section 5.1).
const MAX_PADDING: usize = 255;
/// The P bit of the first byte.
const PADDING_BIT: u8 = 0x20;

/// The properties of a [`PacedPath`].
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

/// What a path has for its caller. `T` is a packet, or whatever stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathOutput<T> {
    /// A packet to be sent now. If it has room for a transport-wide number, [`PacedPath::number`] gives it one.
    Packet {
        /// The packet.
        packet: PacedPacket<T>,
        /// The probe that it is part of.
        probe: Option<u32>,
    },
    /// A packet of padding to be sent now.
    Padding(PaddingPacket),
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

/// An RTP packet of nothing but padding (RFC 3550, section 5.1), which carries a transport-wide number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaddingPacket {
    header: RtpHeader,
    transport_id: u8,
    number: u16,
    /// 1 to 255.
    padding: usize,
}

impl PaddingPacket {
    /// Appends the packet.
    ///
    /// # Errors
    /// [`PacketError::Space`], if there is none.
    pub fn write(&self, into: &mut Vec<u8>) -> Result<(), PacketError> {
        let at = into.len();
        self.header.write(&[(self.transport_id, &self.number.to_be_bytes())], into)?;
        into[at] |= PADDING_BIT;
        into.put_bytes(0, self.padding - 1);
        into.put_u8(self.padding as u8);
        Ok(())
    }
}

/// What follows of the estimate. It is computed when that changes rather than for each packet.
#[derive(Debug)]
struct Estimate {
    /// In bit/s.
    bitrate: u64,
    /// Bytes that are under way at most if the path carries it.
    window: usize,
    /// When the estimator is to be asked again.
    outlook: Outlook,
}

impl Estimate {
    fn of(estimator: &Estimator) -> Self {
        let window = LEAST_WINDOW + estimator.window(WINDOW_REPORT);
        Self { bitrate: estimator.bitrate(), window, outlook: estimator.outlook() }
    }
}

/// Padding that is still to be sent for a probe.
#[derive(Debug, Clone, Copy)]
struct Padding {
    bytes: usize,
    probe: u32,
}

/// Paces and numbers the packets of all streams of one path, and estimates what the path carries.
///
/// It holds packets of any form: a relay keeps what all receivers share and what is rewritten for one, and writes the
/// packet when it is due. [`SendPath`](super::SendPath) is the same for packets that are written already.
///
/// # Padding
///
/// Probes need packets when the streams have none. They are RTP packets of nothing but padding, up to 255 bytes each
/// (RFC 3550, section 5.1), of an SSRC of their own. So no stream has a gap in its sequence numbers, a relay that
/// forwards the streams it knows passes them over, and so does a receiver; all of them count for transport-wide
/// feedback, which goes by the path and not by the stream.
#[derive(Debug)]
pub struct PacedPath<T> {
    config: SendPathConfig,
    transport_id: Option<u8>,
    pacer: Pacer<T>,
    log: SentLog,
    estimator: Estimator,
    padding: Option<Padding>,
    padding_number: u16,
    told: u64,
    estimate: Estimate,
    /// When a packet was last sent that was handed in, and when silence and probes were last looked after.
    sent: Option<Time>,
    looked: Option<Time>,
}

impl<T> PacedPath<T> {
    /// A path over which nothing was sent. `transport_id` is the identifier of the number's header extension
    /// ([`EXTENSION_URI`](super::feedback::EXTENSION_URI)); without it nothing is learnt, and packets are paced at
    /// [`SendPathConfig::start`]. It should be agreed on with the other end: one that sends no feedback is taken for a
    /// path that carries nothing.
    pub fn new(config: SendPathConfig, transport_id: Option<u8>) -> Self {
        let mut estimator = Estimator::new(config.start);
        estimator.set_wanted(config.wanted);
        let estimate = Estimate::of(&estimator);
        Self {
            config,
            transport_id,
            pacer: Pacer::new(config.pacer, config.start),
            log: SentLog::new(),
            estimator,
            padding: None,
            padding_number: 0,
            told: config.start,
            estimate,
            sent: None,
            looked: None,
        }
    }

    /// Sets [`SendPathConfig::wanted`].
    pub fn set_wanted(&mut self, bitrate: u64) {
        self.estimator.set_wanted(bitrate);
        self.estimate = Estimate::of(&self.estimator);
    }

    /// Bytes that each packet has on the wire besides those that are handed in ([`SendPathConfig::overhead`]).
    pub fn overhead(&self) -> usize {
        self.config.overhead
    }

    /// Synchronization source of the padding ([`SendPathConfig::padding_ssrc`]).
    pub fn padding_ssrc(&self) -> u32 {
        self.config.padding_ssrc
    }

    /// How much the path carries, in bit/s on the wire.
    pub fn bitrate(&self) -> u64 {
        self.estimate.bitrate
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

    /// Takes a packet to be sent when it is due. Its bytes are those from the RTP header on: the path adds its overhead.
    pub fn handle_packet(&mut self, now: Time, mut packet: PacedPacket<T>) {
        packet.bytes += self.config.overhead;
        self.pacer.handle_packet(now, packet);
    }

    /// Takes a packet to be sent when it is due, and gives it back if that is at once: nothing waits, and nothing is to be looked after
    /// before it. The caller numbers it as one that [`poll`](Self::poll) gives, of no probe.
    #[cfg(feature = "relay")]
    pub(crate) fn pass(&mut self, now: Time, mut packet: PacedPacket<T>) -> Option<PacedPacket<T>> {
        packet.bytes += self.config.overhead;
        let is_free = self.is_looked_after(now)
            && self.padding.is_none()
            && self.log.bytes_under_way() <= self.estimate.window
            && self.pacer.passes(now, &packet);
        if is_free {
            self.sent = Some(now);
            return Some(packet);
        }
        self.pacer.handle_packet(now, packet);
        None
    }

    /// Drops the frames of [`PacketClass::Media`] that wait and of whose numbers `drops` says so, for a caller that needs them
    /// no more. [`poll`](Self::poll) tells of each.
    pub fn drop_frames(&mut self, drops: impl Fn(u64) -> bool) {
        self.pacer.drop_frames(drops);
    }

    /// Takes a message that came at `now`.
    ///
    /// # Errors
    /// [`FeedbackError`], if it is no transport-wide feedback about packets of this path. It says nothing then.
    pub fn handle_feedback(&mut self, now: Time, message: &RtcpMessage) -> Result<(), FeedbackError> {
        let reports = self.log.handle_feedback(now, message)?;
        self.estimator.report(now, reports);
        self.adopt(now);
        Ok(())
    }

    /// Takes over what the estimator has now.
    fn adopt(&mut self, now: Time) {
        self.estimate = Estimate::of(&self.estimator);
        self.pacer.set_bitrate(now, self.estimate.bitrate);
    }

    /// What there is to send or to tell at `now`. The caller polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> PathOutput<T> {
        if let Some(padding) = self.pad(now) {
            return PathOutput::Padding(padding);
        }
        self.look_after(now);
        let bitrate = self.estimate.bitrate;
        if bitrate.abs_diff(self.told).saturating_mul(CHANGE) > self.told {
            self.told = bitrate;
            return PathOutput::Bitrate(bitrate);
        }
        loop {
            if self.pacer.queued_bytes() > 0 {
                self.hold(now);
            }
            match self.pacer.poll(now) {
                PacerOutput::Packet { packet, probe } => {
                    self.sent = Some(now);
                    return PathOutput::Packet { packet, probe };
                }
                PacerOutput::Padding { bytes, probe } => {
                    self.padding = Some(Padding { bytes, probe });
                    if let Some(padding) = self.pad(now) {
                        return PathOutput::Padding(padding);
                    }
                }
                PacerOutput::Dropped { frame, class } => return PathOutput::Dropped { frame, class },
                PacerOutput::Timeout(at) => {
                    return PathOutput::Timeout(at.into_iter().chain(self.next_look(now)).min());
                }
            }
        }
    }

    /// When to poll again, if the path was polled at `now` and another poll would find nothing; `None` if it might.
    #[cfg(feature = "relay")]
    pub(crate) fn idle_until(&self, now: Time) -> Option<Time> {
        if !self.is_looked_after(now) || self.padding.is_some() || !self.pacer.is_idle() {
            return None;
        }
        self.next_look(now)
    }

    fn is_looked_after(&self, now: Time) -> bool {
        self.looked.is_some_and(|looked| now < looked + STEP)
    }

    /// The transport-wide number of a packet that is sent at `now`, of so many bytes on the wire, as part of a probe if
    /// [`PathOutput::Packet`] says so.
    pub fn number(&mut self, now: Time, bytes: usize, probe: Option<u32>) -> u16 {
        self.log.push(now, bytes, probe)
    }

    /// Holds packets back while more is under way than there would be if the path carried the estimate: it carries less,
    /// or nothing, and what is sent now makes a queue that later packets wait behind. If everything under way was lost, no
    /// report says so, so that a packet goes all the same now and then. They are further apart on a path whose queue is
    /// long, since the slowest ones carry less than five packets a second.
    fn hold(&mut self, now: Time) {
        let (away, window) = (self.log.bytes_under_way(), self.estimate.window);
        if away <= window || self.pacer.is_probing() {
            self.pacer.set_held(None);
            return;
        }
        let longest = HELD_FOR.max(self.estimator.round_trip().unwrap_or_default() / 2);
        let due = self.sent.is_none_or(|sent| now >= sent + longest);
        // The base layer is what is shown at all: it waits only behind a queue that is long in any case.
        let oldest = self.log.under_way().map(|sent| now - sent);
        let is_long = away > WINDOWS_OF_ALL * window && oldest.is_some_and(|age| age > LONG_QUEUE);
        let held = if is_long { PacketClass::Retransmission } else { PacketClass::Media };
        self.pacer.set_held((!due).then_some(held));
    }

    /// Whether a probe may start: none is being sent, and the path carries what was sent.
    fn is_open(&self) -> bool {
        !self.pacer.is_probing() && self.log.bytes_under_way() <= self.estimate.window
    }

    fn listens(&self, now: Time) -> bool {
        self.transport_id.is_some() && self.sent.is_some_and(|sent| now < sent + LISTENS)
    }

    /// When silence and probes are to be looked after, and packets that are held back.
    fn next_look(&self, now: Time) -> Option<Time> {
        let step = self.looked.filter(|_| self.listens(now))? + STEP;
        if self.pacer.queued_bytes() > 0 || self.pacer.is_probing() {
            return Some(step);
        }
        Some(self.estimate.outlook.next_timeout(self.log.under_way())?.max(step))
    }

    /// Looks after silence and probes.
    fn look_after(&mut self, now: Time) {
        if !self.listens(now) || self.is_looked_after(now) {
            return;
        }
        self.looked = Some(now);
        self.estimator.silence(now, self.log.under_way());
        self.estimate = Estimate::of(&self.estimator);
        let in_use = self.sent.is_some_and(|sent| now < sent + IN_USE);
        if in_use
            && self.is_open()
            && let Some(probe) = self.estimator.probe(now)
        {
            self.pacer.start_probe(now, probe);
        }
        // Looking for a probe ends the one before, which may have found more.
        self.adopt(now);
    }

    /// The next packet of the padding that the pacer has asked for.
    fn pad(&mut self, now: Time) -> Option<PaddingPacket> {
        let Padding { bytes, probe } = self.padding?;
        let transport_id = self.transport_id?;
        let header = RtpHeader {
            payload_type: self.config.padding_payload_type & 127,
            sequence_number: self.padding_number,
            ssrc: self.config.padding_ssrc,
            ..RtpHeader::default()
        };
        let around = self.config.overhead + header.size(&[(transport_id, &[0; 2])]).ok()?;
        let Some(room) = bytes.checked_sub(around).filter(|room| *room > 0) else {
            self.padding = None;
            return None;
        };
        let padding = room.min(MAX_PADDING);
        self.padding = Some(Padding { bytes: room - padding, probe });
        self.padding_number = self.padding_number.wrapping_add(1);
        let number = self.log.push(now, around + padding, Some(probe));
        Some(PaddingPacket { header, transport_id, number, padding })
    }
}
