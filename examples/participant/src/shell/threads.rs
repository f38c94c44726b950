//! The threads that wait for what comes.

use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError};
use layercast::picture::Picture;
use layercast_examples::Result;
use layercast_meeting::Kind;

use super::args::Args;
use super::show::Shown;
use super::socket::{self, FromSocket};
use super::tls;
use crate::address::RelayAddress;
use crate::seat::{Seat, VideoSource};

/// What the threads have for the one that drives the seat.
pub enum Input {
    /// Of the WebSocket.
    Relay(FromSocket),
    /// Of the link.
    Datagram(SocketAddr, Bytes, Instant),
    /// Of a source's place, and whether the last one is still being coded.
    Picture(usize, Box<Picture>, Arc<AtomicBool>),
    /// A frame of sound with its timestamp.
    Sound(Bytes, u32),
    /// Of the decoder.
    Shown(Shown),
    /// Something typed.
    Line(String),
    /// A file cannot be read.
    Failed(String),
}

/// A socket for the link, of the relay's version of IP.
///
/// # Errors
/// If the relay has no address, or the system no socket.
pub fn bind(relay: &RelayAddress) -> Result<UdpSocket> {
    let is_v4 = socket::resolve(relay)?.first().is_none_or(SocketAddr::is_ipv4);
    Ok(UdpSocket::bind(if is_v4 { "0.0.0.0:0" } else { "[::]:0" })?)
}

/// Starts all threads but the decoder's.
///
/// # Errors
/// If a file cannot be read.
pub fn start(
    args: &Args,
    relay: &RelayAddress,
    seat: &Seat,
    inputs: &Sender<Input>,
    udp: UdpSocket,
) -> Result<()> {
    let config = tls::config(relay.certificate)?;
    let (sender, relay) = (inputs.clone(), relay.clone());
    std::thread::spawn(move || {
        socket::run(&relay, &config, |event| sender.send(Input::Relay(event)).is_ok())
    });
    let sender = inputs.clone();
    std::thread::spawn(move || receive(&udp, &sender));
    let sender = inputs.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            if sender.send(Input::Line(line)).is_err() {
                return;
            }
        }
    });
    let sources = [(Kind::Camera, args.camera()), (Kind::Screen, args.screen())];
    for (kind, pictures) in sources {
        let (Some(place), Some(pictures)) = (seat.place_of(kind), pictures) else { continue };
        let (_, frame_rate) = pictures.properties(VideoSource::screen(args.share_size).frame_rate)?;
        let (sender, busy) = (inputs.clone(), Arc::new(AtomicBool::new(false)));
        std::thread::spawn(move || {
            let played = pictures.play(frame_rate, |picture| {
                // The coder is behind: this one is left out.
                if busy.swap(true, Ordering::AcqRel) {
                    return true;
                }
                sender.send(Input::Picture(place, picture.into(), busy.clone())).is_ok()
            });
            fail(&sender, played);
        });
    }
    if let Some(sound) = args.sound() {
        let sender = inputs.clone();
        std::thread::spawn(move || {
            let played = sound.play(|packet, timestamp| sender.send(Input::Sound(packet, timestamp)).is_ok());
            fail(&sender, played);
        });
    }
    Ok(())
}

fn fail(sender: &Sender<Input>, result: Result<()>) {
    if let Err(error) = result {
        // If nobody listens, it is over anyway.
        let _ = sender.send(Input::Failed(error.to_string()));
    }
}

fn receive(udp: &UdpSocket, sender: &Sender<Input>) {
    let mut buffer = [0; 2048];
    loop {
        match udp.recv_from(&mut buffer) {
            Ok((size, from)) => {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                let datagram = Bytes::copy_from_slice(&buffer[..size]);
                if let Err(TrySendError::Disconnected(_)) =
                    sender.try_send(Input::Datagram(from, datagram, Instant::now()))
                {
                    return;
                }
            }
            // Nobody listens at the other end, for now.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::warn!(%error, "the socket");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
