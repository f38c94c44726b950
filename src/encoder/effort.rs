//! How much is tried before a block is decided: one row of numbers a speed.

/// Where the decisions for a block stop.
#[derive(Debug)]
pub(crate) struct Effort {
    /// A block of 64x64, 32x32, 16x16 that costs fewer bits than this for each 64 samples is not tried in
    /// smaller blocks.
    pub(crate) stop: [f32; 3],
    /// A block of 64x64, 32x32 whose prediction costs more bits a sample than this is not coded whole.
    pub(crate) hopeless: [f32; 2],
    /// A block that another picture predicts at fewer bits a sample than this is not tried as an intra block.
    pub(crate) good: f32,
    /// Where the first intra mode costs more than this many times the inter prediction, no other is tried.
    pub(crate) rival: f32,
    /// Where whole samples of motion cost more than this many times what is hopeless, fractions are not tried.
    pub(crate) fractions: f32,
}

/// Pictures of so many samples and more have their detail in larger blocks.
const LARGE: usize = 1280 * 720;

/// What is tried at `speed` in pictures of `size`; None for a speed that is not.
pub(crate) fn effort(speed: u8, size: (usize, usize)) -> Option<&'static Effort> {
    Some(&EFFORTS.get(usize::from(speed))?[usize::from(size.0 * size.1 >= LARGE)])
}

/// For each speed, slow to fast, one for pictures below `LARGE` and one for others. Read off logs of what won, and
/// chosen by the curve of bits over time that they make on real clips.
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
