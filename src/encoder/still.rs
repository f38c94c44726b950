//! Superblocks of a screen that stand still: they are the same in the source of the picture that they are predicted from,
//! which codes them as finely. What is decided there needs no second decision.

use std::sync::Arc;

use super::kernels::*;
use super::superblock;

/// Odd, and with no pattern in its bits: the fraction of the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// A hash of the samples of each superblock.
pub(crate) type Hashes = Arc<[u64]>;

/// The hashes of a source of `width` x `height` luma samples.
pub(crate) fn hashes(source: &Frame<u8>, size: (usize, usize)) -> Hashes {
    let of = |col, row| source.planes.iter().fold(0, |hash, plane| hash_of(plane, (col, row), hash));
    superblock::map(size, of).into()
}

/// The hash of a superblock's samples of one plane, on top of that of others.
fn hash_of(plane: &Plane<u8>, (col, row): (usize, usize), mut hash: u64) -> u64 {
    let (width, height) = (superblock::SIDE >> plane.cfg.xdec, superblock::SIDE >> plane.cfg.ydec);
    let (x, y) = (col * width, row * height);
    for y in y..(y + height).min(plane.cfg.height) {
        let row = &plane.row(y as isize)[x..(x + width).min(plane.cfg.width)];
        for samples in row.chunks(8) {
            let mut word = [0; 8];
            word[..samples.len()].copy_from_slice(samples);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MIX).rotate_left(29);
        }
    }
    hash
}

/// How a frame shows its superblocks.
pub(crate) struct Shown {
    hashes: Hashes,
    /// The quantizer index with which each was decided, in this frame or in one that it was taken from.
    qindexes: Vec<u8>,
}

impl Shown {
    /// A frame with a source of these hashes, coded with `qindex` where it did not take over what `before` shows.
    pub(crate) fn new(hashes: Hashes, qindex: u8, still: &[bool], before: Option<&Self>) -> Self {
        let mut qindexes = vec![qindex; hashes.len()];
        if let Some(before) = before {
            for ((to, &still), &from) in qindexes.iter_mut().zip(still).zip(&before.qindexes) {
                if still {
                    *to = from;
                }
            }
        }
        Self { hashes, qindexes }
    }

    /// Which superblocks of a later source this frame shows well enough for a quantizer index.
    pub(crate) fn still(&self, source: &Hashes, qindex: u8) -> Vec<bool> {
        let same = self.hashes.iter().zip(&**source).map(|(a, b)| a == b);
        same.zip(&self.qindexes).map(|(same, &before)| same && before <= qindex).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(size: (usize, usize)) -> Frame<u8> {
        let mut frame = Frame::new_with_padding(size.0, size.1, ChromaSampling::Cs420, 16);
        for plane in &mut frame.planes {
            plane.data.iter_mut().enumerate().for_each(|(i, sample)| *sample = ((i * i) >> 4) as u8);
        }
        frame
    }

    #[test]
    fn a_change_of_one_sample_is_seen_where_it_is() {
        let size = (200, 72);
        let before = hashes(&frame(size), size);
        for (plane, x, y, superblock) in [(0, 63, 63, 0), (0, 199, 71, 7), (1, 32, 31, 1), (2, 0, 35, 4)] {
            let mut frame = frame(size);
            let stride = frame.planes[plane].cfg.stride;
            frame.planes[plane].data_origin_mut()[y * stride + x] ^= 1;
            let now = hashes(&frame, size);
            let changed: Vec<usize> = (0..8).filter(|&i| now[i] != before[i]).collect();
            assert_eq!(changed, [superblock]);
        }
    }

    #[test]
    fn a_superblock_is_decided_again_for_a_finer_quantizer_alone() {
        let hashes: Hashes = [1, 2, 3].into();
        let first = Shown::new(hashes, 80, &[], None);
        let source: Hashes = [1, 2, 4].into();
        assert_eq!(first.still(&source, 79), [false; 3]);
        let still = first.still(&source, 100);
        assert_eq!(still, [true, true, false]);
        // What was taken over is as fine as it was; what was coded anew is coarser.
        let second = Shown::new(Arc::clone(&source), 100, &still, Some(&first));
        assert_eq!(second.still(&source, 90), [true, true, false]);
        assert_eq!(second.still(&source, 100), [true; 3]);
    }
}
