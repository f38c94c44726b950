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
use tungstenite::{Connector, Error, Message, WebSocket, client_tls_with_config};

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
    /// It is closed.
    Closed(String),
}

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// The relay's addresses.
///
/// # Errors
/// If the name has none.
pub fn resolve(relay: &RelayAddress) -> Result<Vec<SocketAddr>> {
    let host = relay.host.trim_matches(['[', ']']);
    let addresses: Vec<_> = (host, relay.port).to_socket_addrs()?.collect();
    match addresses.is_empty() {
        true => Err(format!("{host} has no address").into()),
        false => Ok(addresses),
    }
}

fn connect(relay: &RelayAddress, config: &Arc<ClientConfig>) -> Result<Socket> {
    let addresses = resolve(relay)?;
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return shake_hands(relay, config, stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or_else(|| "no address".into(), Into::into))
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
    let (socket, _) = shaken.map_err(|error| error.to_string())?;
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
        let why = match connect(relay, config) {
            Ok(socket) => {
                pause = PAUSES.0;
                let (sender, outgoing) = unbounded();
                if !events(FromSocket::Connected(sender)) {
                    return;
                }
                match carry(socket, &outgoing, &events) {
                    Some(why) => why,
                    None => return,
                }
            }
            Err(error) => error.to_string(),
        };
        if !events(FromSocket::Closed(why)) {
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
