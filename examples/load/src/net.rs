//! Sockets and times of this machine.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use layercast_examples::Result;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// A socket of this machine that keeps so many bytes until they are read, as far as the system allows it.
pub fn socket(buffer: usize) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    layercast_batch::prepare(&socket, buffer)?;
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
