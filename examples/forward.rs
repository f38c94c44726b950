//! A relay between sender and receiver: it drops layers, and on demand does what a relay must not.

mod common;
mod udp;

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clap::{Parser, ValueEnum};
use layercast::Time;
use layercast::congestion::{
    FeedbackConfig, PacketClass, PathPacket, ReceivePath, SendPath, SendPathConfig, SendPathOutput,
};
use layercast::relay::{ForwarderConfig, FrameReader, RefreshRequests, Subscription};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::rtp::rtcp::{self, Lost, RtcpMessage, is_rtcp};
use layercast::structure::{LayerId, Refresh};

use common::{Result, at, exit_code};
use udp::{Faults, Network, SSRC as MEDIA_SSRC};

/// Identifier of the Dependency Descriptor's header extension, as `send` has it.
const DESCRIPTOR_ID: u8 = 4;
/// Identifier of the transport-wide number's header extension, on both paths.
const TRANSPORT_ID: u8 = 3;
/// The bit/s that the path to `receive` is taken to carry at first, and is probed for at most.
const START: u64 = 2_000_000;
const MOST: u64 = 10_000_000;
/// SSRC of the relay in what it asks the sender for.
const SSRC: u32 = 2;

/// Forwards the layers of a decode target from `send` to `receive`, and what `receive` asks for back to `send`. Each of the
/// two paths has its own congestion control: the relay tells `send` what has arrived here, and paces and numbers what goes on
/// to `receive`. It holds no key. With `--tamper` it changes some packets on the way, to show what `receive` says. It ends when nothing was
/// sent for some seconds.
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
/// How long after the last packet the proxy ends.
const IDLE: Duration = Duration::from_secs(5);

/// Frames kept for a replay.
const KEPT: usize = 30;

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let from_sender = at(args.listen.to_string().as_ref(), UdpSocket::bind(args.listen))?;
    let to_receiver = Network::new(UdpSocket::bind("127.0.0.1:0")?, args.to, args.faults.clone());
    let mut proxy = Proxy::new(args, to_receiver);
    println!("forwarding from {} to {}", args.listen, args.to);
    let start = Instant::now();
    let mut sender = None;
    let mut last: Option<Instant> = None;
    while last.is_none_or(|last| last.elapsed() < IDLE) {
        // Everything that is there goes on at once; only then is there time to wait.
        let mut wait = WAIT;
        while let Some((packet, from)) = udp::receive(&from_sender, wait)? {
            wait = Duration::ZERO;
            sender = Some(from);
            last = Some(Instant::now());
            if is_rtcp(&packet) {
                // Reports go through, as requests for packets do.
                proxy.network.send(packet)?;
            } else {
                proxy.forward(Time::new(start.elapsed()), &packet)?;
            }
        }
        while let Some((packet, _)) = proxy.network.receive(Instant::now())? {
            if is_rtcp(&packet) {
                proxy.handle_feedback(Time::new(start.elapsed()), &packet)?;
            }
        }
        proxy.transmit(Time::new(start.elapsed()))?;
        if let Some(sender) = sender {
            while let Some(packet) = proxy.uplink.poll(Time::new(start.elapsed())) {
                from_sender.send_to(&packet, sender)?;
            }
        }
        let feedback = proxy.poll_feedback(Time::new(start.elapsed()));
        if let Some(sender) = sender.filter(|_| !feedback.is_empty()) {
            let mut packet = BytesMut::new();
            rtcp::write(&feedback, &mut packet)?;
            from_sender.send_to(&packet, sender)?;
        }
    }
    let Proxy { forwarded, dropped, tampered, downlink, .. } = &proxy;
    let lost = proxy.network.lost;
    println!(
        "{forwarded} packets sent on ({lost} of them lost on purpose), {dropped} dropped, {tampered} tampered with"
    );
    println!("the path to the receiver carries about {} kbit/s", downlink.bitrate() / 1000);
    Ok(())
}

struct Proxy<'a> {
    args: &'a Args,
    network: Network,
    uplink: ReceivePath,
    downlink: SendPath,
    /// The number and the class of the frame that is forwarded.
    frame: (u64, PacketClass),
    reader: FrameReader,
    subscription: Subscription,
    requests: RefreshRequests,
    /// SSRC and payload type of the sender's packets.
    media: (u32, u8),
    /// Requests that went to the sender.
    requested: u8,
    /// What the receiver asks to be sent again, in the sender's sequence numbers.
    lost: Vec<Lost>,
    /// What the receiver reports.
    reports: Vec<RtcpMessage>,
    /// Packets of our own, by which sequence numbers are higher than those of the subscription.
    extra: u16,
    /// The highest sequence number that went on.
    last: u16,
    /// A packet whose payload is to be swapped with another's.
    held: Option<Bytes>,
    /// The packets of the last frames.
    kept: VecDeque<(u16, Vec<Bytes>)>,
    forwarded: u64,
    dropped: u64,
    tampered: u64,
}

impl<'a> Proxy<'a> {
    fn new(args: &'a Args, network: Network) -> Self {
        let mut subscription = Subscription::new(ForwarderConfig::default());
        subscription.set_target(Time::ZERO, Some(LayerId::new(args.spatial, args.temporal)));
        let mut path = SendPathConfig::new(START);
        path.wanted = MOST;
        Self {
            args,
            network,
            uplink: ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(SSRC, MEDIA_SSRC)),
            downlink: SendPath::new(path, Some(TRANSPORT_ID)),
            frame: (0, PacketClass::Media),
            reader: FrameReader::new(),
            subscription,
            requests: RefreshRequests::default(),
            media: (0, 0),
            requested: 0,
            lost: vec![],
            reports: vec![],
            extra: 0,
            last: 0,
            held: None,
            kept: VecDeque::new(),
            forwarded: 0,
            dropped: 0,
            tampered: 0,
        }
    }

    /// Forwards a packet of the sender, if the receiver needs it.
    fn forward(&mut self, now: Time, packet: &Bytes) -> Result<()> {
        let Ok(rtp) = RtpPacket::read(packet) else { return Ok(()) };
        self.uplink.handle_packet(now, packet);
        if rtp.header.ssrc != MEDIA_SSRC {
            // Padding has come to where it was to go, and parity packets go by numbers that are changed here.
            return Ok(());
        }
        self.media = (rtp.header.ssrc, rtp.header.payload_type);
        // Without a descriptor, or before the first structure, there is nothing to decide by.
        let descriptor = rtp.extension(DESCRIPTOR_ID)?;
        let Some(frame) = descriptor.and_then(|descriptor| self.reader.read(descriptor).ok()) else {
            self.dropped += 1;
            return Ok(());
        };
        let is_base = frame.dependencies.layer == LayerId::default();
        self.frame = (frame.number, if is_base { PacketClass::Base } else { PacketClass::Media });
        self.requests.handle_frame(&frame);
        let mut packet = packet.to_vec();
        if self.subscription.handle_packet(now, &frame, &mut packet)? {
            return self.tamper(now, &packet.into());
        }
        self.dropped += 1;
        Ok(())
    }

    /// Does to a packet what it is to suffer, and sends it on.
    fn tamper(&mut self, now: Time, packet: &Bytes) -> Result<()> {
        let rtp = RtpPacket::read(packet)?;
        let descriptor = rtp.extension(DESCRIPTOR_ID)?.unwrap_or_default();
        let &[flags, high, low, ..] = descriptor else { return self.send(now, packet.clone()) };
        let number = u16::from_be_bytes([high, low]);
        let whole_frame = flags & 0xc0 == 0xc0;
        let chosen = number % self.args.every == 0;
        let mut changed = descriptor.to_vec();
        let mut payload = rtp.payload.to_vec();
        match self.args.tamper {
            Some(Tamper::Payload) if chosen && payload.len() > 40 => {
                let middle = payload.len() / 2;
                payload[middle] ^= 1;
            }
            Some(Tamper::FrameNumber) if chosen => {
                changed[1..3].copy_from_slice(&number.wrapping_add(1000).to_be_bytes());
            }
            Some(Tamper::Template) if chosen => changed[0] = flags & 0xc0 | flags.wrapping_add(1) & 0x3f,
            Some(Tamper::Structure) if descriptor.len() > 20 => changed[20] ^= 1,
            Some(Tamper::Swap) if whole_frame => {
                if let Some(held) = self.held.take() {
                    let other = RtpPacket::read(&held)?;
                    let other_descriptor = other.extension(DESCRIPTOR_ID)?.unwrap_or_default();
                    self.tampered += 2;
                    self.send(now, rebuilt(&other, other_descriptor, rtp.payload)?)?;
                    return self.send(now, rebuilt(&rtp, descriptor, other.payload)?);
                } else if chosen {
                    self.held = Some(packet.clone());
                    return Ok(());
                }
            }
            Some(Tamper::Replay) => return self.replay(now, packet, number, chosen && flags & 0x40 != 0),
            _ => {}
        }
        if changed == descriptor && payload == rtp.payload {
            return self.send(now, packet.clone());
        }
        self.tampered += 1;
        self.send(now, rebuilt(&rtp, &changed, &payload)?)
    }

    /// Forwards a packet, and after it the packets of an old frame with new sequence numbers.
    fn replay(&mut self, now: Time, packet: &Bytes, number: u16, again: bool) -> Result<()> {
        self.send(now, packet.clone())?;
        match self.kept.back_mut() {
            Some((last, packets)) if *last == number => packets.push(packet.clone()),
            _ => self.kept.push_back((number, vec![packet.clone()])),
        }
        if self.kept.len() <= KEPT {
            return Ok(());
        }
        let Some((_, packets)) = self.kept.pop_front().filter(|_| again) else { return Ok(()) };
        for packet in packets {
            self.tampered += 1;
            self.extra = self.extra.wrapping_add(1);
            self.emit(now, &packet, self.last.wrapping_add(1))?;
        }
        Ok(())
    }

    /// Sends a packet on under the number that the subscription gave it, behind the packets of our own.
    fn send(&mut self, now: Time, packet: Bytes) -> Result<()> {
        let sequence_number = RtpPacket::read(&packet)?.header.sequence_number;
        self.emit(now, &packet, sequence_number.wrapping_add(self.extra))
    }

    fn emit(&mut self, now: Time, packet: &[u8], number: u16) -> Result<()> {
        let mut packet = packet.to_vec();
        RtpPacketMut::new(&mut packet)?.set_sequence_number(number);
        self.forwarded += 1;
        if self.forwarded == 1 || number.wrapping_sub(self.last) < 1 << 15 {
            self.last = number;
        }
        let (frame, class) = self.frame;
        self.downlink.handle_packet(now, PathPacket { class, frame, packet: packet.into() });
        Ok(())
    }

    /// Sends what is due on the path to the receiver. That writes its own transport-wide numbers over the sender's.
    fn transmit(&mut self, now: Time) -> Result<()> {
        loop {
            match self.downlink.poll(now) {
                SendPathOutput::Transmit(packet) => self.network.send(packet.packet)?,
                SendPathOutput::Dropped { class: PacketClass::Base, .. } => {
                    self.requests.handle_request(Refresh::KEY);
                }
                SendPathOutput::Timeout(_) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Takes what the receiver asks for.
    fn handle_feedback(&mut self, now: Time, packet: &[u8]) -> Result<()> {
        for message in rtcp::read(packet) {
            match message? {
                report @ RtcpMessage::ReceiverReport { .. } => self.reports.push(report),
                RtcpMessage::Nack { lost, .. } => {
                    let numbers = lost.iter().flat_map(|lost| lost.sequence_numbers());
                    let original = |number: u16| self.subscription.original(number.wrapping_sub(self.extra));
                    self.lost.extend(Lost::of(numbers.filter_map(original)));
                }
                RtcpMessage::Pli { .. } | RtcpMessage::Fir { .. } => {
                    self.requests.handle_request(Refresh::KEY);
                }
                RtcpMessage::Lrr { requests, .. } => {
                    for request in requests {
                        self.requests.handle_request(request.refresh());
                    }
                }
                message => {
                    // What is no transport-wide feedback is of no use here.
                    let _ = self.downlink.handle_feedback(now, &message);
                }
            }
        }
        Ok(())
    }

    /// What the sender is asked for, on the receiver's behalf and for a switch of layers.
    fn poll_feedback(&mut self, now: Time) -> Vec<RtcpMessage> {
        let mut feedback = std::mem::take(&mut self.reports);
        if !self.lost.is_empty() {
            let lost = std::mem::take(&mut self.lost);
            feedback.push(RtcpMessage::Nack { sender_ssrc: SSRC, media_ssrc: self.media.0, lost });
        }
        if let Some(refresh) = self.subscription.poll(now) {
            self.requests.handle_request(refresh);
        }
        if let Some(refresh) = self.requests.poll(now) {
            self.requested = self.requested.wrapping_add(1);
            let wanted = LayerId::new(self.args.spatial, self.args.temporal);
            let (ssrc, payload_type) = self.media;
            let number = self.requested;
            feedback.push(RtcpMessage::refresh(refresh, wanted, SSRC, ssrc, number, payload_type));
        }
        feedback
    }
}

/// The packet with another descriptor and payload.
fn rebuilt(packet: &RtpPacket<'_>, descriptor: &[u8], payload: &[u8]) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    packet.header.write(&[(DESCRIPTOR_ID, descriptor), (TRANSPORT_ID, &[0; 2])], &mut bytes)?;
    bytes.extend_from_slice(payload);
    Ok(bytes.freeze())
}
