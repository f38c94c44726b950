//! A thread of the relay: rooms, and one socket.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use crossbeam_channel::{Receiver, Sender};
use layercast::Time;
use layercast::relay::{ParticipantId, Room, RoomOutput};
use layercast::select::DemandMessage;
use layercast_batch::{Inbox, Outbox, SENT, wait};
use nix::sys::socket::SockaddrStorage;

use crate::delays::Delays;
use crate::net::{processor_time, waited, wall_clock};

/// Packets that are remembered, to be sent once more by a bare loop.
const REMEMBERED: usize = 1 << 20;
/// A thread that has nothing to do looks at its commands so often.
const IDLE: Duration = Duration::from_millis(20);

/// A room, and where its participants are: number n at place n.
pub struct Hall {
    pub room: Room,
    pub addresses: Vec<SocketAddrV4>,
}

/// What a thread is told.
pub enum Command {
    /// Takes a room, which stays on this thread.
    Take(Box<Hall>),
    /// Counts from now on.
    Count,
    /// Says what was counted.
    Tell,
    /// Sends the packets that it has counted once more, without a relay, and says what that took.
    SendBare,
    Stop,
}

/// What a thread counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    /// RTP and RTCP packets that went out, and those that came in.
    pub sent: u64,
    pub received: u64,
    pub refused: u64,
    pub expelled: u64,
    /// Processor time, time in which other threads had the core, and time.
    pub processor: Duration,
    pub waited: Duration,
    pub time: Duration,
}

struct Seated {
    room: Room,
    addresses: Vec<SockaddrStorage>,
    /// When to poll it, if nothing comes before, and when the first packet came that it was not polled after.
    wake: Option<Time>,
    came: Option<Time>,
}

/// A thread of the relay.
pub struct Relay {
    pub socket: UdpSocket,
    pub start: Instant,
    pub commands: Receiver<Command>,
    pub counts: Sender<(Count, Delays)>,
    pub demands: Sender<DemandMessage>,
}

impl Relay {
    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// Serves rooms until it is told to stop.
    pub fn run(self) {
        let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
        let mut seated: Vec<Seated> = Vec::new();
        let mut known: HashMap<SocketAddr, (usize, ParticipantId)> = HashMap::new();
        let (mut count, mut from) = (Count::default(), (Instant::now(), processor_time(), waited()));
        let mut log: Option<Log> = None;
        // Of the packets in the outbox: since when they were due.
        let (mut due, mut delays) = (ArrayVec::<Time, SENT>::new(), Delays::new());
        let zero = wall_clock() - self.start.elapsed();
        loop {
            match self.commands.try_recv() {
                Ok(Command::Take(hall)) => {
                    let Hall { room, addresses } = *hall;
                    for (address, id) in addresses.iter().zip(0..) {
                        known.insert((*address).into(), (seated.len(), ParticipantId(id)));
                    }
                    let addresses = addresses.into_iter().map(SockaddrStorage::from).collect();
                    seated.push(Seated { room, addresses, wake: Some(Time::ZERO), came: None });
                }
                Ok(Command::Count) => {
                    (log, delays) = (Some(Log::new()), Delays::new());
                    (count, from) = (Count::default(), (Instant::now(), processor_time(), waited()));
                }
                Ok(Command::Tell) => {
                    (count.time, count.processor) = (from.0.elapsed(), processor_time() - from.1);
                    count.waited = waited() - from.2;
                    count.refused = outbox.refused;
                    if self.counts.send((count, delays.clone())).is_err() {
                        return;
                    }
                }
                Ok(Command::SendBare) => {
                    let count = log.take().map(|log| self.send_bare(&log, &mut outbox));
                    if self.counts.send((count.unwrap_or_default(), Delays::new())).is_err() {
                        return;
                    }
                }
                Ok(Command::Stop) | Err(crossbeam_channel::TryRecvError::Disconnected) => return,
                Err(crossbeam_channel::TryRecvError::Empty) => {}
            }
            let mut now = self.now();
            let received = inbox.receive(&self.socket, |from, at, packet| {
                if let Some(&(hall, id)) = known.get(&from) {
                    seated[hall].room.handle_packet(now, id, packet);
                    seated[hall].came.get_or_insert(Time::ZERO + at.saturating_sub(zero));
                }
            });
            count.received += received as u64;
            for hall in &mut seated {
                let wake = hall.wake.filter(|wake| *wake <= now);
                let Some(since) = hall.came.take().into_iter().chain(wake).min() else { continue };
                loop {
                    match hall.room.poll(now, outbox.bytes()) {
                        RoomOutput::Transmit { to, length } => {
                            let to = hall.addresses[to.0 as usize];
                            if let Some(log) = &mut log {
                                log.push(to, length);
                            }
                            count.sent += 1;
                            due.push(since);
                            if outbox.push(to) {
                                outbox.flush(&self.socket);
                                now = self.now();
                                due.drain(..).for_each(|due| delays.push(now - due));
                                log.iter_mut().for_each(|log| log.flushed());
                            }
                        }
                        // A camera that has gone needs none.
                        RoomOutput::Demand { message, .. } => drop(self.demands.send(message)),
                        RoomOutput::Expelled { .. } => count.expelled += 1,
                        RoomOutput::Timeout(wake) => {
                            hall.wake = wake;
                            break;
                        }
                        _ => {}
                    }
                }
            }
            if !outbox.is_empty() {
                outbox.flush(&self.socket);
                now = self.now();
                due.drain(..).for_each(|due| delays.push(now - due));
                log.iter_mut().for_each(|log| log.flushed());
            }
            if received == 0 {
                let wake = seated.iter().filter_map(|hall| hall.wake).min();
                let longest = wake.map_or(IDLE, |wake| wake - self.now());
                wait(&[&self.socket], longest.min(IDLE));
            }
        }
    }

    /// Sends the same bytes to the same addresses at the same times.
    fn send_bare(&self, log: &Log, outbox: &mut Outbox) -> Count {
        let content = [0x80; 2048];
        let (start, processor) = (Instant::now(), processor_time());
        let mut first = 0;
        for &(at, end) in &log.flushes {
            if let Some(left) = at.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
                std::thread::sleep(left);
            }
            outbox.send_any(&self.socket, &content, &log.packets[first..end]);
            first = end;
        }
        Count {
            sent: first as u64,
            processor: processor_time() - processor,
            time: start.elapsed(),
            ..Count::default()
        }
    }
}

/// What was sent, and in which calls.
struct Log {
    start: Instant,
    packets: Vec<(SockaddrStorage, u16)>,
    flushes: Vec<(Duration, usize)>,
}

impl Log {
    fn new() -> Self {
        let (packets, flushes) = (Vec::with_capacity(REMEMBERED), Vec::with_capacity(REMEMBERED / 8));
        Self { start: Instant::now(), packets, flushes }
    }

    fn push(&mut self, to: SockaddrStorage, length: usize) {
        if self.packets.len() < REMEMBERED {
            self.packets.push((to, length as u16));
        }
    }

    fn flushed(&mut self) {
        let end = self.packets.len();
        if self.flushes.last().is_none_or(|(_, last)| *last < end) {
            self.flushes.push((self.start.elapsed(), end));
        }
    }
}
