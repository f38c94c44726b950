//! Helpers of several of these tests.

use crate::bitstream::*;
use crate::structure::LayerId;

pub(super) const BASE: LayerId = LayerId { temporal_id: 0, spatial_id: 0 };

pub(super) const IVF_HEADER: IvfHeader =
    IvfHeader { width: 320, height: 200, timebase_denominator: 30, timebase_numerator: 1, frame_count: 0 };

/// Bytes of a header that has been written, and how many of their bits count.
pub(super) fn written(
    header: &FrameHeader,
    sequence: &SequenceHeader,
    slots: &RefSlots,
    layer: LayerId,
) -> Result<(Vec<u8>, usize), BitstreamError> {
    let mut w = BitWriter::new();
    header.write(&mut w, sequence, slots, layer)?;
    let bits = w.position();
    Ok((w.into_bytes(), bits))
}

/// A key frame that loses something.
pub(super) fn key(sequence: &SequenceHeader) -> FrameHeader {
    let mut header = FrameHeader::key(sequence);
    header.quantization.base_q_idx = 100;
    header
}

pub(super) fn header_comes_back(sequence: &SequenceHeader, header: &FrameHeader, slots: &RefSlots) {
    let (coded, bits) = written(header, sequence, slots, BASE).unwrap();
    let mut r = BitReader::new(&coded);
    let again = FrameHeader::parse(&mut r, sequence, slots, BASE).unwrap();
    assert_eq!(r.position(), bits);
    assert_eq!(&again, header);
    // One bit less, and the end is missed.
    let short = &coded[..(bits - 1) / 8];
    assert_eq!(
        FrameHeader::parse(&mut BitReader::new(short), sequence, slots, BASE),
        Err(BitstreamError::End)
    );
}

/// A stream of `spatial` x `temporal` layers, 2:1 between spatial layers: temporal unit `n` is of
/// temporal layer `n % temporal`, each frame refers to its own layer and to the one below.
pub(super) fn layered(spatial: u8, temporal: u8, units: u8) -> (SequenceHeader, Vec<Vec<u8>>) {
    let mut sequence = SequenceHeader::new(320, 200);
    sequence.operating_points.clear();
    for s in (0..spatial).rev() {
        for t in (0..temporal).rev() {
            let idc = ((1 << (s + 1)) - 1) << 8 | ((1 << (t + 1)) - 1);
            let seq_level_idx = s * 4 + t;
            sequence.operating_points.push(OperatingPoint { idc, seq_level_idx, ..Default::default() });
        }
    }
    let mut slots = RefSlots::new();
    let mut stream = vec![];
    for n in 0..units {
        let mut unit = vec![];
        write_temporal_delimiter(&mut unit);
        if n == 0 {
            write_sequence_obu(&mut unit, &sequence).unwrap();
        }
        for s in 0..spatial {
            let layer = LayerId { temporal_id: n % temporal, spatial_id: s };
            let mut header = if n == 0 && s == 0 { key(&sequence) } else { FrameHeader::inter(&sequence) };
            header.quantization.base_q_idx = 100 + n;
            header.order_hint = n.into();
            let shift = spatial - 1 - s;
            header.set_frame_size(&sequence, 320 >> shift, 200 >> shift);
            if header.frame_type == FrameType::Inter {
                let below = s.saturating_sub(1);
                header.ref_frame_idx = if n == 0 { [below; 7] } else { [s, s, s, below, s, s, s] };
                header.refresh_frame_flags = if layer.temporal_id == 0 { 1 << s } else { 0 };
                // A higher temporal layer feeds the spatial layers above it through slots of its own.
                if layer.temporal_id > 0 {
                    header.refresh_frame_flags = 1 << (4 + s);
                    header.ref_frame_idx[3] = if s > 0 { 4 + below } else { s };
                }
            }
            let tiles = tile_group(&[[n, s, 1]], 4).unwrap();
            write_frame_obu(&mut unit, Some(layer), &sequence, &header, &slots, &tiles).unwrap();
            slots.update(&sequence, &header);
        }
        stream.push(unit);
    }
    (sequence, stream)
}
