//! What a relay does for one receiver of one stream: it forwards the frames of a decode target.

use super::sender::Frame;
use crate::structure::{DecodeTarget, LayerId};

/// Which of the latest 128 frames of a stream something is true of.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    /// Number of the frame after the newest.
    end: u64,
    /// Bit i is frame `end - 1 - i`.
    bits: u128,
}

impl Recent {
    pub fn insert(&mut self, number: u64) {
        if number >= self.end {
            self.bits = self.bits.checked_shl((number + 1 - self.end) as u32).unwrap_or(0);
            self.end = number + 1;
        }
        if self.end - 1 - number < 128 {
            self.bits |= 1 << (self.end - 1 - number);
        }
    }

    pub fn contains(&self, number: u64) -> bool {
        number < self.end && self.end - 1 - number < 128 && self.bits >> (self.end - 1 - number) & 1 != 0
    }
}

/// Forwards the frames of a decode target of which the receiver has all that they depend on.
///
/// To fewer layers it switches at once, and to more temporal layers as soon as their frames depend on nothing
/// left out. To more spatial layers, and to another encoding of a simulcast, it switches at a frame that refers
/// to no earlier picture of the layer, which has to be requested; until then the layers below go on.
#[derive(Debug, Clone, Default)]
pub(super) struct Forwarder {
    simulcast: bool,
    wanted: Option<DecodeTarget>,
    /// The highest spatial layer (of a simulcast: the encoding) that is under way.
    reached: Option<u8>,
    sent: Recent,
}

impl Forwarder {
    pub fn new(simulcast: bool) -> Self {
        Self { simulcast, ..Self::default() }
    }

    pub fn wanted(&self) -> Option<DecodeTarget> {
        self.wanted
    }

    /// Takes a new target; gives the spatial layers to be requested.
    pub fn set(&mut self, wanted: Option<DecodeTarget>) -> impl Iterator<Item = u8> + use<> {
        self.wanted = wanted;
        let request =
            match (wanted, self.reached) {
                (None, _) => {
                    self.reached = None;
                    0..0
                }
                (Some(LayerId { spatial_id, .. }), reached) if self.simulcast => {
                    if reached == Some(spatial_id) { 0..0 } else { spatial_id..spatial_id + 1 }
                }
                (Some(LayerId { spatial_id, .. }), Some(reached)) => {
                    self.reached = Some(reached.min(spatial_id));
                    reached + 1..spatial_id + 1
                }
                // A key picture brings them all.
                (Some(_), None) => 0..1,
            };
        request.into_iter()
    }

    /// Whether to forward a frame, or the spatial layer that has to be requested.
    pub fn take(&mut self, frame: &Frame) -> Result<bool, u8> {
        let Some(wanted) = self.wanted else { return Ok(false) };
        let LayerId { spatial_id, temporal_id } = frame.layer;
        let begins = frame.depends_on.is_empty();
        let mut target = wanted;
        if self.simulcast {
            if spatial_id == wanted.spatial_id && begins {
                self.reached = Some(spatial_id);
            }
            let Some(reached) = self.reached else {
                return if spatial_id == wanted.spatial_id && temporal_id == 0 {
                    Err(spatial_id)
                } else {
                    Ok(false)
                };
            };
            target.spatial_id = reached;
        }
        if !frame.needed_by.contains(target) {
            // The encoding that it waits for goes by without a frame to switch at.
            let waits = self.simulcast && spatial_id == wanted.spatial_id && temporal_id == 0;
            return if waits && target != wanted { Err(spatial_id) } else { Ok(false) };
        }
        if frame.depends_on.iter().all(|&number| self.sent.contains(number)) {
            self.sent.insert(frame.number);
            self.reached = self.reached.max(Some(spatial_id)).filter(|_| !self.simulcast).or(self.reached);
            return Ok(true);
        }
        if temporal_id > 0 {
            return Ok(false);
        }
        if !self.simulcast {
            self.reached = spatial_id.checked_sub(1);
        }
        Err(spatial_id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Time;
    use crate::simulate::sender::Sender;
    use crate::simulate::video::CodedVideo;
    use crate::structure::DecodeTargets;

    fn layers(table: CodedVideo, targets: &[(u64, Option<LayerId>)], pictures: u64) -> Vec<Vec<String>> {
        let table = Arc::new(table);
        let mut sender = Sender::new(table.clone(), 0);
        let mut forwarder = Forwarder::new(table.is_simulcast());
        let all = DecodeTargets::all(table.mode().structure());
        let mut forwarded = vec![];
        for n in 0..pictures {
            if let Some((_, target)) = targets.iter().find(|(at, _)| *at == n) {
                forwarder.set(*target).for_each(|spatial_id| sender.request(spatial_id));
            }
            sender.capture(Time::ZERO, all);
            let frames = sender.frames.clone();
            let taken = frames.iter().filter(|frame| match forwarder.take(frame) {
                Ok(taken) => taken,
                Err(spatial_id) => {
                    sender.request(spatial_id);
                    false
                }
            });
            forwarded.push(taken.map(|frame| frame.layer.to_string()).collect());
        }
        forwarded
    }

    #[test]
    fn layers_go_up_at_a_refresh_and_down_at_once() {
        let (low, high) = (Some(LayerId::new(0, 0)), Some(LayerId::new(2, 1)));
        let forwarded = layers(CodedVideo::scene(), &[(0, low), (5, high), (11, low), (13, None)], 17);
        assert_eq!(forwarded[..5], [vec!["S0T0"], vec![], vec![], vec![], vec!["S0T0"]]);
        // Picture 5 is of temporal layer 2, 6 of 1, 8 of 0: the lowest layer goes on until all of them begin.
        assert_eq!(forwarded[5..8], [vec![], vec!["S0T1"], vec![]]);
        assert_eq!(forwarded[8], ["S0T0", "S1T0", "S2T0"]);
        assert_eq!(forwarded[10], ["S0T1", "S1T1", "S2T1"]);
        assert_eq!(forwarded[11..13], [vec![], vec!["S0T0"]]);
        assert!(forwarded[13..].iter().all(Vec::is_empty));
    }

    #[test]
    fn a_simulcast_goes_on_until_the_other_encoding_begins() {
        let (low, high) = (Some(LayerId::new(0, 2)), Some(LayerId::new(2, 0)));
        let forwarded = layers(CodedVideo::scene_simulcast(), &[(0, low), (5, high), (9, low)], 14);
        assert_eq!(
            forwarded[4..8],
            [["S0T0"], ["S0T2"], ["S0T1"], ["S0T2"]].map(Vec::from)[..1]
                .iter()
                .cloned()
                .chain([vec![], vec![], vec![]])
                .collect::<Vec<_>>()[..],
            "{forwarded:?}"
        );
        assert_eq!(forwarded[8], ["S0T0", "S2T0"]);
        assert_eq!(forwarded[12], ["S0T0"]);
    }

    #[test]
    fn the_latest_frames_are_remembered() {
        let mut recent = Recent::default();
        for number in [0, 3, 2, 130] {
            recent.insert(number);
        }
        let held: Vec<u64> = (0..200).filter(|&number| recent.contains(number)).collect();
        assert_eq!(held, [3, 130], "frames before the latest 128 are forgotten");
    }
}
