//! The thread that owns the desk: everything reaches it by one channel, so that nothing is locked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::ws::Utf8Bytes;
use layercast_meeting::{Numbered, Secret};
use tokio::sync::{Notify, mpsc};
use tracing::{error, info};

use super::metrics::Metrics;
use crate::desk::{AuditEvent, ConnectionId, Desk, DeskOutput, JobId, Now};
use crate::media_api::{MediaCommand, MediaEvent};
use crate::secrets;

/// What may wait for a connection to read it, in bytes and messages: all that one is told who comes into the fullest meeting,
/// and a part of the messages of MLS.
const MAX_QUEUED: usize = 8 << 20;
const MAX_QUEUED_MESSAGES: usize = 30_000;

/// What the desk's thread is told.
pub(super) enum Input {
    Open(ConnectionId, IpAddr, Outgoing),
    Request(ConnectionId, Numbered),
    Sent(ConnectionId),
    Closed(ConnectionId),
    Verified(JobId, bool),
    Shutdown,
}

/// What goes to a connection.
#[derive(Debug)]
pub(super) enum Outbound {
    Text(Utf8Bytes),
    /// The desk wants to know when what came before has left.
    Mark,
    Close,
}

/// The way to a connection. It does not wait: whoever does not read is cut off.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub queue: mpsc::UnboundedSender<Outbound>,
    pub queued: Arc<Queued>,
    pub cut: Arc<Notify>,
    /// The connection is to be closed: what waits is not waited for long.
    pub closing: Arc<Notify>,
}

impl Outgoing {
    /// Queues a text, if there is room for it.
    pub fn send(&self, text: impl Into<Utf8Bytes>) -> bool {
        let text = text.into();
        let has_room = self.queued.add(text.len());
        if has_room {
            // If the connection is gone, the desk is told soon.
            let _ = self.queue.send(Outbound::Text(text));
        }
        has_room
    }
}

/// How much waits for a connection.
#[derive(Debug, Default)]
pub(super) struct Queued {
    bytes: AtomicUsize,
    messages: AtomicUsize,
}

impl Queued {
    pub fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.messages.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one more message, if there is room for it.
    fn add(&self, bytes: usize) -> bool {
        let has_room = self.bytes.load(Ordering::Relaxed) + bytes <= MAX_QUEUED
            && self.messages.load(Ordering::Relaxed) < MAX_QUEUED_MESSAGES;
        if has_room {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.messages.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }
}

/// A password to verify.
pub(super) struct Verification {
    job: JobId,
    hash: Secret,
    password: Secret,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    pub fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        Now { unix, at: self.0.elapsed() }
    }
}

pub(super) struct Core {
    pub desk: Desk,
    pub clock: Clock,
    pub inputs: mpsc::Receiver<Input>,
    pub media_events: mpsc::UnboundedReceiver<MediaEvent>,
    pub media_commands: crossbeam_channel::Sender<MediaCommand>,
    pub verifications: crossbeam_channel::Sender<Verification>,
    pub metrics: Arc<Metrics>,
}

impl Core {
    /// Runs until the relay goes down, or the server is gone.
    pub fn run(mut self) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return error!(%error, "the desk has no runtime"),
        };
        let mut connections = HashMap::new();
        loop {
            let until = self.carry_out(&mut connections);
            let now = self.clock.now();
            if now.at >= until {
                self.desk.handle_timeout(now);
                continue;
            }
            let (inputs, media_events) = (&mut self.inputs, &mut self.media_events);
            let waited = runtime.block_on(async {
                tokio::select! {
                    input = inputs.recv() => input.map(Waited::Input),
                    Some(event) = media_events.recv() => Some(Waited::Media(event)),
                    () = tokio::time::sleep(until - now.at) => Some(Waited::Time),
                }
            });
            let now = self.clock.now();
            match waited {
                Some(Waited::Input(Input::Open(connection, remote, outgoing))) => {
                    connections.insert(connection, outgoing);
                    self.desk.handle_open(now, connection, remote);
                }
                Some(Waited::Input(Input::Request(connection, request))) => {
                    self.desk.handle_request(now, connection, request);
                }
                Some(Waited::Input(Input::Sent(connection))) => self.desk.handle_sent(now, connection),
                Some(Waited::Input(Input::Closed(connection))) => {
                    connections.remove(&connection);
                    self.desk.handle_close(now, connection);
                }
                Some(Waited::Input(Input::Verified(job, is_right))) => {
                    self.desk.handle_verified(now, job, is_right);
                }
                Some(Waited::Input(Input::Shutdown)) => {
                    self.desk.handle_shutdown(now);
                    self.carry_out(&mut connections);
                    return;
                }
                Some(Waited::Media(event)) => self.desk.handle_media(now, event),
                Some(Waited::Time) => {}
                None => return,
            }
        }
    }

    /// Does what the desk wants done. Until when nothing more is to be done.
    fn carry_out(&mut self, connections: &mut HashMap<ConnectionId, Outgoing>) -> Duration {
        loop {
            match self.desk.poll(self.clock.now()) {
                DeskOutput::Send { to, message } => {
                    let text = Utf8Bytes::from(message.to_text());
                    for connection in to {
                        self.send(connections, connection, &text);
                    }
                }
                DeskOutput::Mark { connection } => {
                    if let Some(outgoing) = connections.get(&connection) {
                        // If the connection is gone, the desk is told soon.
                        let _ = outgoing.queue.send(Outbound::Mark);
                    }
                }
                DeskOutput::Close { connection } => {
                    if let Some(outgoing) = connections.remove(&connection) {
                        // If the connection is gone already, there is nothing to close.
                        let _ = outgoing.queue.send(Outbound::Close);
                        outgoing.closing.notify_one();
                    }
                }
                DeskOutput::Verify { job, hash, password } => {
                    // The threads go after the desk, and the desk bounds how many wait.
                    let _ = self.verifications.send(Verification { job, hash, password });
                }
                DeskOutput::Media(command) => {
                    if self.media_commands.send(command).is_err() {
                        error!("the media side is gone");
                    }
                }
                DeskOutput::Log(event) => {
                    self.metrics.count(&event);
                    log(&event);
                }
                DeskOutput::Timeout(until) => {
                    self.metrics.set(self.desk.figures());
                    return until;
                }
            }
        }
    }

    fn send(
        &mut self,
        connections: &mut HashMap<ConnectionId, Outgoing>,
        connection: ConnectionId,
        text: &Utf8Bytes,
    ) {
        let Some(outgoing) = connections.get(&connection) else { return };
        if !outgoing.send(text.clone()) {
            outgoing.cut.notify_one();
            self.metrics.slow_clients.add(1);
            connections.remove(&connection);
            self.desk.handle_close(self.clock.now(), connection);
        }
    }
}

enum Waited {
    Input(Input),
    Media(MediaEvent),
    Time,
}

/// Verifies passwords until the desk is gone.
pub(super) fn verify(jobs: &crossbeam_channel::Receiver<Verification>, inputs: &mpsc::Sender<Input>) {
    for Verification { job, hash, password } in jobs {
        let is_right = secrets::verify_password(&hash, &password);
        if inputs.blocking_send(Input::Verified(job, is_right)).is_err() {
            return;
        }
    }
}

fn log(event: &AuditEvent) {
    let AuditEvent { what, meeting, participant, refusal, detail } = event;
    let meeting = meeting.map(|meeting| format!("{meeting:08x}"));
    let (meeting, detail) = (meeting.as_deref(), detail.as_deref());
    match refusal {
        None => info!(target: "audit", what, meeting, participant, detail),
        Some(layercast_meeting::Refusal::Failed) => {
            error!(target: "audit", what, meeting, participant, detail, refused = "the relay failed");
        }
        Some(refusal) => {
            info!(target: "audit", what, meeting, participant, detail, refused = %refusal);
        }
    }
}
