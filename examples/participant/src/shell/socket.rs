//! The WebSocket to the relay, in a thread of its own, which connects again whenever the connection is lost.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use layercast_examples::Result;
use layercast_meeting::{FromRelay, MAX_MESSAGE};
use rustls::ClientConfig;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Connector, Error, HandshakeError, Message, WebSocket, client_tls_with_config};

use super::tls;
use crate::address::RelayAddress;

/// From one attempt to connect to the next, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long an attempt may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a request may wait to be sent, since one thread reads and writes.
const TURN: Duration = Duration::from_millis(5);
/// The relay sends a ping every 15 s: after this silence it is not there.
const SILENCE: Duration = Duration::from_secs(40);

/// What comes of the connection.
#[derive(Debug)]
pub enum FromSocket {
    /// It is open. What is to be sent goes in here.
    Connected(Sender<String>),
    /// A message.
    Message(Box<FromRelay>),
    /// It is closed, or was not opened.
    Closed(String),
    /// It was not opened, and is not before the link or the relay's certificate is another.
    Failed(ConnectError),
}

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// Why there is no connection, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the names and the lines say")]
pub enum ConnectError {
    /// The name of the host is not known.
    #[error("{host} is not known as a host ({error}): check the address")]
    Name { host: String, error: std::io::Error },
    /// Nothing answers there.
    #[error("no relay answers at {host}:{port} ({error}): check that it runs there, and the address")]
    Absent { host: String, port: u16, error: std::io::Error },
    /// The certificate is another than the link says.
    #[error(
        "the relay at {host}:{port} has another certificate than `cert=` in the link says: take the fingerprint that the relay \
         prints when it starts, or ask for the link again. If both are right, somebody stands between you and the relay"
    )]
    OtherCertificate { host: String, port: u16 },
    /// No authority vouches for the certificate.
    #[error(
        "no authority vouches for the certificate of the relay at {host}:{port} ({error}): if it made one itself, put \
         `#cert=FINGERPRINT` behind the address, which the relay prints when it starts"
    )]
    NoAuthority { host: String, port: u16, error: rustls::Error },
    /// Something answers there that is no relay, or fails.
    #[error("what answers at {host}:{port} is no relay of these meetings ({error}): check the port")]
    NoRelay { host: String, port: u16, error: String },
}

impl ConnectError {
    /// Whether it is so until somebody changes the link or the relay's certificate.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::OtherCertificate { .. } | Self::NoAuthority { .. })
    }
}

/// The relay's addresses.
///
/// # Errors
/// If the name has none.
pub fn resolve(relay: &RelayAddress) -> std::result::Result<Vec<SocketAddr>, ConnectError> {
    let host = relay.host.trim_matches(['[', ']']);
    let unknown = |error| ConnectError::Name { host: host.into(), error };
    let addresses: Vec<_> = (host, relay.port).to_socket_addrs().map_err(unknown)?.collect();
    match addresses.is_empty() {
        true => Err(unknown(ErrorKind::NotFound.into())),
        false => Ok(addresses),
    }
}

fn connect(relay: &RelayAddress, config: &Arc<ClientConfig>) -> std::result::Result<Socket, ConnectError> {
    let (host, port) = (relay.host.clone(), relay.port);
    let mut failed: std::io::Error = ErrorKind::NotFound.into();
    for address in resolve(relay)? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return shake_hands(relay, config, stream).map_err(|error| explain(relay, error)),
            Err(error) => failed = error,
        }
    }
    Err(ConnectError::Absent { host, port, error: failed })
}

/// What went wrong once the other end had answered.
fn explain(relay: &RelayAddress, error: Box<dyn std::error::Error>) -> ConnectError {
    let (host, port) = (relay.host.clone(), relay.port);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref::<rustls::Error>();
        match tls.or_else(|| inner.and_then(|inner| inner.downcast_ref())) {
            Some(rustls::Error::InvalidCertificate(_)) if relay.certificate.is_some() => {
                return ConnectError::OtherCertificate { host, port };
            }
            Some(error @ rustls::Error::InvalidCertificate(_)) => {
                return ConnectError::NoAuthority { host, port, error: error.clone() };
            }
            _ => cause = error.source(),
        }
    }
    ConnectError::NoRelay { host, port, error: error.to_string() }
}

fn shake_hands(relay: &RelayAddress, config: &Arc<ClientConfig>, stream: TcpStream) -> Result<Socket> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CONNECT))?;
    stream.set_write_timeout(Some(CONNECT))?;
    let limits =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let url = format!("wss://{}:{}/ws", relay.host, relay.port);
    let connector = Connector::Rustls(config.clone());
    let shaken = client_tls_with_config(url, stream, Some(limits), Some(connector));
    let (socket, _) = shaken.map_err(|error| match error {
        HandshakeError::Failure(error) => error,
        HandshakeError::Interrupted(_) => Error::Io(ErrorKind::TimedOut.into()),
    })?;
    if let MaybeTlsStream::Rustls(stream) = socket.get_ref() {
        stream.sock.set_read_timeout(Some(TURN))?;
    }
    Ok(socket)
}

/// Opens a connection for a few requests, one after the other.
///
/// # Errors
/// If the relay is not there, or its certificate is another.
pub fn open(relay: &RelayAddress) -> Result<Socket> {
    let socket = connect(relay, &tls::config(relay.certificate)?)?;
    if let MaybeTlsStream::Rustls(stream) = socket.get_ref() {
        stream.sock.set_read_timeout(Some(Duration::from_secs(30)))?;
    }
    Ok(socket)
}

/// Keeps a connection until nobody listens to `events`.
pub fn run(relay: &RelayAddress, config: &Arc<ClientConfig>, events: impl Fn(FromSocket) -> bool) {
    let mut pause = PAUSES.0;
    loop {
        let event = match connect(relay, config) {
            Ok(socket) => {
                pause = PAUSES.0;
                let (sender, outgoing) = unbounded();
                if !events(FromSocket::Connected(sender)) {
                    return;
                }
                match carry(socket, &outgoing, &events) {
                    Some(why) => FromSocket::Closed(why),
                    None => return,
                }
            }
            Err(error) if error.is_final() => FromSocket::Failed(error),
            Err(error) => FromSocket::Closed(error.to_string()),
        };
        if !events(event) {
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Carries messages until the connection is closed, for the reason that it returns, or nobody listens any more.
fn carry(
    mut socket: Socket,
    outgoing: &Receiver<String>,
    events: &impl Fn(FromSocket) -> bool,
) -> Option<String> {
    let mut heard = Instant::now();
    loop {
        let mut wrote = false;
        loop {
            match outgoing.try_recv() {
                Ok(text) => {
                    if let Err(error) = socket.write(Message::text(text)) {
                        return Some(error.to_string());
                    }
                    wrote = true;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    // Whoever sent has left: what was said before is sent.
                    let _ = socket.flush();
                    let _ = socket.close(None);
                    return None;
                }
            }
        }
        if wrote && let Err(error) = socket.flush() {
            return Some(error.to_string());
        }
        match socket.read() {
            Ok(Message::Text(text)) => {
                heard = Instant::now();
                match FromRelay::parse(&text) {
                    Ok(message) => {
                        if !events(FromSocket::Message(Box::new(message))) {
                            return None;
                        }
                    }
                    // A relay of a later version may say more.
                    Err(error) => tracing::warn!(%error, "a message of the relay was not understood"),
                }
            }
            Ok(Message::Close(_)) => return Some("closed by the relay".into()),
            Ok(_) => heard = Instant::now(),
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Some(error.to_string()),
        }
        if heard.elapsed() > SILENCE {
            return Some("the relay is silent".into());
        }
    }
}
