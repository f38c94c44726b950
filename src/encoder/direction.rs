//! The direction in which a block's samples change least, for the directional intra modes (section 7.11.2.4).

use std::sync::LazyLock;

use super::kernels::*;

/// Modes of a direction, and the angle of each in degrees (section 9.3, Mode_To_Angle).
const MODES: [(PredictionMode, i32); 8] = [
    (PredictionMode::D45_PRED, 45),
    (PredictionMode::D67_PRED, 67),
    (PredictionMode::V_PRED, 90),
    (PredictionMode::D113_PRED, 113),
    (PredictionMode::D135_PRED, 135),
    (PredictionMode::D157_PRED, 157),
    (PredictionMode::H_PRED, 180),
    (PredictionMode::D203_PRED, 203),
];
/// Degrees of a step, and the most steps on either side of a mode's angle.
const STEP: i32 = 3;
pub(super) const MOST_STEPS: i8 = 3;
/// A block has a direction if the samples change along it by at most this share of all their change; half of it would be
/// no direction at all.
const SHARE: (i64, i64) = (1, 5);

/// A mode, the steps from its angle, and the weights of the block's gradients along that angle.
type Weights = (PredictionMode, i8, [i64; 3]);

static ANGLES: LazyLock<Vec<Weights>> = LazyLock::new(|| {
    let steps = -MOST_STEPS..=MOST_STEPS;
    let all = MODES.iter().flat_map(|&mode| steps.clone().map(move |steps| (mode, steps)));
    let weights = |((mode, angle), steps): ((PredictionMode, i32), i8)| {
        let (sin, cos) = f64::from(angle + STEP * i32::from(steps)).to_radians().sin_cos();
        // Rows run down, angles run up.
        let weights = [cos * cos, sin * sin, -2.0 * sin * cos];
        (mode, steps, weights.map(|w| (w * 1024.0).round() as i64))
    };
    all.map(weights).collect()
});

/// The directional mode, and the steps from its angle, along which the `width` x `height` samples change least; none
/// if they change as much in every direction.
pub(super) fn direction(
    source: &PlaneRegion<'_, u8>,
    width: usize,
    height: usize,
) -> Option<(PredictionMode, i8)> {
    let [xx, yy, xy] = gradients(source, width, height).map(i64::from);
    let along = |&(_, _, [x, y, both]): &&Weights| x * xx + y * yy + both * xy;
    let best = ANGLES.iter().min_by_key(along)?;
    (along(&best) * SHARE.1 < 1024 * (xx + yy) * SHARE.0).then_some((best.0, best.1))
}

wide! {
    /// Sums of the squared gradients across and down, and of their products.
    fn gradients(source: &PlaneRegion<'_, u8>, width: usize, height: usize) -> [i32; 3] {
        let mut sums = [0i32; 3];
        for y in 1..height {
            let (above, row) = (&source[y - 1][..width], &source[y][..width]);
            for x in 1..width {
                let [a, b, c, d] = [above[x - 1], above[x], row[x - 1], row[x]].map(i32::from);
                let (across, down) = (b + d - a - c, c + d - a - b);
                sums[0] += across * across;
                sums[1] += down * down;
                sums[2] += across * down;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stripes that run at an angle, in degrees.
    fn stripes(angle: f64) -> Plane<u8> {
        let mut plane = Plane::new(32, 32, 0, 0, 0, 0);
        let (sin, cos) = angle.to_radians().sin_cos();
        for y in 0..32 {
            for x in 0..32 {
                let across = x as f64 * sin + y as f64 * cos;
                let stride = plane.cfg.stride;
                plane.data_origin_mut()[y * stride + x] = (128.0 + 100.0 * (across * 0.5).sin()) as u8;
            }
        }
        plane
    }

    #[test]
    fn stripes_are_predicted_along_them() {
        for ((mode, angle), steps) in MODES.iter().flat_map(|&mode| [-3, 0, 2].map(|steps| (mode, steps))) {
            let plane = stripes(f64::from(angle + STEP * i32::from(steps)));
            let found = direction(&plane.as_region(), 32, 32);
            // 36 to 212 degrees: the same line may have two names.
            let angle_of = |(mode, steps): (PredictionMode, i8)| {
                let (_, angle) = MODES.iter().find(|m| m.0 == mode).expect("a directional mode");
                (angle + STEP * i32::from(steps)).rem_euclid(180)
            };
            let apart = (angle_of(found.expect("a direction")) - angle_of((mode, steps))).rem_euclid(180);
            assert!(apart.min(180 - apart) <= 3, "{mode:?} {steps}: {found:?}");
        }
    }

    #[test]
    fn flat_samples_and_noise_have_none() {
        let mut plane = Plane::<u8>::new(32, 32, 0, 0, 0, 0);
        assert_eq!(direction(&plane.as_region(), 32, 32), None);
        let mut state = 1u32;
        for sample in plane.data_origin_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = (state >> 24) as u8;
        }
        assert_eq!(direction(&plane.as_region(), 32, 32), None);
    }
}
