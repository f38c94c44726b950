//! Chains that are broken on the way to the relay.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::frames::RelayFrame;
use crate::Time;
use crate::structure::Refresh;

/// Frames that are remembered: a chain's difference has 8 bits (A.8.2).
const FRAMES: usize = 256;
/// Frames that are waited for at once.
const MAX_SUSPECTS: usize = 32;
/// How long a frame of a chain is waited for at least, and in round trips to its sender.
const PATIENCE: Duration = Duration::from_millis(300);
const ROUND_TRIPS: u32 = 3;

/// The packets of a frame that have come.
#[derive(Debug, Clone, Copy, Default)]
struct Pieces {
    /// 0 if there is no frame.
    number: u64,
    first: Option<u16>,
    last: Option<u16>,
    packets: u16,
}

/// A frame that a chain needs and that is not whole.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    frame: u64,
    refresh: Refresh,
    until: Time,
}

/// Finds out that frames which others need do not come any more, so that the relay can ask for a refresh at once: receivers
/// would ask later, and some never.
#[derive(Debug)]
pub(super) struct Chains {
    frames: Box<[Pieces; FRAMES]>,
    /// The first frame of which anything is known.
    began: Option<u64>,
    suspects: ArrayVec<Suspect, MAX_SUSPECTS>,
}

impl Chains {
    pub fn new() -> Self {
        Self { frames: Box::new([Pieces::default(); FRAMES]), began: None, suspects: ArrayVec::new() }
    }

    fn is_whole(&self, number: u64) -> bool {
        let pieces = self.frames[number as usize % FRAMES];
        let Pieces { first: Some(first), last: Some(last), packets, .. } = pieces else { return false };
        pieces.number == number && last.wrapping_sub(first).wrapping_add(1) == packets
    }

    /// Takes a packet that has not come before.
    pub fn handle_packet(
        &mut self,
        now: Time,
        frame: &RelayFrame,
        sequence_number: u16,
        round_trip: Option<Duration>,
    ) {
        if frame.key {
            // What came before is of no use to anybody.
            self.began = Some(self.began.map_or(frame.number, |began| began.max(frame.number)));
            self.suspects.retain(|suspect| suspect.frame > frame.number);
        }
        let Some(began) = self.began else { return };
        let pieces = &mut self.frames[frame.number as usize % FRAMES];
        let is_first = pieces.number != frame.number;
        if pieces.number > frame.number {
            return;
        }
        if is_first {
            *pieces = Pieces { number: frame.number, ..Pieces::default() };
        }
        pieces.packets = pieces.packets.saturating_add(1);
        if frame.start_of_frame {
            pieces.first = Some(sequence_number);
        }
        if frame.end_of_frame {
            pieces.last = Some(sequence_number);
        }
        if is_first && !frame.key {
            let wait = PATIENCE.max(round_trip.unwrap_or_default() * ROUND_TRIPS);
            self.look_back(now + wait, frame, began);
        }
    }

    /// Notes the frames that the chains of a frame need, and that are not whole.
    fn look_back(&mut self, until: Time, frame: &RelayFrame, began: u64) {
        let structure = frame.structure();
        for (chain, &diff) in (0u8..).zip(&frame.dependencies().chain_diffs) {
            let needed = frame.number.saturating_sub(diff.into());
            if diff == 0 || needed < began || self.is_whole(needed) || self.suspects.is_full() {
                continue;
            }
            // Seldom does anything come so far.
            let active = structure.active_chains(frame.active_decode_targets);
            if active.checked_shr(chain.into()).is_none_or(|chains| chains & 1 == 0) {
                continue;
            }
            let protected = structure.protected_by.iter().zip(&frame.sequence.targets);
            let spatial_id =
                protected.filter(|(by, _)| **by == chain).map(|(_, layer)| layer.spatial_id).min();
            let refresh = match spatial_id {
                Some(spatial_id @ 1..=3) => Refresh::layer(spatial_id),
                _ => Refresh::KEY,
            };
            let known = |suspect: &Suspect| suspect.frame == needed && suspect.refresh == refresh;
            if !self.suspects.iter().any(known) {
                self.suspects.push(Suspect { frame: needed, refresh, until });
            }
        }
    }

    /// What the sender has to code anew, since it is not waited for any longer.
    pub fn poll(&mut self, now: Time) -> Refresh {
        let mut refresh = Refresh::NONE;
        let mut at = 0;
        while let Some(&suspect) = self.suspects.get(at) {
            let is_whole = self.is_whole(suspect.frame);
            if !is_whole && suspect.until > now {
                at += 1;
                continue;
            }
            self.suspects.swap_remove(at);
            if !is_whole {
                refresh = refresh.union(suspect.refresh);
            }
        }
        refresh
    }

    pub fn next_timeout(&self) -> Option<Time> {
        self.suspects.iter().map(|suspect| suspect.until).min()
    }
}
