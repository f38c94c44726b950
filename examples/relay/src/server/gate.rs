//! Whose connections are taken: bounds in number and in time, so that those who only open them keep nobody else out.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::metrics::Metrics;
use crate::desk::network;

/// Bounds of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// At once.
    pub total: usize,
    /// Of one address at once. Many people may stand behind one.
    pub per_address: usize,
    /// Unfinished TLS handshakes of one address. One more puts an end to the oldest.
    pub handshakes: usize,
    /// How long a handshake may take, and a request's header after it.
    pub handshake_time: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 10_000, per_address: 1_000, handshakes: 256, handshake_time: Duration::from_secs(5) }
    }
}

#[derive(Debug, Default)]
struct Address {
    connections: usize,
    /// Unfinished handshakes, oldest first. Dropping one's sender ends it.
    handshakes: VecDeque<(u64, oneshot::Sender<()>)>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    addresses: HashMap<IpAddr, Address>,
    last_handshake: u64,
}

struct Shared {
    limits: ConnectionLimits,
    tls: TlsAcceptor,
    counts: Mutex<Counts>,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing in here panics between two changes that belong together.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes TCP connections, and does TLS on them.
#[derive(Clone)]
pub(super) struct Gate(Arc<Shared>);

impl Gate {
    pub fn new(limits: ConnectionLimits, tls: Arc<rustls::ServerConfig>, metrics: Arc<Metrics>) -> Self {
        let counts = Mutex::default();
        Self(Arc::new(Shared { limits, tls: TlsAcceptor::from(tls), counts, metrics }))
    }

    /// Ends all unfinished handshakes.
    pub fn end_handshakes(&self) {
        for of_address in self.0.counts().addresses.values_mut() {
            of_address.handshakes.clear();
        }
    }

    /// Counts a connection, if there is room for it.
    fn enter(&self, address: IpAddr) -> Option<(Ticket, Handshake, oneshot::Receiver<()>)> {
        let shared = &*self.0;
        let mut guard = shared.counts();
        let counts = &mut *guard;
        let of_address = counts.addresses.entry(address).or_default();
        if of_address.handshakes.len() >= shared.limits.handshakes {
            // Its ticket is given back by its own task, a little later.
            of_address.handshakes.pop_front();
            shared.metrics.evicted_handshakes.add(1);
        }
        if counts.total >= shared.limits.total || of_address.connections >= shared.limits.per_address {
            shared.metrics.refused_connections.add(1);
            if of_address.connections == 0 {
                counts.addresses.remove(&address);
            }
            return None;
        }
        counts.last_handshake += 1;
        let number = counts.last_handshake;
        let (sender, ended) = oneshot::channel();
        counts.total += 1;
        of_address.connections += 1;
        of_address.handshakes.push_back((number, sender));
        drop(guard);
        let ticket = Ticket { gate: self.clone(), address };
        let handshake = Handshake { gate: self.clone(), address, number };
        Some((ticket, handshake, ended))
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gate").field(&self.0.limits).finish()
    }
}

/// A connection that is counted, until this is dropped.
struct Ticket {
    gate: Gate,
    address: IpAddr,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.gate.0.counts();
        counts.total -= 1;
        if let Some(of_address) = counts.addresses.get_mut(&self.address) {
            of_address.connections -= 1;
            if of_address.connections == 0 {
                counts.addresses.remove(&self.address);
            }
        }
    }
}

/// A handshake that goes on, until this is dropped.
struct Handshake {
    gate: Gate,
    address: IpAddr,
    number: u64,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut counts = self.gate.0.counts();
        if let Some(of_address) = counts.addresses.get_mut(&self.address) {
            of_address.handshakes.retain(|(number, _)| *number != self.number);
        }
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Gate {
    type Stream = TlsStream<Counted>;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move {
            let address = network(stream.peer_addr()?.ip());
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (ticket, handshake, ended) = gate.enter(address).ok_or_else(refused)?;
            stream.set_nodelay(true)?;
            let stream = Counted { stream: Unread::new(stream, PATIENCE), _ticket: ticket };
            let tls = tokio::select! {
                done = tokio::time::timeout(gate.0.limits.handshake_time, gate.0.tls.accept(stream)) => done??,
                _ = ended => return Err(refused()),
            };
            drop(handshake);
            Ok((tls, service))
        })
    }
}

/// A connection that is counted as long as it is open.
pub(super) struct Counted {
    stream: Unread<TcpStream>,
    _ticket: Ticket,
}

/// How long the other side may let wait what there is to send, and the bytes that it has to take in a second on average
/// once that is used up. A page of 700 kB is read within three minutes, or the connection ends.
const PATIENCE: Patience = Patience { within: Duration::from_secs(20), rate: 4_000 };

#[derive(Debug, Clone, Copy)]
struct Patience {
    within: Duration,
    rate: u32,
}

/// A stream that fails if the other side does not read, or reads so slowly that it does so only to hold the connection.
struct Unread<S> {
    stream: S,
    patience: Patience,
    /// How long it has been waited, less what was taken by that rate.
    waited: Duration,
    /// Since when nothing is taken, and what runs until then.
    waits: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> Unread<S> {
    fn new(stream: S, patience: Patience) -> Self {
        Self { stream, patience, waited: Duration::ZERO, waits: None }
    }

    fn bound<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waited += self.waits.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            return polled;
        }
        let left = self.patience.within.saturating_sub(self.waited);
        let (_, until) = self.waits.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        until.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unread<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let polled = self.bound(cx, polled);
        if let Poll::Ready(Ok(taken)) = polled {
            let paid = Duration::from_secs_f64(taken as f64 / f64::from(self.patience.rate));
            self.waited = self.waited.saturating_sub(paid);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.bound(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bound(cx, polled)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Whose other side reads the next bytes after each of these times, and then none.
    struct Slow {
        reads: VecDeque<(Duration, usize)>,
        wakes: Option<Pin<Box<Sleep>>>,
    }

    impl Slow {
        fn new(reads: impl IntoIterator<Item = (Duration, usize)>) -> Self {
            Self { reads: reads.into_iter().collect(), wakes: None }
        }
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let Some((after, taken)) = self.reads.front().copied() else { return Poll::Pending };
            let wakes = self.wakes.get_or_insert_with(|| Box::pin(sleep(after)));
            std::task::ready!(wakes.as_mut().poll(cx));
            (self.wakes, _) = (None, self.reads.pop_front());
            Poll::Ready(Ok(taken.min(bytes.len())))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.reads.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    /// Waits for 200 ms at most, and asks for 100 bytes a second.
    const SHORT: Patience = Patience { within: Duration::from_millis(200), rate: 100 };

    async fn write(stream: &mut Unread<Slow>) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, &[0; 100])).await
    }

    #[tokio::test]
    async fn one_who_asks_and_does_not_read_is_cut_off() {
        let mut stream = Unread::new(Slow::new([(Duration::ZERO, 4); 2]), SHORT);
        for _ in 0..2 {
            sleep(SHORT.within).await;
            assert_eq!(write(&mut stream).await.unwrap(), 4, "nothing waited meanwhile");
        }
        let ended = write(&mut stream).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        let mut stream = Unread::new(Slow::new([]), SHORT);
        let ended = poll_fn(|cx| Pin::new(&mut stream).poll_flush(cx)).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn one_who_reads_a_little_now_and_then_is_cut_off() {
        let began = Instant::now();
        let mut stream = Unread::new(Slow::new([(SHORT.within / 2, 1); 100]), SHORT);
        let ended = loop {
            if let Err(error) = write(&mut stream).await {
                break error;
            }
        };
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < 5 * SHORT.within, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn one_who_reads_slowly_and_at_an_even_rate_is_served() {
        // Twice as fast as has to be.
        let mut stream = Unread::new(Slow::new([(SHORT.within / 4, 10); 12]), SHORT);
        for _ in 0..12 {
            assert_eq!(write(&mut stream).await.unwrap(), 10);
        }
    }
}
