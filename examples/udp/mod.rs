//! What the two ends of a call over UDP share: a socket with a bad network behind it, and the agreement on keys.
#![allow(dead_code)] // Each example takes a part of it.

#[cfg(feature = "e2ee")]
pub mod control;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use oorandom::Rand32;

/// SSRC of the video.
pub const SSRC: u32 = 0x6c61_7963;

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
    chance: Rand32,
    late: BinaryHeap<Reverse<(Instant, Bytes)>>,
    /// Packets lost on purpose.
    pub lost: u64,
}

impl Network {
    /// Packets go to this address.
    pub fn new(socket: UdpSocket, to: SocketAddr, faults: Faults) -> Self {
        let chance = Rand32::new(faults.seed);
        Self { socket, to, faults, chance, late: BinaryHeap::new(), lost: 0 }
    }

    /// Sends a packet, now, later or never.
    pub fn send(&mut self, packet: Bytes) -> io::Result<()> {
        if self.happens(self.faults.loss) {
            self.lost += 1;
        } else if self.happens(self.faults.reorder) {
            self.late.push(Reverse((Instant::now() + OVERTAKEN, packet)));
        } else {
            self.socket.send_to(&packet, self.to)?;
        }
        Ok(())
    }

    /// Takes a packet that is there, or waits for one until `until`; sends late ones meanwhile.
    pub fn receive(&mut self, until: Instant) -> io::Result<Option<(Bytes, SocketAddr)>> {
        loop {
            let now = Instant::now();
            while let Some(Reverse((_, packet))) = self.late.peek().filter(|Reverse((time, _))| *time <= now)
            {
                self.socket.send_to(packet, self.to)?;
                self.late.pop();
            }
            let next = self.late.peek().map_or(until, |Reverse((time, _))| until.min(*time));
            let received = receive(&self.socket, next.saturating_duration_since(now))?;
            if received.is_some() || now >= until {
                return Ok(received);
            }
        }
    }

    fn happens(&mut self, percent: u8) -> bool {
        self.chance.rand_range(0..100) < u32::from(percent)
    }
}

/// Takes a packet that is there, or waits for one for a time, which the system rounds up to a few milliseconds.
pub fn receive(socket: &UdpSocket, wait: Duration) -> io::Result<Option<(Bytes, SocketAddr)>> {
    let mut buffer = [0; 2048];
    socket.set_nonblocking(wait.is_zero())?;
    if !wait.is_zero() {
        socket.set_read_timeout(Some(wait))?;
    }
    match socket.recv_from(&mut buffer) {
        Ok((size, from)) => Ok(Some((Bytes::copy_from_slice(&buffer[..size]), from))),
        // Nobody listens there any more, or not yet.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}
