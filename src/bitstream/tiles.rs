//! Tiles: the limits of tile_info() (section 5.9.15), the positions of the tiles in a frame, and tile groups
//! (section 5.11.1).

use super::error::BitstreamError;
use super::frame::FrameHeader;
use super::sequence::SequenceHeader;

/// The numbers that bound tile_info().
pub(super) struct TileLimits {
    pub(super) sb_cols: u32,
    pub(super) sb_rows: u32,
    pub(super) sb_shift: u32,
    pub(super) max_tile_width_sb: u32,
    pub(super) min_log2_tile_cols: u32,
    pub(super) max_log2_tile_cols: u32,
    pub(super) max_log2_tile_rows: u32,
    pub(super) min_log2_tiles: u32,
}

/// tile_log2(): the smallest k with `block << k` at least `target`.
pub(super) fn tile_log2(block: u32, target: u32) -> u32 {
    (0..32).find(|&k| u64::from(block) << k >= u64::from(target)).unwrap_or(32)
}

impl TileLimits {
    pub(super) fn new(h: &FrameHeader, sequence: &SequenceHeader) -> Self {
        const MAX_TILE_WIDTH: u32 = 4096;
        const MAX_TILE_AREA: u32 = 4096 * 2304;
        const MAX_TILE_COLS: u32 = 64;
        const MAX_TILE_ROWS: u32 = 64;
        let sb_shift = if sequence.use_128x128_superblock { 5 } else { 4 };
        let sb_size = sb_shift + 2;
        let (sb_cols, sb_rows) = (h.mi_cols().div_ceil(1 << sb_shift), h.mi_rows().div_ceil(1 << sb_shift));
        let max_tile_width_sb = MAX_TILE_WIDTH >> sb_size;
        let min_log2_tile_cols = tile_log2(max_tile_width_sb, sb_cols);
        Self {
            sb_cols,
            sb_rows,
            sb_shift,
            max_tile_width_sb,
            min_log2_tile_cols,
            max_log2_tile_cols: tile_log2(1, sb_cols.min(MAX_TILE_COLS)),
            max_log2_tile_rows: tile_log2(1, sb_rows.min(MAX_TILE_ROWS)),
            min_log2_tiles: min_log2_tile_cols
                .max(tile_log2(MAX_TILE_AREA >> (2 * sb_size), sb_rows * sb_cols)),
        }
    }
}

/// The positions of the tiles in a frame: MiColStarts and MiRowStarts, each with the end as its last entry,
/// in units of 4x4 luma samples.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TileLayout {
    /// TileCols + 1 positions.
    pub mi_col_starts: Vec<u32>,
    /// TileRows + 1 positions.
    pub mi_row_starts: Vec<u32>,
}

impl TileLayout {
    /// NumTiles.
    pub fn num_tiles(&self) -> usize {
        (self.mi_col_starts.len() - 1) * (self.mi_row_starts.len() - 1)
    }
}

impl FrameHeader {
    /// The positions of the tiles; `None` if `tile_info` does not fit the frame's size.
    pub fn tile_layout(&self, sequence: &SequenceHeader) -> Option<TileLayout> {
        let limits = TileLimits::new(self, sequence);
        let shift = limits.sb_shift;
        let starts = |log2: u8, sizes: &[u32], sbs: u32, mi: u32| {
            let mut starts = vec![];
            let mut start = 0;
            let uniform = (sbs + (1 << log2) - 1) >> log2;
            let mut sizes = sizes.iter();
            while start < sbs {
                starts.push(start << shift);
                start += match self.tile_info.uniform_tile_spacing_flag {
                    true => uniform,
                    false => *sizes.next().filter(|&&n| n > 0)?,
                };
            }
            starts.push(mi);
            Some(starts)
        };
        let t = &self.tile_info;
        if t.tile_cols_log2 > 6 || t.tile_rows_log2 > 6 {
            return None;
        }
        Some(TileLayout {
            mi_col_starts: starts(t.tile_cols_log2, &t.width_in_sbs, limits.sb_cols, self.mi_cols())?,
            mi_row_starts: starts(t.tile_rows_log2, &t.height_in_sbs, limits.sb_rows, self.mi_rows())?,
        })
    }
}

/// Writes tile_group_obu() (section 5.11.1) of all `tiles` of a frame. Each tile but the last is preceded by
/// its size in `tile_size_bytes` bytes (TileSizeBytes of [`TileInfo`](super::frame::TileInfo), which
/// [`tile_size_bytes`] determines).
///
/// # Errors
/// [`BitstreamError::Value`] if there is no tile, a tile is empty, or a size does not fit.
pub fn tile_group<T: AsRef<[u8]>>(tiles: &[T], tile_size_bytes: u8) -> Result<Vec<u8>, BitstreamError> {
    let (last, others) = tiles.split_last().ok_or(BitstreamError::Value { field: "tile" })?;
    if !(1..=4).contains(&tile_size_bytes) {
        return Err(BitstreamError::Value { field: "tile_size_bytes_minus_1" });
    }
    let total: usize = tiles.iter().map(|tile| tile.as_ref().len() + usize::from(tile_size_bytes)).sum();
    let mut out = Vec::with_capacity(1 + total);
    if !others.is_empty() {
        // tile_start_and_end_present_flag equal to 0, then byte_alignment().
        out.push(0);
    }
    for tile in others {
        let tile = tile.as_ref();
        let minus_1 = tile.len().checked_sub(1).ok_or(BitstreamError::Value { field: "tile" })? as u64;
        if minus_1 >> (8 * tile_size_bytes) != 0 {
            return Err(BitstreamError::Value { field: "tile_size_minus_1" });
        }
        out.extend_from_slice(&minus_1.to_le_bytes()[..usize::from(tile_size_bytes)]);
        out.extend_from_slice(tile);
    }
    if last.as_ref().is_empty() {
        return Err(BitstreamError::Value { field: "tile" });
    }
    out.extend_from_slice(last.as_ref());
    Ok(out)
}

/// The smallest TileSizeBytes, 1 to 4, for the sizes of `tiles`. It is too small for tiles above 4 GiB.
pub fn tile_size_bytes<T: AsRef<[u8]>>(tiles: &[T]) -> u8 {
    let others = tiles.split_last().map_or(&[][..], |(_, others)| others);
    let largest = others.iter().map(|tile| tile.as_ref().len()).max().unwrap_or(1).max(1);
    let bits = (largest - 1).checked_ilog2().map_or(1, |log2| log2 + 1);
    bits.div_ceil(8).clamp(1, 4) as u8
}
