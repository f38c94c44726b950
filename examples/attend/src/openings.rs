//! Whether what comes opens.

use std::collections::BTreeMap;
use std::time::Duration;

use layercast::Time;
use layercast::e2ee::OpenError;

/// What became of sealed frames or messages of one origin.
#[derive(Debug, Clone, Default)]
pub struct Openings {
    /// How many were opened.
    pub opened: u64,
    /// What did not open, by the kind of reason.
    pub closed: BTreeMap<&'static str, u64>,
    /// Since when nothing opens for want of the right key, the last time, and the reason then.
    wanting: Option<(Time, Time, OpenError)>,
}

impl Openings {
    /// Something was opened.
    pub fn handle_opened(&mut self) {
        self.opened += 1;
        self.wanting = None;
    }

    /// Something was not.
    pub fn handle_closed(&mut self, now: Time, error: OpenError) {
        *self.closed.entry(kind(error)).or_default() += 1;
        if matches!(error, OpenError::NotAuthentic | OpenError::UnknownKey { .. }) {
            let since = self.wanting.map_or(now, |(since, ..)| since);
            self.wanting = Some((since, now, error));
        }
    }

    /// For how long nothing opens for want of the right key, and why the last of it did not.
    pub fn wanting(&self) -> Option<(Duration, OpenError)> {
        self.wanting.map(|(since, last, error)| (last - since, error))
    }
}

/// A name for the kind of reason why a frame or a message was not opened.
pub fn kind(error: OpenError) -> &'static str {
    match error {
        OpenError::Malformed => "malformed",
        OpenError::Unlabelled => "unlabelled",
        OpenError::WrongSender { .. } => "wrong_sender",
        OpenError::WrongStream { .. } => "wrong_stream",
        OpenError::UnknownKey { .. } => "unknown_key",
        OpenError::Replayed { .. } => "replayed",
        OpenError::TooOld { .. } => "too_old",
        OpenError::TooFar { .. } => "too_far",
        OpenError::Stale { .. } => "stale",
        OpenError::NotAuthentic => "not_authentic",
        OpenError::Relabelled(_) => "relabelled",
        OpenError::NoStructure | OpenError::Descriptor(_) => "metadata",
        OpenError::Payload(_) => "payload",
        _ => "other",
    }
}
