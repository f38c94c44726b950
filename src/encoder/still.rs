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

/// What the temporal reference shows of a superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Still {
    /// Something else.
    No,
    /// The same, but coarser than the frame is to be.
    Coarse,
    /// The same, and as finely.
    Fine,
}

/// How a frame shows its superblocks.
pub(crate) struct Shown {
    hashes: Hashes,
    /// The quantizer index with which each was decided, in this frame or in one that it was taken from.
    qindexes: Vec<u8>,
}

impl Shown {
    /// A frame with a source of these hashes, coded with `qindex` where it did not take over what `before` shows: in the
    /// superblocks that are `still` as fine, and in those that were left coarse.
    pub(crate) fn new(
        hashes: Hashes,
        qindex: u8,
        before: Option<(&Self, &[Still])>,
        left: impl Iterator<Item = usize>,
    ) -> Self {
        let mut qindexes = vec![qindex; hashes.len()];
        if let Some((before, still)) = before {
            let fine = (0..still.len()).filter(|&i| still[i] == Still::Fine);
            fine.chain(left).for_each(|i| qindexes[i] = before.qindexes[i]);
        }
        Self { hashes, qindexes }
    }

    /// What this frame shows of the superblocks of a later source, which is to be coded with a quantizer index.
    pub(crate) fn still(&self, source: &Hashes, qindex: u8) -> Vec<Still> {
        let of = |(same, &before): (bool, &u8)| match same {
            true if before <= qindex => Still::Fine,
            true => Still::Coarse,
            false => Still::No,
        };
        self.same(source).zip(&self.qindexes).map(of).collect()
    }

    /// The largest quantizer index of superblocks that are the same in a later source; none if none is.
    pub(crate) fn coarsest(&self, source: &Hashes) -> Option<u8> {
        self.same(source).zip(&self.qindexes).filter(|&(same, _)| same).map(|(_, &qindex)| qindex).max()
    }

    fn same(&self, source: &Hashes) -> impl Iterator<Item = bool> {
        self.hashes.iter().zip(&**source).map(|(a, b)| a == b)
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
        use Still::{Coarse, Fine, No};
        let first = Shown::new(hashes, 80, None, [].into_iter());
        let source: Hashes = [1, 2, 4].into();
        assert_eq!(first.still(&source, 79), [Coarse, Coarse, No]);
        let still = first.still(&source, 100);
        assert_eq!(still, [Fine, Fine, No]);
        // What was taken over is as fine as it was; what was coded anew is coarser.
        let second = Shown::new(Arc::clone(&source), 100, Some((&first, &still)), [].into_iter());
        assert_eq!(second.still(&source, 90), [Fine, Fine, Coarse]);
        assert_eq!(second.still(&source, 100), [Fine; 3]);
        // Of what could have been finer, a part was left as it was.
        let still = second.still(&source, 40);
        let third = Shown::new(Arc::clone(&source), 40, Some((&second, &still)), [1].into_iter());
        assert_eq!(third.still(&source, 40), [Fine, Coarse, Fine]);
        assert_eq!(third.coarsest(&source), Some(80));
        assert_eq!(third.coarsest(&[0, 2, 4].into()), Some(80));
        assert_eq!(third.coarsest(&[1, 0, 4].into()), Some(40));
        assert_eq!(third.coarsest(&[0; 3].into()), None);
    }
}
