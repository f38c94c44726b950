//! Tests across the files of this module: headers of other encoders, headers of every kind from random
//! bits, layered streams, files.

use std::io::Cursor;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::structure::LayerId;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Bytes of a header that has been written, and how many of their bits count.
fn written(
    header: &FrameHeader,
    sequence: &SequenceHeader,
    slots: &RefSlots,
    layer: LayerId,
) -> Result<(Vec<u8>, usize), Error> {
    let mut w = BitWriter::new();
    header.write(&mut w, sequence, slots, layer)?;
    let bits = w.position();
    Ok((w.into_bytes(), bits))
}

/// Reads frame headers of another encoder, up to their last whole byte, one after the other; each must
/// come out of the writer as it went in.
fn foreign(sequence: &str, frames: &[(LayerId, usize, &str)]) -> (SequenceHeader, Vec<FrameHeader>) {
    let payload = bytes(sequence);
    let sequence = SequenceHeader::parse(&payload).unwrap();
    let mut obu = vec![];
    write_sequence_obu(&mut obu, &sequence).unwrap();
    assert_eq!(obu[2..], payload);
    let mut slots = RefSlots::new();
    let mut headers = vec![];
    for &(layer, bits, hex) in frames {
        let coded = bytes(hex);
        let mut r = BitReader::new(&coded);
        let header = FrameHeader::parse(&mut r, &sequence, &slots, layer).unwrap();
        assert_eq!(r.position(), bits);
        let (mut again, n) = written(&header, &sequence, &slots, layer).unwrap();
        if header.show_existing_frame {
            // A frame header OBU ends with its trailing bits.
            let mut r = BitReader::new(&coded);
            r.bits(bits as u32).unwrap();
            r.trailing_bits().unwrap();
            *again.last_mut().unwrap() |= 0x80 >> (bits % 8);
        }
        assert_eq!((n, again), (bits, coded));
        slots.update(&sequence, &header);
        headers.push(header);
    }
    (sequence, headers)
}

const BASE: LayerId = LayerId { temporal_id: 0, spatial_id: 0 };

/// libaom 3.6, slowest setting of two passes: global motion, loop restoration, a frame shown twice.
#[test]
fn headers_of_libaom() {
    let (sequence, headers) = foreign(
        "00000004457e3e7ffcc020",
        &[
            (BASE, 176, "10008e00c28e34b139021c1ba0954182041924382552"),
            (BASE, 192, "280be04000003d1e01801470c25240748c2aebf35fcd5b80"),
            (BASE, 219, "2805e08000009d23c1800e01428a0442d7e1fc5fdf3703e1f98f72a0"),
            (BASE, 212, "280281000040bd2641810801028000c2507c62f8ff15f397e4bc50"),
            (BASE, 136, "3003c40000d17a4f801800102800082500"),
            (BASE, 4, "b8"),
        ],
    );
    assert_eq!((sequence.max_frame_width, sequence.max_frame_height), (352, 288));
    assert_eq!((sequence.order_hint_bits, sequence.operating_points.len()), (7, 1));
    assert!(headers[0].frame_type == FrameType::Key && headers[0].show_frame);
    assert!(headers[1..5].iter().all(|header| header.frame_type == FrameType::Inter));
    let quantizers = headers[..5].iter().map(|header| header.quantization.base_q_idx);
    assert_eq!(quantizers.collect::<Vec<_>>(), [112, 120, 143, 153, 159]);
    assert!(headers[2].gm_type.contains(&WarpType::RotZoom));
    assert!(headers[2].frame_restoration_type.iter().any(|&t| t != RestorationType::None));
    assert!(headers[5].show_existing_frame);
}

/// The same with frames of changing size: found_ref, and an error resilient frame.
#[test]
fn headers_of_resized_frames() {
    let (sequence, headers) = foreign(
        "00000004457e3e6d7c8020",
        &[
            (BASE, 142, "120232e580af808fa1e0028a30821082b008"),
            (BASE, 185, "2893e040000000752fe02be023fe8d801a68c40902028000"),
            (BASE, 135, "2889e080000081f4720092400048101a00"),
        ],
    );
    let sizes: Vec<_> = headers.iter().map(|h| (h.frame_width(), h.frame_height, h.found_ref)).collect();
    assert_eq!(sizes, [(282, 230, None), (235, 192, None), (235, 192, Some(6))]);
    assert!(headers.iter().all(|h| h.frame_size_override_flag && h.render_width == 352));
    assert_eq!(sequence.max_frame_width, 352);
}

/// libaom's L2T2: it leaves the extension header away in the base layer.
#[test]
fn headers_of_a_layered_stream() {
    let layer = |temporal_id, spatial_id| LayerId { temporal_id, spatial_id };
    let (sequence, headers) = foreign(
        "00330301808040c0202088afc7cdaf9004",
        &[
            (BASE, 118, "12015e8f80af808fa0980000200008"),
            (layer(0, 1), 129, "3003c08490494688200c30c30904028000"),
            (layer(1, 0), 129, "3104000000008698603aebae8b0d228000"),
            (layer(1, 1), 129, "30060004944906978034d34d0a0d228000"),
        ],
    );
    let idcs: Vec<_> = sequence.operating_points.iter().map(|point| point.idc).collect();
    assert_eq!(idcs, [0x303, 0x301, 0x103, 0x101]);
    assert_eq!(headers[1].ref_frame_idx, [1, 1, 1, 0, 1, 1, 1]);
    assert_eq!((headers[0].frame_width(), headers[1].frame_width()), (176, 352));
    assert_eq!((headers[2].found_ref, headers[3].refresh_frame_flags), (Some(0), 0));
}

/// A decoder model and its times.
#[test]
fn headers_with_a_decoder_model() {
    let (sequence, headers) = foreign(
        "040000000400000079780000000a530000035f915f90bc457e3e6d7c8020",
        &[
            (BASE, 137, "10000080446000820c284c10160010415900"),
            (BASE, 151, "2813f01008000007a360082060c25080b00a00"),
        ],
    );
    assert!(sequence.timing_info.is_some() && sequence.operating_points[0].operating_parameters.is_some());
    assert!(headers.iter().all(|header| header.buffer_removal_time.as_ref().is_some_and(|t| t.len() == 1)));
}

/// A sequence header, from what is chosen freely; the rest follows.
fn sequences() -> impl Strategy<Value = SequenceHeader> {
    let size = || prop_oneof![1u32..300, 1u32..=65536];
    let operating_point = (any::<u16>(), 0u8..32, any::<bool>(), any::<[u32; 2]>(), 0u8..32);
    (
        (0u8..3, any::<[bool; 16]>(), any::<[bool; 8]>(), size(), size()),
        (0u8..3, 0u8..3, 0u8..=8, prop_oneof![Just(8u8), Just(10), Just(12)], any::<[u8; 3]>()),
        vec(operating_point, 1..=32),
        (1u32.., 1u32.., any::<Option<u32>>(), any::<[u8; 3]>(), 0u8..4),
        proptest::option::of((0u8..12, 0u8..3)),
    )
        .prop_map(|(basics, tools, points, timing, ids)| {
            let (seq_profile, flags, more, width, height) = basics;
            let (sct, imv, order_hint_bits, depth, description) = tools;
            let mut s = SequenceHeader::new(width, height);
            s.seq_profile = seq_profile;
            [
                s.still_picture,
                s.use_128x128_superblock,
                s.enable_filter_intra,
                s.enable_intra_edge_filter,
                ..,
            ] = flags;
            [.., s.enable_interintra_compound, s.enable_masked_compound] = flags;
            [
                _,
                _,
                _,
                _,
                s.enable_warped_motion,
                s.enable_dual_filter,
                s.enable_superres,
                s.enable_cdef,
                ..,
            ] = flags;
            s.enable_restoration = flags[8];
            s.film_grain_params_present = flags[9];
            s.order_hint_bits = order_hint_bits;
            s.enable_jnt_comp = flags[10] && order_hint_bits > 0;
            s.enable_ref_frame_mvs = flags[11] && order_hint_bits > 0;
            s.seq_force_screen_content_tools = sct;
            s.seq_force_integer_mv = if sct > 0 { imv } else { SELECT_INTEGER_MV };
            s.frame_id_numbers = ids.map(|(delta, additional)| FrameIdNumbers {
                delta_frame_id_length_minus_2: delta,
                additional_frame_id_length_minus_1: additional.min(13 - delta),
            });
            let (units, scale, ticks, lengths, _) = timing;
            if flags[12] {
                s.timing_info = Some(TimingInfo {
                    num_units_in_display_tick: units,
                    time_scale: scale,
                    num_ticks_per_picture_minus_1: ticks.map(|t| t.min(u32::MAX - 1)),
                });
                s.decoder_model_info = flags[13].then_some(DecoderModelInfo {
                    buffer_delay_length_minus_1: lengths[0] % 32,
                    num_units_in_decoding_tick: scale,
                    buffer_removal_time_length_minus_1: lengths[1] % 32,
                    frame_presentation_time_length_minus_1: lengths[2] % 32,
                });
            }
            s.initial_display_delay_present_flag = more[0];
            s.operating_points.clear();
            for (idc, level, tier, delays, delay) in points {
                let idc = idc & 0xfff;
                if s.operating_points.iter().all(|point| point.idc != idc) {
                    let n = u32::from(lengths[0] % 32) + 1;
                    let [a, b] = delays.map(|d| d >> (32 - n));
                    s.operating_points.push(OperatingPoint {
                        idc,
                        seq_level_idx: level,
                        seq_tier: tier && level > 7,
                        operating_parameters: (s.decoder_model_info.is_some() && tier).then_some(
                            OperatingParameters {
                                decoder_buffer_delay: a,
                                encoder_buffer_delay: b,
                                low_delay_mode_flag: a > b,
                            },
                        ),
                        initial_display_delay_minus_1: (more[0] && delay < 16).then_some(delay),
                    });
                }
            }
            s.color_config = colors(seq_profile, depth, description, more, timing.4);
            s
        })
}

fn colors(profile: u8, depth: u8, description: [u8; 3], flags: [bool; 8], position: u8) -> ColorConfig {
    let [_, described, srgb, mono, range, x, y, separate] = flags;
    let [color_primaries, transfer_characteristics, matrix_coefficients] = description;
    let bit_depth = if profile < 2 { depth.min(10) } else { depth };
    let mono_chrome = mono && profile != 1;
    let twelve = profile == 2 && bit_depth == 12;
    let subsampling_x = mono_chrome || if twelve { x } else { profile != 1 };
    let subsampling_y = mono_chrome || if twelve { x && y } else { profile == 0 };
    let mut config = ColorConfig {
        bit_depth,
        mono_chrome,
        color_description: described.then_some(ColorDescription {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients: matrix_coefficients.max(1),
        }),
        color_range: range,
        subsampling_x,
        subsampling_y,
        chroma_sample_position: if subsampling_y && !mono_chrome { position } else { 0 },
        separate_uv_delta_q: separate && !mono_chrome,
    };
    if srgb && profile == 1 {
        config.color_description = Some(ColorDescription {
            color_primaries: 1,
            transfer_characteristics: 13,
            matrix_coefficients: 0,
        });
        config.color_range = true;
    }
    config
}

/// Small frames: their sizes stay near enough to each other to be references.
fn small_sequences() -> impl Strategy<Value = SequenceHeader> {
    (sequences(), 90u32..160, 90u32..160).prop_map(|(mut s, width, height)| {
        let bits = SequenceHeader::new(width, height);
        (s.max_frame_width, s.max_frame_height) = (width, height);
        s.frame_width_bits_minus_1 = bits.frame_width_bits_minus_1;
        s.frame_height_bits_minus_1 = bits.frame_height_bits_minus_1;
        s
    })
}

/// Bits to read headers from: at random, but with few ones, as headers have.
fn header_bits() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => Just(0u8), 2 => any::<u8>(), 1 => (0u32..8).prop_map(|i| 1 << i)];
    vec(byte, 24..420)
}

/// The frames that random bits say, one after the other; those that break the standard are left out.
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

/// A key frame that loses something.
fn key(sequence: &SequenceHeader) -> FrameHeader {
    let mut header = FrameHeader::key(sequence);
    header.quantization.base_q_idx = 100;
    header
}

fn header_comes_back(sequence: &SequenceHeader, header: &FrameHeader, slots: &RefSlots) {
    let (coded, bits) = written(header, sequence, slots, BASE).unwrap();
    let mut r = BitReader::new(&coded);
    let again = FrameHeader::parse(&mut r, sequence, slots, BASE).unwrap();
    assert_eq!(r.position(), bits);
    assert_eq!(&again, header);
    // One bit less, and the end is missed.
    let short = &coded[..(bits - 1) / 8];
    assert_eq!(FrameHeader::parse(&mut BitReader::new(short), sequence, slots, BASE), Err(Error::End));
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

/// The pseudo code of sections 5.9.22 and 7.8, as it stands there.
mod oracle {
    use super::*;

    pub fn set_frame_refs(
        sequence: &SequenceHeader,
        slots: &RefSlots,
        order_hint: u32,
        last: u8,
        gold: u8,
    ) -> Option<[u8; 7]> {
        if sequence.order_hint_bits == 0 {
            return None;
        }
        let cur = 1 << (sequence.order_hint_bits - 1);
        let shifted = slots.order_hints().map(|hint| cur + sequence.relative_dist(hint, order_hint));
        if shifted[usize::from(last)] >= cur || shifted[usize::from(gold)] >= cur {
            return None;
        }
        let mut refs = [-1i32; 7];
        refs[0] = last.into();
        refs[3] = gold.into();
        let mut used = [false; 8];
        used[usize::from(last)] = true;
        used[usize::from(gold)] = true;
        let find = |used: &[bool; 8], backward: bool, latest: bool| {
            let (mut found, mut best) = (-1i32, 0);
            for i in 0..8 {
                let hint = shifted[i];
                let better = if latest { hint >= best } else { hint < best };
                if !used[i] && (hint >= cur) == backward && (found < 0 || better) {
                    found = i as i32;
                    best = hint;
                }
            }
            found
        };
        for (to, latest) in [(6, true), (4, false), (5, false)] {
            let found = find(&used, true, latest);
            if found >= 0 {
                refs[to] = found;
                used[found as usize] = true;
            }
        }
        for to in [1, 2, 4, 5, 6] {
            if refs[to] < 0 {
                let found = find(&used, false, true);
                if found >= 0 {
                    refs[to] = found;
                    used[found as usize] = true;
                }
            }
        }
        let (mut found, mut earliest) = (-1i32, 0);
        for (i, &hint) in shifted.iter().enumerate() {
            if found < 0 || hint < earliest {
                found = i as i32;
                earliest = hint;
            }
        }
        Some(refs.map(|r| if r < 0 { found } else { r } as u8))
    }

    pub fn skip_mode(
        sequence: &SequenceHeader,
        slots: &RefSlots,
        header: &FrameHeader,
    ) -> Option<[usize; 2]> {
        if sequence.order_hint_bits == 0 {
            return None;
        }
        let (mut forward, mut backward, mut second) = (None, None, None);
        let (mut forward_hint, mut backward_hint, mut second_hint) = (0, 0, 0);
        let hint = |i: usize| slots.slots[usize::from(header.ref_frame_idx[i])].order_hint;
        for i in 0..7 {
            let dist = sequence.relative_dist(hint(i), header.order_hint);
            if dist < 0 {
                if forward.is_none() || sequence.relative_dist(hint(i), forward_hint) > 0 {
                    (forward, forward_hint) = (Some(i), hint(i));
                }
            } else if dist > 0 && (backward.is_none() || sequence.relative_dist(hint(i), backward_hint) < 0) {
                (backward, backward_hint) = (Some(i), hint(i));
            }
        }
        let forward = forward?;
        if backward.is_none() {
            for i in 0..7 {
                if sequence.relative_dist(hint(i), forward_hint) < 0
                    && (second.is_none() || sequence.relative_dist(hint(i), second_hint) > 0)
                {
                    (second, second_hint) = (Some(i), hint(i));
                }
            }
        }
        let other = backward.or(second)?;
        Some([forward.min(other), forward.max(other)])
    }
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
    let inferred = |field| Some(Error::Inferred { field });
    let value = |field| Some(Error::Value { field });
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
    let missing = Some(Error::MissingReference { slot: 0 });
    assert_eq!(write(&|_| (), &FrameHeader { ..FrameHeader::inter(&sequence) }, &slots), missing);
    let mut small = good.clone();
    small.set_frame_size(&sequence, 160, 90);
    slots.update(&sequence, &good);
    let inter = FrameHeader { quantization: good.quantization, ..FrameHeader::inter(&sequence) };
    assert_eq!(write(&|_| (), &inter, &slots), None);
    let too_small = Some(Error::ReferenceSize { slot: 0 });
    assert_eq!(write(&|h| h.set_frame_size(&sequence, 160, 90), &inter, &slots), too_small);
    assert_eq!(write(&|h| h.set_frame_size(&sequence, 320, 180), &inter, &slots), None);
    // A reference whose order hint is not what the frame says counts as lost.
    assert_eq!(
        write(&|h| (h.error_resilient_mode, h.ref_order_hint[0]) = (true, 9), &inter, &slots),
        missing
    );
    assert_eq!(FrameHeader::show_existing(&sequence, &slots, 3), Err(Error::NotShowable { slot: 3 }));
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
    assert_eq!(FrameHeader::show_existing(&sequence, &slots, 5), Err(Error::NotShowable { slot: 5 }));
}

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
    let error = Err(Error::Value { field: "context_update_tile_id" });
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
    let too_long = Err(Error::Value { field: "tile_size_minus_1" });
    assert_eq!(tile_group(&[vec![1; 257], vec![2]], 1), too_long);
    for tiles in [vec![], vec![vec![]], vec![vec![], vec![1]]] {
        assert_eq!(tile_group::<Vec<u8>>(&tiles, 4), Err(Error::Value { field: "tile" }));
    }
}

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
                prop_assert_eq!(obus(&data[..end]).last(), Some(Err(Error::End)));
            }
        }
    }
}

#[test]
fn an_obu_without_size_reaches_to_the_end() {
    let data = [6 << 3, 1, 2, 3];
    let obu = obus(&data).next().unwrap().unwrap();
    assert_eq!((obu.header.obu_type, obu.payload, obu.has_size_field), (ObuType::Frame, &data[1..], false));
    let forbidden = Some(Err(Error::Value { field: "obu_forbidden_bit" }));
    assert_eq!(obus(&[0x80]).next(), forbidden);
    let layer = LayerId { temporal_id: 8, spatial_id: 0 };
    let header = ObuHeader { obu_type: ObuType::Frame, extension: Some(layer) };
    assert_eq!(write_obu(&mut vec![], header, &[]), Err(Error::Value { field: "temporal_id" }));
}

/// A stream of `spatial` x `temporal` layers, 2:1 between spatial layers: temporal unit `n` is of
/// temporal layer `n % temporal`, each frame refers to its own layer and to the one below.
fn layered(spatial: u8, temporal: u8, units: u8) -> (SequenceHeader, Vec<Vec<u8>>) {
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
    // A sequence header is of all layers, even where it says otherwise.
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
    assert_eq!(Extractor::new(BASE).temporal_unit(&unit), Err(Error::DecoderModel));
    let all = Extractor::new(LayerId { spatial_id: 1, temporal_id: 0 });
    assert!(all.temporal_unit(&unit).is_ok());
}

/// A frame of 2x2 tiles in parts, with what may stand between them.
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

    let order = |obu_type| Err(Error::Order { obu_type });
    let tg_start = Err(Error::Value { field: "tg_start" });
    assert_eq!(read(&join(&[&frame_header, &first])), Err(Error::MissingTiles));
    assert_eq!(read(&join(&[&frame_header, &second])), tg_start);
    assert_eq!(read(&join(&[&frame_header, &first, &first])), tg_start);
    assert_eq!(read(&join(&[&frame_header, &frame_header])), order(3));
    assert_eq!(read(&join(&[&first])), order(4));
    assert_eq!(read(&join(&[&redundant])), order(7));
    assert_eq!(read(&join(&[&obu(ObuType::TileList, &[0; 8])])), order(8));
    assert_eq!(read(&frame_header), Err(Error::MissingSequenceHeader));
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
    assert_eq!(read(&join(&[&part])), Err(Error::Value { field: "tile_start_and_end_present_flag" }));
}

const IVF_HEADER: IvfHeader =
    IvfHeader { width: 320, height: 200, timebase_denominator: 30, timebase_numerator: 1, frame_count: 0 };

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

    let frame = Some(Err(Error::Order { obu_type: 6 }));
    assert_eq!(section5::temporal_units(&[0x32, 1, 0]).next(), frame);
    let no_size = Some(Err(Error::Value { field: "obu_has_size_field" }));
    assert_eq!(section5::temporal_units(&[0x12, 0, 0x30, 1]).next(), no_size);
    assert!(matches!(section5::write_temporal_unit(vec![], &[0x32, 1, 0]), Err(FileError::Stream(_))));
    assert!(matches!(section5::write_temporal_unit(vec![], &[]), Err(FileError::Stream(_))));
}
