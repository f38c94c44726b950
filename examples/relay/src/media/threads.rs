//! The threads that switchboards run on, and their sockets.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use layercast::relay::RoomConfig;
use layercast_batch::{Helpers, Inbox, RECEIVED, Spread, prepare, wait};
use layercast_link::{Certificate, ufrag_of};
use nix::net::if_::InterfaceFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::time::{ClockId, clock_gettime};
use socket2::{Domain, Protocol, Socket, Type};

use super::switchboard::{Output, Statistics, Switchboard};
use super::ufrag;
use crate::media_api::{
    LinkFailed, MediaCommand, MediaConfig, MediaEvent, MediaEvents, MediaPort, MeetingKey,
};

/// Threads at most: their number has two digits in a user fragment.
const MAX_THREADS: usize = 64;
/// Addresses that participants are told at most.
const MAX_ADDRESSES: usize = 16;
/// Bytes that the system keeps of a socket until they are read: a burst of 100,000 small packets a second for 40 ms.
const BUFFER: usize = 4 << 20;
/// Datagrams that are handed from thread to thread, and wait there; more are lost, as datagrams are.
const HANDED: usize = 1024;
/// Datagrams that are read before rooms are served.
const READ: usize = 4 * RECEIVED;
/// How often a thread counts and measures its load.
const MEASURED: Duration = Duration::from_secs(1);

/// Why the media side did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The system refused a socket or a thread.
    #[error("no socket at {address}: {source}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There is no address that participants could be told.
    #[error("{0} stands for all addresses of this machine, and it has none")]
    Unspecified(SocketAddr),
    /// The links' certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] layercast_link::CertificateError),
}

/// What a thread is told, by the desk or by another thread.
enum Message {
    Command(MediaCommand),
    /// A peer at this address belongs to another thread.
    Claim(SocketAddr, u8),
    /// It does not any more.
    Release(SocketAddr, u8),
    Stop,
}

/// How a thread is reached. Messages come in their order and are never lost; datagrams may be.
#[derive(Clone)]
struct Door {
    messages: Sender<Message>,
    datagrams: Sender<(SocketAddr, Vec<u8>)>,
    bell: Arc<EventFd>,
}

impl Door {
    fn tell(&self, message: Message) {
        // A thread that has ended needs nothing more.
        if self.messages.send(message).is_ok() {
            self.ring();
        }
    }

    fn ring(&self) {
        // A bell whose count is full rings already.
        let _ = self.bell.write(1);
    }
}

/// The media side: threads with sockets.
pub struct Media {
    address: SocketAddr,
    totals: Totals,
    dispatcher: JoinHandle<()>,
}

impl Media {
    /// Opens the sockets and starts the threads, which do what comes through the port until the desk is gone.
    ///
    /// # Errors
    /// If a socket, a thread or a certificate cannot be made.
    pub fn start(config: &MediaConfig, room: &RoomConfig, port: MediaPort) -> Result<Self, MediaError> {
        let failed = |address| move |source| MediaError::Socket { address, source };
        let mut address = config.udp;
        let mut sockets = Vec::new();
        for _ in 0..config.threads.clamp(1, MAX_THREADS) {
            let socket = socket(address).map_err(failed(address))?;
            address = socket.local_addr().map_err(failed(address))?;
            sockets.push(socket);
        }
        let public = match &*config.public {
            [] if address.ip().is_unspecified() => {
                let found = interfaces(address.is_ipv4()).map_err(failed(address))?;
                if found.is_empty() {
                    return Err(MediaError::Unspecified(address));
                }
                found.into_iter().map(|ip| SocketAddr::new(ip, address.port())).collect()
            }
            [] => vec![address],
            public => public.iter().map(|ip| SocketAddr::new(*ip, address.port())).collect(),
        };
        let certificate = Certificate::generate()?;
        let (mut doors, mut ends) = (Vec::new(), Vec::new());
        for _ in &sockets {
            let (messages, message_end) = crossbeam_channel::unbounded();
            let (datagrams, datagram_end) = crossbeam_channel::bounded(HANDED);
            let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .map_err(io::Error::from)
                .map_err(failed(address))?;
            doors.push(Door { messages, datagrams, bell: Arc::new(bell) });
            ends.push((message_end, datagram_end));
        }
        let (totals, start) = (Totals::default(), Instant::now());
        // A big room's packets are sent by as many threads as there are, though the room stays on one of them.
        let helpers = Helpers::start(sockets.len() - 1).map_err(failed(address))?;
        let mut threads = Vec::new();
        for (number, ((messages, datagrams), socket)) in (0..).zip(ends.into_iter().zip(sockets)) {
            let board = Switchboard::new(number, start, certificate.clone(), public.clone(), room.clone());
            let thread = Thread {
                number,
                board,
                socket: Arc::new(socket),
                helpers: helpers.clone(),
                messages,
                datagrams,
                doors: doors.clone(),
                claims: HashMap::new(),
                events: port.events.clone(),
                totals: totals.clone(),
                told: Statistics::default(),
            };
            threads.push(spawn(format!("media-{number}"), move || thread.run()).map_err(failed(address))?);
        }
        let dispatcher = Dispatcher { loads: vec![0; doors.len()], doors, places: HashMap::new() };
        let dispatcher =
            spawn("media".into(), move || dispatcher.run(&port, threads)).map_err(failed(address))?;
        Ok(Self { address, totals, dispatcher })
    }

    /// Where the sockets are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The counts of all threads, up to date to a second.
    pub fn totals(&self) -> Totals {
        self.totals.clone()
    }

    /// Waits until the desk is gone and the threads have ended.
    pub fn join(self) {
        // A thread that panicked has said so.
        let _ = self.dispatcher.join();
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(run)
}

/// Brings the desk's commands to the threads of their meetings.
struct Dispatcher {
    doors: Vec<Door>,
    places: HashMap<MeetingKey, usize>,
    /// Meetings of each thread.
    loads: Vec<usize>,
}

impl Dispatcher {
    fn run(mut self, port: &MediaPort, threads: Vec<JoinHandle<()>>) {
        for command in &port.commands {
            match (self.place(&command), command) {
                (Some(place), command) => self.doors[place].tell(Message::Command(command)),
                (None, MediaCommand::Link { reply, .. }) => {
                    port.events.send(MediaEvent::Link { reply, result: Err(LinkFailed) });
                }
                (None, _) => {}
            }
        }
        for door in &self.doors {
            door.tell(Message::Stop);
        }
        for thread in threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }

    /// The thread that a command is for. A meeting goes to the one that has the fewest.
    fn place(&mut self, command: &MediaCommand) -> Option<usize> {
        let meeting = command.meeting();
        match command {
            MediaCommand::OpenMeeting { .. } => {
                let (least, load) = self.loads.iter_mut().enumerate().min_by_key(|(_, load)| **load)?;
                *load += 1;
                self.places.insert(meeting, least);
                Some(least)
            }
            MediaCommand::CloseMeeting { .. } => {
                self.places.remove(&meeting).inspect(|place| self.loads[*place] -= 1)
            }
            _ => self.places.get(&meeting).copied(),
        }
    }
}

/// The addresses of this machine's interfaces that are up, loopback last. Link-local addresses mean nothing elsewhere.
fn interfaces(only_ipv4: bool) -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for interface in nix::ifaddrs::getifaddrs().map_err(io::Error::from)? {
        if !interface.flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        let Some(address) = interface.address else { continue };
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(address), _) => IpAddr::V4(address.ip()),
            (_, Some(address)) if !only_ipv4 && !address.ip().is_unicast_link_local() => {
                IpAddr::V6(address.ip())
            }
            _ => continue,
        };
        found.push(ip);
    }
    found.sort_by_key(IpAddr::is_loopback);
    found.dedup();
    // Participants try no more.
    found.truncate(MAX_ADDRESSES);
    Ok(found)
}

/// A socket that shares its port with those of the other threads.
fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.set_send_buffer_size(BUFFER)?;
    let socket = UdpSocket::from(socket);
    prepare(&socket, BUFFER)?;
    Ok(socket)
}

/// Counts of the media side, over all threads: in the order of [`Totals::NAMES`].
#[derive(Debug, Clone, Default)]
pub struct Totals(Arc<[AtomicU64; 8]>);

impl Totals {
    /// Names, kinds and meanings, as Prometheus has them.
    const NAMES: [(&str, &str, &str); 8] = [
        ("relay_media_rooms", "gauge", "Meetings with media now."),
        ("relay_media_seats", "gauge", "Participants who may have media now."),
        ("relay_media_links", "gauge", "Links that are connected now."),
        ("relay_media_received_packets_total", "counter", "Packets that came and are authentic."),
        ("relay_media_sent_packets_total", "counter", "Packets that went out."),
        ("relay_media_sent_bytes_total", "counter", "Bytes of packets that went out."),
        ("relay_media_stranger_datagrams_total", "counter", "Datagrams that belong to no link."),
        ("relay_media_expelled_total", "counter", "Participants that were put out for misconduct."),
    ];

    /// The counts: meetings, participants and links now; packets that came, packets and bytes that went out; datagrams that
    /// belong to no link; participants that were put out.
    pub fn get(&self) -> [u64; 8] {
        std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }

    /// Appends them in Prometheus' text format.
    pub fn write(&self, text: &mut String) {
        for ((name, kind, help), value) in Self::NAMES.iter().zip(self.get()) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        }
    }

    /// Adds what a thread counted since it last did.
    fn add(&self, before: Statistics, now: Statistics) {
        let list = |s: Statistics| {
            [s.meetings, s.participants, s.links, s.received, s.sent, s.sent_bytes, s.strangers, s.expelled]
        };
        for ((total, before), now) in self.0.iter().zip(list(before)).zip(list(now)) {
            // What is fewer now wraps around, and so does the sum.
            total.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

struct Thread {
    number: u8,
    board: Switchboard,
    socket: Arc<UdpSocket>,
    helpers: Helpers,
    messages: Receiver<Message>,
    datagrams: Receiver<(SocketAddr, Vec<u8>)>,
    doors: Vec<Door>,
    /// Peers of other threads.
    claims: HashMap<SocketAddr, u8>,
    events: MediaEvents,
    totals: Totals,
    told: Statistics,
}

impl Thread {
    fn run(mut self) {
        let (mut inbox, mut outbox) = (Inbox::new(), Spread::new(self.socket.clone(), &self.helpers));
        let bell = Arc::clone(&self.doors[usize::from(self.number)].bell);
        let mut measured = (Instant::now(), processor_time());
        loop {
            let now = Instant::now();
            while let Ok(message) = self.messages.try_recv() {
                match message {
                    Message::Command(command) => self.board.handle_command(now, command),
                    Message::Claim(address, thread) => drop(self.claims.insert(address, thread)),
                    Message::Release(address, thread) => {
                        // A third thread may have claimed it since.
                        if self.claims.get(&address) == Some(&thread) {
                            self.claims.remove(&address);
                        }
                    }
                    Message::Stop => return,
                }
            }
            for (from, datagram) in self.datagrams.try_iter().take(HANDED) {
                self.board.handle_datagram(now, from, &datagram);
            }
            let mut read = 0;
            while read < READ {
                let received = inbox.receive(&self.socket, |from, _, datagram| {
                    match owner(&self.claims, self.number, self.doors.len(), from, datagram) {
                        Some(other) => hand_over(&self.doors[usize::from(other)], from, datagram),
                        None => self.board.handle_datagram(now, from, datagram),
                    }
                });
                read += received;
                if received < RECEIVED {
                    break;
                }
            }
            let wake = self.serve(&mut outbox);
            let now = Instant::now();
            if now - measured.0 >= MEASURED {
                let processor = processor_time();
                let load = (processor - measured.1).as_secs_f32() / (now - measured.0).as_secs_f32();
                measured = (now, processor);
                self.board.handle_load(now, load);
                let counts = self.board.statistics();
                self.totals.add(std::mem::replace(&mut self.told, counts), counts);
            }
            if read == 0 {
                let longest = wake.map_or(MEASURED, |wake| wake.saturating_duration_since(now));
                wait(&[&*self.socket, &*bell], longest.min(MEASURED));
                // The count says nothing that the channels do not.
                let _ = bell.read();
            }
        }
    }

    /// Sends what there is to send. Returns when to come back.
    fn serve(&mut self, outbox: &mut Spread) -> Option<Instant> {
        let mut now = Instant::now();
        loop {
            match self.board.poll(now, outbox.bytes()) {
                Output::Transmit { to, .. } => {
                    if outbox.push(to) {
                        now = Instant::now();
                    }
                }
                Output::Event(event) => self.events.send(event),
                Output::Claim(address) => {
                    // What is ours now was another's before.
                    self.claims.remove(&address);
                    self.tell_others(|number| Message::Claim(address, number));
                }
                Output::Release(address) => self.tell_others(|number| Message::Release(address, number)),
                Output::Timeout(wake) => {
                    outbox.flush();
                    return wake;
                }
            }
        }
    }

    fn tell_others(&self, message: impl Fn(u8) -> Message) {
        for (number, door) in self.doors.iter().enumerate() {
            if number != usize::from(self.number) {
                door.tell(message(self.number));
            }
        }
    }
}

/// The other thread that a datagram is for, if it is for another.
fn owner(
    claims: &HashMap<SocketAddr, u8>,
    own: u8,
    threads: usize,
    from: SocketAddr,
    datagram: &[u8],
) -> Option<u8> {
    if threads == 1 {
        return None;
    }
    let thread = match ufrag_of(datagram) {
        Some(named) => ufrag::thread_of(named)?,
        None => *claims.get(&from)?,
    };
    (thread != own && usize::from(thread) < threads).then_some(thread)
}

fn hand_over(door: &Door, from: SocketAddr, datagram: &[u8]) {
    match door.datagrams.try_send((from, datagram.to_vec())) {
        Ok(()) => door.ring(),
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
