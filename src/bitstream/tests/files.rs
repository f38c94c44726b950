//! IVF and Section 5 files.

use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;

use super::common::{IVF_HEADER, layered};
use crate::bitstream::*;

fn ivf(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut w = IvfWriter::new(Cursor::new(vec![]), &IVF_HEADER).unwrap();
    for (pts, data) in frames {
        w.write(*pts, data).unwrap();
    }
    w.finish().unwrap().into_inner()
}

proptest! {
    #[test]
    fn ivf_files_come_back(frames in vec((any::<u64>(), vec(any::<u8>(), 0..80)), 0..6)) {
        let file = ivf(&frames);
        let reader = IvfReader::new(&file[..]).unwrap();
        let header = IvfHeader { frame_count: frames.len() as u32, ..IVF_HEADER };
        prop_assert_eq!(reader.header(), &header);
        let read: Vec<_> = reader.map(|frame| frame.map(|f| (f.pts, f.data)).unwrap()).collect();
        prop_assert_eq!(&read, &frames);
        // Cut anywhere but between two frames, the file ends in an error.
        let mut ends = vec![32];
        for (_, data) in &frames {
            ends.push(ends[ends.len() - 1] + 12 + data.len());
        }
        for end in 0..file.len() {
            let whole = ends.contains(&end);
            let read = IvfReader::new(&file[..end]).map(|mut reader| reader.all(|frame| frame.is_ok()));
            prop_assert_eq!(read.unwrap_or(false), whole);
        }
    }

    #[test]
    fn section5_files_come_back(spatial in 1u8..=3, temporal in 1u8..=3, units in 1u8..6) {
        let (_, stream) = layered(spatial, temporal, units);
        let mut file = vec![];
        for unit in &stream {
            section5::write_temporal_unit(&mut file, unit).unwrap();
        }
        let read: Result<Vec<_>, _> = section5::temporal_units(&file).collect();
        prop_assert_eq!(read.unwrap(), stream);
        prop_assert!(section5::temporal_units(&file[..file.len() - 1]).last().unwrap().is_err());
    }
}

#[test]
fn ivf_frames_of_layers_become_temporal_units() {
    let (_, stream) = layered(3, 2, 5);
    // One frame per OBU, the delimiter with the first of them.
    let mut frames = vec![];
    for (unit, pts) in stream.iter().zip(100..) {
        let list: Vec<_> = obus(unit).map(Result::unwrap).collect();
        frames.push((pts, [list[0].bytes, list[1].bytes].concat()));
        frames.extend(list[2..].iter().map(|obu| (pts, obu.bytes.to_vec())));
    }
    let units = |frames: &[(u64, Vec<u8>)]| -> Vec<Vec<u8>> {
        let file = ivf(frames);
        IvfReader::new(&file[..]).unwrap().temporal_units().map(|unit| unit.unwrap().data).collect()
    };
    assert_eq!(units(&frames), stream);
    // Without delimiters, the time tells.
    let bare = frames.iter().map(|(pts, data)| match data.strip_prefix(&[0x12, 0]) {
        Some(rest) => (*pts, rest.to_vec()),
        None => (*pts, data.clone()),
    });
    let stripped: Vec<_> = stream.iter().map(|unit| unit[2..].to_vec()).collect();
    assert_eq!(units(&bare.collect::<Vec<_>>()), stripped);
    // All in one frame, or at one time, the delimiters tell.
    assert_eq!(units(&[(0, stream.concat())]), stream);
    let still: Vec<_> = frames.iter().map(|(_, data)| (0, data.clone())).collect();
    assert_eq!(units(&still), stream);
    // An OBU without size gets one before more follows.
    let sizeless = [(0, vec![0x12, 0, 0x28, 1, 2]), (0, vec![0x7a, 1, 0x80])];
    assert_eq!(units(&sizeless), [vec![0x12, 0, 0x2a, 2, 1, 2, 0x7a, 1, 0x80]]);
}

#[test]
fn what_is_no_file_is_refused() {
    let good = ivf(&[(0, vec![1, 2, 3])]);
    let not_ivf = |at: usize, byte| {
        let mut file = good.clone();
        file[at] = byte;
        matches!(IvfReader::new(&file[..]), Err(FileError::NotIvf))
    };
    assert!(not_ivf(0, b'X') && not_ivf(8, b'X') && not_ivf(6, 31));
    let mut huge = good.clone();
    huge[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut reader = IvfReader::new(&huge[..]).unwrap();
    assert!(matches!(reader.next(), Some(Err(FileError::TooLarge { size: 0xffff_ffff }))));
    assert!(reader.next().is_none());
    // A claim within bounds costs no memory either before the data are there.
    huge[32..36].copy_from_slice(&(200u32 << 20).to_le_bytes());
    let mut reader = IvfReader::new(&huge[..]).unwrap();
    assert!(matches!(reader.next(), Some(Err(FileError::Io(_)))));

    let frame = Some(Err(BitstreamError::Order { obu_type: 6 }));
    assert_eq!(section5::temporal_units(&[0x32, 1, 0]).next(), frame);
    let no_size = Some(Err(BitstreamError::Value { field: "obu_has_size_field" }));
    assert_eq!(section5::temporal_units(&[0x12, 0, 0x30, 1]).next(), no_size);
    assert!(matches!(section5::write_temporal_unit(vec![], &[0x32, 1, 0]), Err(FileError::Stream(_))));
    assert!(matches!(section5::write_temporal_unit(vec![], &[]), Err(FileError::Stream(_))));
}
