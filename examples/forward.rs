//! A proxy between sender and receiver that does what a relay must not.

mod common;
mod udp;

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use clap::{Parser, ValueEnum};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::rtp::rtcp::{self, Lost, RtcpMessage};

use common::{Result, at, exit_code};
use udp::{Faults, Network, is_rtcp};

/// Identifier of the Dependency Descriptor's header extension, as `send` has it.
const DESCRIPTOR_ID: u8 = 4;

/// Forwards packets from `send` to `receive`, and what `receive` asks for back to `send`; changes some of them on the
/// way, to show what `receive` says. It ends when nothing was sent for some seconds.
#[derive(Parser)]
struct Args {
    /// Where packets come from `send`.
    #[arg(long, default_value = "127.0.0.1:5014")]
    listen: SocketAddr,
    /// Where they go: to `receive`.
    #[arg(long, default_value = "127.0.0.1:5004")]
    to: SocketAddr,
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
    let mut proxy = Proxy {
        args,
        network: to_receiver,
        inserted: 0,
        forwarded_as: (0..=u16::MAX).collect(),
        newest: None,
        held: None,
        kept: VecDeque::new(),
        forwarded: 0,
        tampered: 0,
    };
    println!("forwarding from {} to {}", args.listen, args.to);
    let mut sender = None;
    let mut last: Option<Instant> = None;
    while last.is_none_or(|last| last.elapsed() < IDLE) {
        // Everything that is there goes on at once; only then is there time to wait.
        let mut wait = WAIT;
        while let Some((packet, from)) = udp::receive(&from_sender, wait)? {
            wait = Duration::ZERO;
            sender = Some(from);
            last = Some(Instant::now());
            proxy.forward(&packet)?;
        }
        while let Some((packet, _)) = proxy.network.receive(Instant::now())? {
            if let Some(sender) = sender.filter(|_| is_rtcp(&packet)) {
                from_sender.send_to(&proxy.feedback(&packet)?, sender)?;
            }
        }
    }
    println!("{} packets forwarded, {} tampered with", proxy.forwarded, proxy.tampered);
    Ok(())
}

struct Proxy<'a> {
    args: &'a Args,
    network: Network,
    /// Packets of our own so far, by which all later sequence numbers are higher.
    inserted: u16,
    /// What each of the sender's sequence numbers became.
    forwarded_as: Vec<u16>,
    /// The sender's highest sequence number.
    newest: Option<u16>,
    /// A packet whose payload is to be swapped with another's.
    held: Option<Bytes>,
    /// The packets of the last frames.
    kept: VecDeque<(u16, Vec<Bytes>)>,
    forwarded: u64,
    tampered: u64,
}

impl Proxy<'_> {
    fn forward(&mut self, packet: &Bytes) -> Result<()> {
        let Ok(rtp) = RtpPacket::read(packet) else { return Ok(()) };
        let Some(descriptor) = rtp.extension(DESCRIPTOR_ID)?.filter(|descriptor| descriptor.len() >= 3)
        else {
            return self.send(packet.clone());
        };
        let number = u16::from_be_bytes([descriptor[1], descriptor[2]]);
        let whole_frame = descriptor[0] & 0xc0 == 0xc0;
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
            Some(Tamper::Template) if chosen => {
                changed[0] = changed[0] & 0xc0 | changed[0].wrapping_add(1) & 0x3f
            }
            Some(Tamper::Structure) if descriptor.len() > 20 => changed[20] ^= 1,
            Some(Tamper::Swap) if whole_frame => {
                if let Some(held) = self.held.take() {
                    let other = RtpPacket::read(&held)?;
                    let other_descriptor = other.extension(DESCRIPTOR_ID)?.unwrap_or_default();
                    self.tampered += 2;
                    self.send(rebuilt(&other, other_descriptor, rtp.payload)?)?;
                    return self.send(rebuilt(&rtp, descriptor, other.payload)?);
                } else if chosen {
                    self.held = Some(packet.clone());
                    return Ok(());
                }
            }
            Some(Tamper::Replay) => return self.replay(packet, number, chosen && descriptor[0] & 0x40 != 0),
            _ => {}
        }
        if changed == descriptor && payload == rtp.payload {
            return self.send(packet.clone());
        }
        self.tampered += 1;
        self.send(rebuilt(&rtp, &changed, &payload)?)
    }

    /// Forwards a packet, and after it the packets of an old frame with new sequence numbers.
    fn replay(&mut self, packet: &Bytes, number: u16, now: bool) -> Result<()> {
        self.send(packet.clone())?;
        match self.kept.back_mut() {
            Some((last, packets)) if *last == number => packets.push(packet.clone()),
            _ => self.kept.push_back((number, vec![packet.clone()])),
        }
        if self.kept.len() <= KEPT {
            return Ok(());
        }
        let Some((_, packets)) = self.kept.pop_front().filter(|_| now) else { return Ok(()) };
        for packet in packets {
            self.tampered += 1;
            self.inserted = self.inserted.wrapping_add(1);
            self.emit(&packet, self.newest.unwrap_or(0).wrapping_add(self.inserted))?;
        }
        Ok(())
    }

    /// Sends a packet on under a number that leaves room for those of our own.
    fn send(&mut self, packet: Bytes) -> Result<()> {
        let sequence_number = RtpPacket::read(&packet)?.header.sequence_number;
        let newest = *self.newest.get_or_insert(sequence_number.wrapping_sub(1));
        let ahead = sequence_number.wrapping_sub(newest);
        if ahead < 1 << 15 {
            for number in 1..=ahead {
                let number = newest.wrapping_add(number);
                self.forwarded_as[usize::from(number)] = number.wrapping_add(self.inserted);
            }
            self.newest = Some(sequence_number);
        }
        self.emit(&packet, self.forwarded_as[usize::from(sequence_number)])
    }

    fn emit(&mut self, packet: &[u8], number: u16) -> Result<()> {
        let mut packet = packet.to_vec();
        let mut rewrite = RtpPacketMut::new(&mut packet)?;
        rewrite.set_sequence_number(number);
        self.forwarded += 1;
        Ok(self.network.send(packet.into())?)
    }

    /// What the receiver asks for, with the sender's sequence numbers.
    fn feedback(&self, packet: &[u8]) -> Result<BytesMut> {
        let mut messages = rtcp::read(packet).collect::<std::result::Result<Vec<_>, _>>()?;
        for message in &mut messages {
            if let RtcpMessage::Nack { lost, .. } = message {
                let numbers = lost.iter().flat_map(|lost| lost.sequence_numbers());
                let sent_as =
                    |number| (0..=u16::MAX).find(|sent| self.forwarded_as[usize::from(*sent)] == number);
                *lost = Lost::of(numbers.filter_map(sent_as));
            }
        }
        let mut packet = BytesMut::new();
        rtcp::write(&messages, &mut packet)?;
        Ok(packet)
    }
}

/// The packet with another descriptor and payload.
fn rebuilt(packet: &RtpPacket<'_>, descriptor: &[u8], payload: &[u8]) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    packet.header.write(&[(DESCRIPTOR_ID, descriptor)], &mut bytes)?;
    bytes.extend_from_slice(payload);
    Ok(bytes.freeze())
}
