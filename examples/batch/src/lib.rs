//! UDP in batches: `sendmmsg` and `recvmmsg`, which cost the system less a packet than a call for each.

mod spread;

pub use spread::{Helpers, Spread};

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use arrayvec::ArrayVec;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg, sendmmsg,
    setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

/// Packets that are sent by one call, and received by one.
pub const SENT: usize = 64;
/// Packets that are received by one call.
pub const RECEIVED: usize = 16;
/// Bytes of a packet at most. What is longer comes cut, and is refused by whoever reads it.
pub const PACKET: usize = 2048;

/// Lets a socket keep so many bytes until they are read, as far as the system allows it, and stamp packets with the time at
/// which they came.
///
/// # Errors
/// If the system refuses the options.
pub fn prepare(socket: &UdpSocket, buffer: usize) -> io::Result<()> {
    setsockopt(socket, sockopt::RcvBuf, &buffer)?;
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(())
}

/// Waits until one of the descriptors can be read, or for a time.
pub fn wait(descriptors: &[&dyn AsFd], longest: Duration) {
    let mut polled: ArrayVec<PollFd<'_>, 4> = descriptors
        .iter()
        .take(4)
        .map(|descriptor| PollFd::new(descriptor.as_fd(), PollFlags::POLLIN))
        .collect();
    // An interruption is a packet that came.
    let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(longest)), None);
}

/// Packets that go out together.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: ArrayVec<usize, SENT>,
    to: ArrayVec<Option<SockaddrStorage>, SENT>,
}

impl Batch {
    /// Takes what was appended to `bytes` as one packet. `true` if no other one has room.
    fn push(&mut self, to: SockaddrStorage) -> bool {
        self.ends.push(self.bytes.len());
        self.to.push(Some(to));
        self.to.is_full()
    }

    /// What was appended to `bytes`, and is no packet yet.
    fn last(&self) -> &[u8] {
        &self.bytes[self.ends.last().copied().unwrap_or(0)..]
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.to.clear();
    }
}

/// Sends packets that go out together.
#[derive(Debug)]
pub struct Outbox {
    headers: MultiHeaders<SockaddrStorage>,
    batch: Batch,
    /// Packets that the system refused.
    pub refused: u64,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbox {
    /// One without packets.
    pub fn new() -> Self {
        Self { headers: MultiHeaders::preallocate(SENT, None), batch: Batch::default(), refused: 0 }
    }

    /// The packets, one behind the other. Whoever sends one appends it here, and then calls [`push`](Self::push).
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.batch.bytes
    }

    /// Whether no packet waits.
    pub fn is_empty(&self) -> bool {
        self.batch.to.is_empty()
    }

    /// Takes the packet that was appended to [`bytes`](Self::bytes). `true` if no other one has room: it is to be
    /// [flushed](Self::flush) then.
    pub fn push(&mut self, to: impl Into<SockaddrStorage>) -> bool {
        self.batch.push(to.into())
    }

    /// Sends all. What the system refuses is counted and lost, as packets are.
    pub fn flush(&mut self, socket: &UdpSocket) {
        let Self { headers, batch, refused } = self;
        let mut slices = ArrayVec::<[IoSlice<'_>; 1], SENT>::new();
        let mut start = 0;
        for &end in &batch.ends {
            slices.push([IoSlice::new(&batch.bytes[start..end])]);
            start = end;
        }
        send(socket, headers, &slices, &batch.to, refused);
        drop(slices);
        batch.clear();
    }

    /// Sends packets of these lengths, whatever is in them, to these addresses: nothing but the system's own work.
    pub fn send_any(&mut self, socket: &UdpSocket, content: &[u8], packets: &[(SockaddrStorage, u16)]) {
        for packets in packets.chunks(SENT) {
            let mut slices = ArrayVec::<[IoSlice<'_>; 1], SENT>::new();
            for (to, length) in packets {
                self.batch.to.push(Some(*to));
                slices.push([IoSlice::new(&content[..usize::from(*length)])]);
            }
            send(socket, &mut self.headers, &slices, &self.batch.to, &mut self.refused);
            drop(slices);
            self.batch.clear();
        }
    }
}

fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    mut slices: &[[IoSlice<'_>; 1]],
    mut to: &[Option<SockaddrStorage>],
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
#[derive(Debug)]
pub struct Inbox {
    headers: MultiHeaders<SockaddrStorage>,
    bytes: Vec<u8>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Inbox {
    /// One with room for [`RECEIVED`] packets.
    pub fn new() -> Self {
        let headers = MultiHeaders::preallocate(RECEIVED, Some(nix::cmsg_space!(TimeSpec)));
        Self { headers, bytes: vec![0; RECEIVED * PACKET] }
    }

    /// Reads what is there, up to [`RECEIVED`] packets, and hands on from whom each came, when, by the system's clock, and
    /// what is in it. Returns their number.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        mut each: impl FnMut(SocketAddr, Duration, &[u8]),
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
            if let (Some(from), Some(packet)) = (message.address.and_then(address), message.iovs().next()) {
                each(from, at.unwrap_or_default(), packet);
            }
            count += 1;
        }
        count
    }
}

fn address(storage: SockaddrStorage) -> Option<SocketAddr> {
    match storage.family()? {
        nix::sys::socket::AddressFamily::Inet => {
            let address = storage.as_sockaddr_in()?;
            Some((address.ip(), address.port()).into())
        }
        nix::sys::socket::AddressFamily::Inet6 => {
            // An IPv4 address on a socket of both is written as one of IPv6.
            let address = storage.as_sockaddr_in6()?;
            Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
        }
        _ => None,
    }
}
