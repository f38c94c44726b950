//! The frames that a structure is made of, and the decode targets that need each.

use super::layer::{DecodeTarget, DecodeTargets, LayerId};
use super::mode::ScalabilityMode;
use crate::picture::Size;

/// One frame of a structure: its layer, and the ones of AV1's eight reference slots that it reads and writes.
///
/// The frames of one layer alone write a slot (apart from key pictures, which fill more), and a frame reads only
/// slots of layers that every receiver of the frame keeps. A slot that a frame reads therefore holds the same for
/// every receiver, whatever other layers the receiver drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameTemplate {
    /// The layer of the frame.
    pub layer: LayerId,
    /// The slot of an earlier picture's frame of the same spatial layer that the frame refers to.
    pub temporal_ref: Option<u8>,
    /// The slot of the same picture's frame one spatial layer below that the frame refers to.
    pub inter_layer_ref: Option<u8>,
    /// The slots that hold the frame afterwards: bit i for slot i, as in `refresh_frame_flags` (AV1 7.20).
    pub refresh: u8,
}

/// A scalability structure: the frames of a key picture and of the pictures after it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Structure {
    /// The mode whose structure this is.
    pub mode: ScalabilityMode,
    /// The mode's name as the standard writes it.
    pub name: &'static str,
    /// Number of spatial layers, 1 to 3.
    pub spatial_layers: u8,
    /// Number of temporal layers, 1 to 3.
    pub temporal_layers: u8,
    /// The ratio of the width and height of a spatial layer to those of the layer below: 2 to 1.
    pub ratio: (u32, u32),
    /// The frames of a key picture, lowest spatial layer first.
    pub key: &'static [FrameTemplate],
    /// The pictures after the key picture, which repeat; each lowest spatial layer first.
    pub cycle: &'static [&'static [FrameTemplate]],
}

impl Structure {
    /// The decode targets, one for each layer, lowest first.
    pub fn decode_targets(&self) -> impl Iterator<Item = DecodeTarget> + use<> {
        let (spatial, temporal) = (self.spatial_layers, self.temporal_layers);
        (0..spatial).flat_map(move |s| (0..temporal).map(move |t| LayerId::new(s, t)))
    }

    /// Whether the spatial layers never refer to each other, as in the `S` modes.
    pub fn has_separate_layers(&self) -> bool {
        self.spatial_layers > 1 && self.key.iter().all(|frame| frame.inter_layer_ref.is_none())
    }

    /// The decode targets that need the frame of spatial layer `spatial_id` in `picture`, which is `key` or
    /// one of `cycle`; none if the picture has no such frame.
    ///
    /// A decode target needs the picture's frame of its own spatial layer if it shows that frame, and the lower
    /// frames that this one is predicted from. Every target needs the key frame, because a decoder starts at no
    /// other. That includes the upper encodings of the S modes, although they are not predicted from it.
    pub fn needed_by(&self, picture: &[FrameTemplate], spatial_id: u8) -> DecodeTargets {
        self.decode_targets()
            .filter(|target| {
                let shown = picture.iter().rposition(|frame| {
                    frame.layer.spatial_id == target.spatial_id
                        && frame.layer.temporal_id <= target.temporal_id
                });
                let Some(shown) = shown else { return false };
                let above = &picture[..=shown];
                // From the frame shown down to the first that does not refer to the one below it.
                let lowest = above.iter().rposition(|frame| frame.inter_layer_ref.is_none()).unwrap_or(0);
                above[lowest..]
                    .iter()
                    .chain(above.iter().filter(|frame| frame.is_key()))
                    .any(|frame| frame.layer.spatial_id == spatial_id)
            })
            .collect()
    }

    /// Size in luma samples of spatial layer `spatial_id` of a picture. The highest layer has the size of the
    /// picture; each layer below is smaller by the ratio, rounded up, and at least 1.
    ///
    /// A reference is then never larger than the frame, and never smaller by more than the ratio. AV1 6.8.6
    /// allows ratios up to 16.
    ///
    /// # Panics
    /// If the structure has no such spatial layer.
    pub fn layer_size(&self, size: Size, spatial_id: u8) -> Size {
        assert!(spatial_id < self.spatial_layers, "no spatial layer {spatial_id}");
        let (num, den) = self.ratio;
        let below = |side: u32| (u64::from(side) * u64::from(den)).div_ceil(u64::from(num)) as u32;
        (spatial_id + 1..self.spatial_layers)
            .fold(Size::new(size.width.max(1), size.height.max(1)), |Size { width, height }, _| {
                Size::new(below(width), below(height))
            })
    }

    /// `operating_point_idc` (AV1 6.4.1) of each decode target, highest quality first: bit t for temporal
    /// layer t, bit 8 + s for spatial layer s. A structure of one layer has a single 0.
    ///
    /// The spatial layers below a target's own are part of its point in every mode, even if it needs them in key
    /// pictures only, because a decoder starts at the key frame, which is of spatial layer 0.
    pub fn operating_points(&self) -> Vec<u16> {
        if self.spatial_layers == 1 && self.temporal_layers == 1 {
            return vec![0];
        }
        let mask = |id: u8| (2u16 << id) - 1;
        let mut points: Vec<u16> = self
            .decode_targets()
            .map(|target| mask(target.spatial_id) << 8 | mask(target.temporal_id))
            .collect();
        points.reverse();
        points
    }
}

impl DecodeTargets {
    /// All decode targets of a structure.
    pub fn all(structure: &Structure) -> Self {
        structure.decode_targets().collect()
    }

    /// The decode targets of a structure that are nearest to these: layers that it does not have become its highest. So
    /// whoever watched a stream goes on watching when it changes its mode.
    pub fn nearest(self, structure: &Structure) -> Self {
        let (spatial, temporal) = (structure.spatial_layers - 1, structure.temporal_layers - 1);
        let nearest = |target: DecodeTarget| {
            LayerId::new(target.spatial_id.min(spatial), target.temporal_id.min(temporal))
        };
        self.iter().map(nearest).collect()
    }
}

impl FrameTemplate {
    /// Whether this is the key frame: the frame of spatial layer 0 that refers to nothing.
    pub const fn is_key(&self) -> bool {
        self.layer.spatial_id == 0 && self.temporal_ref.is_none() && self.inter_layer_ref.is_none()
    }
}
