//! Headers that other encoders have written.

use super::common::{BASE, written};
use crate::bitstream::*;
use crate::structure::LayerId;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
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
