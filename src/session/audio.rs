//! The two ends of an audio stream.
//!
//! A packet holds one frame: a byte of the SFrame payload format (draft-ietf-avtcore-rtp-sframe) and an SFrame with the
//! key of [`Context::audio`]. In it are the coder's bytes, a byte with the loudness if the ends agreed on that, as RFC
//! 6464 draws it, and the number of the packet, 2 bytes in network byte order.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::AUDIO_PAYLOAD_TYPE;
use super::incoming::{Incoming, IncomingStatistics, Opened};
use super::outgoing::{Outgoing, OutgoingStatistics};
use super::receiver::Refused;
use super::sender::{SendError, SenderOutput};
use super::sequence::Sequence;
use crate::Time;
use crate::e2ee::{Context, KeyRing, OpenError, Opener, Sealer, SenderKeyError, SenderKeys};
use crate::rtp::reassembler::NackConfig;
use crate::rtp::{PacketizeError, ReassemblerStatistics};

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
}

impl AudioSenderConfig {
    /// A stream of this SSRC: [`AUDIO_PAYLOAD_TYPE`], no transport-wide numbers, packets of 1200 bytes, with loudness.
    pub fn new(ssrc: u32) -> Self {
        Self { ssrc, payload_type: AUDIO_PAYLOAD_TYPE, transport_id: None, max_packet: 1200, levels: true }
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
    queue: VecDeque<Bytes>,
    statistics: OutgoingStatistics,
}

impl AudioSender {
    /// A sender with the sealer of [`Context::audio`].
    pub fn new(config: AudioSenderConfig, sealer: Sealer) -> Self {
        let AudioSenderConfig { ssrc, payload_type, transport_id, max_packet, levels } = config;
        Self {
            outgoing: Outgoing::new(ssrc, payload_type, transport_id, max_packet, false, sealer),
            levels,
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
        let _ = now;
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
        self.queue.push_back(packet);
        Ok(())
    }

    /// The next packet to be sent at `now`, or that there is none until the next frame.
    pub fn poll(&mut self, now: Time) -> SenderOutput {
        let _ = now;
        self.queue.pop_front().map_or(SenderOutput::Timeout(None), SenderOutput::Transmit)
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
    /// that came twice or too late are counted only, and those of another SSRC are passed over.
    pub fn handle_packet(&mut self, now: Time, packet: Bytes) {
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
