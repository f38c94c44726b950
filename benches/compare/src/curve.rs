//! Curves of rate against quality and against speed, and how two of them compare.

/// Steps that the mean over a range of quality is taken in.
const STEPS: u32 = 2000;

/// The Bjontegaard delta rate (ITU-T VCEG-AI11): how many percent more bits than the anchor the test needs for the
/// same quality. The logarithm of the rate is interpolated over quality by monotone piecewise cubics and averaged
/// over the range of quality that both cover.
///
/// Points are quality and rate in any unit. `None` where a curve has fewer than three points or the ranges have
/// nothing in common.
pub fn bd_rate(anchor: &[(f64, f64)], test: &[(f64, f64)]) -> Option<f64> {
    let (anchor, test) = (Cubics::new(anchor)?, Cubics::new(test)?);
    let low = anchor.x[0].max(test.x[0]);
    let high = anchor.x[anchor.x.len() - 1].min(test.x[test.x.len() - 1]);
    if high <= low {
        return None;
    }
    Some((test.mean(low, high) - anchor.mean(low, high)).exp_m1() * 100.0)
}

/// Piecewise cubic Hermite curve with the slopes of Fritsch and Carlson, which keep it monotone where its points
/// are.
struct Cubics {
    x: Vec<f64>,
    y: Vec<f64>,
    slopes: Vec<f64>,
}

impl Cubics {
    /// Through the logarithms of the rates.
    fn new(points: &[(f64, f64)]) -> Option<Self> {
        let mut points = points.to_vec();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        points.dedup_by_key(|point| point.0);
        if points.len() < 3 {
            return None;
        }
        let x: Vec<f64> = points.iter().map(|point| point.0).collect();
        let y: Vec<f64> = points.iter().map(|point| point.1.ln()).collect();
        let widths: Vec<f64> = x.windows(2).map(|x| x[1] - x[0]).collect();
        let chords: Vec<f64> = y.windows(2).zip(&widths).map(|(y, width)| (y[1] - y[0]) / width).collect();
        let inner = widths.windows(2).zip(chords.windows(2)).map(|(h, d)| {
            if d[0] * d[1] <= 0.0 {
                return 0.0;
            }
            let (w0, w1) = (2.0 * h[1] + h[0], h[1] + 2.0 * h[0]);
            (w0 + w1) / (w0 / d[0] + w1 / d[1])
        });
        let last = chords.len() - 1;
        let mut slopes = vec![end_slope([widths[0], widths[1]], [chords[0], chords[1]])];
        slopes.extend(inner);
        slopes.push(end_slope([widths[last], widths[last - 1]], [chords[last], chords[last - 1]]));
        Some(Self { x, y, slopes })
    }

    fn mean(&self, low: f64, high: f64) -> f64 {
        let step = (high - low) / f64::from(STEPS);
        (0..STEPS).map(|s| self.at(low + step * (f64::from(s) + 0.5))).sum::<f64>() / f64::from(STEPS)
    }

    fn at(&self, x: f64) -> f64 {
        let k = self.x[1..self.x.len() - 1].partition_point(|&end| end < x);
        let width = self.x[k + 1] - self.x[k];
        let t = (x - self.x[k]) / width;
        let (t2, t3) = (t * t, t * t * t);
        (2.0 * t3 - 3.0 * t2 + 1.0) * self.y[k]
            + (t3 - 2.0 * t2 + t) * width * self.slopes[k]
            + (3.0 * t2 - 2.0 * t3) * self.y[k + 1]
            + (t3 - t2) * width * self.slopes[k + 1]
    }
}

/// Of the parabola through the last three points, kept monotone; nearest piece first.
fn end_slope(widths: [f64; 2], chords: [f64; 2]) -> f64 {
    let slope = ((2.0 * widths[0] + widths[1]) * chords[0] - widths[0] * chords[1]) / (widths[0] + widths[1]);
    if slope * chords[0] <= 0.0 {
        0.0
    } else if chords[0] * chords[1] < 0.0 && slope.abs() > 3.0 * chords[0].abs() {
        3.0 * chords[0]
    } else {
        slope
    }
}

/// A figure of two encoders at one abscissa.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Where.
    pub x: f64,
    /// What the test is compared with.
    pub anchor: f64,
    /// The figure in question.
    pub test: f64,
}

/// Both curves at `count` (2 or more) places spread evenly over the range that both cover, interpolated straight
/// between their points.
///
/// Empty where a curve has fewer than two points or the ranges have nothing in common.
pub fn pairs(anchor: &[(f64, f64)], test: &[(f64, f64)], count: u32) -> Vec<Pair> {
    let sorted = |points: &[(f64, f64)]| {
        let mut points = points.to_vec();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by_key(|point| point.0);
        points
    };
    let (anchor, test) = (sorted(anchor), sorted(test));
    if anchor.len() < 2 || test.len() < 2 {
        return Vec::new();
    }
    let low = anchor[0].0.max(test[0].0);
    let high = anchor[anchor.len() - 1].0.min(test[test.len() - 1].0);
    if high <= low {
        return Vec::new();
    }
    let place = |n: u32| low + (high - low) * f64::from(n) / f64::from(count - 1);
    (0..count)
        .map(place)
        .map(|x| Pair { x, anchor: straight(&anchor, x), test: straight(&test, x) })
        .collect()
}

fn straight(points: &[(f64, f64)], x: f64) -> f64 {
    let k = points[1..points.len() - 1].partition_point(|point| point.0 < x);
    let (a, b) = (points[k], points[k + 1]);
    a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0)
}

/// Geometric mean of the ratios; `None` where there are none.
pub fn mean_ratio(ratios: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = ratios.len();
    (count > 0).then(|| (ratios.map(f64::ln).sum::<f64>() / count as f64).exp())
}
