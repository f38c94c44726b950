//! The participants: cameras on one thread, and everybody's other end on another.

use std::net::{SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use layercast::Time;
use layercast::congestion::ReceivePath;
use layercast::rtp::rtcp;
use layercast::select::DemandMessage;
use layercast_batch::Inbox;

use crate::camera::{Camera, FRAME_RATE};
use crate::delays::Delays;
use crate::net::wall_clock;

/// Sockets are read this far apart at least.
const PASS: Duration = Duration::from_millis(10);
/// After so many of them the cameras may go on, which share the core.
const YIELDS: usize = 4;
/// Bytes at the end of a packet's payload, which is sealed and which nobody reads: when it was sent.
const STAMP: usize = 8;

/// The other end of a participant's path.
pub struct Seat {
    pub socket: UdpSocket,
    pub relay: SocketAddrV4,
    pub path: ReceivePath,
    /// Of the camera that it has.
    pub camera: Option<usize>,
}

/// Takes what the relay sends, and answers with feedback.
pub struct Audience {
    pub seats: Vec<Seat>,
    pub start: Instant,
    pub measures: Arc<AtomicBool>,
    pub stops: Arc<AtomicBool>,
    /// What is for cameras.
    pub asked: Sender<(usize, Vec<u8>)>,
}

impl Audience {
    pub fn run(mut self) -> Delays {
        let (mut inbox, mut delays) = (Inbox::new(), Delays::new());
        // Of the system's clock at the start.
        let zero = wall_clock() - self.start.elapsed();
        while !self.stops.load(Ordering::Relaxed) {
            let pass = Instant::now();
            let measures = self.measures.load(Ordering::Relaxed);
            for (n, seat) in self.seats.iter_mut().enumerate() {
                if n % YIELDS == 0 {
                    std::thread::yield_now();
                }
                loop {
                    let count = inbox.receive(&seat.socket, |_, at, packet| {
                        if rtcp::is_rtcp(packet) {
                            if let Some(camera) = seat.camera {
                                // A camera that has gone hears nothing.
                                let _ = self.asked.send((camera, packet.to_vec()));
                            }
                            return;
                        }
                        seat.path.handle_packet(Time::ZERO + (at - zero), packet);
                        let has_padding = packet[0] & 0x20 != 0;
                        if let Some(stamp) = packet.last_chunk().filter(|_| measures && !has_padding) {
                            delays.push(at.saturating_sub(Duration::from_nanos(u64::from_be_bytes(*stamp))));
                        }
                    });
                    if count < layercast_batch::RECEIVED {
                        break;
                    }
                }
                let now = Time::ZERO + self.start.elapsed();
                while let Some(packet) = seat.path.poll(now) {
                    // What is lost is told by the next one.
                    let _ = seat.socket.send_to(&packet, seat.relay);
                }
            }
            std::thread::sleep(PASS.saturating_sub(pass.elapsed()));
        }
        delays
    }
}

/// A camera's place on the network.
pub struct Sending {
    pub camera: Camera,
    pub socket: UdpSocket,
    pub relay: SocketAddrV4,
}

/// Sends what all cameras take.
pub struct Studio {
    pub cameras: Vec<Sending>,
    pub start: Instant,
    pub stops: Arc<AtomicBool>,
    pub asked: Receiver<(usize, Vec<u8>)>,
    pub demands: Receiver<DemandMessage>,
}

impl Studio {
    pub fn run(mut self) {
        let interval = Duration::from_micros(1_000_000 / FRAME_RATE);
        let count = self.cameras.len() as u32;
        let (mut buffer, began) = (Vec::new(), Time::ZERO + self.start.elapsed());
        // Cameras do not run in step.
        for turn in 0_u32.. {
            let (round, index) = (turn / count, (turn % count) as usize);
            let due = began + interval * round + interval * (turn % count) / count;
            if self.stops.load(Ordering::Relaxed) {
                return;
            }
            for (camera, packet) in self.asked.try_iter() {
                let now = Time::ZERO + self.start.elapsed();
                self.cameras[camera].camera.handle_feedback(now, &packet);
                self.cameras[camera].send(now, &mut buffer);
            }
            for message in self.demands.try_iter() {
                let camera = self.cameras.iter_mut().find(|sending| sending.camera.stream == message.stream);
                camera.into_iter().for_each(|sending| sending.camera.handle_demand(&message));
            }
            std::thread::sleep(due - (Time::ZERO + self.start.elapsed()));
            let now = Time::ZERO + self.start.elapsed();
            self.cameras[index].camera.take_picture(now);
            self.cameras[index].send(now, &mut buffer);
        }
    }
}

impl Sending {
    fn send(&mut self, now: Time, buffer: &mut Vec<u8>) {
        while let Some(packet) = self.camera.poll(now) {
            buffer.clear();
            buffer.extend_from_slice(&packet);
            if !rtcp::is_rtcp(buffer)
                && let Some(stamp) = buffer.last_chunk_mut::<STAMP>()
            {
                *stamp = (wall_clock().as_nanos() as u64).to_be_bytes();
            }
            // What the system refuses is lost, as anything can be on the way.
            let _ = self.socket.send_to(buffer, self.relay);
        }
    }
}
