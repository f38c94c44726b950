//! Quantizer steps (AV1 specification, section 7.12.2), and the value of a bit at each.

use crate::structure::{LayerId, PicturePlan, Structure};

/// The smallest quantizer index of a lossy frame; 0 would select the lossless mode.
pub(crate) const MIN_QINDEX: u8 = 1;

/// The quantizer of one frame. Its steps are in 1/8 of a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantizer {
    /// `base_q_idx` (section 6.8.11).
    pub(crate) qindex: u8,
    pub(crate) dc: i32,
    pub(crate) ac: i32,
    /// The value of a bit in squared sample error.
    pub(crate) lambda: f32,
    /// The value of a bit in absolute transformed difference.
    pub(crate) lambda_satd: f32,
}

impl Quantizer {
    /// `lambda` is the value of a bit in squared error, relative to its usual value.
    pub(crate) fn new(qindex: u8, lambda: f32) -> Self {
        let (dc, ac) = (DC_STEP[usize::from(qindex)], AC_STEP[usize::from(qindex)]);
        let step = f32::from(ac) / 8.0;
        let lambda = lambda * 0.065 * step * step;
        Self { qindex, dc: dc.into(), ac: ac.into(), lambda, lambda_satd: lambda.sqrt() }
    }

    /// The same steps, with a bit worth so many times the error.
    pub(crate) fn weighted(self, weight: f32) -> Self {
        let lambda = self.lambda * weight;
        Self { lambda, lambda_satd: lambda.sqrt(), ..self }
    }
}

/// Pictures from one that is coded finer to the next.
const PULSE: u64 = 4;

/// How the quantizer of a picture differs from that of its neighbours.
///
/// Where all pictures are of one temporal layer, every fourth is coded finer. What the next ones take from it is finer,
/// too, and where nothing changes they take all of it. Modes of more layers have this by their layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pulse {
    percent: u32,
    /// The value of a bit, relative to its usual value.
    lambda: f32,
}

impl Pulse {
    /// A picture that does not differ.
    const NONE: Self = Self { percent: 100, lambda: 1.0 };
    const FINE: Self = Self { percent: 90, lambda: 0.7 };
    const USUAL: Self = Self { percent: 103, lambda: 1.0 };

    pub(crate) fn of(picture: &PicturePlan) -> Self {
        let fine = picture.picture_number.is_multiple_of(PULSE);
        match (picture.key || picture.mode.structure().temporal_layers > 1, fine) {
            (true, _) => Self::NONE,
            (false, true) => Self::FINE,
            (false, false) => Self::USUAL,
        }
    }

    /// Those of the pictures of a mode with so many temporal layers, and the share of the pictures that have each; key
    /// pictures aside.
    pub(crate) fn all(temporal_layers: u8) -> &'static [(Self, f64)] {
        const FINE: f64 = 1.0 / PULSE as f64;
        match temporal_layers {
            1 => &[(Pulse::USUAL, 1.0 - FINE), (Pulse::FINE, FINE)],
            _ => &[(Pulse::NONE, 1.0)],
        }
    }

    pub(crate) fn is_fine(self) -> bool {
        self == Self::FINE
    }

    pub(crate) fn qindex(self, qindex: u8) -> u8 {
        (u32::from(qindex) * self.percent / 100).clamp(MIN_QINDEX.into(), 255) as u8
    }

    pub(crate) fn lambda(self, lambda: f32) -> f32 {
        self.lambda * lambda
    }
}

/// The place of a frame in the structure, by which its quantizer differs from that of others.
///
/// Frames that others are predicted from deserve more bits: a key picture serves all pictures that follow, the highest
/// temporal layer none. A bit is also worth less error in them, since their errors spread. A spatial layer from which
/// another one is predicted is coded coarser: its picture serves the higher layer little where that has its own earlier
/// picture, and its bits are there for all receivers. Measured on real clips.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    key: bool,
    temporal_id: u8,
    temporal_layers: u8,
    /// Whether a higher spatial layer is predicted from this one, and in other pictures than key pictures, too.
    lower: bool,
    screen: bool,
}

impl Place {
    /// The place of a layer's frames; `key` if they begin their spatial layer.
    pub(crate) fn new(structure: &Structure, layer: LayerId, key: bool) -> Self {
        let lower = structure
            .cycle
            .iter()
            .copied()
            .flatten()
            .any(|frame| frame.layer.spatial_id > layer.spatial_id && frame.inter_layer_ref.is_some());
        let temporal_layers = structure.temporal_layers;
        Self { key, temporal_id: layer.temporal_id, temporal_layers, lower, screen: false }
    }

    /// The same place in a stream whose pictures show a screen, or not. What a key picture shows stands longer on a screen than
    /// before a camera, and returns when it is scrolled: it is coded finer, and a bit is worth less error there.
    pub(crate) fn with_screen(self, screen: bool) -> Self {
        Self { screen, ..self }
    }

    /// The quantizer index, if `base` is that of the lowest temporal layer.
    pub(crate) fn qindex(self, base: u8) -> u8 {
        let percent = match (self.temporal_id, self.key, self.lower) {
            (0, true, _) if self.screen => 60,
            (0, true, true) => 78,
            (0, true, false) if self.temporal_layers == 1 => 75,
            (0, true, false) => 76,
            (0, false, true) => 108,
            (0, false, false) => 100,
            (1, _, true) => 130,
            (1, _, false) => 118,
            (_, _, true) => 134,
            (_, _, false) => 122,
        };
        (u32::from(base) * percent / 100).clamp(MIN_QINDEX.into(), 255) as u8
    }

    /// The value of a bit in squared error, relative to its usual value.
    pub(crate) fn lambda(self) -> f32 {
        let of_place = match (self.temporal_id, self.lower) {
            (0, true) if self.temporal_layers > 1 => 0.65,
            (0, false) if self.temporal_layers > 1 => 0.5,
            (0, true) => 1.3,
            (0, false) => 1.0,
            (1, true) => 0.6,
            (1, false) => 0.5,
            (_, true) => 1.0,
            (_, false) => 0.8,
        };
        of_place * if self.key && self.screen { 0.7 } else { 1.0 }
    }
}

/// The step of coefficients at a quantizer index, in samples.
pub(crate) fn step(qindex: u8) -> f64 {
    f64::from(AC_STEP[usize::from(qindex)]) / 8.0
}

/// The smallest index with at least this step, in samples.
pub(crate) fn index_of(step: f64) -> u8 {
    AC_STEP.partition_point(|&ac| f64::from(ac) / 8.0 < step).clamp(MIN_QINDEX.into(), 255) as u8
}

#[rustfmt::skip]
static DC_STEP: [u16; 256] = [
    4, 8, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19,
    20, 21, 22, 23, 24, 25, 26, 26, 27, 28, 29, 30, 31, 32, 32, 33,
    34, 35, 36, 37, 38, 38, 39, 40, 41, 42, 43, 43, 44, 45, 46, 47,
    48, 48, 49, 50, 51, 52, 53, 53, 54, 55, 56, 57, 57, 58, 59, 60,
    61, 62, 62, 63, 64, 65, 66, 66, 67, 68, 69, 70, 70, 71, 72, 73,
    74, 74, 75, 76, 77, 78, 78, 79, 80, 81, 81, 82, 83, 84, 85, 85,
    87, 88, 90, 92, 93, 95, 96, 98, 99, 101, 102, 104, 105, 107, 108, 110,
    111, 113, 114, 116, 117, 118, 120, 121, 123, 125, 127, 129, 131, 134, 136, 138,
    140, 142, 144, 146, 148, 150, 152, 154, 156, 158, 161, 164, 166, 169, 172, 174,
    177, 180, 182, 185, 187, 190, 192, 195, 199, 202, 205, 208, 211, 214, 217, 220,
    223, 226, 230, 233, 237, 240, 243, 247, 250, 253, 257, 261, 265, 269, 272, 276,
    280, 284, 288, 292, 296, 300, 304, 309, 313, 317, 322, 326, 330, 335, 340, 344,
    349, 354, 359, 364, 369, 374, 379, 384, 389, 395, 400, 406, 411, 417, 423, 429,
    435, 441, 447, 454, 461, 467, 475, 482, 489, 497, 505, 513, 522, 530, 539, 549,
    559, 569, 579, 590, 602, 614, 626, 640, 654, 668, 684, 700, 717, 736, 755, 775,
    796, 819, 843, 869, 896, 925, 955, 988, 1022, 1058, 1098, 1139, 1184, 1232, 1282, 1336,
];

#[rustfmt::skip]
static AC_STEP: [u16; 256] = [
    4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
    39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54,
    55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70,
    71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102,
    104, 106, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126, 128, 130, 132, 134,
    136, 138, 140, 142, 144, 146, 148, 150, 152, 155, 158, 161, 164, 167, 170, 173,
    176, 179, 182, 185, 188, 191, 194, 197, 200, 203, 207, 211, 215, 219, 223, 227,
    231, 235, 239, 243, 247, 251, 255, 260, 265, 270, 275, 280, 285, 290, 295, 300,
    305, 311, 317, 323, 329, 335, 341, 347, 353, 359, 366, 373, 380, 387, 394, 401,
    408, 416, 424, 432, 440, 448, 456, 465, 474, 483, 492, 501, 510, 520, 530, 540,
    550, 560, 571, 582, 593, 604, 615, 627, 639, 651, 663, 676, 689, 702, 715, 729,
    743, 757, 771, 786, 801, 816, 832, 848, 864, 881, 898, 915, 933, 951, 969, 988,
    1007, 1026, 1046, 1066, 1087, 1108, 1129, 1151, 1173, 1196, 1219, 1243, 1267, 1292, 1317, 1343,
    1369, 1396, 1423, 1451, 1479, 1508, 1537, 1567, 1597, 1628, 1660, 1692, 1725, 1759, 1793, 1828,
];
