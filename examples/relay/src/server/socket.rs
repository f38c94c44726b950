//! One WebSocket.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use layercast_meeting::Numbered;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::core::{Input, Outbound, Outgoing, Queued};
use crate::desk::ConnectionId;

const PING: Duration = Duration::from_secs(15);
const DEAD: Duration = Duration::from_secs(45);
/// How long one message may take to leave.
const SEND: Duration = Duration::from_secs(20);
/// How long all that waits may take to leave, once the connection is to be closed.
const LINGER: Duration = Duration::from_secs(2);

/// Carries messages between the connection and the desk until either is done.
pub(super) async fn run(
    socket: WebSocket,
    connection: ConnectionId,
    remote: IpAddr,
    inputs: mpsc::Sender<Input>,
) {
    serve(socket, connection, remote, inputs, LINGER).await;
}

async fn serve<S, E>(
    mut socket: S,
    connection: ConnectionId,
    remote: IpAddr,
    inputs: mpsc::Sender<Input>,
    linger: Duration,
) where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
{
    let (queue, mut messages) = mpsc::unbounded_channel();
    let (queued, cut) = (Arc::new(Queued::default()), Arc::new(Notify::new()));
    let closing = Arc::new(Notify::new());
    let outgoing = Outgoing { queue, queued: queued.clone(), cut: cut.clone(), closing: closing.clone() };
    if inputs.send(Input::Open(connection, remote, outgoing)).await.is_err() {
        return;
    }
    let too_late = async {
        closing.notified().await;
        sleep(linger).await;
    };
    tokio::select! {
        () = carry(&mut socket, connection, &mut messages, &queued, &inputs) => {}
        () = cut.notified() => {}
        () = too_late => {}
    }
    // The desk may be busy: what waits for the connection does not wait for the desk.
    drop((messages, socket));
    // If the desk is gone, nobody needs to know.
    let _ = inputs.send(Input::Closed(connection)).await;
}

async fn carry<S, E>(
    socket: &mut S,
    connection: ConnectionId,
    messages: &mut mpsc::UnboundedReceiver<Outbound>,
    queued: &Queued,
    inputs: &mpsc::Sender<Input>,
) where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
{
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
                Some(Outbound::Mark) => {
                    if inputs.send(Input::Sent(connection)).await.is_err() {
                        return;
                    }
                    continue;
                }
                // The desk drops a connection that it has closed, and all of them at its end.
                Some(Outbound::Close) | None => {
                    let _ = timeout(SEND, socket.send(Message::Close(None))).await;
                    return;
                }
            },
            received = socket.next() => {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::Ipv4Addr;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// The other end says nothing, and reads so many messages.
    struct Slow(usize);

    impl Stream for Slow {
        type Item = Result<Message, Infallible>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Pending
        }
    }

    impl Sink<Message> for Slow {
        type Error = Infallible;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            if self.0 > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn start_send(mut self: Pin<&mut Self>, _: Message) -> Result<(), Infallible> {
            self.0 -= 1;
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A connection that reads so many messages, and what the desk has of it.
    async fn open(reads: usize) -> (Outgoing, mpsc::Receiver<Input>) {
        let (inputs, mut desk) = mpsc::channel(8);
        let linger = Duration::from_millis(50);
        tokio::spawn(serve(Slow(reads), ConnectionId(1), Ipv4Addr::LOCALHOST.into(), inputs, linger));
        match desk.recv().await {
            Some(Input::Open(_, _, outgoing)) => (outgoing, desk),
            _ => panic!("it opens first"),
        }
    }

    fn say(outgoing: &Outgoing, what: Outbound) {
        outgoing.queue.send(what).unwrap();
    }

    #[tokio::test]
    async fn one_who_does_not_read_holds_nothing_once_it_is_to_be_closed() {
        let (outgoing, mut desk) = open(0).await;
        for _ in 0..100 {
            outgoing.send("something").then_some(()).unwrap();
        }
        say(&outgoing, Outbound::Close);
        outgoing.closing.notify_one();
        let ended = timeout(Duration::from_secs(1), desk.recv()).await.expect("it ends soon");
        assert!(matches!(ended, Some(Input::Closed(_))));
        assert!(outgoing.queue.is_closed(), "and what waited is gone");
    }

    #[tokio::test]
    async fn the_desk_is_told_when_what_it_said_has_left() {
        let (outgoing, mut desk) = open(2).await;
        for text in ["one", "two"] {
            assert!(outgoing.send(text));
        }
        say(&outgoing, Outbound::Mark);
        assert!(matches!(desk.recv().await, Some(Input::Sent(ConnectionId(1)))));
        assert!(outgoing.send("three"));
        say(&outgoing, Outbound::Mark);
        let waits = timeout(Duration::from_millis(20), desk.recv()).await;
        assert!(waits.is_err(), "the third has not left");
    }

    #[tokio::test]
    async fn what_waits_for_a_connection_is_bounded() {
        let (outgoing, _desk) = open(0).await;
        let text = "x".repeat(1 << 20);
        let taken = (0..20).take_while(|_| outgoing.send(text.as_str())).count();
        assert!((7..=9).contains(&taken), "{taken} MiB");
    }
}
