//! Headers of every kind, written and read back.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::common::{BASE, IVF_HEADER, header_comes_back, key, written};
use super::oracle;
use super::strategies::{header_bits, sequences, small_sequences};
use crate::bitstream::*;

/// Reads random bits as frames, one after the other, and leaves out those that break the standard.
fn frames_of(
    sequence: &SequenceHeader,
    bits: &[Vec<u8>],
    mut each: impl FnMut(&FrameHeader, &RefSlots),
) -> RefSlots {
    let mut slots = RefSlots::new();
    let first = FrameHeader { order_hint: u32::from(sequence.order_hint_bits > 0), ..key(sequence) };
    slots.update(sequence, &first);
    for data in bits {
        let Ok(header) = FrameHeader::parse(&mut BitReader::new(data), sequence, &slots, BASE) else {
            continue;
        };
        each(&header, &slots);
        slots.update(sequence, &header);
    }
    slots
}

proptest! {
    #[test]
    fn sequence_headers_come_back(sequence in sequences()) {
        let mut obu = vec![];
        write_sequence_obu(&mut obu, &sequence).unwrap();
        let read = obus(&obu).next().unwrap().unwrap();
        prop_assert_eq!(read.header.obu_type, ObuType::SequenceHeader);
        prop_assert_eq!(SequenceHeader::parse(read.payload), Ok(sequence));
        for end in 0..read.payload.len() {
            prop_assert!(SequenceHeader::parse(&read.payload[..end]).is_err());
        }
    }

    #[test]
    fn frame_headers_come_back(sequence in small_sequences(), bits in vec(header_bits(), 8)) {
        frames_of(&sequence, &bits, |header, slots| header_comes_back(&sequence, header, slots));
    }

    #[test]
    fn references_follow_the_text_of_the_standard(
        sequence in small_sequences(),
        hints in any::<[u8; 8]>(),
        order_hint in any::<u8>(),
        refs in proptest::array::uniform7(0u8..8),
    ) {
        let mask = (1u32 << sequence.order_hint_bits) - 1;
        let mut slots = RefSlots::new();
        for (slot, hint) in slots.slots.iter_mut().zip(hints) {
            slot.order_hint = u32::from(hint) & mask;
        }
        let order_hint = u32::from(order_hint) & mask;
        let found = slots.set_frame_refs(&sequence, order_hint, refs[0], refs[3]);
        prop_assert_eq!(found.ok(), oracle::set_frame_refs(&sequence, &slots, order_hint, refs[0], refs[3]));
        let header = FrameHeader {
            order_hint,
            ref_frame_idx: refs,
            reference_select: true,
            ..FrameHeader::inter(&sequence)
        };
        prop_assert_eq!(header.skip_mode_frames(&sequence, &slots), oracle::skip_mode(&sequence, &slots, &header));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(data in vec(any::<u8>(), 0..200), more in header_bits()) {
        for data in [&data, &more] {
            let _ = SequenceHeader::parse(data);
            let _ = leb128(data);
            for unit in section5::temporal_units(data) {
                let _ = unit.map(|unit| HeaderReader::new().temporal_unit(unit).count());
            }
            HeaderReader::new().temporal_unit(data).for_each(drop);
            let _ = Extractor::new(BASE).temporal_unit(data);
            let mut file = IvfWriter::new(vec![], &IVF_HEADER).unwrap().into_inner();
            file.extend(data);
            for frames in IvfReader::new(&file[..]).unwrap().temporal_units() {
                let _ = frames;
            }
            let _ = IvfReader::new(&data[..]);
        }
    }
}

/// The random headers of the tests above are of every kind.
#[test]
fn random_headers_are_of_every_kind() {
    type Kind = (&'static str, fn(&FrameHeader) -> bool);
    const KINDS: [Kind; 22] = [
        ("key", |h| h.frame_type == FrameType::Key && h.show_frame && !h.show_existing_frame),
        ("hidden key", |h| h.frame_type == FrameType::Key && !h.show_frame),
        ("inter", |h| h.frame_type == FrameType::Inter && !h.show_existing_frame),
        ("intra-only", |h| h.frame_type == FrameType::IntraOnly && !h.show_existing_frame),
        ("switch", |h| h.frame_type == FrameType::Switch && !h.show_existing_frame),
        ("show_existing_frame", |h| h.show_existing_frame),
        ("frame_size_override_flag", |h| h.frame_size_override_flag && h.found_ref.is_none()),
        ("found_ref", |h| h.found_ref.is_some()),
        ("superres", |h| h.superres_denom > SUPERRES_NUM),
        ("frame_refs_short_signaling", |h| h.frame_refs_short_signaling),
        ("primary_ref_frame", |h| h.primary_ref_frame != PRIMARY_REF_NONE),
        ("buffer_removal_time", |h| h.buffer_removal_time.is_some()),
        ("intra block copy", |h| h.allow_intrabc),
        ("tiles", |h| h.tile_info.tile_cols_log2 > 0 && !h.tile_info.uniform_tile_spacing_flag),
        ("uniform tiles", |h| h.tile_info.tile_rows_log2 > 0 && h.tile_info.uniform_tile_spacing_flag),
        ("segmentation", |h| h.segmentation.enabled && h.segmentation.update_data),
        ("loop filter deltas", |h| h.loop_filter_delta_update.is_some()),
        ("skip mode", |h| h.skip_mode_present),
        ("translation", |h| h.gm_type.contains(&WarpType::Translation)),
        ("affine", |h| h.gm_type.contains(&WarpType::Affine)),
        ("film grain", |h| h.film_grain.apply_grain && h.film_grain.film_grain_params_ref_idx.is_none()),
        ("film grain of a slot", |h| h.film_grain.film_grain_params_ref_idx.is_some()),
    ];
    let mut seen = [false; KINDS.len()];
    let mut runner = TestRunner::deterministic();
    let strategy = (small_sequences(), vec(header_bits(), 8));
    for _ in 0..4000 {
        let (sequence, bits) = strategy.new_tree(&mut runner).unwrap().current();
        frames_of(&sequence, &bits, |header, _| {
            for (seen, (_, kind)) in seen.iter_mut().zip(KINDS) {
                *seen |= kind(header);
            }
        });
    }
    let missing: Vec<_> =
        KINDS.iter().zip(seen).filter(|(_, seen)| !seen).map(|((name, _), _)| name).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_the_syntax_cannot_say_is_not_written() {
    let mut sequence = SequenceHeader::new(640, 360);
    sequence.enable_cdef = true;
    let mut slots = RefSlots::new();
    let good = key(&sequence);
    let write = |change: &dyn Fn(&mut FrameHeader), from: &FrameHeader, slots: &RefSlots| {
        let mut header = from.clone();
        change(&mut header);
        written(&header, &sequence, slots, BASE).err()
    };
    assert_eq!(write(&|_| (), &good, &slots), None);
    let inferred = |field| Some(BitstreamError::Inferred { field });
    let value = |field| Some(BitstreamError::Value { field });
    assert_eq!(write(&|h| h.error_resilient_mode = false, &good, &slots), inferred("error_resilient_mode"));
    assert_eq!(write(&|h| h.upscaled_width = 320, &good, &slots), inferred("frame_width"));
    assert_eq!(write(&|h| h.quantization.base_q_idx = 0, &good, &slots), inferred("tx_mode"));
    assert_eq!(write(&|h| h.refresh_frame_flags = 1, &good, &slots), inferred("refresh_frame_flags"));
    assert_eq!(write(&|h| h.order_hint = 128, &good, &slots), value("order_hint"));
    assert_eq!(write(&|h| h.cdef_strengths[0].y_sec = 3, &good, &slots), value("cdef_y_sec_strength"));
    assert_eq!(
        write(&|h| h.tile_info.tile_cols_log2 = 5, &good, &slots),
        inferred("increment_tile_cols_log2")
    );
    let missing = Some(BitstreamError::MissingReference { slot: 0 });
    assert_eq!(write(&|_| (), &FrameHeader { ..FrameHeader::inter(&sequence) }, &slots), missing);
    let mut small = good.clone();
    small.set_frame_size(&sequence, 160, 90);
    slots.update(&sequence, &good);
    let inter = FrameHeader { quantization: good.quantization, ..FrameHeader::inter(&sequence) };
    assert_eq!(write(&|_| (), &inter, &slots), None);
    let too_small = Some(BitstreamError::ReferenceSize { slot: 0 });
    assert_eq!(write(&|h| h.set_frame_size(&sequence, 160, 90), &inter, &slots), too_small);
    assert_eq!(write(&|h| h.set_frame_size(&sequence, 320, 180), &inter, &slots), None);
    // A reference counts as lost if its order hint is not the coded one.
    assert_eq!(
        write(&|h| (h.error_resilient_mode, h.ref_order_hint[0]) = (true, 9), &inter, &slots),
        missing
    );
    assert_eq!(
        FrameHeader::show_existing(&sequence, &slots, 3),
        Err(BitstreamError::NotShowable { slot: 3 })
    );
}

#[test]
fn a_key_frame_shown_later_refreshes_every_slot() {
    let sequence = SequenceHeader::new(64, 64);
    let mut slots = RefSlots::new();
    slots.update(&sequence, &key(&sequence));
    let hidden = FrameHeader {
        show_frame: false,
        showable_frame: true,
        refresh_frame_flags: 1 << 5,
        order_hint: 9,
        ..key(&sequence)
    };
    header_comes_back(&sequence, &hidden, &slots);
    slots.update(&sequence, &hidden);
    assert_eq!(slots.order_hints(), [0, 0, 0, 0, 0, 9, 0, 0]);
    let shown = FrameHeader::show_existing(&sequence, &slots, 5).unwrap();
    assert_eq!(shown.refresh_frame_flags, 0xff);
    header_comes_back(&sequence, &shown, &slots);
    slots.update(&sequence, &shown);
    assert_eq!(slots.order_hints(), [9; 8]);
    assert_eq!(
        FrameHeader::show_existing(&sequence, &slots, 5),
        Err(BitstreamError::NotShowable { slot: 5 })
    );
}
