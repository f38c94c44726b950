//! The effort that goes into deciding a block: a row of thresholds for each speed.

/// Thresholds at which the decisions for a block stop.
#[derive(Debug)]
pub(crate) struct Effort {
    /// A block of 64x64, 32x32, 16x16 that costs fewer bits than this for each 64 samples is not tried in
    /// smaller blocks.
    pub(crate) stop: [f32; 3],
    /// A block of 64x64, 32x32 whose prediction costs more bits a sample than this is not coded whole.
    pub(crate) hopeless: [f32; 2],
    /// A block that another picture predicts at fewer bits a sample than this is not tried as an intra block.
    pub(crate) good: f32,
    /// If the first intra mode costs more than this many times the inter prediction, no other mode is tried.
    pub(crate) rival: f32,
    /// If the best vector of whole samples costs more than this many times the hopeless cost, fractions are
    /// not tried.
    pub(crate) fractions: f32,
}

/// Pictures with at least this many samples have their detail in larger blocks.
const LARGE: usize = 1280 * 720;

/// The effort at `speed` for pictures of `size`; nothing if there is no such speed.
pub(crate) fn effort(speed: u8, size: (usize, usize)) -> Option<&'static Effort> {
    Some(&EFFORTS.get(usize::from(speed))?[usize::from(size.0 * size.1 >= LARGE)])
}

/// For each speed, slow to fast, one for pictures below `LARGE` and one for the others. The thresholds come
/// from logs of which choices won, and were selected by bits over coding time on real clips.
static EFFORTS: [[Effort; 2]; 4] = [
    [
        Effort { stop: [1.5, 6.0, 16.0], hopeless: [0.45, 0.8], good: 0.04, rival: 2.5, fractions: 2.5 },
        Effort { stop: [1.5, 6.0, 16.0], hopeless: [0.45, 0.8], good: 0.04, rival: 2.5, fractions: 2.5 },
    ],
    [
        Effort { stop: [2.5, 8.5, 21.0], hopeless: [0.35, 0.6], good: 0.06, rival: 1.6, fractions: 1.8 },
        Effort { stop: [3.5, 11.0, 30.0], hopeless: [0.35, 0.6], good: 0.06, rival: 1.6, fractions: 1.8 },
    ],
    [
        Effort { stop: [4.0, 9.5, 29.0], hopeless: [0.28, 0.38], good: 0.12, rival: 1.2, fractions: 1.2 },
        Effort { stop: [6.0, 17.0, 45.0], hopeless: [0.28, 0.38], good: 0.12, rival: 1.2, fractions: 1.2 },
    ],
    [
        Effort { stop: [6.0, 18.0, 45.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 0.8 },
        Effort { stop: [7.0, 20.0, 52.0], hopeless: [0.2, 0.35], good: 0.2, rival: 1.0, fractions: 0.8 },
    ],
];
