//! What the operator may watch, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::desk::{AuditEvent, Figures};

/// A number that only grows, or is set.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, number: usize) {
        self.0.store(number as u64, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Writes further lines.
type Writer = Box<dyn Fn(&mut String) + Send + Sync>;

/// The relay's figures. They name nobody.
#[derive(Default)]
pub struct Metrics {
    pub(super) evicted_handshakes: Counter,
    pub(super) refused_connections: Counter,
    pub(super) slow_clients: Counter,
    connections: Counter,
    meetings: Counter,
    participants: Counter,
    verifications: Counter,
    /// By what was asked for, and whether it was refused: as many as the protocol has requests.
    requests: Mutex<BTreeMap<(&'static str, bool), u64>>,
    others: Mutex<Vec<Writer>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Figures with nothing counted.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds what another part of the relay counts: it appends lines in Prometheus' text format.
    pub fn register(&self, writer: impl Fn(&mut String) + Send + Sync + 'static) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(writer));
    }

    pub(super) fn count(&self, event: &AuditEvent) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((event.what, event.refusal.is_some())).or_default() += 1;
    }

    pub(super) fn set(&self, figures: Figures) {
        self.connections.set(figures.connections);
        self.meetings.set(figures.meetings);
        self.participants.set(figures.participants);
        self.verifications.set(figures.verifications);
    }

    /// All of them in Prometheus' text format.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let gauges = [
            ("relay_connections", &self.connections, "Open WebSockets."),
            ("relay_meetings", &self.meetings, "Running meetings."),
            ("relay_participants", &self.participants, "People who are in a meeting and connected."),
            ("relay_password_verifications", &self.verifications, "Passwords that wait to be verified."),
        ];
        let counters = [
            (
                "relay_evicted_handshakes_total",
                &self.evicted_handshakes,
                "TLS handshakes that others replaced.",
            ),
            ("relay_refused_connections_total", &self.refused_connections, "Connections beyond the bounds."),
            ("relay_slow_clients_total", &self.slow_clients, "Connections closed because they did not read."),
        ];
        for (kind, numbers) in [("gauge", &gauges[..]), ("counter", &counters[..])] {
            for (name, counter, help) in numbers {
                let value = counter.get();
                // Writing to a string does not fail.
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
            }
        }
        let name = "relay_requests_total";
        let _ =
            writeln!(text, "# HELP {name} Requests and what happened without one.\n# TYPE {name} counter");
        for ((what, refused), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(text, "{name}{{what=\"{what}\",refused=\"{refused}\"}} {count}");
        }
        for writer in &*self.others.lock().unwrap_or_else(PoisonError::into_inner) {
            writer(&mut text);
        }
        text
    }
}
