//! One WebSocket.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use layercast_meeting::Numbered;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::core::{Input, Outbound, Outgoing, Queued};
use crate::desk::ConnectionId;

const PING: Duration = Duration::from_secs(15);
const DEAD: Duration = Duration::from_secs(45);
/// How long one message may take to leave.
const SEND: Duration = Duration::from_secs(20);

/// Carries messages between the connection and the desk until either is done.
pub(super) async fn run(
    mut socket: WebSocket,
    connection: ConnectionId,
    remote: IpAddr,
    inputs: mpsc::Sender<Input>,
) {
    let (queue, mut messages) = mpsc::unbounded_channel();
    let (queued, cut) = (Arc::new(Queued::default()), Arc::new(Notify::new()));
    let outgoing = Outgoing { queue, queued: queued.clone(), cut: cut.clone() };
    if inputs.send(Input::Open(connection, remote, outgoing)).await.is_err() {
        return;
    }
    tokio::select! {
        () = carry(&mut socket, connection, &mut messages, &queued, &inputs) => {}
        () = cut.notified() => {}
    }
    // If the desk is gone, nobody needs to know.
    let _ = inputs.send(Input::Closed(connection)).await;
}

async fn carry(
    socket: &mut WebSocket,
    connection: ConnectionId,
    messages: &mut mpsc::UnboundedReceiver<Outbound>,
    queued: &Queued,
    inputs: &mpsc::Sender<Input>,
) {
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            outbound = messages.recv() => match outbound {
                Some(Outbound::Text(text)) => {
                    queued.taken(text.len());
                    Message::Text(text)
                }
                // The desk drops a connection that it has closed, and all of them at its end.
                Some(Outbound::Close) | None => {
                    let _ = timeout(SEND, socket.send(Message::Close(None))).await;
                    return;
                }
            },
            received = socket.recv() => {
                let Some(Ok(message)) = received else { return };
                heard = Instant::now();
                match message {
                    Message::Text(text) => {
                        // What is no request is not answered: its number is not known.
                        let Ok(request) = Numbered::parse(text.as_str()) else { return };
                        if inputs.send(Input::Request(connection, request)).await.is_err() {
                            return;
                        }
                    }
                    Message::Binary(_) | Message::Close(_) => return,
                    Message::Ping(_) | Message::Pong(_) => {}
                }
                continue;
            }
            _ = pings.tick() => {
                if heard.elapsed() >= DEAD {
                    return;
                }
                Message::Ping(Bytes::new())
            }
        };
        if !matches!(timeout(SEND, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}
