//! UDP in batches: `sendmmsg` and `recvmmsg`.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use arrayvec::ArrayVec;
use layercast_examples::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Packets that are sent by one call, and received by one.
pub const SENT: usize = 64;
pub const RECEIVED: usize = 16;
/// Bytes of a packet at most.
const PACKET: usize = 2048;

/// A socket of this machine that keeps so many bytes until they are read, as far as the system allows it.
pub fn socket(buffer: usize) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&socket, sockopt::RcvBuf, &buffer)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

/// Where a socket is reached.
pub fn address(socket: &UdpSocket) -> Result<SocketAddrV4> {
    match socket.local_addr()? {
        std::net::SocketAddr::V4(address) => Ok(address),
        address => Err(format!("{address} is no address of IPv4").into()),
    }
}

/// The processor time of this thread.
pub fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// How long this thread could have run and had to wait for a core.
pub fn waited() -> Duration {
    let fields = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = fields.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// The time of the system's clock, which the kernel stamps packets with.
pub fn wall_clock() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from)
}

/// Keeps this thread on some of the cores, so that the relay's threads have theirs for themselves.
pub fn stay_on(cores: std::ops::Range<usize>) {
    let mut set = CpuSet::new();
    // A machine that has fewer or does not allow it runs all threads where it likes.
    if cores.into_iter().try_for_each(|core| set.set(core)).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// Waits until something can be read, or for a time.
pub fn wait(socket: &UdpSocket, longest: Duration) {
    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    // An interruption is a packet that came.
    let _ = ppoll(&mut sockets, Some(TimeSpec::from_duration(longest)), None);
}

/// Packets that go out together.
pub struct Outbox {
    headers: MultiHeaders<SockaddrIn>,
    /// The packets, one behind the other, and where each ends.
    pub bytes: Vec<u8>,
    ends: ArrayVec<usize, SENT>,
    to: ArrayVec<Option<SockaddrIn>, SENT>,
    /// Packets that the system refused.
    pub refused: u64,
}

impl Outbox {
    pub fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(SENT, None),
            bytes: Vec::with_capacity(SENT * PACKET),
            ends: ArrayVec::new(),
            to: ArrayVec::new(),
            refused: 0,
        }
    }

    /// Packets that wait.
    pub fn len(&self) -> usize {
        self.to.len()
    }

    /// Takes the packet that was appended to `bytes`. `true` if no other one has room.
    pub fn push(&mut self, to: SockaddrIn) -> bool {
        self.ends.push(self.bytes.len());
        self.to.push(Some(to));
        self.to.is_full()
    }

    /// Sends all.
    pub fn flush(&mut self, socket: &UdpSocket) {
        let Self { headers, bytes, ends, to, refused } = self;
        let mut slices = ArrayVec::<[IoSlice<'_>; 1], SENT>::new();
        let mut start = 0;
        for &end in ends.iter() {
            slices.push([IoSlice::new(&bytes[start..end])]);
            start = end;
        }
        send(socket, headers, &slices, to, refused);
        drop(slices);
        bytes.clear();
        ends.clear();
        to.clear();
    }

    /// Sends packets of these lengths, whatever is in them, to these addresses: nothing but the system's own work.
    pub fn send_any(&mut self, socket: &UdpSocket, content: &[u8], packets: &[(SockaddrIn, u16)]) {
        for packets in packets.chunks(SENT) {
            let mut slices = ArrayVec::<[IoSlice<'_>; 1], SENT>::new();
            for (to, length) in packets {
                self.to.push(Some(*to));
                slices.push([IoSlice::new(&content[..usize::from(*length)])]);
            }
            send(socket, &mut self.headers, &slices, &self.to, &mut self.refused);
            drop(slices);
            self.to.clear();
        }
    }
}

fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrIn>,
    mut slices: &[[IoSlice<'_>; 1]],
    mut to: &[Option<SockaddrIn>],
    refused: &mut u64,
) {
    while !to.is_empty() {
        let sent = sendmmsg(socket.as_raw_fd(), headers, slices, to, [], MsgFlags::empty());
        let sent = match sent.map(Iterator::count) {
            Ok(sent) => sent,
            Err(Errno::EINTR) => 0,
            // It is about the first one.
            Err(_) => {
                *refused += 1;
                1
            }
        };
        (slices, to) = (&slices[sent..], &to[sent..]);
    }
}

/// Packets that come in together.
pub struct Inbox {
    headers: MultiHeaders<SockaddrIn>,
    bytes: Vec<u8>,
}

impl Inbox {
    pub fn new() -> Self {
        let headers = MultiHeaders::preallocate(RECEIVED, Some(nix::cmsg_space!(TimeSpec)));
        Self { headers, bytes: vec![0; RECEIVED * PACKET] }
    }

    /// Reads what is there, up to [`RECEIVED`] packets, and hands on from whom each came, when, by the system's clock, and
    /// what is in it. Returns their number.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut each: impl FnMut(SocketAddrV4, Duration, &[u8]),
    ) -> usize {
        let mut places = self.bytes.chunks_mut(PACKET);
        let mut slices: [_; RECEIVED] =
            std::array::from_fn(|_| [IoSliceMut::new(places.next().unwrap_or_default())]);
        let received =
            recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
        let Ok(received) = received else { return 0 };
        let mut count = 0;
        for message in received {
            let at = message.cmsgs().into_iter().flatten().find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                _ => None,
            });
            if let (Some(from), Some(packet)) = (message.address, message.iovs().next()) {
                let from = SocketAddrV4::new(from.ip(), from.port());
                each(from, at.unwrap_or_default(), packet);
            }
            count += 1;
        }
        count
    }
}
