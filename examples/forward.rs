//! A relay between sender and receiver: it drops layers, and on demand does what a relay must not.

mod common;
mod udp;

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clap::{Parser, ValueEnum};
use layercast::congestion::SendPathConfig;
use layercast::relay::{ParticipantId, Room, RoomConfig, RoomOutput, StreamConfig};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::rtp::rtcp::{self, Lost, RtcpMessage, is_rtcp};
use layercast::select::{Cap, Priority, ReceiverReport, StreamId, Window};
use layercast::{Size, Time};

use common::{Result, at, exit_code};
use udp::{Faults, Network, SSRC};

/// The two participants, and what one of them sends.
const SENDER: ParticipantId = ParticipantId(1);
const RECEIVER: ParticipantId = ParticipantId(2);
const STREAM: StreamId = StreamId(1);
/// The bit/s that the path to `receive` is taken to carry at first, and is probed for at most.
const START: u64 = 2_000_000;
const MOST: u64 = 10_000_000;
/// A window that no layer is too large for.
const WINDOW: Size = Size::new(8192, 4320);

/// Forwards from `send` to `receive` the layers that the path carries, up to a decode target, and what `receive` asks for back
/// to `send`. It holds no key. With `--tamper` it changes some packets on the way, to show what `receive` says. It ends when
/// nothing was sent for some seconds.
#[derive(Parser)]
struct Args {
    /// Where packets come from `send`.
    #[arg(long, default_value = "127.0.0.1:5014")]
    listen: SocketAddr,
    /// Where they go: to `receive`.
    #[arg(long, default_value = "127.0.0.1:5004")]
    to: SocketAddr,
    /// The highest spatial layer to forward, 0 to 3; `receive` is to be told the same.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(..=3))]
    spatial: u8,
    /// The highest temporal layer to forward, 0 to 7.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(..=7))]
    temporal: u8,
    /// What is done to packets.
    #[arg(long, value_enum)]
    tamper: Option<Tamper>,
    /// It is done to one frame in so many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    #[command(flatten)]
    faults: Faults,
}

/// What can be done to packets.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tamper {
    /// A bit of the ciphertext is changed.
    Payload,
    /// The frame gets another number.
    FrameNumber,
    /// The frame gets the next template: another layer, or other dependencies.
    Template,
    /// A bit of the structure is changed, in every key frame.
    Structure,
    /// The payloads of two frames of one packet each change places.
    Swap,
    /// A frame sent before is sent again.
    Replay,
}

/// The longest wait for a packet from `send`, after which those from `receive` have their turn.
const WAIT: Duration = Duration::from_millis(1);
/// How long after the last packet the relay ends.
const IDLE: Duration = Duration::from_secs(5);

/// Frames kept for a replay.
const KEPT: usize = 30;

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let from_sender = at(args.listen.to_string().as_ref(), UdpSocket::bind(args.listen))?;
    let mut network = Network::new(UdpSocket::bind("127.0.0.1:0")?, args.to, args.faults.clone());
    let (mut room, descriptor_id) = room(args)?;
    let mut hand = Hand::new(args, descriptor_id);
    println!("forwarding from {} to {}", args.listen, args.to);
    let start = Instant::now();
    let mut sender = None;
    let mut last: Option<Instant> = None;
    while last.is_none_or(|last| last.elapsed() < IDLE) {
        // Everything that is there goes on at once; only then is there time to wait.
        let mut wait = WAIT;
        while let Some((packet, from)) = udp::receive(&from_sender, wait)? {
            wait = Duration::ZERO;
            (sender, last) = (Some(from), Some(Instant::now()));
            room.handle_packet(Time::new(start.elapsed()), SENDER, &packet);
        }
        while let Some((packet, _)) = network.receive(Instant::now())? {
            room.handle_packet(Time::new(start.elapsed()), RECEIVER, &hand.unnumber(packet)?);
        }
        loop {
            let mut out = Vec::new();
            match room.poll(Time::new(start.elapsed()), &mut out) {
                RoomOutput::Transmit { to: RECEIVER, .. } => hand.tamper(out.into(), &mut network)?,
                RoomOutput::Transmit { .. } => {
                    sender.map(|sender| from_sender.send_to(&out, sender)).transpose()?;
                }
                RoomOutput::Timeout(_) => break,
                RoomOutput::Expelled { reason, .. } => return Err(format!("put out: {reason:?}").into()),
                // `send` codes all layers: it has no signalling by which it could be told what is watched.
                _ => {}
            }
        }
    }
    let (statistics, Network { lost, .. }) = (room.statistics(), &network);
    println!(
        "{} packets sent on ({lost} of them lost on purpose), {} dropped, {} tampered with",
        statistics.forwarded, statistics.dropped, hand.tampered
    );
    let path = room.path(Time::new(start.elapsed()), RECEIVER);
    println!("the path to the receiver carries about {} kbit/s", path.map_or(0, |path| path.bitrate / 1000));
    Ok(())
}

/// A room of the two, and the identifier of the Dependency Descriptor in it.
fn room(args: &Args) -> Result<(Room, u8)> {
    let mut config = RoomConfig::default();
    config.path = SendPathConfig::new(START);
    config.path.wanted = MOST;
    let descriptor_id = config.descriptor_id;
    let mut room = Room::new(config);
    room.join(Time::ZERO, SENDER)?;
    room.join(Time::ZERO, RECEIVER)?;
    room.publish(Time::ZERO, SENDER, StreamConfig::video(STREAM, SSRC))?;
    let windows = vec![(STREAM, Window::new(WINDOW, Priority::Pinned))];
    room.handle_report(Time::ZERO, RECEIVER, &ReceiverReport { windows, ..Default::default() });
    let (max_spatial_id, max_temporal_id) = (Some(args.spatial), Some(args.temporal));
    room.set_cap(Time::ZERO, RECEIVER, None, Cap { max_spatial_id, max_temporal_id, ..Cap::default() });
    Ok((room, descriptor_id))
}

/// What a relay does that is not to be trusted.
struct Hand {
    tamper: Option<Tamper>,
    every: u16,
    descriptor_id: u8,
    /// Packets of its own, by which sequence numbers are higher than those of the room.
    extra: u16,
    /// The highest sequence number that went on.
    last: Option<u16>,
    /// A packet whose payload is to be swapped with another's.
    held: Option<Bytes>,
    /// The packets of the last frames.
    kept: VecDeque<(u16, Vec<Bytes>)>,
    tampered: u64,
}

impl Hand {
    fn new(args: &Args, descriptor_id: u8) -> Self {
        Self {
            tamper: args.tamper,
            every: args.every,
            descriptor_id,
            extra: 0,
            last: None,
            held: None,
            kept: VecDeque::new(),
            tampered: 0,
        }
    }

    /// Does to a packet what it is to suffer, and sends it on.
    fn tamper(&mut self, packet: Bytes, network: &mut Network) -> Result<()> {
        if is_rtcp(&packet) {
            return Ok(network.send(packet)?);
        }
        let rtp = RtpPacket::read(&packet)?;
        let Some(range) = rtp.extension_range(self.descriptor_id)? else {
            return self.send(&packet, network);
        };
        let (at, descriptor) = (range.start, &packet[range]);
        let &[flags, high, low, ..] = descriptor else { return self.send(&packet, network) };
        let number = u16::from_be_bytes([high, low]);
        let whole_frame = flags & 0xc0 == 0xc0;
        let chosen = number % self.every == 0;
        let payload_at = packet.len() - rtp.payload.len();
        let mut changed = packet.to_vec();
        match self.tamper {
            Some(Tamper::Payload) if chosen && rtp.payload.len() > 40 => {
                changed[payload_at + rtp.payload.len() / 2] ^= 1;
            }
            Some(Tamper::FrameNumber) if chosen => {
                changed[at + 1..][..2].copy_from_slice(&number.wrapping_add(1000).to_be_bytes());
            }
            Some(Tamper::Template) if chosen => {
                changed[at] = flags & 0xc0 | flags.wrapping_add(1) & 0x3f;
            }
            Some(Tamper::Structure) if descriptor.len() > 20 => changed[at + 20] ^= 1,
            Some(Tamper::Swap) if whole_frame => {
                if let Some(held) = self.held.take() {
                    let other = RtpPacket::read(&held)?;
                    self.tampered += 2;
                    let other_header = &held[..held.len() - other.payload.len()];
                    self.send(&[other_header, rtp.payload].concat(), network)?;
                    return self.send(&[&packet[..payload_at], other.payload].concat(), network);
                } else if chosen {
                    self.held = Some(packet);
                    return Ok(());
                }
            }
            Some(Tamper::Replay) => return self.replay(packet, number, chosen && flags & 0x40 != 0, network),
            _ => {}
        }
        self.tampered += u64::from(changed[..] != packet[..]);
        self.send(&changed, network)
    }

    /// Forwards a packet, and after it the packets of an old frame with new sequence numbers.
    fn replay(&mut self, packet: Bytes, number: u16, again: bool, network: &mut Network) -> Result<()> {
        self.send(&packet, network)?;
        match self.kept.back_mut() {
            Some((last, packets)) if *last == number => packets.push(packet),
            _ => self.kept.push_back((number, vec![packet])),
        }
        if self.kept.len() <= KEPT {
            return Ok(());
        }
        let Some((_, packets)) = self.kept.pop_front().filter(|_| again) else { return Ok(()) };
        for packet in packets {
            self.tampered += 1;
            self.extra = self.extra.wrapping_add(1);
            let next = self.last.unwrap_or_default().wrapping_add(1);
            self.emit(&packet, next, network)?;
        }
        Ok(())
    }

    /// Sends a packet on under the number that the room gave it, behind the packets of our own.
    fn send(&mut self, packet: &[u8], network: &mut Network) -> Result<()> {
        let sequence_number = RtpPacket::read(packet)?.header.sequence_number;
        self.emit(packet, sequence_number.wrapping_add(self.extra), network)
    }

    fn emit(&mut self, packet: &[u8], number: u16, network: &mut Network) -> Result<()> {
        let mut packet = packet.to_vec();
        RtpPacketMut::new(&mut packet)?.set_sequence_number(number);
        if self.last.is_none_or(|last| number.wrapping_sub(last) < 1 << 15) {
            self.last = Some(number);
        }
        Ok(network.send(packet.into())?)
    }

    /// What the receiver says, with the room's numbers in what it asks to be sent again.
    fn unnumber(&self, packet: Bytes) -> Result<Bytes> {
        if self.extra == 0 || !is_rtcp(&packet) {
            return Ok(packet);
        }
        let mut messages: Vec<RtcpMessage> = rtcp::read(&packet).collect::<std::result::Result<_, _>>()?;
        for message in &mut messages {
            if let RtcpMessage::Nack { lost, .. } = message {
                let numbers = lost.iter().flat_map(|lost| lost.sequence_numbers());
                *lost = Lost::of(numbers.map(|number| number.wrapping_sub(self.extra)));
            }
        }
        let mut out = BytesMut::new();
        rtcp::write(&messages, &mut out)?;
        Ok(out.freeze())
    }
}
