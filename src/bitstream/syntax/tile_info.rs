//! tile_info() (section 5.9.15).

use super::descriptors::Syntax;
use crate::bitstream::error::BitstreamError;
use crate::bitstream::frame::FrameHeader;
use crate::bitstream::sequence::SequenceHeader;
use crate::bitstream::tiles::{TileLimits, tile_log2};

pub(super) fn tile_info<S: Syntax>(
    s: &mut S,
    h: &mut FrameHeader,
    seq: &SequenceHeader,
) -> Result<(), BitstreamError> {
    let limits = TileLimits::new(h, seq);
    let t = &mut h.tile_info;
    s.flag("uniform_tile_spacing_flag", &mut t.uniform_tile_spacing_flag)?;
    if t.uniform_tile_spacing_flag {
        s.infer("width_in_sbs", &mut t.width_in_sbs, vec![])?;
        s.infer("height_in_sbs", &mut t.height_in_sbs, vec![])?;
        let (min, max) = (limits.min_log2_tile_cols, limits.max_log2_tile_cols);
        s.increments("increment_tile_cols_log2", min, max, &mut t.tile_cols_log2)?;
        let min = limits.min_log2_tiles.saturating_sub(t.tile_cols_log2.into());
        s.increments("increment_tile_rows_log2", min, limits.max_log2_tile_rows, &mut t.tile_rows_log2)?;
    } else {
        let sizes = &mut t.width_in_sbs;
        let widest = tile_sizes(s, "width_in_sbs_minus_1", limits.sb_cols, limits.max_tile_width_sb, sizes)?;
        let area = limits.sb_rows * limits.sb_cols;
        let max_area = if limits.min_log2_tiles > 0 { area >> (limits.min_log2_tiles + 1) } else { area };
        let max_height = (max_area / widest).max(1);
        tile_sizes(s, "height_in_sbs_minus_1", limits.sb_rows, max_height, &mut t.height_in_sbs)?;
        let (cols, rows) = (t.width_in_sbs.len() as u32, t.height_in_sbs.len() as u32);
        s.infer("tile_cols_log2", &mut t.tile_cols_log2, tile_log2(1, cols) as u8)?;
        s.infer("tile_rows_log2", &mut t.tile_rows_log2, tile_log2(1, rows) as u8)?;
    }
    let log2 = u32::from(t.tile_cols_log2 + t.tile_rows_log2);
    if log2 == 0 {
        s.absent(&mut t.tile_size_bytes, 4);
        return s.infer("context_update_tile_id", &mut t.context_update_tile_id, 0);
    }
    s.f("context_update_tile_id", log2, &mut t.context_update_tile_id)?;
    s.f_above("tile_size_bytes_minus_1", 2, 1, &mut t.tile_size_bytes)?;
    let num_tiles = h.tile_layout(seq).map_or(0, |layout| layout.num_tiles());
    match usize::from(h.tile_info.context_update_tile_id) < num_tiles {
        true => Ok(()),
        false => Err(BitstreamError::Value { field: "context_update_tile_id" }),
    }
}

/// At most 64 sizes (sections 3 and 6.8.14) of 1 to `max` each, which add up to `sbs`. Returns the largest of
/// them.
fn tile_sizes<S: Syntax>(
    s: &mut S,
    field: &'static str,
    sbs: u32,
    max: u32,
    sizes: &mut Vec<u32>,
) -> Result<u32, BitstreamError> {
    let (mut start, mut widest, mut n) = (0, 1, 0);
    let mut given = std::mem::take(sizes).into_iter();
    while start < sbs {
        let mut minus_1 = given.next().unwrap_or(0).wrapping_sub(1);
        s.ns(field, max.min(sbs - start), &mut minus_1)?;
        n += 1;
        if n > 64 {
            return Err(BitstreamError::Value { field });
        }
        sizes.push(minus_1 + 1);
        widest = widest.max(minus_1 + 1);
        start += minus_1 + 1;
    }
    match given.next() {
        None => Ok(widest),
        Some(_) => Err(BitstreamError::Value { field }),
    }
}
