//! How well a stream keeps its bitrate.

/// Length of the windows that a bitrate is to be kept in, and from the start of one to the start of the next, in
/// seconds.
const WINDOW: f64 = 5.0;
const STRIDE: f64 = 0.25;
/// The first second is in no window: a key picture takes much of it.
const START: f64 = 1.0;
/// A window in which this share of the frames have the least or the largest quantizer is told apart.
const BOUND: f64 = 0.5;

/// What the layers of one decode target took for one picture.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// When the picture was captured, in seconds since the first one.
    pub at: f64,
    /// The bits of all frames that the decode target needs.
    pub bits: u64,
    /// The bits that it was to take until the next picture: its bitrate times the interval.
    pub budget: f64,
    /// Whether one of the frames has the least or the largest quantizer.
    pub bound: bool,
}

/// The bits of one decode target over time.
#[derive(Debug, Clone, Default)]
pub struct Track(Vec<Taken>);

/// What shares of its bitrate a decode target took over all windows, or several of them did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Windows {
    /// How many there are.
    pub count: usize,
    /// The least and the most; infinite if there is none.
    pub range: (f64, f64),
}

impl Track {
    /// Adds the next picture, in the order in which they were captured.
    pub fn push(&mut self, taken: Taken) {
        self.0.push(taken);
    }

    /// What the pictures captured within a span, in seconds, took of what they were to take. Not a number if there are
    /// none.
    pub fn share(&self, from: f64, to: f64) -> f64 {
        let (bits, budget) =
            self.within(from, to).fold((0, 0.0), |(bits, budget), t| (bits + t.bits, budget + t.budget));
        bits as f64 / budget
    }

    /// What all pictures took of what they were to take.
    pub fn total(&self) -> f64 {
        self.share(0.0, f64::INFINITY)
    }

    /// What the pictures took over each window of 5 s after the first second: where the quantizer was free, and where it
    /// stood at a bound.
    pub fn windows(&self) -> [Windows; 2] {
        let mut found = [Windows::NONE; 2];
        let end = self.0.last().map_or(0.0, |last| last.at);
        let starts = (0u32..).map(|n| START + STRIDE * f64::from(n));
        // The last picture lasts until the one that would follow.
        for start in starts.take_while(|start| start + WINDOW <= end + STRIDE / 2.0) {
            let coded = || self.within(start, start + WINDOW).filter(|taken| taken.bits > 0);
            let bound = coded().filter(|taken| taken.bound).count() as f64;
            let bound = bound >= BOUND * coded().count() as f64;
            found[usize::from(bound)].add(self.share(start, start + WINDOW));
        }
        found
    }

    fn within(&self, from: f64, to: f64) -> impl Iterator<Item = &Taken> {
        // Times are fractions: a picture that is captured where a span begins is in it.
        self.0.iter().filter(move |taken| (from..to).contains(&(taken.at + 1e-6)))
    }
}

impl Windows {
    /// None.
    pub const NONE: Self = Self { count: 0, range: (f64::INFINITY, f64::NEG_INFINITY) };

    fn add(&mut self, share: f64) {
        self.count += 1;
        self.range = (self.range.0.min(share), self.range.1.max(share));
    }

    /// Those of both.
    pub fn and(self, other: Self) -> Self {
        let range = (self.range.0.min(other.range.0), self.range.1.max(other.range.1));
        Self { count: self.count + other.count, range }
    }
}
