//! The buffer of a decode target: a bucket that fills at the target's bitrate, and that its frames are taken from.

/// All in bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buffer {
    level: f64,
    size: f64,
}

impl Buffer {
    /// A full buffer that holds `size` bits.
    pub(super) fn new(size: f64) -> Self {
        Self { level: size, size }
    }

    /// Changes the size to that of another bitrate. What was taken ahead stays taken.
    pub(super) fn resize(&mut self, size: f64) {
        self.level += size - self.size;
        self.size = size;
        // At a lower bitrate the same bits take longer to come back. A buffer that is empty then has no debt, since
        // nothing could have been done about it.
        self.level = self.level.max(0.0);
    }

    pub(super) fn fill(&mut self, bits: f64) {
        self.level = (self.level + bits).min(self.size);
    }

    pub(super) fn take(&mut self, bits: f64) {
        self.level -= bits;
    }

    /// Negative if frames took more than there was.
    pub(super) fn level(&self) -> f64 {
        self.level
    }
}
