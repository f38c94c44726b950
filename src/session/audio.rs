//! The two ends of an audio stream.
//!
//! A packet holds one frame: a byte of the SFrame payload format (draft-ietf-avtcore-rtp-sframe) and an SFrame with the
//! key of [`Context::audio`]. In it are the coder's bytes, a byte with the loudness if the ends agreed on that, as RFC
//! 6464 draws it, and the number of the packet, 2 bytes in network byte order.
//!
//! A script of a web page is handed the payloads of packets, and what it hands back is the payload: [`PageAudioSealer`] and
//! [`PageAudioOpener`] are for it. Of the RTP header nothing is sealed, as a browser writes another one than the page sees.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::AUDIO_PAYLOAD_TYPE;
use super::incoming::{Incoming, IncomingStatistics, Opened};
use super::outgoing::{Outgoing, OutgoingStatistics, put_payload};
use super::receiver::Refused;
use super::sender::{SendError, SenderOutput};
use super::sequence::Sequence;
use crate::Time;
use crate::e2ee::{
    Context, KeyRing, KeySource, OpenError, Opener, Relabelled, SealError, Sealer, SenderKeyError, SenderKeys,
};
use crate::rtp::payload::sframe;
use crate::rtp::reassembler::NackConfig;
use crate::rtp::reporter::SenderReports;
use crate::rtp::rtcp;
use crate::rtp::{PacketizeError, ReassemblerStatistics, RtpPacket};

/// What the two ends of an audio stream have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioSenderConfig {
    /// Synchronization source of the packets.
    pub ssrc: u32,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// The identifier of the header extension for transport-wide numbers, 1 to 255; `None` for packets without. Packets
    /// have the number 0, which whoever sends them writes over.
    pub transport_id: Option<u8>,
    /// Bytes of a packet at most, from the RTP header on.
    pub max_packet: usize,
    /// Whether the loudness of each frame is sealed with it, in a byte.
    pub levels: bool,
    /// Ticks of the RTP clock in a second, if sender reports are to be sent (RFC 3550, section 6.4.1), by which receivers
    /// bring sound and picture together; at least 1.
    pub reports: Option<u32>,
}

impl AudioSenderConfig {
    /// A stream of this SSRC: [`AUDIO_PAYLOAD_TYPE`], no transport-wide numbers, packets of 1200 bytes, with loudness and
    /// without reports.
    pub fn new(ssrc: u32) -> Self {
        let (payload_type, max_packet) = (AUDIO_PAYLOAD_TYPE, 1200);
        Self { ssrc, payload_type, transport_id: None, max_packet, levels: true, reports: None }
    }
}

/// How loud an audio frame is (RFC 6464, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the fields of the standard; callers build it")]
pub struct AudioLevel {
    /// In -dBov, decibels below the loudest that can be told: 0 to 127, which is silence too.
    pub below: u8,
    /// Whether somebody speaks, as the sender believes.
    pub voice: bool,
}

impl AudioLevel {
    /// Nothing is heard.
    pub const SILENCE: Self = Self { below: 127, voice: false };

    fn to_byte(self) -> u8 {
        u8::from(self.voice) << 7 | self.below.min(127)
    }

    fn from_byte(byte: u8) -> Self {
        Self { below: byte & 127, voice: byte >> 7 != 0 }
    }
}

/// An audio frame to be sent.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct OutgoingAudio<'a> {
    /// What the coder made, such as an Opus packet.
    pub payload: &'a [u8],
    /// When its first sample was captured, in ticks of the RTP clock from an origin of the caller's, modulo 2^32. The
    /// clock of Opus runs at 48 kHz (RFC 7587, section 4.1).
    pub timestamp: u32,
    /// Whether it is the first of all, or after a pause in which no frames were sent (DTX).
    pub after_pause: bool,
    /// How loud it is. If the two ends have agreed on no loudness, it is not sent.
    pub level: AudioLevel,
}

/// Sends one audio stream: seals each frame in a packet of its own.
///
/// A relay does not learn how loud frames are. It still sees sizes and pauses, which tell who speaks: a coder with a
/// constant bitrate and without DTX gives nothing away (RFC 6562).
#[derive(Debug)]
pub struct AudioSender {
    outgoing: Outgoing,
    levels: bool,
    /// Ticks of the RTP clock in a second, and what is reported.
    reports: Option<(u32, SenderReports)>,
    /// The timestamp of the last frame, and when it was handed in.
    last: Option<(u32, Time)>,
    queue: VecDeque<Bytes>,
    statistics: OutgoingStatistics,
}

impl AudioSender {
    /// A sender with the sealer of [`Context::audio`].
    pub fn new(config: AudioSenderConfig, sealer: Sealer) -> Self {
        let AudioSenderConfig { ssrc, payload_type, transport_id, max_packet, levels, reports } = config;
        Self {
            outgoing: Outgoing::new(ssrc, payload_type, transport_id, max_packet, false, sealer),
            levels,
            reports: reports.map(|clock| (clock, SenderReports::default())),
            last: None,
            queue: VecDeque::new(),
            statistics: OutgoingStatistics::default(),
        }
    }

    /// The counts since the start.
    pub fn statistics(&self) -> OutgoingStatistics {
        self.statistics
    }

    /// Goes on with the keys of another epoch, from the next frame on.
    ///
    /// # Errors
    /// As [`SenderKeys::sealer`]; the keys are then the old ones.
    pub fn rekey(&mut self, keys: &mut SenderKeys, stream: u16) -> Result<(), SenderKeyError> {
        self.outgoing.set_sealer(keys.sealer(Context::audio(stream))?);
        Ok(())
    }

    /// Takes a frame at `now`, and sends it.
    ///
    /// # Errors
    /// [`SendError::Seal`] and [`SendError::Packetize`], such as for a frame without a byte or one that does not fit a
    /// packet. It is not sent then, and for the receiver there was none.
    pub fn handle_frame(&mut self, now: Time, frame: &OutgoingAudio<'_>) -> Result<(), SendError> {
        let size = frame.payload.len();
        if size == 0 {
            return Err(PacketizeError::Empty.into());
        }
        if size > self.outgoing.room()? {
            return Err(PacketizeError::TooLarge { size }.into());
        }
        let level = self.levels.then(|| frame.level.to_byte());
        let packet = self.outgoing.packet(frame.after_pause, frame.timestamp, frame.payload, level)?;
        self.statistics.frames += 1;
        self.statistics.packets += 1;
        self.statistics.bytes += packet.len() as u64;
        if let (Some((_, reports)), Ok(rtp)) = (&mut self.reports, RtpPacket::read(&packet)) {
            reports.handle_packet(now, rtp.payload.len());
            self.last = Some((rtp.header.timestamp, now));
        }
        self.queue.push_back(packet);
        Ok(())
    }

    /// The next packet to be sent at `now`: RTP, or a report (RTCP), which is not paced; or that there is none until the
    /// next frame or report.
    pub fn poll(&mut self, now: Time) -> SenderOutput {
        if let Some(packet) = self.queue.pop_front() {
            return SenderOutput::Transmit(packet);
        }
        let (Some((clock, reports)), Some((timestamp, at))) = (&mut self.reports, self.last) else {
            return SenderOutput::Timeout(None);
        };
        let ticks = (now - at).as_micros() * u128::from(*clock) / 1_000_000;
        let report = reports.poll(now, self.outgoing.ssrc(), timestamp.wrapping_add(ticks as u32));
        let mut packet = BytesMut::new();
        match report {
            Some(report) if rtcp::write(std::slice::from_ref(&report), &mut packet).is_ok() => {
                SenderOutput::Transmit(packet.freeze())
            }
            _ => SenderOutput::Timeout(reports.next_timeout()),
        }
    }
}

/// Seals the frames of one audio stream for a script of a web page, which hands them back to the browser: each becomes the
/// payload that an [`AudioSender`] gives its packet.
#[derive(Debug)]
pub struct PageAudioSealer {
    sealer: Sealer,
    number: u16,
    levels: bool,
}

impl PageAudioSealer {
    /// With the sealer of [`Context::audio`]; `levels` as in [`AudioSenderConfig`].
    pub fn new(sealer: Sealer, levels: bool) -> Self {
        Self { sealer, number: 0, levels }
    }

    /// Goes on with the keys of another epoch, from the next frame on.
    ///
    /// # Errors
    /// As [`SenderKeys::sealer`]; the keys are then the old ones.
    pub fn rekey(&mut self, keys: &mut SenderKeys, stream: u16) -> Result<(), SenderKeyError> {
        self.sealer = keys.sealer(Context::audio(stream))?;
        Ok(())
    }

    /// Appends the payload of a frame's packet to `out`.
    ///
    /// # Errors
    /// [`SealError::Exhausted`]; nothing that is appended may be sent then.
    pub fn seal(&mut self, frame: &[u8], level: AudioLevel, out: &mut BytesMut) -> Result<(), SealError> {
        let level = self.levels.then(|| level.to_byte());
        put_payload(&mut self.sealer, false, self.number, frame, level, out)?;
        self.number = self.number.wrapping_add(1);
        Ok(())
    }
}

/// Opens the frames of one audio stream for a script of a web page, whose browser puts them in order by their RTP sequence
/// numbers.
#[derive(Debug)]
pub struct PageAudioOpener {
    opener: Opener,
    levels: bool,
    newest: Option<Newest>,
}

/// Packets that a browser puts in order at most: it holds no more of them.
const REORDERED: u16 = 256;

/// What is behind all frames whose sequence numbers were told.
#[derive(Debug, Clone, Copy)]
struct Newest {
    /// The epoch and the counter of the newest frame.
    frame: (u64, u64),
    sequence_number: u16,
    /// By how much sequence numbers are ahead of the numbers that are sealed with the frames.
    ahead: u16,
    /// The first frame since sequence numbers were ahead by another count.
    since: (u64, u64),
}

impl Newest {
    /// Takes a frame, unless its sequence number puts it in another place among the others than its sender gave it. A sender
    /// whose connection is made anew counts packets from another number on, while the numbers that it seals go on.
    fn place(known: Option<Self>, frame: (u64, u64), sequence_number: u16, number: u16) -> Option<Self> {
        let ahead = sequence_number.wrapping_sub(number);
        let Some(known) = known else { return Some(Self { frame, sequence_number, ahead, since: (0, 0) }) };
        let is_ahead = ahead == known.ahead;
        if frame < known.frame {
            return (is_ahead && frame >= known.since).then_some(known);
        }
        if is_ahead {
            return Some(Self { frame, sequence_number, ..known });
        }
        let behind = known.sequence_number.wrapping_sub(sequence_number);
        (behind > REORDERED).then_some(Self { frame, sequence_number, ahead, since: frame })
    }
}

impl PageAudioOpener {
    /// With the opener of [`Context::audio`]; `levels` as in [`AudioReceiverConfig`].
    pub fn new(opener: Opener, levels: bool) -> Self {
        Self { opener, levels, newest: None }
    }

    /// What knows which frames were opened, for another of the same stream, as long as the keys last: so that it opens none
    /// twice.
    pub fn into_opener(self) -> Opener {
        self.opener
    }

    /// Opens a packet's payload in place, at the time `now`: the frame is left, and how loud it is. `sequence_number` is that
    /// of the packet, if the browser tells it: a relay that gives frames another order is found out by it. One that closes or
    /// widens gaps between them is not, as a sender's numbers may begin anew.
    ///
    /// # Errors
    /// [`OpenError`]; [`Relabelled::Unit`] for a frame before or behind another that its sender gave the other order.
    pub fn open(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        sequence_number: Option<u16>,
        payload: &mut BytesMut,
    ) -> Result<Option<AudioLevel>, OpenError> {
        if sframe::check(std::iter::once(&payload[..])) != Ok(false) {
            return Err(OpenError::Malformed);
        }
        let mut sframe = payload.split_off(1);
        let opened = self.opener.open_counted(now, keys, &[], &mut sframe);
        match opened {
            // An error that leaves the SFrame as it is leaves the byte before it too.
            Err(error) if error.is_early() => {
                payload.unsplit(sframe);
                return Err(error);
            }
            _ => *payload = sframe,
        }
        let result = self.read(opened?, sequence_number, payload);
        if result.is_err() {
            payload.clear();
        }
        result
    }

    /// Reads what is behind a frame that was opened, and cuts it off.
    fn read(
        &mut self,
        counted: (u64, u64),
        sequence_number: Option<u16>,
        frame: &mut BytesMut,
    ) -> Result<Option<AudioLevel>, OpenError> {
        let (rest, &number) = frame.split_last_chunk().ok_or(OpenError::Unlabelled)?;
        let (level, end) = match (self.levels, rest.split_last()) {
            (true, None) => return Err(OpenError::Unlabelled),
            (true, Some((&level, rest))) => (Some(AudioLevel::from_byte(level)), rest.len()),
            (false, _) => (None, rest.len()),
        };
        if let Some(sequence_number) = sequence_number {
            let newest = Newest::place(self.newest, counted, sequence_number, u16::from_be_bytes(number));
            self.newest = Some(newest.ok_or(Relabelled::Unit)?);
        }
        frame.truncate(end);
        Ok(level)
    }
}

/// What the two ends of an audio stream have agreed on, and the patience of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioReceiverConfig {
    /// Synchronization source of the packets.
    pub ssrc: u32,
    /// Whether the loudness of each frame is sealed with it.
    pub levels: bool,
    /// How long a frame that is missing is waited for, once a later one came: as long as packets overtake each other.
    pub reorder: Duration,
    /// How long a packet waits for the key that it is sealed with.
    pub key_wait: Duration,
}

impl AudioReceiverConfig {
    /// A stream of this SSRC with loudness: 30 ms of waiting for frames that others overtook, and 2 s for keys.
    pub fn new(ssrc: u32) -> Self {
        let (reorder, key_wait) = (Duration::from_millis(30), Duration::from_secs(2));
        Self { ssrc, levels: true, reorder, key_wait }
    }
}

/// An audio frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedAudio {
    /// What the sender's coder made.
    pub payload: Bytes,
    /// RTP timestamp: the sender's, from an origin of its own. It goes on by more than a frame's length where the
    /// sender made a pause, and where frames were lost. A relay could change it, unlike all else.
    pub timestamp: u32,
    /// How loud it is, if the two ends agreed to tell.
    pub level: Option<AudioLevel>,
}

/// What a receiver of audio has for the program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioOutput {
    /// A frame, in its sender's order.
    Frame(ReceivedAudio),
    /// Here frames are missing that were sent and are not going to come: the program conceals them.
    Lost {
        /// How many.
        frames: u64,
    },
    /// Something that came and is no frame of the stream.
    Refused(Refused),
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Time>),
}

/// Receives one audio stream: opens frames and puts them in order.
///
/// ```
/// use layercast::Time;
/// use layercast::e2ee::{Agreement, Context, KeyRing, Opener, SenderKeys};
/// use layercast::session::*;
///
/// let agreement = Agreement::default();
/// let mut keys = SenderKeys::fresh(agreement, 1, 0)?; // A call has them from `mls::Group::sender_keys`.
/// let mut sender = AudioSender::new(AudioSenderConfig::new(7), keys.sealer(Context::audio(0))?);
/// let mut ring = KeyRing::new(agreement, std::time::Duration::from_secs(5));
/// ring.add(Time::ZERO, keys.grant().clone());
/// let opener = Opener::new(agreement, 1, Context::audio(0));
/// let mut receiver = AudioReceiver::new(AudioReceiverConfig::new(7), opener, ring);
///
/// let mut heard = 0;
/// for n in 0..10 {
///     let (now, timestamp) = (Time::from_millis(20 * n), 960 * n as u32);
///     let level = AudioLevel { below: 30, voice: true };
///     let frame = OutgoingAudio { payload: b"from the coder", timestamp, after_pause: n == 0, level };
///     sender.handle_frame(now, &frame)?;
///     while let SenderOutput::Transmit(packet) = sender.poll(now) {
///         receiver.handle_packet(now, packet); // In a call the network is in between.
///     }
///     loop {
///         match receiver.poll(now) {
///             AudioOutput::Frame(frame) => heard += usize::from(frame.level == Some(level)), // To the decoder.
///             AudioOutput::Lost { frames } => println!("{frames} to conceal"),
///             AudioOutput::Timeout(_) => break,
///             _ => {}
///         }
///     }
/// }
/// assert_eq!(heard, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It holds no frame back for the sake of an even flow. A program that plays audio has a buffer for that, and changes
/// the tempo a little, as only a decoder's user can.
#[derive(Debug)]
pub struct AudioReceiver {
    incoming: Incoming,
    sequence: Sequence<ReceivedAudio>,
    levels: bool,
    frames: u64,
}

impl AudioReceiver {
    /// A receiver with the opener of [`Context::audio`] and the keys.
    pub fn new(config: AudioReceiverConfig, opener: Opener, keys: KeyRing) -> Self {
        let AudioReceiverConfig { ssrc, levels, reorder, key_wait } = config;
        let nack = NackConfig { give_up: reorder, max_requests: 0, ..NackConfig::default() };
        let incoming = Incoming::new(ssrc, false, opener, keys, key_wait);
        Self { incoming, sequence: Sequence::new(nack, 0), levels, frames: 0 }
    }

    /// The counts since the start.
    pub fn statistics(&self) -> IncomingStatistics {
        let packets = ReassemblerStatistics { frames: self.frames, ..self.sequence.statistics() };
        IncomingStatistics { round_trip: None, ..self.incoming.statistics(packets) }
    }

    /// The keys, to which those of a new epoch are added. Frames that wait for them are opened at the next poll.
    pub fn keys_mut(&mut self) -> &mut KeyRing {
        self.incoming.keys_mut()
    }

    /// Ends the receiver, and gives back the opener, which knows what it has opened: another receiver of the same stream
    /// goes on with it.
    pub fn into_opener(self) -> Opener {
        self.incoming.into_opener()
    }

    /// Takes an RTP packet of the stream, as it came. What is wrong with one is told by [`AudioOutput::Refused`]; those
    /// that came twice or too late are counted only, and those of another SSRC and reports (RTCP) are passed over.
    pub fn handle_packet(&mut self, now: Time, packet: Bytes) {
        if rtcp::is_rtcp(&packet) {
            return;
        }
        if let Some(opened) = self.incoming.handle_packet(now, packet) {
            self.insert(now, opened);
        }
    }

    /// What there is to play or to tell at `now`. The program polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> AudioOutput {
        while let Some(opened) = self.incoming.poll(now) {
            self.insert(now, opened);
        }
        if let Some(refused) = self.incoming.pop_refused() {
            return AudioOutput::Refused(refused);
        }
        self.sequence.tick(now);
        if let Some(frames) = self.sequence.pop_lost() {
            return AudioOutput::Lost { frames };
        }
        if let Some(frame) = self.sequence.pop() {
            self.frames += 1;
            return AudioOutput::Frame(frame);
        }
        let timeouts = [self.sequence.next_timeout(), self.incoming.next_timeout()];
        AudioOutput::Timeout(timeouts.into_iter().flatten().min())
    }

    fn insert(&mut self, now: Time, opened: Opened) {
        let Opened { number, timestamp, mut body, size, .. } = opened;
        let mut level = None;
        if self.levels {
            let Some((&byte, rest)) = body.split_last() else {
                return self.incoming.refuse(Refused::Frame(OpenError::Unlabelled));
            };
            let end = rest.len();
            level = Some(AudioLevel::from_byte(byte));
            body.truncate(end);
        }
        let frame = ReceivedAudio { payload: body.freeze(), timestamp, level };
        self.sequence.insert(now, number, frame, size);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;
    use crate::e2ee::{Agreement, Binding};
    use crate::rtp::RtcpMessage;

    const LEVEL: AudioLevel = AudioLevel { below: 40, voice: true };
    const NOW: Time = Time::ZERO;

    fn keys(epoch: u64, ring: &mut KeyRing) -> SenderKeys {
        let agreement = Agreement { binding: Binding::Page, ..Agreement::default() };
        let keys = SenderKeys::fresh(agreement, 1, epoch).unwrap();
        ring.add(NOW, keys.grant().clone());
        keys
    }

    fn ring() -> KeyRing {
        KeyRing::new(Agreement { binding: Binding::Page, ..Agreement::default() }, Duration::from_secs(5))
    }

    fn opener() -> Opener {
        Opener::new(Agreement::default(), 1, Context::audio(0))
    }

    fn frame(number: u32) -> OutgoingAudio<'static> {
        OutgoingAudio {
            payload: b"a frame of sound",
            timestamp: 960 * number,
            after_pause: false,
            level: LEVEL,
        }
    }

    fn packets(sender: &mut AudioSender, now: Time) -> Vec<Bytes> {
        std::iter::from_fn(|| match sender.poll(now) {
            SenderOutput::Transmit(packet) => Some(packet),
            _ => None,
        })
        .collect()
    }

    /// The payloads of `n` frames, with their sequence numbers. In the middle an epoch begins.
    fn sent(n: u32, ring: &mut KeyRing) -> Vec<(u16, BytesMut)> {
        let sealer = keys(0, ring).sealer(Context::audio(0)).unwrap();
        let mut sender = AudioSender::new(AudioSenderConfig::new(7), sealer);
        let packet = |number| {
            if number == n / 2 {
                sender.rekey(&mut keys(1, ring), 0).unwrap();
            }
            sender.handle_frame(NOW, &frame(number)).unwrap();
            let packet = packets(&mut sender, NOW).remove(0);
            let rtp = RtpPacket::read(&packet).unwrap();
            (rtp.header.sequence_number, BytesMut::from(rtp.payload))
        };
        (0..n).map(packet).collect()
    }

    const OPENED: Result<Option<AudioLevel>, OpenError> = Ok(Some(LEVEL));
    const MOVED: Result<Option<AudioLevel>, OpenError> = Err(OpenError::Relabelled(Relabelled::Unit));

    #[test]
    fn a_page_opens_what_a_sender_seals_though_packets_overtake_each_other() {
        let mut ring = ring();
        let mut sent = sent(20, &mut ring);
        // Also one of the former epoch behind the first of the next.
        for n in [0, 4, 9, 15] {
            sent.swap(n, n + 1);
        }
        let mut page = PageAudioOpener::new(opener(), true);
        for (n, (number, payload)) in sent.iter_mut().enumerate() {
            let opened = page.open(NOW, &ring, (n % 7 != 6).then_some(*number), payload);
            assert_eq!((opened, &payload[..]), (OPENED, &b"a frame of sound"[..]), "{n}");
        }
    }

    #[test]
    fn a_page_finds_out_if_frames_are_in_another_order() {
        // In an epoch, and over its end.
        for first in [4, 9] {
            let mut ring = ring();
            let sent = sent(20, &mut ring);
            // Each in the other's place, whichever comes first.
            for order in [[0, 1], [1, 0]] {
                let mut page = PageAudioOpener::new(opener(), true);
                let mut open = |number: u16, n: usize| {
                    let mut payload = sent[n].1.clone();
                    let opened = page.open(NOW, &ring, Some(number), &mut payload);
                    assert_eq!(payload.is_empty(), opened.is_err());
                    opened
                };
                (0..first).for_each(|n| assert_eq!(open(sent[n].0, n), OPENED));
                let two = order.map(|n| open(sent[first + 1 - n].0, first + n));
                assert_eq!(two, [OPENED, MOVED], "{first}, {order:?}");
                // Those that follow are in their places.
                (first + 2..20).for_each(|n| assert_eq!(open(sent[n].0, n), OPENED));
            }
        }
    }

    /// A relay that moves a run of frames cannot put older ones before those that were heard.
    #[test]
    fn what_is_older_than_a_moved_frame_is_in_no_place() {
        let mut ring = ring();
        let sent = sent(40, &mut ring);
        let mut page = PageAudioOpener::new(opener(), true);
        let mut open = |number: u16, n: usize| page.open(NOW, &ring, Some(number), &mut sent[n].1.clone());
        assert_eq!(open(sent[5].0, 5), OPENED);
        assert_eq!(open(sent[5].0.wrapping_add(5), 20), OPENED);
        assert_eq!(open(sent[5].0.wrapping_sub(7), 8), MOVED);
    }

    #[test]
    fn a_page_goes_on_when_its_senders_connection_is_made_anew() {
        for jump in [1, 300, 30_000, 40_000, 65_000_u16] {
            let mut ring = ring();
            let mut page = PageAudioOpener::new(opener(), true);
            for (n, (number, mut payload)) in sent(30, &mut ring).into_iter().enumerate() {
                let number = if n < 5 { number } else { number.wrapping_add(jump) };
                assert_eq!(page.open(NOW, &ring, Some(number), &mut payload), OPENED, "{jump}, {n}");
            }
        }
    }

    #[test]
    fn a_receiver_takes_what_a_page_seals_and_a_browser_sends() {
        let mut ring = ring();
        let mut page = PageAudioSealer::new(keys(0, &mut ring).sealer(Context::audio(0)).unwrap(), true);
        let mut payloads: Vec<BytesMut> = Vec::new();
        for n in 0..6 {
            if n == 3 {
                page.rekey(&mut keys(1, &mut ring), 0).unwrap();
            }
            payloads.push(BytesMut::new());
            page.seal(b"a frame of sound", LEVEL, payloads.last_mut().unwrap()).unwrap();
        }
        let mut receiver = AudioReceiver::new(AudioReceiverConfig::new(7), opener(), ring);
        let mut heard = 0;
        for (n, payload) in payloads.iter().enumerate() {
            let mut packet = BytesMut::new();
            let sequence_number = 999 + n as u16;
            let header = crate::rtp::RtpHeader { ssrc: 7, sequence_number, ..Default::default() };
            header.write(&[], &mut packet).unwrap();
            packet.put_slice(payload);
            receiver.handle_packet(NOW, packet.freeze());
            while let AudioOutput::Frame(frame) = receiver.poll(NOW) {
                assert_eq!((&frame.payload[..], frame.level), (&b"a frame of sound"[..], Some(LEVEL)));
                heard += 1;
            }
        }
        assert_eq!(heard, 6);
    }

    #[test]
    fn a_page_refuses_what_is_no_frame_and_leaves_it_if_a_key_may_come() {
        let (mut known, unknown) = (ring(), ring());
        let mut sealer = PageAudioSealer::new(keys(0, &mut known).sealer(Context::audio(0)).unwrap(), true);
        let mut page = PageAudioOpener::new(opener(), true);
        let mut payload = BytesMut::new();
        sealer.seal(b"a frame", LEVEL, &mut payload).unwrap();
        let whole = payload.clone();
        assert!(matches!(page.open(NOW, &unknown, None, &mut payload), Err(OpenError::UnknownKey { .. })));
        assert_eq!(payload, whole);
        for end in 0..whole.len() {
            assert!(page.open(NOW, &known, None, &mut BytesMut::from(&whole[..end])).is_err(), "{end}");
        }
        let mut altered = whole.clone();
        altered[20] ^= 1;
        assert_eq!(
            (page.open(NOW, &known, None, &mut altered), altered.len()),
            (Err(OpenError::NotAuthentic), 0)
        );
        // Another T bit.
        payload[0] ^= 0x20;
        assert_eq!(page.open(NOW, &known, None, &mut payload), Err(OpenError::Malformed));
        assert_eq!(page.open(NOW, &known, None, &mut whole.clone()), Ok(Some(LEVEL)));
        let again = page.open(NOW, &known, None, &mut whole.clone());
        assert!(matches!(again, Err(OpenError::Replayed { .. })));
    }

    /// By these a receiver knows at which time of the sender's clock a timestamp was.
    #[test]
    fn reports_say_which_timestamp_it_is() {
        let mut config = AudioSenderConfig::new(7);
        config.reports = Some(48_000);
        let mut sender = AudioSender::new(config, keys(0, &mut ring()).sealer(Context::audio(0)).unwrap());
        assert_eq!(sender.poll(NOW), SenderOutput::Timeout(None));
        let (mut first, mut reports) = (None, vec![]);
        for n in 0..100 {
            let now = Time::from_millis(20 * u64::from(n));
            sender.handle_frame(now, &frame(n)).unwrap();
            for packet in packets(&mut sender, now + Duration::from_millis(5)) {
                if rtcp::is_rtcp(&packet) {
                    reports.extend(rtcp::read(&packet).map(Result::unwrap));
                } else {
                    first.get_or_insert(RtpPacket::read(&packet).unwrap().header.timestamp);
                }
            }
        }
        let [RtcpMessage::SenderReport { ssrc: 7, info, .. }] = &reports[..] else { panic!("{reports:?}") };
        // At 1005 ms, after 51 frames.
        assert_eq!(info.timestamp.wrapping_sub(first.unwrap()), 48 * 1005);
        assert_eq!((info.ntp >> 32, info.packets), (1, 51));
        assert!(matches!(sender.poll(Time::from_millis(1985)), SenderOutput::Timeout(Some(_))));
    }
}
