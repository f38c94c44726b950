//! Parts of a screen that stand still, or were moved as they are: they are the same in the source of the picture that they are
//! predicted from, which codes them about as finely. What is decided there needs no second decision.

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
fn hash_of(plane: &Plane<u8>, (col, row): (usize, usize), hash: u64) -> u64 {
    let (width, height) = (superblock::SIDE >> plane.cfg.xdec, superblock::SIDE >> plane.cfg.ydec);
    let (x, y) = (col * width, row * height);
    // Four words at a time, none of which waits for another.
    let mut lanes = [hash; 4];
    for y in y..(y + height).min(plane.cfg.height) {
        let row = &plane.row(y as isize)[x..(x + width).min(plane.cfg.width)];
        for samples in row.chunks(32) {
            let mut words = [0; 32];
            words[..samples.len()].copy_from_slice(samples);
            for (lane, word) in lanes.iter_mut().zip(words.as_chunks().0) {
                *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(MIX).rotate_left(29);
            }
        }
    }
    lanes.iter().fold(hash, |hash, lane| (hash ^ lane).wrapping_mul(MIX).rotate_left(29))
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

/// The largest quantizer index that is fine enough in the place of another: so much coarser than the finer ones of pictures
/// are all others. If finer pictures decided all of a screen anew, they would take most of the time.
pub(crate) fn fine_enough(qindex: u8) -> u8 {
    (u32::from(qindex) * 118 / 100).min(255) as u8
}

impl Shown {
    /// A frame with a source of these hashes, coded with `qindex` where it did not take over what `before` shows: in the
    /// superblocks that are `still` as fine, and in those that were left coarse. `parts` of others have quantizer indices
    /// of their own, of which the largest counts.
    pub(crate) fn new(
        hashes: Hashes,
        qindex: u8,
        before: Option<(&Self, &[Still])>,
        left: impl Iterator<Item = usize>,
        parts: impl Iterator<Item = (usize, u8)>,
    ) -> Self {
        let mut qindexes = vec![qindex; hashes.len()];
        if let Some((before, still)) = before {
            let fine = (0..still.len()).filter(|&i| still[i] == Still::Fine);
            fine.chain(left).for_each(|i| qindexes[i] = before.qindexes[i]);
        }
        parts.for_each(|(i, part)| qindexes[i] = qindexes[i].max(part));
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

/// What a frame of a screen may take over from its temporal reference, block by block.
pub(crate) struct Before<'a> {
    /// The source of the reference, and how that shows it.
    pub(crate) source: &'a Frame<u8>,
    pub(crate) shown: &'a Shown,
    /// The source of the frame, and its size.
    pub(crate) now: &'a Frame<u8>,
    pub(crate) size: (usize, usize),
    /// The largest quantizer index of what may be taken over.
    pub(crate) coarsest: u8,
}

impl Before<'_> {
    /// The quantizer index with which the reference decided what a square of the frame shows, if it shows the same there at
    /// a vector, and finely enough.
    pub(crate) fn shows(&self, (x, y): (usize, usize), side: usize, mv: MotionVector) -> Option<u8> {
        // Whole samples in chroma too.
        if (mv.row | mv.col) & 15 != 0 {
            return None;
        }
        let moved = |at: usize, by: i16, end: usize| {
            let to = at.checked_add_signed(isize::from(by / 8))?;
            (at + side <= end && to + side <= end).then_some(to)
        };
        let (from_x, from_y) = (moved(x, mv.col, self.size.0)?, moved(y, mv.row, self.size.1)?);
        let columns = superblock::grid(self.size).0;
        let covered = |at: usize| at / superblock::SIDE..=(at + side - 1) / superblock::SIDE;
        let qindexes = covered(from_y).flat_map(|row| covered(from_x).map(move |col| row * columns + col));
        let qindex = qindexes.map(|i| self.shown.qindexes[i]).max()?;
        let planes = self.now.planes.iter().zip(&self.source.planes);
        let same = |(now, before): (&Plane<u8>, &Plane<u8>)| {
            let dec = now.cfg.xdec;
            let row = |plane: &Plane<u8>, x: usize, y: usize| {
                let start = plane.cfg.yorigin * plane.cfg.stride + plane.cfg.xorigin;
                start + (y >> dec) * plane.cfg.stride + (x >> dec)
            };
            let (side, stride) = (side >> dec, now.cfg.stride);
            let (at, from) = (row(now, x, y), row(before, from_x, from_y));
            (0..side).all(|i| now.data[at + i * stride..][..side] == before.data[from + i * stride..][..side])
        };
        (qindex <= self.coarsest && planes.into_iter().all(same)).then_some(qindex)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

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
        let first = Shown::new(hashes, 80, None, iter::empty(), iter::empty());
        let source: Hashes = [1, 2, 4].into();
        assert_eq!(first.still(&source, 79), [Coarse, Coarse, No]);
        let still = first.still(&source, 100);
        assert_eq!(still, [Fine, Fine, No]);
        // What was taken over is as fine as it was; what was coded anew is coarser.
        let second =
            Shown::new(Arc::clone(&source), 100, Some((&first, &still)), iter::empty(), iter::empty());
        assert_eq!(second.still(&source, 90), [Fine, Fine, Coarse]);
        assert_eq!(second.still(&source, 100), [Fine; 3]);
        // Of what could have been finer, a part was left as it was.
        let still = second.still(&source, 40);
        let third = Shown::new(
            Arc::clone(&source),
            40,
            Some((&second, &still)),
            iter::once(1),
            [(2, 60), (2, 50)].into_iter(),
        );
        assert_eq!(third.still(&source, 60), [Fine, Coarse, Fine]);
        assert_eq!(third.still(&source, 59), [Fine, Coarse, Coarse]);
        assert_eq!(third.coarsest(&source), Some(80));
        assert_eq!(third.coarsest(&[0, 2, 4].into()), Some(80));
        assert_eq!(third.coarsest(&[1, 0, 4].into()), Some(60));
        assert_eq!(third.coarsest(&[0; 3].into()), None);
    }

    #[test]
    fn a_moved_part_is_found_where_it_was() {
        let size = (200, 136);
        let source = frame(size);
        let mut now = frame(size);
        for plane in &mut now.planes {
            let (stride, dec) = (plane.cfg.stride, plane.cfg.ydec);
            let from = plane.data.clone();
            let rows = 10 >> dec;
            plane.data[..from.len() - rows * stride].copy_from_slice(&from[rows * stride..]);
        }
        let hashes = hashes(&source, size);
        let mut qindexes = vec![100; 12];
        qindexes[4] = 120;
        let shown = Shown { hashes, qindexes };
        let before = Before { source: &source, shown: &shown, now: &now, size, coarsest: 120 };
        let down = |row: i16| MotionVector { row: 8 * row, col: 0 };
        assert_eq!(before.shows((64, 0), 32, down(10)), Some(100));
        // It reaches into a superblock that was coded more coarsely.
        assert_eq!(before.shows((0, 32), 32, down(10)), Some(120));
        assert_eq!(Before { coarsest: 119, ..before }.shows((0, 32), 32, down(10)), None);
    }

    #[test]
    fn what_differs_or_lies_outside_is_not_taken() {
        let size = (200, 136);
        let (source, now) = (frame(size), frame(size));
        let shown = Shown { hashes: hashes(&source, size), qindexes: vec![100; 12] };
        let before = Before { source: &source, shown: &shown, now: &now, size, coarsest: 100 };
        let mv = |row: i16, col: i16| MotionVector { row: 8 * row, col: 8 * col };
        assert_eq!(before.shows((64, 64), 64, mv(0, 0)), Some(100));
        for (at, side, mv) in [
            ((64, 64), 64, mv(2, 0)),
            ((0, 0), 8, mv(-2, 0)),
            ((192, 0), 16, mv(0, 0)),
            ((184, 0), 16, mv(0, 2)),
            ((0, 120), 16, mv(4, 0)),
        ] {
            assert_eq!(before.shows(at, side, mv), None, "{at:?} {side} {mv:?}");
        }
    }
}
