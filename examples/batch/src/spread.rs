//! Threads that help with sending. A picture for a thousand receivers is thousands of packets at once, and nearly all of the
//! time that a relay takes for them is the system's, to send them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::{Batch, Outbox};

/// Batches that a helper has of one thread at most. With more, the thread waits for it, as it would for the system.
const LENT: usize = 32;

/// Threads that send what others have made. They end when nobody is left who could give them anything.
#[derive(Debug, Clone)]
pub struct Helpers(Vec<Sender<Job>>);

/// Packets that a helper is to send, from where, and where the empty batch goes then.
#[derive(Debug)]
struct Job {
    batch: Batch,
    socket: Arc<UdpSocket>,
    done: Sender<Batch>,
}

impl Helpers {
    /// Starts so many threads, named `send-0` and so on.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(count: usize) -> io::Result<Self> {
        let start = |number| {
            let (jobs, given) = unbounded::<Job>();
            let send = move || {
                let mut outbox = Outbox::new();
                for Job { batch, socket, done } in given {
                    outbox.batch = batch;
                    outbox.flush(&socket);
                    // A thread that has ended takes none back.
                    let _ = done.send(std::mem::take(&mut outbox.batch));
                }
            };
            thread::Builder::new().name(format!("send-{number}")).spawn(send)?;
            Ok(jobs)
        };
        (0..count).map(start).collect::<io::Result<_>>().map(Self)
    }
}

/// Sends the packets of one thread from one socket: by itself as long as they are few, and with the help of others
/// where they are many. Packets to one address stay in their order.
#[derive(Debug)]
pub struct Spread {
    socket: Arc<UdpSocket>,
    own: Outbox,
    lanes: Vec<Lane>,
    /// Whether addresses are shared out among this thread and the helpers.
    spreads: bool,
}

/// What a helper sends for this thread.
#[derive(Debug)]
struct Lane {
    jobs: Sender<Job>,
    batch: Batch,
    done: (Sender<Batch>, Receiver<Batch>),
    /// Batches that the helper has, and empty ones, which are used again.
    lent: usize,
    free: Vec<Batch>,
}

impl Spread {
    /// Sends from this socket.
    pub fn new(socket: Arc<UdpSocket>, helpers: &Helpers) -> Self {
        let lane = |jobs: &Sender<Job>| Lane {
            jobs: jobs.clone(),
            batch: Batch::default(),
            done: unbounded(),
            lent: 0,
            free: Vec::new(),
        };
        Self { socket, own: Outbox::new(), lanes: helpers.0.iter().map(lane).collect(), spreads: false }
    }

    /// Whoever sends a packet appends it here, and then calls [`push`](Self::push).
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        self.own.bytes()
    }

    /// Takes the packet that was appended to [`bytes`](Self::bytes). `true` if the system was called, which takes a while.
    pub fn push(&mut self, to: SocketAddr) -> bool {
        if self.spreads {
            let lane = usize::from(to.port()) % (self.lanes.len() + 1);
            if let Some(lane) = self.lanes.get_mut(lane) {
                let own = &mut self.own.batch;
                lane.batch.bytes.extend_from_slice(own.last());
                own.bytes.truncate(own.bytes.len() - own.last().len());
                if lane.batch.push(to.into()) {
                    lane.give(&self.socket);
                }
                return false;
            }
        }
        let is_full = self.own.push(to);
        if is_full {
            self.own.flush(&self.socket);
            // There is more than fits into one call: others may send it at the same time.
            self.spreads = !self.lanes.is_empty();
        }
        is_full
    }

    /// Sends what is left, or has it sent.
    pub fn flush(&mut self) {
        for lane in self.lanes.iter_mut().filter(|lane| !lane.batch.to.is_empty()) {
            lane.give(&self.socket);
        }
        if !self.own.is_empty() {
            self.own.flush(&self.socket);
        }
        self.lanes.iter_mut().for_each(Lane::take_back);
        // What a helper has still to send must not be overtaken.
        self.spreads = self.lanes.iter().any(|lane| lane.lent > 0);
    }
}

impl Lane {
    /// Gives the helper its batch, and goes on with an empty one.
    fn give(&mut self, socket: &Arc<UdpSocket>) {
        self.take_back();
        if self.free.is_empty() && self.lent >= LENT {
            self.free.extend(self.done.1.recv().ok());
            self.lent -= self.free.len();
        }
        let batch = std::mem::replace(&mut self.batch, self.free.pop().unwrap_or_default());
        let job = Job { batch, socket: socket.clone(), done: self.done.0.clone() };
        // If the helper has failed, the packets are lost, as packets are.
        self.lent += usize::from(self.jobs.send(job).is_ok());
    }

    /// Takes the batches that the helper is done with.
    fn take_back(&mut self) {
        let before = self.free.len();
        self.free.extend(self.done.1.try_iter());
        self.lent -= self.free.len() - before;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RECEIVERS: usize = 12;
    const PACKETS: u32 = 60;

    #[test]
    fn packets_to_an_address_stay_in_order_whoever_sends_them() {
        for helpers in [0, 1, 3] {
            let local = || UdpSocket::bind("127.0.0.1:0").unwrap();
            let receivers: Vec<UdpSocket> = (0..RECEIVERS).map(|_| local()).collect();
            let helpers = Helpers::start(helpers).unwrap();
            let mut spread = Spread::new(Arc::new(local()), &helpers);
            for n in 0..PACKETS {
                for receiver in &receivers {
                    spread.bytes().extend_from_slice(&n.to_be_bytes());
                    spread.push(receiver.local_addr().unwrap());
                }
                // Often there are few, and sometimes more than one call takes.
                if n % 7 < 3 {
                    spread.flush();
                }
            }
            spread.flush();
            for receiver in receivers {
                receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut packet = [0; 8];
                for n in 0..PACKETS {
                    assert_eq!(receiver.recv(&mut packet).unwrap(), 4);
                    assert_eq!(packet[..4], n.to_be_bytes(), "with {} helpers", helpers.0.len());
                }
            }
        }
    }
}
