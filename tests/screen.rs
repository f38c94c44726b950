//! Screens: the tools that the encoder selects for them, and that receivers see what it made.

mod common;

use common::receivers::Receivers;
use layercast::Size;
use layercast::bitstream::{FrameHeader, HeaderReader};
use layercast::encoder::{Bitrate, Content, EncodeOptions, RateConfig, SvcConfig, SvcEncoder};
use layercast::picture::Picture;
use layercast::quality::Quality;
use layercast::scene::{Scene, Screen};
use layercast::structure::ScalabilityMode;
use md5::{Digest, Md5};

const SIZE: Size = Size::new(400, 304);

fn encoder(mode: ScalabilityMode, content: Content) -> SvcEncoder {
    let mut config = SvcConfig::new(SIZE, mode);
    config.content = content;
    config.quantizer = 80;
    SvcEncoder::new(config).unwrap()
}

/// Bits of pictures of the screen in one layer, and their mean Y-PSNR and SSIM.
fn code(content: Content, pictures: impl Iterator<Item = u64>) -> (Vec<usize>, f64, f64) {
    let mut encoder = encoder(ScalabilityMode::L1T1, content);
    let (screen, mut quality, mut bits) = (Screen::new(SIZE), Quality::default(), Vec::new());
    for n in pictures {
        let picture = screen.picture(n);
        let unit = encoder.encode(&picture.view(), Screen::time(n), EncodeOptions::default()).unwrap();
        bits.push(8 * unit.to_bytes().len());
        quality.add(picture.view(), encoder.reconstruction(0).unwrap().view()).unwrap();
    }
    (bits, quality.y_psnr(), quality.y_ssim())
}

#[test]
fn receivers_see_what_was_made_of_a_screen_and_of_a_camera_in_one_stream() {
    for mode in
        [ScalabilityMode::L1T3, ScalabilityMode::L3T3, ScalabilityMode::L2T1Key, ScalabilityMode::S2T1]
    {
        let mut encoder = encoder(mode, Content::Camera);
        let mut receivers = Receivers::new(mode).unwrap();
        let size = Size::new(274, 150);
        let (camera, screen) = (Scene::new(size), Screen::new(size));
        for n in 0..8 {
            // The size stays, and no key picture comes with the change.
            let content = if (2..6).contains(&n) { Content::Screen } else { Content::Camera };
            encoder.set_content(content);
            assert_eq!(encoder.config().content, content);
            let picture = if content == Content::Screen { screen.picture(6 * n) } else { camera.picture(n) };
            let unit = encoder.encode(&picture.view(), Screen::time(n), EncodeOptions::default()).unwrap();
            assert_eq!(unit.plan.key, n == 0, "{mode}: picture {n}");
            receivers.receive(&encoder, &unit, &unit.to_bytes()).unwrap();
        }
        receivers.verdict().unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
}

#[test]
fn receivers_see_palettes_as_they_were_made() {
    for (width, height, quantizer, tiles, mode) in [
        (274, 150, 20, 0, ScalabilityMode::L3T3Key),
        (335, 189, 90, 0, ScalabilityMode::S3T3),
        (657, 111, 170, 1, ScalabilityMode::L1T2),
    ] {
        let size = Size::new(width, height);
        let mut config = SvcConfig::new(size, mode);
        (config.content, config.quantizer, config.tile_columns_log2) =
            (Content::Screen, quantizer, Some(tiles));
        let mut encoder = SvcEncoder::new(config).unwrap();
        let (screen, mut receivers) = (Screen::new(size), Receivers::new(mode).unwrap());
        for n in 0..6 {
            let unit =
                encoder.encode(&screen.picture(13 * n).view(), Screen::time(n), EncodeOptions::default());
            let unit = unit.unwrap();
            receivers.receive(&encoder, &unit, &unit.to_bytes()).unwrap();
        }
        receivers.verdict().unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
}

/// The headers of a temporal unit with which a stream begins.
fn headers(unit: &[u8]) -> Vec<FrameHeader> {
    HeaderReader::new().temporal_unit(unit).map(|frame| frame.unwrap().header).collect()
}

#[test]
fn receivers_see_copies_as_they_were_made() {
    // The second size has tiles of fewer superblocks than a copy has to be away in its row, and the third ends within blocks.
    for (width, height, quantizer, tiles, mode) in [
        (640, 360, 20, 0, ScalabilityMode::L1T3),
        (646, 301, 100, 1, ScalabilityMode::S2T1),
        (223, 419, 60, 0, ScalabilityMode::L1T1),
        (761, 387, 200, 0, ScalabilityMode::S3T3),
    ] {
        let size = Size::new(width, height);
        let mut config = SvcConfig::new(size, mode);
        (config.content, config.quantizer, config.tile_columns_log2) =
            (Content::Screen, quantizer, Some(tiles));
        let (screen, mut copies) = (Screen::new(size), 0);
        for n in [0, 40, 80] {
            // All are key pictures.
            let mut encoder = SvcEncoder::new(config.clone()).unwrap();
            let mut receivers = Receivers::new(mode).unwrap();
            for n in n..n + 2 {
                let unit =
                    encoder.encode(&screen.picture(n).view(), Screen::time(n), EncodeOptions::default());
                let (unit, bytes) = (unit.as_ref().unwrap(), unit.as_ref().unwrap().to_bytes());
                if unit.plan.key {
                    copies += headers(&bytes).iter().filter(|header| header.allow_intrabc).count();
                }
                receivers.receive(&encoder, unit, &bytes).unwrap();
            }
            receivers.verdict().unwrap_or_else(|error| panic!("{mode}: {error}"));
        }
        assert!(copies >= 3, "{copies} frames of copies in {mode} {size}");
    }
}

#[test]
fn a_picture_with_copies_is_one_tile_unless_more_are_wanted() {
    let size = Size::new(1280, 176);
    for (wanted, expected) in [(None, [0, 2]), (Some(1), [1, 1])] {
        let mut config = SvcConfig::new(size, ScalabilityMode::L1T1);
        (config.content, config.tile_columns_log2) = (Content::Screen, wanted);
        let (mut encoder, mut reader) = (SvcEncoder::new(config).unwrap(), HeaderReader::new());
        let columns = [0, 1].map(|n| {
            let unit = encode(&mut encoder, &Screen::new(size).picture(n), n);
            let header = reader.temporal_unit(&unit).last().unwrap().unwrap().header;
            assert_eq!(header.allow_intrabc, n == 0);
            header.tile_info.tile_cols_log2
        });
        assert_eq!(columns, expected, "{wanted:?}");
    }
}

#[test]
fn what_a_picture_shows_twice_is_coded_once() {
    let size = Size::new(384, 256);
    // Letters of a script in which none is like another, below each other and again further below.
    let page = |again: bool| {
        let mut picture = Picture::new(size);
        picture.plane_mut(0).fill(220);
        let (width, half) = (size.width as usize, size.height as usize / 2);
        let mut random = 1u32;
        let mut ink = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 30 == 0
        };
        for y in 0..size.height as usize {
            for x in 0..width {
                // Shifted by an odd number of rows and columns.
                picture.plane_mut(0)[y * width + x] = match again && y > half && x > 5 {
                    true => picture.plane(0)[(y - half - 1) * width + x - 5],
                    false if ink() => 30,
                    false => 220,
                };
            }
        }
        picture
    };
    let [once, twice] = [false, true].map(|again| {
        let mut config = SvcConfig::new(size, ScalabilityMode::L1T1);
        (config.content, config.quantizer) = (Content::Screen, 100);
        encode(&mut SvcEncoder::new(config).unwrap(), &page(again), 0)
    });
    assert!(!headers(&once)[0].allow_intrabc && headers(&twice)[0].allow_intrabc);
    assert!(twice.len() * 10 < once.len() * 6, "{} bytes, {} of another page", twice.len(), once.len());
}

#[test]
fn what_was_scrolled_and_dragged_far_is_not_coded_again() {
    // Between these two pictures the text was scrolled by 276 rows, and a window was dragged by 130 columns and 70 rows.
    let [(camera, ..), (screen, ..)] =
        [Content::Camera, Content::Screen].map(|c| code(c, [0, 29].into_iter()));
    assert!(screen[1] * 9 < camera[1] * 5, "{screen:?} bits, {camera:?} as of a camera");
}

#[test]
fn glyphs_take_fewer_bits_and_are_sharper() {
    let [(camera_bits, _, camera), (bits, _, screen)] =
        [Content::Camera, Content::Screen].map(|c| code(c, [0].into_iter()));
    assert!(bits[0] < camera_bits[0] && screen > camera, "{bits:?} {screen}, {camera_bits:?} {camera}");
}

#[test]
fn few_colours_are_exact_at_a_coarse_quantizer() {
    let mut picture = Picture::new(SIZE);
    let width = SIZE.width as usize;
    for (i, sample) in picture.plane_mut(0).iter_mut().enumerate() {
        // Lines of three colours in all directions.
        let (x, y) = (i % width, i / width);
        *sample = [30, 230, 90, 230, 230][(x / 2 + y / 3 * (1 + y / 64)) % 5];
    }
    let code = |content| {
        let mut encoder = encoder(ScalabilityMode::L1T1, content);
        encoder.set_quantizer(220).unwrap();
        let bits = 8 * encode(&mut encoder, &picture, 0).len();
        let mut quality = Quality::default();
        quality.add(picture.view(), encoder.reconstruction(0).unwrap().view()).unwrap();
        (bits, quality.y_psnr())
    };
    let ((camera_bits, camera), (bits, screen)) = (code(Content::Camera), code(Content::Screen));
    assert!(camera < 40.0 && screen > 50.0 && bits < camera_bits, "{bits} {screen}, {camera_bits} {camera}");
}

fn encode(encoder: &mut SvcEncoder, picture: &Picture, n: u64) -> Vec<u8> {
    let unit = encoder.encode(&picture.view(), Screen::time(n), EncodeOptions::default()).unwrap();
    unit.to_bytes().to_vec()
}

#[test]
fn palettes_begin_with_the_first_picture_of_a_screen() {
    let picture = Screen::new(SIZE).picture(0);
    let bits = |content| {
        let mut encoder = encoder(ScalabilityMode::L1T1, Content::Camera);
        encode(&mut encoder, &Scene::new(SIZE).picture(0), 0);
        let sequence = encoder.sequence_header();
        encoder.set_content(content);
        let bits = encode(&mut encoder, &picture, 1).len();
        assert_eq!(encoder.sequence_header(), sequence, "no key picture is needed");
        bits
    };
    let (camera, screen) = (bits(Content::Camera), bits(Content::Screen));
    assert!(screen * 4 < camera * 3, "{screen} bytes, {camera} as of a camera");
}

#[test]
fn a_screen_is_found_out() {
    let (screen, camera) = (Screen::new(SIZE), Scene::new(SIZE));
    let code = |content, show: &dyn Fn(u64) -> Picture| -> Vec<Vec<u8>> {
        let mut encoder = encoder(ScalabilityMode::L2T2, content);
        (0..4).map(|n| encode(&mut encoder, &show(n), n)).collect()
    };
    let shown: [(&dyn Fn(u64) -> Picture, Content); 2] =
        [(&|n| screen.picture(n), Content::Screen), (&|n| camera.picture(n), Content::Camera)];
    for (show, content) in shown {
        assert!(code(Content::Automatic, show) == code(content, show), "{content:?}");
        let mut found = encoder(ScalabilityMode::L1T1, Content::Automatic);
        assert_eq!(found.content(), Content::Camera, "before the first picture");
        encode(&mut found, &show(0), 0);
        assert_eq!(found.content(), content);
    }
    assert!(code(Content::Camera, shown[0].0) != code(Content::Screen, shown[0].0));
}

#[test]
fn what_stands_still_is_taken_over_until_a_finer_quantizer_makes_it_better() {
    let mut encoder = encoder(ScalabilityMode::L1T1, Content::Screen);
    let picture = Screen::new(SIZE).picture(0);
    encoder.set_quantizer(220).unwrap();
    encode(&mut encoder, &picture, 0);
    let first = encoder.reconstruction(0).unwrap();
    for (n, quantizer) in [(1, 200), (2, 255)] {
        encoder.set_quantizer(quantizer).unwrap();
        let bytes = encode(&mut encoder, &picture, n).len();
        assert!(bytes < 60, "{bytes} bytes");
        let same = (0..3).all(|plane| encoder.reconstruction(0).unwrap().plane(plane) == first.plane(plane));
        assert!(same, "quantizer {quantizer}");
    }
    encoder.set_quantizer(30).unwrap();
    encode(&mut encoder, &picture, 3);
    let quality = |made: &Picture| {
        let mut quality = Quality::default();
        quality.add(picture.view(), made.view()).unwrap();
        quality.y_psnr()
    };
    let (before, after) = (quality(&first), quality(&encoder.reconstruction(0).unwrap()));
    assert!(after > before + 1.0, "{before} dB, {after} dB");
}

#[test]
fn what_was_scrolled_is_taken_over_as_it_was() {
    let (size, width) = (Size::new(640, 360), 640);
    let mut config = SvcConfig::new(size, ScalabilityMode::L1T1);
    config.content = Content::Screen;
    config.quantizer = 80;
    let (mut encoder, screen) = (SvcEncoder::new(config).unwrap(), Screen::new(size));
    let [first, scrolled] = [0, 4].map(|n| {
        encode(&mut encoder, &screen.picture(n), n);
        encoder.reconstruction(0).unwrap()
    });
    // Rows of text that were 92 rows further down.
    let same = |y: usize, x: usize| {
        let at = |picture: &Picture, y: usize| picture.plane(0)[y * width + x..][..8].to_vec();
        (y..y + 8).all(|y| at(&scrolled, y) == at(&first, y + 92))
    };
    let pieces: Vec<bool> =
        (40..72).step_by(8).flat_map(|y| (32..144).step_by(8).map(move |x| same(y, x))).collect();
    let taken = pieces.iter().filter(|&&same| same).count();
    assert!(taken * 10 >= pieces.len() * 9, "{taken} of {}", pieces.len());
}

#[test]
fn a_still_screen_takes_next_to_nothing() {
    let (bits, ..) = code(Content::Screen, [0; 6].into_iter());
    // Every fourth picture is coded finer, but the key picture is fine enough for it.
    assert!(bits[1..].iter().all(|&bits| bits < 800), "{bits:?}");
}

/// Of a screen that stands still at a bitrate: the bits of each picture by temporal layer, and its Y-PSNR.
fn stand_still(mode: ScalabilityMode, kbps: u64, pictures: u64) -> Vec<(u8, f64, f64)> {
    let mut config = SvcConfig::new(SIZE, mode);
    config.content = Content::Screen;
    config.rate = Some(RateConfig::new(Bitrate::Total(1000 * kbps)));
    let mut encoder = SvcEncoder::new(config).unwrap();
    let picture = Screen::new(SIZE).picture(0);
    let mut code = |n| {
        let unit = encoder.encode(&picture.view(), Screen::time(n), EncodeOptions::default()).unwrap();
        let mut quality = Quality::default();
        quality.add(picture.view(), encoder.reconstruction(0).unwrap().view()).unwrap();
        let temporal_id = unit.frames[0].plan.layer.temporal_id;
        (temporal_id, 8.0 * unit.to_bytes().len() as f64, quality.y_psnr())
    };
    (0..pictures).map(&mut code).collect()
}

#[test]
fn a_still_screen_becomes_sharp_a_part_at_a_time_within_its_bitrate() {
    const KBPS: u64 = 40;
    for mode in [ScalabilityMode::L1T1, ScalabilityMode::L1T3] {
        let pictures = stand_still(mode, KBPS, 60);
        let budget = 1000.0 * KBPS as f64 * Screen::time(1).since_start().as_secs_f64();
        let mut taken = 0.0;
        for (n, (temporal_id, bits, _)) in pictures.iter().enumerate() {
            taken += bits;
            // The buffer is 600 ms.
            assert!(taken <= 600.0 * KBPS as f64 + budget * n as f64, "{mode}: picture {n}: {taken} bits");
            assert!(*temporal_id == 0 || *bits < 0.5 * budget, "{mode}: picture {n} of no use: {bits} bits");
        }
        let psnr = |n: usize| pictures[n].2;
        assert!(psnr(0) < 35.0 && psnr(59) > 45.0, "{mode}: from {} to {} dB", psnr(0), psnr(59));
        for n in 1..60 {
            assert!(
                psnr(n) > psnr(n - 1) - 0.2,
                "{mode}: picture {n}: from {} to {} dB",
                psnr(n - 1),
                psnr(n)
            );
        }
        let parts = (1..60).filter(|&n| psnr(n) > psnr(n - 1) + 0.05).count();
        assert!(parts >= 5, "{mode}: {parts} parts");
    }
}

#[test]
fn the_stream_is_the_same_with_any_number_of_threads() {
    let stream = |threads: usize| -> Vec<u8> {
        let mut config = SvcConfig::new(Size::new(700, 160), ScalabilityMode::L2T2);
        config.content = Content::Screen;
        config.threads = threads;
        config.tile_columns_log2 = Some(1);
        let (mut encoder, screen) = (SvcEncoder::new(config).unwrap(), Screen::new(Size::new(700, 160)));
        let unit =
            |n| encoder.encode(&screen.picture(9 * n).view(), Screen::time(n), EncodeOptions::default());
        (0..4).map(unit).flat_map(|unit| unit.unwrap().to_bytes().to_vec()).collect()
    };
    assert_eq!(stream(1), stream(3));
}

#[test]
fn a_screen_is_the_same_everywhere() {
    for (width, height, n, expected) in [
        (320, 180, 0, "220815488179f3abad0c3e5a40215e3b"),
        (318, 182, 75, "5242047e80c23bf44f63598719036784"),
        (1, 1, 7, "7ade4c06d86528e0dc89b2625c1f8d13"),
    ] {
        let screen = Screen::new(Size::new(width, height));
        assert_eq!(screen.size(), Size::new(width, height));
        let (picture, mut md5) = (screen.picture(n), Md5::new());
        (0..3).for_each(|plane| md5.update(picture.plane(plane)));
        let md5: String = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(md5, expected, "{width}x{height}, picture {n}");
    }
}

#[test]
fn a_screen_scrolls_by_whole_rows_and_then_stands_still() {
    let (size, width) = (Size::new(640, 360), 640);
    let screen = Screen::new(size);
    let [first, scrolled, late, later] = [0, 4, 26, 28].map(|n| screen.picture(n));
    // In the left half, above the window and away from the cursor.
    let text = |picture: &Picture, y: usize| picture.plane(0)[y * width + 30..y * width + 150].to_vec();
    assert!((40..80).all(|y| text(&first, y + 92) == text(&scrolled, y)));
    assert!((40..80).any(|y| text(&first, y) != text(&scrolled, y)));
    let differ = late.plane(0).iter().zip(later.plane(0)).filter(|(a, b)| a != b).count();
    assert!(differ < 2 * 16 * 12, "{differ} samples: the cursor alone moves");
}
