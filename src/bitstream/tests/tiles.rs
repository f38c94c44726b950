//! The positions of tiles, and tile groups.

use super::common::{BASE, header_comes_back, key, written};
use crate::bitstream::*;

#[test]
fn tiles_lie_on_superblocks() {
    let mut sequence = SequenceHeader::new(1000, 600);
    let mut header = key(&sequence);
    (header.tile_info.tile_cols_log2, header.tile_info.tile_rows_log2) = (2, 1);
    let layout = header.tile_layout(&sequence).unwrap();
    // 16 x 10 superblocks of 64.
    assert_eq!(layout.mi_col_starts, [0, 64, 128, 192, 250]);
    assert_eq!(layout.mi_row_starts, [0, 80, 150]);
    assert_eq!(layout.num_tiles(), 8);
    header.tile_info.context_update_tile_id = 7;
    header_comes_back(&sequence, &header, &RefSlots::new());
    header.tile_info.context_update_tile_id = 8;
    let error = Err(BitstreamError::Value { field: "context_update_tile_id" });
    assert_eq!(written(&header, &sequence, &RefSlots::new(), BASE), error);
    sequence.use_128x128_superblock = true;
    header.tile_info = TileInfo {
        uniform_tile_spacing_flag: false,
        tile_cols_log2: 2,
        tile_rows_log2: 0,
        width_in_sbs: vec![1, 4, 3],
        height_in_sbs: vec![5],
        ..TileInfo::default()
    };
    assert_eq!(header.tile_layout(&sequence).unwrap().mi_col_starts, [0, 32, 160, 250]);
    header_comes_back(&sequence, &header, &RefSlots::new());
    header.tile_info.width_in_sbs = vec![1, 4, 4];
    assert!(written(&header, &sequence, &RefSlots::new(), BASE).is_err());
}

#[test]
fn tile_sizes_precede_all_tiles_but_the_last() {
    assert_eq!(tile_group(&[[7, 8]], 4), Ok(vec![7, 8]));
    let tiles = [vec![1; 256], vec![2], vec![3; 70_000]];
    assert_eq!(tile_size_bytes(&tiles), 1);
    let group = tile_group(&tiles, 2).unwrap();
    assert_eq!(group.len(), 1 + 2 + 256 + 2 + 1 + 70_000);
    assert_eq!((&group[..4], &group[259..263]), (&[0, 255, 0, 1][..], &[0, 0, 2, 3][..]));
    assert_eq!(tile_size_bytes(&[vec![1; 257], vec![2]]), 2);
    let too_long = Err(BitstreamError::Value { field: "tile_size_minus_1" });
    assert_eq!(tile_group(&[vec![1; 257], vec![2]], 1), too_long);
    for tiles in [vec![], vec![vec![]], vec![vec![], vec![1]]] {
        assert_eq!(tile_group::<Vec<u8>>(&tiles, 4), Err(BitstreamError::Value { field: "tile" }));
    }
}
