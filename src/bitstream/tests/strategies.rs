//! Headers at random.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::bitstream::*;

/// Sequence headers: the independent fields are random, the others follow from them.
pub(super) fn sequences() -> impl Strategy<Value = SequenceHeader> {
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
pub(super) fn small_sequences() -> impl Strategy<Value = SequenceHeader> {
    (sequences(), 90u32..160, 90u32..160).prop_map(|(mut s, width, height)| {
        let bits = SequenceHeader::new(width, height);
        (s.max_frame_width, s.max_frame_height) = (width, height);
        s.frame_width_bits_minus_1 = bits.frame_width_bits_minus_1;
        s.frame_height_bits_minus_1 = bits.frame_height_bits_minus_1;
        s
    })
}

/// Bits to read headers from: at random, but with few ones, as headers have.
pub(super) fn header_bits() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => Just(0u8), 2 => any::<u8>(), 1 => (0u32..8).prop_map(|i| 1 << i)];
    vec(byte, 24..420)
}
