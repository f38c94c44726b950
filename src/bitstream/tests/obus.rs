//! OBUs, and frames in several of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::common::key;
use crate::bitstream::*;
use crate::structure::LayerId;

fn obu_headers() -> impl Strategy<Value = ObuHeader> {
    let extension = proptest::option::of((0u8..8, 0u8..4));
    (0u8..16, extension).prop_map(|(obu_type, extension)| ObuHeader {
        obu_type: obu_type.into(),
        extension: extension.map(|(temporal_id, spatial_id)| LayerId { temporal_id, spatial_id }),
    })
}

proptest! {
    #[test]
    fn obus_come_back(list in vec((obu_headers(), vec(any::<u8>(), 0..300)), 0..6)) {
        let mut data = vec![];
        for (header, payload) in &list {
            write_obu(&mut data, *header, payload).unwrap();
        }
        let read: Result<Vec<_>, _> = obus(&data).collect();
        let read = read.unwrap();
        prop_assert_eq!(read.len(), list.len());
        for (read, (header, payload)) in read.iter().zip(&list) {
            prop_assert_eq!((&read.header, read.payload), (header, &payload[..]));
            prop_assert_eq!(read.bytes, &data[read.offset..][..read.bytes.len()]);
        }
        if let Some(last) = read.last() {
            for end in last.offset + 1..data.len() {
                prop_assert_eq!(obus(&data[..end]).last(), Some(Err(BitstreamError::End)));
            }
        }
    }
}

#[test]
fn an_obu_without_size_reaches_to_the_end() {
    let data = [6 << 3, 1, 2, 3];
    let obu = obus(&data).next().unwrap().unwrap();
    assert_eq!((obu.header.obu_type, obu.payload, obu.has_size_field), (ObuType::Frame, &data[1..], false));
    let forbidden = Some(Err(BitstreamError::Value { field: "obu_forbidden_bit" }));
    assert_eq!(obus(&[0x80]).next(), forbidden);
    let layer = LayerId { temporal_id: 8, spatial_id: 0 };
    let header = ObuHeader { obu_type: ObuType::Frame, extension: Some(layer) };
    assert_eq!(write_obu(&mut vec![], header, &[]), Err(BitstreamError::Value { field: "temporal_id" }));
}

/// A frame of 2x2 tiles in several OBUs, with those that may stand between them.
#[test]
fn frames_in_several_obus_are_put_together() {
    let sequence = SequenceHeader::new(128, 128);
    let slots = RefSlots::new();
    let mut header = key(&sequence);
    (header.tile_info.tile_cols_log2, header.tile_info.tile_rows_log2) = (1, 1);
    let layer = Some(LayerId { temporal_id: 1, spatial_id: 2 });
    let group = |start: u8, end: u8| vec![0x80 | start << 5 | end << 3, 0xaa];
    let obu = |obu_type, payload: &[u8]| {
        let mut out = vec![];
        write_obu(&mut out, ObuHeader { obu_type, extension: layer }, payload).unwrap();
        out
    };
    let mut start = vec![];
    write_temporal_delimiter(&mut start);
    write_sequence_obu(&mut start, &sequence).unwrap();
    let mut frame_header = vec![];
    write_frame_header_obu(&mut frame_header, layer, &sequence, &header, &slots).unwrap();
    let redundant = {
        let first = obus(&frame_header).next().unwrap().unwrap();
        obu(ObuType::RedundantFrameHeader, first.payload)
    };
    let padding = obu(ObuType::Padding, &[1, 0x80]);
    let metadata = obu(ObuType::Metadata, &[9, 9]);
    let reserved = obu(ObuType::Reserved(11), &[3]);
    let (first, second) = (obu(ObuType::TileGroup, &group(0, 1)), obu(ObuType::TileGroup, &group(2, 3)));
    let join = |parts: &[&[u8]]| [&start[..], &parts.concat()].concat();
    let read = |unit: &[u8]| HeaderReader::new().temporal_unit(unit).collect::<Result<Vec<_>, _>>();

    let unit = join(&[&frame_header, &metadata, &first, &redundant, &reserved, &second, &padding]);
    let frames = read(&unit).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].obu.extension, &frames[0].header), (layer, &header));
    let size = frame_header.len() + first.len() + redundant.len() + second.len();
    assert_eq!(frames[0].size, size);
    assert_eq!(frames[0].range, start.len()..start.len() + size + metadata.len() + reserved.len());

    let order = |obu_type| Err(BitstreamError::Order { obu_type });
    let tg_start = Err(BitstreamError::Value { field: "tg_start" });
    assert_eq!(read(&join(&[&frame_header, &first])), Err(BitstreamError::MissingTiles));
    assert_eq!(read(&join(&[&frame_header, &second])), tg_start);
    assert_eq!(read(&join(&[&frame_header, &first, &first])), tg_start);
    assert_eq!(read(&join(&[&frame_header, &frame_header])), order(3));
    assert_eq!(read(&join(&[&first])), order(4));
    assert_eq!(read(&join(&[&redundant])), order(7));
    assert_eq!(read(&join(&[&obu(ObuType::TileList, &[0; 8])])), order(8));
    assert_eq!(read(&frame_header), Err(BitstreamError::MissingSequenceHeader));
    let other_layer = {
        let header = ObuHeader { obu_type: ObuType::TileGroup, extension: None };
        let mut out = vec![];
        write_obu(&mut out, header, &group(0, 1)).unwrap();
        out
    };
    assert_eq!(read(&join(&[&frame_header, &other_layer])), order(4));

    // The same in one OBU, whose tile group must be whole.
    let tiles = tile_group(&[[1u8], [2], [3], [4]], 4).unwrap();
    let mut frame = vec![];
    write_frame_obu(&mut frame, layer, &sequence, &header, &slots, &tiles).unwrap();
    assert_eq!(read(&join(&[&frame])).unwrap()[0].header, header);
    let mut part = vec![];
    write_frame_obu(&mut part, layer, &sequence, &header, &slots, &group(0, 3)).unwrap();
    assert_eq!(
        read(&join(&[&part])),
        Err(BitstreamError::Value { field: "tile_start_and_end_present_flag" })
    );
}
