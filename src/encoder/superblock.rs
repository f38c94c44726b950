//! The superblocks of a picture: squares of 64x64 luma samples, counted from left to right and down.

use rayon::prelude::*;

/// Side of a superblock, in luma samples.
pub(super) const SIDE: usize = 64;

/// Columns and rows of the superblocks of `width` x `height` luma samples.
pub(super) fn grid((width, height): (usize, usize)) -> (usize, usize) {
    (width.div_ceil(SIDE), height.div_ceil(SIDE))
}

/// What `of` says of the superblock in each column and row, found on several threads.
pub(super) fn map<T: Send>(size: (usize, usize), of: impl Fn(usize, usize) -> T + Sync) -> Vec<T> {
    let (cols, rows) = grid(size);
    (0..cols * rows).into_par_iter().map(|i| of(i % cols, i / cols)).collect()
}
