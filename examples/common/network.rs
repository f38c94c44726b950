//! A UDP socket with a bad network behind it.

use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use std::cmp::Reverse;

use super::chance::Chance;

/// How late a packet is that others overtake.
const OVERTAKEN: Duration = Duration::from_millis(30);

/// What the network does to packets.
#[derive(Args, Clone)]
pub struct Faults {
    /// Packets that get lost, in percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub loss: u8,
    /// Packets that come 30 ms late, so that others overtake them, in percent.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    pub reorder: u8,
    /// Which packets these are.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Sends packets through such a network.
pub struct Network {
    socket: UdpSocket,
    to: SocketAddr,
    faults: Faults,
    chance: Chance,
    late: BinaryHeap<Reverse<(Instant, Bytes)>>,
    /// Packets lost on purpose.
    pub lost: u64,
}

impl Network {
    /// Packets go to this address.
    pub fn new(socket: UdpSocket, to: SocketAddr, faults: Faults) -> Self {
        let chance = Chance(faults.seed);
        Self { socket, to, faults, chance, late: BinaryHeap::new(), lost: 0 }
    }

    /// Sends a packet, now, later or never.
    pub fn send(&mut self, packet: Bytes) -> io::Result<()> {
        if self.chance.below(100) < u64::from(self.faults.loss) {
            self.lost += 1;
        } else if self.chance.below(100) < u64::from(self.faults.reorder) {
            self.late.push(Reverse((Instant::now() + OVERTAKEN, packet)));
        } else {
            self.socket.send_to(&packet, self.to)?;
        }
        Ok(())
    }

    /// Waits for a packet until `until`, and sends late ones meanwhile.
    pub fn receive(&mut self, until: Instant) -> io::Result<Option<(Bytes, SocketAddr)>> {
        loop {
            let now = Instant::now();
            while let Some(Reverse((_, packet))) = self.late.peek().filter(|Reverse((time, _))| *time <= now)
            {
                self.socket.send_to(packet, self.to)?;
                self.late.pop();
            }
            if now >= until {
                return Ok(None);
            }
            let late = self.late.peek().map_or(until, |Reverse((time, _))| *time);
            if let Some(received) = receive(&self.socket, until.min(late) - now)? {
                return Ok(Some(received));
            }
        }
    }
}

/// Waits for a packet.
pub fn receive(socket: &UdpSocket, wait: Duration) -> io::Result<Option<(Bytes, SocketAddr)>> {
    let mut buffer = [0; 2048];
    socket.set_read_timeout(Some(wait.max(Duration::from_micros(1))))?;
    match socket.recv_from(&mut buffer) {
        Ok((size, from)) => Ok(Some((Bytes::copy_from_slice(&buffer[..size]), from))),
        // Nobody listens there any more, or not yet.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a packet is RTCP, where RTP comes to the same port (RFC 5761, section 4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|packet_type| (192..=223).contains(packet_type))
}
