use super::limits::Limits;
use super::*;
use crate::bitstream::{
    BitReader, BitstreamError, FrameHeader, HeaderReader, RefSlots, SequenceHeader, TileInfo,
    write_frame_obu, write_sequence_obu,
};
use crate::structure::LayerId;
use proptest::prelude::*;
use rav1e::prelude::{ChromaSampling, Config, Context, EncoderConfig, EncoderStatus, Pixel, SpeedSettings};
use std::sync::LazyLock;

const SIZE: usize = 64;

/// Temporal units of `n` pictures of the scene `seed`: a key frame and inter frames.
fn encode<T: Pixel>(
    bit_depth: usize,
    chroma_sampling: ChromaSampling,
    n: usize,
    seed: usize,
) -> Vec<Vec<u8>> {
    let config = EncoderConfig {
        width: SIZE,
        height: SIZE,
        bit_depth,
        chroma_sampling,
        low_latency: true,
        min_key_frame_interval: 1000,
        max_key_frame_interval: 1000,
        speed_settings: SpeedSettings::from_preset(10),
        ..Default::default()
    };
    let mut context: Context<T> =
        Config::new().with_encoder_config(config).with_threads(1).new_context().unwrap();
    for t in 0..n {
        let mut frame = context.new_frame();
        for plane in &mut frame.planes {
            for (y, row) in plane.rows_iter_mut().enumerate() {
                for (x, sample) in row.iter_mut().enumerate() {
                    *sample = T::cast_from((x * 2 + t * 3 + (y + seed) * (seed + 1)) % 200);
                }
            }
        }
        context.send_frame(frame).unwrap();
    }
    context.flush();
    let mut units = Vec::new();
    loop {
        match context.receive_packet() {
            Ok(packet) => units.push(packet.data),
            Err(EncoderStatus::Encoded) => {}
            Err(EncoderStatus::LimitReached) => return units,
            Err(status) => panic!("{status}"),
        }
    }
}

static CLIP: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| encode::<u8>(8, ChromaSampling::Cs420, 8, 0));

fn decoder(output: Output) -> Decoder {
    Decoder::new(DecoderConfig { output, ..Default::default() }).unwrap()
}

fn decode_all(decoder: &mut Decoder, units: &[Vec<u8>]) -> Vec<DecodedPicture> {
    let pictures = units.iter().zip(100..).map(|(unit, timestamp)| {
        let [picture] = <[_; 1]>::try_from(decoder.decode(unit, timestamp).unwrap()).unwrap();
        assert_eq!(picture.timestamp, timestamp);
        picture
    });
    pictures.collect()
}

/// An OBU with a size, and with an extension if `spatial_id` names a layer.
fn obu(obu_type: u8, spatial_id: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let mut obu = vec![obu_type << 3 | if spatial_id.is_some() { 6 } else { 2 }];
    obu.extend(spatial_id.map(|id| id << 3));
    let mut size = payload.len();
    while size > 0x7f {
        obu.push(size as u8 | 0x80);
        size >>= 7;
    }
    obu.push(size as u8);
    obu.extend(payload);
    obu
}

/// Type and payload of each OBU; all of them have a size and no extension.
fn obus(mut data: &[u8]) -> Vec<(u8, &[u8])> {
    let mut obus = Vec::new();
    while let [header, rest @ ..] = data {
        assert_eq!(header & 0x87, 2);
        let size_len = 1 + rest.iter().take_while(|&&byte| byte & 0x80 != 0).count();
        let size = rest[..size_len].iter().rev().fold(0, |size, &byte| size << 7 | usize::from(byte & 0x7f));
        obus.push((header >> 3, &rest[size_len..][..size]));
        data = &rest[size_len + size..];
    }
    obus
}

/// The same sequence header, with operating points of these idc values in place of its only one.
fn with_operating_points(header: &[u8], idcs: &[u16]) -> Vec<u8> {
    let mut bits: Vec<bool> =
        header.iter().flat_map(|byte| (0..8).rev().map(move |i| byte >> i & 1 == 1)).collect();
    // seq_profile is 3 bits; still_picture to initial_display_delay_present_flag are 4, all of them 0 here;
    // operating_points_cnt_minus_1 is 5. See 5.5.1.
    assert_eq!(bits[3..24], [false; 21], "one point, idc 0");
    let level = match bits[24..29] {
        [false, false, ..] => 24..29,
        // seq_level_idx is above 7, so that seq_tier follows.
        _ => 24..30,
    };
    let level_bits = bits[level.clone()].to_vec();
    let put = |value: usize, len: u32| (0..len).rev().map(move |i| value >> i & 1 == 1);
    let mut points: Vec<bool> = put(idcs.len() - 1, 5).collect();
    for &idc in idcs {
        points.extend(put(idc.into(), 12));
        points.extend(&level_bits);
    }
    bits.splice(7..level.end, points);
    bits.resize(bits.len().next_multiple_of(8), false);
    bits.chunks(8).map(|byte| byte.iter().fold(0, |value, &bit| value << 1 | u8::from(bit))).collect()
}

/// A temporal unit of two spatial layers, each a key frame, and the decoded picture of each.
fn two_layers() -> ([Vec<u8>; 3], [Picture; 2]) {
    let alone = [1, 2].map(|seed| encode::<u8>(8, ChromaSampling::Cs420, 1, seed).remove(0));
    let pictures = alone.each_ref().map(|unit| {
        decode_all(&mut decoder(Output::HighestLayer), std::slice::from_ref(unit)).remove(0).picture
    });
    assert_ne!(pictures[0], pictures[1]);
    let find = |unit, obu_type| obus(unit).into_iter().find(|obu| obu.0 == obu_type).unwrap().1;
    let header = with_operating_points(find(&alone[0], 1), &[0x301, 0x101, 0x201]);
    let start = [obu(2, None, &[]), obu(1, None, &header)].concat();
    let [base, enhanced] = [0, 1].map(|id| obu(6, Some(id), find(&alone[usize::from(id)], 6)));
    ([start, base, enhanced], pictures)
}

#[test]
fn every_temporal_unit_gives_its_picture_at_once() {
    let pictures = decode_all(&mut decoder(Output::HighestLayer), &CLIP);
    assert_eq!(pictures.len(), 8);
    for (t, DecodedPicture { picture, spatial_id, .. }) in pictures.iter().enumerate() {
        assert_eq!((picture.size(), *spatial_id), (Size::new(SIZE as u32, SIZE as u32), 0));
        let error: usize = (0..SIZE * SIZE)
            .map(|i| ((i % SIZE * 2 + t * 3 + i / SIZE) % 200).abs_diff(picture.plane(0)[i].into()))
            .sum();
        assert!(error < SIZE * SIZE * 12, "picture {t} is {error} off");
    }
    let config = DecoderConfig { threads: 3, ..Default::default() };
    assert_eq!(decode_all(&mut Decoder::new(config).unwrap(), &CLIP), pictures);
    for output in [Output::AllLayers, Output::OperatingPoint(0), Output::OperatingPoint(31)] {
        assert_eq!(decode_all(&mut decoder(output), &CLIP), pictures, "{output:?}");
    }
}

#[test]
fn layers_are_chosen() {
    let ([start, base, enhanced], pictures) = two_layers();
    let shown = |output, unit: &[&[u8]]| -> Vec<(u8, Picture)> {
        let decoded = decoder(output).decode(&unit.concat(), 0).unwrap();
        decoded.into_iter().map(|decoded| (decoded.spatial_id, decoded.picture)).collect()
    };
    let [low, high] = pictures.map(|picture| vec![(0, picture)]);
    let high: Vec<_> = high.into_iter().map(|(_, picture)| (1, picture)).collect();
    let both = [low.clone(), high.clone()].concat();
    let unit: &[&[u8]] = &[&start, &base, &enhanced];
    assert_eq!(shown(Output::HighestLayer, unit), high);
    assert_eq!(shown(Output::AllLayers, unit), both);
    assert_eq!(shown(Output::OperatingPoint(0), unit), high);
    assert_eq!(shown(Output::OperatingPoint(1), unit), low);
    assert_eq!(shown(Output::OperatingPoint(2), unit), high);
    // A relay has dropped a layer.
    for output in [Output::HighestLayer, Output::AllLayers, Output::OperatingPoint(0)] {
        assert_eq!(shown(output, &[&start, &base]), low, "{output:?}");
        assert_eq!(shown(output, &[&start, &enhanced]), high, "{output:?}");
    }
    assert_eq!(shown(Output::OperatingPoint(1), &[&start, &enhanced]), []);
}

#[test]
fn decoding_goes_on_at_a_key_frame() {
    let intact = decode_all(&mut decoder(Output::HighestLayer), &CLIP);
    let mut decoder = decoder(Output::HighestLayer);
    assert_eq!(decoder.decode(&CLIP[1], 0), Err(DecodeError::NeedKeyFrame));
    let frame_only = obus(&CLIP[0]).into_iter().find(|obu| obu.0 == 6).unwrap().1;
    assert_eq!(decoder.decode(&obu(6, None, frame_only), 0), Err(DecodeError::NeedKeyFrame));
    assert_eq!(decode_all(&mut decoder, &CLIP[..2]), intact[..2]);
    assert_eq!(decoder.decode(&CLIP[2][..CLIP[2].len() - 1], 0), Err(DecodeError::Obu(BitstreamError::End)));
    assert!(decoder.needs_key_frame());
    assert_eq!(decoder.decode(&CLIP[3], 0), Err(DecodeError::NeedKeyFrame));
    assert_eq!(decode_all(&mut decoder, &CLIP), intact);
    // The frame's own header ends early.
    let [.., (6, frame)] = obus(&CLIP[1])[..] else { panic!("no frame") };
    let cut = decoder.decode(&obu(6, None, &frame[..3]), 0);
    assert_eq!(cut, Err(DecodeError::Obu(BitstreamError::End)));
    assert_eq!(decoder.decode(&CLIP[1], 0), Err(DecodeError::NeedKeyFrame));
    assert_eq!(decode_all(&mut decoder, &CLIP), intact);
    decoder.reset();
    assert_eq!(decoder.decode(&CLIP[1], 0), Err(DecodeError::NeedKeyFrame));
}

#[test]
fn a_lost_unit_costs_no_more_than_the_units_to_the_next_key_frame() {
    let intact = decode_all(&mut decoder(Output::HighestLayer), &CLIP);
    for lost in 1..CLIP.len() {
        let mut decoder = decoder(Output::HighestLayer);
        assert_eq!(decode_all(&mut decoder, &CLIP[..lost]), intact[..lost]);
        for unit in &CLIP[lost + 1..] {
            // It may be seen that the frame does not fit its references, or not.
            let waits = decoder.needs_key_frame();
            match decoder.decode(unit, 0) {
                Ok(pictures) => assert_eq!((pictures.len(), waits), (1, false)),
                Err(error) => assert_eq!(error == DecodeError::NeedKeyFrame, waits, "{error}"),
            }
        }
        assert_eq!(decode_all(&mut decoder, &CLIP), intact);
    }
}

#[test]
fn what_is_too_large_or_of_another_format_is_refused() {
    let new = |config| Decoder::new(config).map(|_| ());
    let config = |threads, frame_size_limit, point| DecoderConfig {
        output: Output::OperatingPoint(point),
        threads,
        frame_size_limit,
        ..DecoderConfig::default()
    };
    assert!(matches!(new(config(0, 1, 0)), Err(DecodeError::Config(_))));
    assert!(matches!(new(config(257, 1, 0)), Err(DecodeError::Config(_))));
    assert!(matches!(new(config(1, 0, 0)), Err(DecodeError::Config(_))));
    assert!(matches!(new(config(1, u32::MAX, 0)), Err(DecodeError::Config(_))));
    assert!(matches!(new(config(1, 1, 32)), Err(DecodeError::Config(_))));

    let mut small = Decoder::new(config(1, (SIZE * SIZE) as u32 - 1, 0)).unwrap();
    let size = Size::new(SIZE as u32, SIZE as u32);
    assert_eq!(small.decode(&CLIP[0], 0), Err(DecodeError::FrameSize { size, spatial_id: 0 }));
    let mut just_enough = Decoder::new(config(1, (SIZE * SIZE) as u32, 0)).unwrap();
    assert_eq!(just_enough.decode(&CLIP[0], 0).unwrap().len(), 1);
    for max_unit_size in [0, MAX_TEMPORAL_UNIT + 1] {
        assert!(matches!(
            new(DecoderConfig { max_unit_size, ..config(1, 1, 0) }),
            Err(DecodeError::Config(_))
        ));
    }
    for max_size in [Size::new(0, 1), Size::new(1, 0)] {
        assert!(matches!(new(DecoderConfig { max_size, ..config(1, 1, 0) }), Err(DecodeError::Config(_))));
    }

    for (unit, bits, layout) in [
        (encode::<u16>(10, ChromaSampling::Cs420, 1, 0), 10, "4:2:0"),
        (encode::<u8>(8, ChromaSampling::Cs444, 1, 0), 8, "4:4:4"),
        (encode::<u8>(8, ChromaSampling::Cs400, 1, 0), 8, "4:0:0"),
    ] {
        let mut decoder = decoder(Output::HighestLayer);
        assert_eq!(decoder.decode(&unit[0], 0), Err(DecodeError::Format { bits, layout }));
        assert_eq!(decoder.decode(&CLIP[0], 0).unwrap().len(), 1);
    }
}

/// The first picture of the clip as a hidden frame that takes slot 7, for after that picture.
fn hidden_frame() -> Vec<u8> {
    let mut headers = HeaderReader::new();
    let shown = headers.temporal_unit(&CLIP[0]).next().unwrap().unwrap().header;
    let sequence = headers.sequence().unwrap();
    let payload = obus(&CLIP[0]).into_iter().find(|obu| obu.0 == 6).unwrap().1;
    let mut reader = BitReader::new(payload);
    FrameHeader::parse(&mut reader, sequence, &RefSlots::new(), LayerId::default()).unwrap();
    let tiles = reader.byte_alignment().unwrap();
    let hidden = FrameHeader {
        show_frame: false,
        showable_frame: true,
        refresh_frame_flags: 0x80,
        ref_order_hint: headers.slots().order_hints(),
        ..shown
    };
    let mut frame = vec![];
    write_frame_obu(&mut frame, None, sequence, &hidden, headers.slots(), tiles).unwrap();
    frame
}

/// A frame header that shows the hidden frame.
fn show_existing() -> Vec<u8> {
    // show_existing_frame, frame_to_show_map_idx 7, trailing bit.
    obu(3, None, &[0xf8])
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let hidden = hidden_frame();
    let unit = |hidden_frames| [CLIP[0].clone(), hidden.repeat(hidden_frames)].concat();
    let mut decoder = decoder(Output::HighestLayer);
    let just_enough = decoder.decode(&unit(MAX_FRAMES - 1), 0).unwrap();
    assert_eq!((just_enough.len(), &just_enough[0].picture), (1, &*FIRST));
    for bomb in [MAX_FRAMES, 500] {
        assert_eq!(decoder.decode(&unit(bomb), 0), Err(DecodeError::TooManyFrames));
        assert!(decoder.needs_key_frame());
    }
    // A second frame of the layer, coded or shown out of a slot.
    let second = obus(&CLIP[1]).into_iter().find(|obu| obu.0 == 6).unwrap().1;
    for second in [obu(6, None, second), [hidden.clone(), show_existing()].concat()] {
        let bomb = [CLIP[0].clone(), second].concat();
        assert_eq!(decoder.decode(&bomb, 0), Err(DecodeError::ShownTwice { spatial_id: 0 }));
    }
    // In the next temporal unit it may be shown.
    assert_eq!(decoder.decode(&unit(1), 0).unwrap().len(), 1);
    assert_eq!(decoder.decode(&show_existing(), 1).unwrap()[0].picture, *FIRST);
    assert_eq!(decode_all(&mut decoder, &CLIP).len(), CLIP.len());
}

#[test]
fn a_temporal_unit_is_no_larger_than_set() {
    let max_unit_size = CLIP[0].len();
    let mut decoder = Decoder::new(DecoderConfig { max_unit_size, ..DecoderConfig::default() }).unwrap();
    assert_eq!(decoder.decode(&CLIP[0], 0).unwrap().len(), 1);
    let padded = [CLIP[0].clone(), obu(15, None, &[])].concat();
    assert_eq!(decoder.decode(&padded, 0), Err(DecodeError::UnitSize(max_unit_size + 2)));
    let default = DecoderConfig::default().max_unit_size;
    assert_eq!(
        self::decoder(Output::AllLayers).decode(&vec![0; default + 1], 0),
        Err(DecodeError::UnitSize(default + 1))
    );
}

#[test]
fn a_frame_is_no_larger_than_set_or_than_its_layer() {
    let size = Size::new(SIZE as u32, SIZE as u32);
    let too_large = |spatial_id| Err(DecodeError::FrameSize { size, spatial_id });
    for max_size in [Size::new(size.width - 1, 4096), Size::new(4096, size.height - 1)] {
        let mut small = Decoder::new(DecoderConfig { max_size, ..DecoderConfig::default() }).unwrap();
        assert_eq!(small.decode(&CLIP[0], 0), too_large(0));
    }
    let just_enough = DecoderConfig { max_size: size, ..DecoderConfig::default() };
    assert_eq!(Decoder::new(just_enough).unwrap().decode(&CLIP[0], 0).unwrap().len(), 1);

    let unit = two_layers().0.concat();
    let mut decoder = decoder(Output::AllLayers);
    decoder.set_layer_sizes(&[size, size]);
    assert_eq!(decoder.decode(&unit, 0).unwrap().len(), 2);
    decoder.set_layer_sizes(&[size, Size::new(size.width, size.height - 1)]);
    assert_eq!(decoder.decode(&unit, 0), too_large(1));
    decoder.set_layer_sizes(&[size]);
    assert_eq!(decoder.decode(&unit, 0), too_large(1));
    decoder.set_layer_sizes(&[]);
    assert_eq!(decoder.decode(&unit, 0).unwrap().len(), 2);
}

/// A sequence of 4096x2048 whose key frame has 64x2 tiles, and then 64x4.
#[test]
fn a_frame_of_many_tiles_is_refused() {
    let mut headers = HeaderReader::new();
    let small = headers.temporal_unit(&CLIP[0]).next().unwrap().unwrap().header;
    let sequence = SequenceHeader {
        frame_width_bits_minus_1: 15,
        frame_height_bits_minus_1: 15,
        max_frame_width: 4096,
        max_frame_height: 2048,
        ..headers.sequence().unwrap().clone()
    };
    let mut limits = Limits::new(Size::new(4096, 2048), 4096 * 2048);
    for (tile_rows_log2, expected) in [(1, Ok(())), (2, Err(DecodeError::TooManyTiles(256)))] {
        let tile_info = TileInfo { tile_cols_log2: 6, tile_rows_log2, ..small.tile_info.clone() };
        let (upscaled_width, frame_height) = (4096, 2048);
        let (render_width, render_height) = (4096, 2048);
        let large = FrameHeader {
            tile_info,
            upscaled_width,
            frame_height,
            render_width,
            render_height,
            ..small.clone()
        };
        let mut unit = vec![];
        write_sequence_obu(&mut unit, &sequence).unwrap();
        write_frame_obu(&mut unit, None, &sequence, &large, &RefSlots::new(), &[0; 64]).unwrap();
        assert_eq!(limits.check(&unit).map(drop), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_gives_errors_and_the_next_key_frame_a_picture(
        damage: Vec<(prop::sample::Index, prop::sample::Index, u8)>,
        cut: Option<(prop::sample::Index, prop::sample::Index)>,
        garbage: Vec<u8>,
    ) {
        let mut units = CLIP.clone();
        for (unit, at, value) in damage {
            let unit = unit.get_mut(&mut units);
            *at.get_mut(unit) = value;
        }
        if let Some((unit, at)) = cut {
            let unit = unit.get_mut(&mut units);
            unit.truncate(at.index(unit.len()));
        }
        if !garbage.is_empty() {
            // Frames in place of other frames, too, as many as there is room for.
            let whole = garbage.iter().map(|byte| &units[usize::from(*byte) % units.len()][..]);
            let mixed = whole.take(usize::from(garbage[0]) % 10).collect::<Vec<_>>().concat();
            units.insert(3, mixed);
        }
        units.insert(1, garbage);
        let mut decoder = decoder(Output::AllLayers);
        for unit in &units {
            let waits = decoder.needs_key_frame();
            match decoder.decode(unit, 0) {
                Ok(_) => prop_assert!(!decoder.needs_key_frame()),
                Err(DecodeError::NeedKeyFrame) => prop_assert!(waits),
                Err(_) => prop_assert!(decoder.needs_key_frame()),
            }
        }
        prop_assert_eq!(&decode_all(&mut decoder, &CLIP[..1])[0].picture, &*FIRST);
    }
}

static FIRST: LazyLock<Picture> =
    LazyLock::new(|| decode_all(&mut decoder(Output::HighestLayer), &CLIP[..1]).remove(0).picture);
