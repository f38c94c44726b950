//! The buffer of a decode target: a bucket that fills at the target's bitrate, and that its frames are taken from.

/// No buffer is overdrawn by more seconds: what cannot be repaired is not paid for without end.
const DEEPEST: f64 = 2.0;

/// All in seconds at the target's bitrate, so that a change of the bitrate leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer {
    level: f64,
}

impl Buffer {
    pub(super) fn full(size: f64) -> Self {
        Self { level: size }
    }

    pub(super) fn fill(&mut self, elapsed: f64, size: f64) {
        self.level = (self.level + elapsed).min(size);
    }

    pub(super) fn take(&mut self, seconds: f64) {
        self.level = (self.level - seconds).max(-DEEPEST);
    }

    /// Negative if frames took more than there was.
    pub(super) fn level(&self) -> f64 {
        self.level
    }
}
