//! The table of scalability structures.
//!
//! Each drawing has a row per layer and a column per picture, as the diagrams in section 9 of the standard;
//! the pictures after `key` repeat. A frame is drawn `t+i>r`: it refers to slot t (an earlier picture of the
//! same spatial layer) and slot i (the layer below in the same picture), and is stored in each of the slots r;
//! `*` stands for all eight. A dot is no frame. A slot that was not written since holds what the key picture left
//! there. On the right are the decode targets that need the row's frames, and behind `key` those that need the key
//! picture's frame, if these are more.

use super::frames::{FrameTemplate, Structure};
use super::layer::LayerId;
use super::mode::ScalabilityMode as Mode;

const S0T0: LayerId = LayerId::new(0, 0);
const S0T1: LayerId = LayerId::new(0, 1);
const S0T2: LayerId = LayerId::new(0, 2);
const S1T0: LayerId = LayerId::new(1, 0);
const S1T1: LayerId = LayerId::new(1, 1);
const S1T2: LayerId = LayerId::new(1, 2);
const S2T0: LayerId = LayerId::new(2, 0);
const S2T1: LayerId = LayerId::new(2, 1);
const S2T2: LayerId = LayerId::new(2, 2);

/// The one slot that the frames of a layer are stored in: S0T0 to S2T0 in 0 to 2, S0T1 to S2T1 in 3 to 5,
/// S0T2 and S1T2 in 6 and 7. Nothing refers to S2T2, the ninth.
const fn slot(layer: LayerId) -> u8 {
    let slot = 3 * layer.temporal_id + layer.spatial_id;
    assert!(slot < 8);
    slot
}

/// A frame that refers to nothing and is not stored.
const fn frame(layer: LayerId) -> FrameTemplate {
    FrameTemplate { layer, temporal_ref: None, inter_layer_ref: None, refresh: 0 }
}

impl FrameTemplate {
    /// It refers to the latest frame of `layer`, in an earlier picture.
    const fn after(mut self, layer: LayerId) -> Self {
        self.temporal_ref = Some(slot(layer));
        self
    }

    /// It refers to the frame of `layer` in the same picture.
    const fn over(mut self, layer: LayerId) -> Self {
        self.inter_layer_ref = Some(slot(layer));
        self
    }

    /// It is stored where `layer` is stored.
    const fn into(mut self, layer: LayerId) -> Self {
        self.refresh |= 1 << slot(layer);
        self
    }

    /// It is stored where its own layer is stored.
    const fn stored(self) -> Self {
        self.into(self.layer)
    }
}

/// The key frame: shown, and so stored in all eight slots (AV1 5.9.2).
const KEY_FRAME: FrameTemplate = FrameTemplate { refresh: 0xff, ..frame(S0T0) };

/// Frames of a key picture, each predicted from the one below.
const LAYERED: &[FrameTemplate] =
    &[KEY_FRAME, frame(S1T0).over(S0T0).stored(), frame(S2T0).over(S1T0).stored()];

/// Frames of a key picture that do not refer to each other.
const SEPARATE: &[FrameTemplate] = &[KEY_FRAME, frame(S1T0).stored(), frame(S2T0).stored()];

// Pictures of three spatial layers that do not refer to each other; fewer layers take the lowest of them.
const T0: &[FrameTemplate] =
    &[frame(S0T0).after(S0T0).stored(), frame(S1T0).after(S1T0).stored(), frame(S2T0).after(S2T0).stored()];
const T1: &[FrameTemplate] =
    &[frame(S0T1).after(S0T0).stored(), frame(S1T1).after(S1T0).stored(), frame(S2T1).after(S2T0).stored()];
const T1_LAST: &[FrameTemplate] =
    &[frame(S0T1).after(S0T0), frame(S1T1).after(S1T0), frame(S2T1).after(S2T0)];
const T2_AFTER_T0: &[FrameTemplate] =
    &[frame(S0T2).after(S0T0), frame(S1T2).after(S1T0), frame(S2T2).after(S2T0)];
const T2_AFTER_T1: &[FrameTemplate] =
    &[frame(S0T2).after(S0T1), frame(S1T2).after(S1T1), frame(S2T2).after(S2T1)];

// Pictures of spatial layers that are each predicted from the one below. Where nothing refers to the highest
// temporal layer later on, its frames are stored for the layer above only.
const LAYERED_T0: &[FrameTemplate] = &[
    frame(S0T0).after(S0T0).stored(),
    frame(S1T0).after(S1T0).over(S0T0).stored(),
    frame(S2T0).after(S2T0).over(S1T0).stored(),
];
const LAYERED_T1: &[FrameTemplate] = &[
    frame(S0T1).after(S0T0).stored(),
    frame(S1T1).after(S1T0).over(S0T1).stored(),
    frame(S2T1).after(S2T0).over(S1T1).stored(),
];
const LAYERED_T1_LAST_OF_2: &[FrameTemplate] =
    &[frame(S0T1).after(S0T0).stored(), frame(S1T1).after(S1T0).over(S0T1)];
const LAYERED_T1_LAST_OF_3: &[FrameTemplate] = &[
    frame(S0T1).after(S0T0).stored(),
    frame(S1T1).after(S1T0).over(S0T1).stored(),
    frame(S2T1).after(S2T0).over(S1T1),
];
const LAYERED_T2_AFTER_T0_OF_2: &[FrameTemplate] =
    &[frame(S0T2).after(S0T0).stored(), frame(S1T2).after(S1T0).over(S0T2)];
const LAYERED_T2_AFTER_T0_OF_3: &[FrameTemplate] = &[
    frame(S0T2).after(S0T0).stored(),
    frame(S1T2).after(S1T0).over(S0T2).stored(),
    frame(S2T2).after(S2T0).over(S1T2),
];
const LAYERED_T2_AFTER_T1_OF_2: &[FrameTemplate] =
    &[frame(S0T2).after(S0T1).stored(), frame(S1T2).after(S1T1).over(S0T2)];
const LAYERED_T2_AFTER_T1_OF_3: &[FrameTemplate] = &[
    frame(S0T2).after(S0T1).stored(),
    frame(S1T2).after(S1T1).over(S0T2).stored(),
    frame(S2T2).after(S2T1).over(S1T2),
];

/// The lowest spatial layers of a picture.
const fn lowest(layers: usize, picture: &'static [FrameTemplate]) -> &'static [FrameTemplate] {
    picture.split_at(layers).0
}

/// Every structure, in the order of [`Mode`].
pub(super) static TABLE: [&Structure; 25] = [
    &MODE_L1T1,
    &MODE_L1T2,
    &MODE_L1T3,
    &MODE_L2T1,
    &MODE_L2T1_KEY,
    &MODE_L2T2,
    &MODE_L2T2_KEY,
    &MODE_L2T2_KEY_SHIFT,
    &MODE_L2T3,
    &MODE_L2T3_KEY,
    &MODE_L2T3_KEY_SHIFT,
    &MODE_L3T1,
    &MODE_L3T1_KEY,
    &MODE_L3T2,
    &MODE_L3T2_KEY,
    &MODE_L3T2_KEY_SHIFT,
    &MODE_L3T3,
    &MODE_L3T3_KEY,
    &MODE_L3T3_KEY_SHIFT,
    &MODE_S2T1,
    &MODE_S2T2,
    &MODE_S2T3,
    &MODE_S3T1,
    &MODE_S3T2,
    &MODE_S3T3,
];

/// One spatial layer and one temporal layer.
///
/// ```text
///       key     1       needed by
/// S0T0  >*      0>0     S0T0
/// ```
static MODE_L1T1: Structure = Structure {
    mode: Mode::L1T1,
    name: "L1T1",
    spatial_layers: 1,
    temporal_layers: 1,
    ratio: (2, 1),
    key: &[KEY_FRAME],
    cycle: &[lowest(1, T0)],
};

/// One spatial layer, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S0T1  .       0>      .       S0T1
/// S0T0  >*      .       0>0     S0T0-1
/// ```
static MODE_L1T2: Structure = Structure {
    mode: Mode::L1T2,
    name: "L1T2",
    spatial_layers: 1,
    temporal_layers: 2,
    ratio: (2, 1),
    key: &[KEY_FRAME],
    cycle: &[lowest(1, T1_LAST), lowest(1, T0)],
};

/// One spatial layer, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S0T2  .       0>      .       3>      .       S0T2
/// S0T1  .       .       0>3     .       .       S0T1-2
/// S0T0  >*      .       .       .       0>0     S0T0-2
/// ```
static MODE_L1T3: Structure = Structure {
    mode: Mode::L1T3,
    name: "L1T3",
    spatial_layers: 1,
    temporal_layers: 3,
    ratio: (2, 1),
    key: &[KEY_FRAME],
    cycle: &[lowest(1, T2_AFTER_T0), lowest(1, T1), lowest(1, T2_AFTER_T1), lowest(1, T0)],
};

/// Two spatial layers, each predicted from the one below, one temporal layer.
///
/// ```text
///       key     1       needed by
/// S1T0  +0>1    1+0>1   S1T0
/// S0T0  >*      0>0     S0-1T0
/// ```
static MODE_L2T1: Structure = Structure {
    mode: Mode::L2T1,
    name: "L2T1",
    spatial_layers: 2,
    temporal_layers: 1,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[lowest(2, LAYERED_T0)],
};

/// Two spatial layers, predicted from below at key pictures only, one temporal layer.
///
/// ```text
///       key     1       needed by
/// S1T0  +0>1    1>1     S1T0
/// S0T0  >*      0>0     S0T0, key S0-1T0
/// ```
static MODE_L2T1_KEY: Structure = Structure {
    mode: Mode::L2T1Key,
    name: "L2T1_KEY",
    spatial_layers: 2,
    temporal_layers: 1,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[lowest(2, T0)],
};

/// Two spatial layers, each predicted from the one below, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S1T1  .       1+3>    .       S1T1
/// S1T0  +0>1    .       1+0>1   S1T0-1
/// S0T1  .       0>3     .       S0-1T1
/// S0T0  >*      .       0>0     S0-1T0-1
/// ```
static MODE_L2T2: Structure = Structure {
    mode: Mode::L2T2,
    name: "L2T2",
    spatial_layers: 2,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[LAYERED_T1_LAST_OF_2, lowest(2, LAYERED_T0)],
};

/// Two spatial layers, predicted from below at key pictures only, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S1T1  .       1>      .       S1T1
/// S1T0  +0>1    .       1>1     S1T0-1
/// S0T1  .       0>      .       S0T1
/// S0T0  >*      .       0>0     S0T0-1, key S0-1T0-1
/// ```
static MODE_L2T2_KEY: Structure = Structure {
    mode: Mode::L2T2Key,
    name: "L2T2_KEY",
    spatial_layers: 2,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[lowest(2, T1_LAST), lowest(2, T0)],
};

/// Two spatial layers, predicted from below at key pictures only and shifted in time, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S1T1  .       1>      .       S1T1
/// S1T0  +0>1    .       1>1     S1T0-1
/// S0T1  .       .       0>      S0T1
/// S0T0  >*      0>0     .       S0T0-1, key S0-1T0-1
/// ```
static MODE_L2T2_KEY_SHIFT: Structure = Structure {
    mode: Mode::L2T2KeyShift,
    name: "L2T2_KEY_SHIFT",
    spatial_layers: 2,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[
        &[frame(S0T0).after(S0T0).stored(), frame(S1T1).after(S1T0)],
        &[frame(S0T1).after(S0T0), frame(S1T0).after(S1T0).stored()],
    ],
};

/// Two spatial layers, each predicted from the one below, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S1T2  .       1+6>    .       4+6>    .       S1T2
/// S1T1  .       .       1+3>4   .       .       S1T1-2
/// S1T0  +0>1    .       .       .       1+0>1   S1T0-2
/// S0T2  .       0>6     .       3>6     .       S0-1T2
/// S0T1  .       .       0>3     .       .       S0-1T1-2
/// S0T0  >*      .       .       .       0>0     S0-1T0-2
/// ```
static MODE_L2T3: Structure = Structure {
    mode: Mode::L2T3,
    name: "L2T3",
    spatial_layers: 2,
    temporal_layers: 3,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[
        LAYERED_T2_AFTER_T0_OF_2,
        lowest(2, LAYERED_T1),
        LAYERED_T2_AFTER_T1_OF_2,
        lowest(2, LAYERED_T0),
    ],
};

/// Two spatial layers, predicted from below at key pictures only, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S1T2  .       1>      .       4>      .       S1T2
/// S1T1  .       .       1>4     .       .       S1T1-2
/// S1T0  +0>1    .       .       .       1>1     S1T0-2
/// S0T2  .       0>      .       3>      .       S0T2
/// S0T1  .       .       0>3     .       .       S0T1-2
/// S0T0  >*      .       .       .       0>0     S0T0-2, key S0-1T0-2
/// ```
static MODE_L2T3_KEY: Structure = Structure {
    mode: Mode::L2T3Key,
    name: "L2T3_KEY",
    spatial_layers: 2,
    temporal_layers: 3,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[lowest(2, T2_AFTER_T0), lowest(2, T1), lowest(2, T2_AFTER_T1), lowest(2, T0)],
};

/// Two spatial layers, predicted from below at key pictures only and shifted in time, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S1T2  .       1>      .       4>      .       S1T2
/// S1T1  .       .       1>4     .       .       S1T1-2
/// S1T0  +0>1    .       .       .       1>1     S1T0-2
/// S0T2  .       3>      .       0>      .       S0T2
/// S0T1  .       .       .       .       0>3     S0T1-2
/// S0T0  >*      .       0>0     .       .       S0T0-2, key S0-1T0-2
/// ```
static MODE_L2T3_KEY_SHIFT: Structure = Structure {
    mode: Mode::L2T3KeyShift,
    name: "L2T3_KEY_SHIFT",
    spatial_layers: 2,
    temporal_layers: 3,
    ratio: (2, 1),
    key: lowest(2, LAYERED),
    cycle: &[
        &[frame(S0T2).after(S0T1), frame(S1T2).after(S1T0)],
        &[frame(S0T0).after(S0T0).stored(), frame(S1T1).after(S1T0).stored()],
        &[frame(S0T2).after(S0T0), frame(S1T2).after(S1T1)],
        &[frame(S0T1).after(S0T0).stored(), frame(S1T0).after(S1T0).stored()],
    ],
};

/// Three spatial layers, each predicted from the one below, one temporal layer.
///
/// ```text
///       key     1       needed by
/// S2T0  +1>2    2+1>2   S2T0
/// S1T0  +0>1    1+0>1   S1-2T0
/// S0T0  >*      0>0     S0-2T0
/// ```
static MODE_L3T1: Structure = Structure {
    mode: Mode::L3T1,
    name: "L3T1",
    spatial_layers: 3,
    temporal_layers: 1,
    ratio: (2, 1),
    key: lowest(3, LAYERED),
    cycle: &[lowest(3, LAYERED_T0)],
};

/// Three spatial layers, predicted from below at key pictures only, one temporal layer.
///
/// ```text
///       key     1       needed by
/// S2T0  +1>2    2>2     S2T0
/// S1T0  +0>1    1>1     S1T0, key S1-2T0
/// S0T0  >*      0>0     S0T0, key S0-2T0
/// ```
static MODE_L3T1_KEY: Structure = Structure {
    mode: Mode::L3T1Key,
    name: "L3T1_KEY",
    spatial_layers: 3,
    temporal_layers: 1,
    ratio: (2, 1),
    key: lowest(3, LAYERED),
    cycle: &[lowest(3, T0)],
};

/// Three spatial layers, each predicted from the one below, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S2T1  .       2+4>    .       S2T1
/// S2T0  +1>2    .       2+1>2   S2T0-1
/// S1T1  .       1+3>4   .       S1-2T1
/// S1T0  +0>1    .       1+0>1   S1-2T0-1
/// S0T1  .       0>3     .       S0-2T1
/// S0T0  >*      .       0>0     S0-2T0-1
/// ```
static MODE_L3T2: Structure = Structure {
    mode: Mode::L3T2,
    name: "L3T2",
    spatial_layers: 3,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(3, LAYERED),
    cycle: &[LAYERED_T1_LAST_OF_3, lowest(3, LAYERED_T0)],
};

/// Three spatial layers, predicted from below at key pictures only, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S2T1  .       2>      .       S2T1
/// S2T0  +1>2    .       2>2     S2T0-1
/// S1T1  .       1>      .       S1T1
/// S1T0  +0>1    .       1>1     S1T0-1, key S1-2T0-1
/// S0T1  .       0>      .       S0T1
/// S0T0  >*      .       0>0     S0T0-1, key S0-2T0-1
/// ```
static MODE_L3T2_KEY: Structure = Structure {
    mode: Mode::L3T2Key,
    name: "L3T2_KEY",
    spatial_layers: 3,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(3, LAYERED),
    cycle: &[lowest(3, T1_LAST), lowest(3, T0)],
};

/// Three spatial layers, predicted from below at key pictures only and shifted in time, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S2T1  .       2>      .       S2T1
/// S2T0  +1>2    .       2>2     S2T0-1
/// S1T1  .       .       1>      S1T1
/// S1T0  +0>1    1>1     .       S1T0-1, key S1-2T0-1
/// S0T1  .       .       0>      S0T1
/// S0T0  >*      0>0     .       S0T0-1, key S0-2T0-1
/// ```
static MODE_L3T2_KEY_SHIFT: Structure = Structure {
    mode: Mode::L3T2KeyShift,
    name: "L3T2_KEY_SHIFT",
    spatial_layers: 3,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(3, LAYERED),
    cycle: &[
        &[frame(S0T0).after(S0T0).stored(), frame(S1T0).after(S1T0).stored(), frame(S2T1).after(S2T0)],
        &[frame(S0T1).after(S0T0), frame(S1T1).after(S1T0), frame(S2T0).after(S2T0).stored()],
    ],
};

/// Three spatial layers, each predicted from the one below, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S2T2  .       2+7>    .       5+7>    .       S2T2
/// S2T1  .       .       2+4>5   .       .       S2T1-2
/// S2T0  +1>2    .       .       .       2+1>2   S2T0-2
/// S1T2  .       1+6>7   .       4+6>7   .       S1-2T2
/// S1T1  .       .       1+3>4   .       .       S1-2T1-2
/// S1T0  +0>1    .       .       .       1+0>1   S1-2T0-2
/// S0T2  .       0>6     .       3>6     .       S0-2T2
/// S0T1  .       .       0>3     .       .       S0-2T1-2
/// S0T0  >*      .       .       .       0>0     S0-2T0-2
/// ```
static MODE_L3T3: Structure = Structure {
    mode: Mode::L3T3,
    name: "L3T3",
    spatial_layers: 3,
    temporal_layers: 3,
    ratio: (2, 1),
    key: lowest(3, LAYERED),
    cycle: &[
        LAYERED_T2_AFTER_T0_OF_3,
        lowest(3, LAYERED_T1),
        LAYERED_T2_AFTER_T1_OF_3,
        lowest(3, LAYERED_T0),
    ],
};

/// Three spatial layers, predicted from below at key pictures only, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S2T2  .       2>      .       5>      .       S2T2
/// S2T1  .       .       2>5     .       .       S2T1-2
/// S2T0  +1>2    .       .       .       2>2     S2T0-2
/// S1T2  .       1>      .       4>      .       S1T2
/// S1T1  .       .       1>4     .       .       S1T1-2
/// S1T0  +0>1    .       .       .       1>1     S1T0-2, key S1-2T0-2
/// S0T2  .       0>      .       3>      .       S0T2
/// S0T1  .       .       0>3     .       .       S0T1-2
/// S0T0  >*      .       .       .       0>0     S0T0-2, key S0-2T0-2
/// ```
static MODE_L3T3_KEY: Structure = Structure {
    mode: Mode::L3T3Key,
    name: "L3T3_KEY",
    spatial_layers: 3,
    temporal_layers: 3,
    ratio: (2, 1),
    key: lowest(3, LAYERED),
    cycle: &[lowest(3, T2_AFTER_T0), lowest(3, T1), lowest(3, T2_AFTER_T1), lowest(3, T0)],
};

/// Three spatial layers, predicted from below at key pictures only and shifted in time, three temporal
/// layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S2T2  .       2>      .       5>      .       S2T2
/// S2T1  .       .       2>5     .       .       S2T1-2
/// S2T0  +1>2    .       .       .       2>2     S2T0-2
/// S1T2  .       4>      .       1>      .       S1T2
/// S1T1  .       .       .       .       1>4     S1T1-2
/// S1T0  +0>14   .       1>1     .       .       S1T0-2, key S1-2T0-2
/// S0T2  .       .       0>      .       3>      S0T2
/// S0T1  .       .       .       0>3     .       S0T1-2
/// S0T0  >*      0>0     .       .       .       S0T0-2, key S0-2T0-2
/// ```
static MODE_L3T3_KEY_SHIFT: Structure = Structure {
    mode: Mode::L3T3KeyShift,
    name: "L3T3_KEY_SHIFT",
    spatial_layers: 3,
    temporal_layers: 3,
    ratio: (2, 1),
    key: &[KEY_FRAME, frame(S1T0).over(S0T0).stored().into(S1T1), frame(S2T0).over(S1T0).stored()],
    cycle: &[
        &[frame(S0T0).after(S0T0).stored(), frame(S1T2).after(S1T1), frame(S2T2).after(S2T0)],
        &[frame(S0T2).after(S0T0), frame(S1T0).after(S1T0).stored(), frame(S2T1).after(S2T0).stored()],
        &[frame(S0T1).after(S0T0).stored(), frame(S1T2).after(S1T0), frame(S2T2).after(S2T1)],
        &[frame(S0T2).after(S0T1), frame(S1T1).after(S1T0).stored(), frame(S2T0).after(S2T0).stored()],
    ],
};

/// Two encodings that do not refer to each other, one temporal layer.
///
/// ```text
///       key     1       needed by
/// S1T0  >1      1>1     S1T0
/// S0T0  >*      0>0     S0T0, key S0-1T0
/// ```
static MODE_S2T1: Structure = Structure {
    mode: Mode::S2T1,
    name: "S2T1",
    spatial_layers: 2,
    temporal_layers: 1,
    ratio: (2, 1),
    key: lowest(2, SEPARATE),
    cycle: &[lowest(2, T0)],
};

/// Two encodings that do not refer to each other, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S1T1  .       1>      .       S1T1
/// S1T0  >1      .       1>1     S1T0-1
/// S0T1  .       0>      .       S0T1
/// S0T0  >*      .       0>0     S0T0-1, key S0-1T0-1
/// ```
static MODE_S2T2: Structure = Structure {
    mode: Mode::S2T2,
    name: "S2T2",
    spatial_layers: 2,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(2, SEPARATE),
    cycle: &[lowest(2, T1_LAST), lowest(2, T0)],
};

/// Two encodings that do not refer to each other, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S1T2  .       1>      .       4>      .       S1T2
/// S1T1  .       .       1>4     .       .       S1T1-2
/// S1T0  >1      .       .       .       1>1     S1T0-2
/// S0T2  .       0>      .       3>      .       S0T2
/// S0T1  .       .       0>3     .       .       S0T1-2
/// S0T0  >*      .       .       .       0>0     S0T0-2, key S0-1T0-2
/// ```
static MODE_S2T3: Structure = Structure {
    mode: Mode::S2T3,
    name: "S2T3",
    spatial_layers: 2,
    temporal_layers: 3,
    ratio: (2, 1),
    key: lowest(2, SEPARATE),
    cycle: &[lowest(2, T2_AFTER_T0), lowest(2, T1), lowest(2, T2_AFTER_T1), lowest(2, T0)],
};

/// Three encodings that do not refer to each other, one temporal layer.
///
/// ```text
///       key     1       needed by
/// S2T0  >2      2>2     S2T0
/// S1T0  >1      1>1     S1T0
/// S0T0  >*      0>0     S0T0, key S0-2T0
/// ```
static MODE_S3T1: Structure = Structure {
    mode: Mode::S3T1,
    name: "S3T1",
    spatial_layers: 3,
    temporal_layers: 1,
    ratio: (2, 1),
    key: lowest(3, SEPARATE),
    cycle: &[lowest(3, T0)],
};

/// Three encodings that do not refer to each other, two temporal layers.
///
/// ```text
///       key     1       2       needed by
/// S2T1  .       2>      .       S2T1
/// S2T0  >2      .       2>2     S2T0-1
/// S1T1  .       1>      .       S1T1
/// S1T0  >1      .       1>1     S1T0-1
/// S0T1  .       0>      .       S0T1
/// S0T0  >*      .       0>0     S0T0-1, key S0-2T0-1
/// ```
static MODE_S3T2: Structure = Structure {
    mode: Mode::S3T2,
    name: "S3T2",
    spatial_layers: 3,
    temporal_layers: 2,
    ratio: (2, 1),
    key: lowest(3, SEPARATE),
    cycle: &[lowest(3, T1_LAST), lowest(3, T0)],
};

/// Three encodings that do not refer to each other, three temporal layers.
///
/// ```text
///       key     1       2       3       4       needed by
/// S2T2  .       2>      .       5>      .       S2T2
/// S2T1  .       .       2>5     .       .       S2T1-2
/// S2T0  >2      .       .       .       2>2     S2T0-2
/// S1T2  .       1>      .       4>      .       S1T2
/// S1T1  .       .       1>4     .       .       S1T1-2
/// S1T0  >1      .       .       .       1>1     S1T0-2
/// S0T2  .       0>      .       3>      .       S0T2
/// S0T1  .       .       0>3     .       .       S0T1-2
/// S0T0  >*      .       .       .       0>0     S0T0-2, key S0-2T0-2
/// ```
static MODE_S3T3: Structure = Structure {
    mode: Mode::S3T3,
    name: "S3T3",
    spatial_layers: 3,
    temporal_layers: 3,
    ratio: (2, 1),
    key: lowest(3, SEPARATE),
    cycle: &[lowest(3, T2_AFTER_T0), lowest(3, T1), lowest(3, T2_AFTER_T1), lowest(3, T0)],
};
