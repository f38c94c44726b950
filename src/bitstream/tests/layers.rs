//! Dropping layers of a stream.

use super::common::{BASE, layered};
use crate::bitstream::*;
use crate::structure::LayerId;

fn all_frames(units: &[Vec<u8>]) -> Vec<FrameInfo> {
    let mut reader = HeaderReader::new();
    let mut frames = vec![];
    for unit in units {
        let of_unit: Result<Vec<_>, _> = reader.temporal_unit(unit).collect();
        frames.extend(of_unit.unwrap());
    }
    frames
}

fn extracted(extractor: Extractor, units: &[Vec<u8>]) -> Vec<Vec<u8>> {
    units.iter().filter_map(|unit| extractor.temporal_unit(unit).unwrap()).collect()
}

#[test]
fn layers_above_the_chosen_one_are_dropped() {
    for (spatial, temporal) in [(1, 1), (1, 3), (2, 2), (3, 3)] {
        let (sequence, units) = layered(spatial, temporal, 7);
        let frames = all_frames(&units);
        assert_eq!(frames.len(), 7 * usize::from(spatial));
        for top in (0..4).flat_map(|s| (0..8).map(move |t| LayerId { spatial_id: s, temporal_id: t })) {
            let extractor = Extractor::new(top);
            let left = extracted(extractor, &units);
            let of_left = all_frames(&left);
            let expected = frames.iter().filter(|frame| extractor.keeps(frame.layer()));
            assert!(of_left.iter().map(|f| &f.header).eq(expected.map(|f| &f.header)));
            assert_eq!(extracted(extractor, &left), left);
            let mut reader = HeaderReader::new();
            reader.temporal_unit(&left[0]).for_each(drop);
            let points = &reader.sequence().unwrap().operating_points;
            let (s, t) = (top.spatial_id.min(spatial - 1), top.temporal_id.min(temporal - 1));
            assert_eq!(points.len(), (usize::from(s) + 1) * (usize::from(t) + 1));
            // The first is all that is left, with the level it always had.
            assert_eq!(points[0].idc, ((1 << (s + 1)) - 1) << 8 | ((1 << (t + 1)) - 1));
            assert_eq!(points[0].seq_level_idx, s * 4 + t);
            assert!(points.iter().all(|point| sequence.operating_points.contains(point)));
        }
    }
}

#[test]
fn units_without_frames_left_are_dropped() {
    let (_, units) = layered(2, 2, 4);
    let left = extracted(Extractor::new(BASE), &units);
    assert_eq!(left.len(), 2);
    let keep = Extractor { rewrite_operating_points: false, ..Extractor::new(BASE) };
    let unchanged = extracted(keep, &units);
    assert_eq!(obus(&unchanged[0]).nth(1), obus(&units[0]).nth(1));
    let all = Extractor::new(LayerId { spatial_id: 3, temporal_id: 7 });
    assert_eq!(extracted(all, &units), units);
    // No frame was there to be dropped.
    let (mut only_header, mut with_delimiter) = (vec![], vec![]);
    write_sequence_obu(&mut only_header, &SequenceHeader::new(8, 8)).unwrap();
    write_temporal_delimiter(&mut with_delimiter);
    with_delimiter.extend(&only_header);
    assert_eq!(Extractor::new(BASE).temporal_unit(&only_header), Ok(Some(with_delimiter)));
    // A sequence header belongs to all layers, even if its extension names one.
    let header = ObuHeader {
        obu_type: ObuType::SequenceHeader,
        extension: Some(LayerId { temporal_id: 2, spatial_id: 2 }),
    };
    let (mut unit, sequence) = (vec![0x12, 0], obus(&only_header).next().unwrap().unwrap());
    write_obu(&mut unit, header, sequence.payload).unwrap();
    assert_eq!(Extractor::new(BASE).temporal_unit(&unit), Ok(Some(unit.clone())));
}

#[test]
fn operating_points_become_what_is_left() {
    let points = |list: &[(u16, u8)]| -> Vec<OperatingPoint> {
        let point = |&(idc, seq_level_idx)| OperatingPoint { idc, seq_level_idx, ..Default::default() };
        list.iter().map(point).collect()
    };
    let below = |list: &[(u16, u8)], spatial_id, temporal_id| {
        operating_points_below(&points(list), LayerId { spatial_id, temporal_id })
    };
    // Only the whole is listed: its base becomes a point of the same level.
    assert_eq!(below(&[(0x303, 9)], 0, 1), points(&[(0x103, 9)]));
    // A middle that no point stood for comes first, the base stays.
    assert_eq!(below(&[(0x707, 9), (0x101, 2)], 1, 7), points(&[(0x307, 9), (0x101, 2)]));
    // Simulcast: the point of the dropped layer goes.
    assert_eq!(below(&[(0x201, 9), (0x101, 2)], 0, 0), points(&[(0x101, 2)]));
    assert_eq!(below(&[(0x201, 9)], 0, 0), points(&[(0x201, 9)]));
    assert_eq!(below(&[(0, 9)], 0, 0), points(&[(0, 9)]));
}

#[test]
fn points_with_decoder_models_are_not_rewritten() {
    let (mut sequence, _) = layered(2, 1, 1);
    sequence.timing_info = Some(TimingInfo {
        num_units_in_display_tick: 1,
        time_scale: 30,
        num_ticks_per_picture_minus_1: Some(0),
    });
    sequence.decoder_model_info = Some(DecoderModelInfo::default());
    sequence.operating_points[0].operating_parameters = Some(OperatingParameters::default());
    let mut unit = vec![];
    write_sequence_obu(&mut unit, &sequence).unwrap();
    assert_eq!(Extractor::new(BASE).temporal_unit(&unit), Err(BitstreamError::DecoderModel));
    let all = Extractor::new(LayerId { spatial_id: 1, temporal_id: 0 });
    assert!(all.temporal_unit(&unit).is_ok());
}
