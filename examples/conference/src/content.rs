//! What the cameras and the screen show.

use std::collections::HashMap;
use std::sync::Arc;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::{FONT_6X10, FONT_9X18_BOLD, FONT_10X20};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Circle, PrimitiveStyle, Rectangle, StyledDrawable};
use embedded_graphics::text::{Baseline, Text};
use layercast::picture::{Picture, plane_size};
use layercast::scene::{FRAME_RATE, Scene};
use layercast::{Size, Time};
use layercast_examples::rgb;
use rayon::prelude::*;

use crate::script::Content;

/// Pictures of the scene that are drawn. They are played forth and back.
const DRAWN: u64 = 5 * FRAME_RATE as u64;
/// How much earlier the other camera is in the scene.
const OFFSET: u64 = 70;
/// A slide of the screen lasts for so many seconds.
const SLIDE: u64 = 4;

/// Gives the pictures of one stream.
pub enum Pictures {
    /// Pictures of the scene, and whether it is the other camera's.
    Camera(Arc<Vec<Picture>>, bool),
    Screen(Size),
}

impl Pictures {
    /// Draws all that can be drawn ahead, unless another camera of this size has.
    pub fn new(content: Content, size: Size, drawn: &mut HashMap<Size, Arc<Vec<Picture>>>) -> Self {
        if content == Content::Screen {
            return Self::Screen(size);
        }
        let draw = || {
            let scene = Scene::new(size);
            Arc::new((0..DRAWN).into_par_iter().map(|n| scene.picture(n)).collect())
        };
        Self::Camera(Arc::clone(drawn.entry(size).or_insert_with(draw)), content == Content::OtherCamera)
    }

    /// The picture of a time.
    pub fn at(&self, time: Time) -> Picture {
        let micros = time.since_start().as_micros() as u64;
        match self {
            Self::Camera(drawn, is_other) => {
                let offset = if *is_other { OFFSET } else { 0 };
                let n = (micros * u64::from(FRAME_RATE) + 500_000) / 1_000_000 + offset;
                let last = DRAWN - 1;
                let at = n % (2 * last);
                let picture = &drawn[at.min(2 * last - at) as usize];
                if *is_other { other(picture) } else { picture.clone() }
            }
            Self::Screen(size) => screen(*size, micros),
        }
    }
}

/// Another person in another room: the scene in a mirror and in the evening.
fn other(picture: &Picture) -> Picture {
    let mut other = picture.clone();
    for plane in 0..3 {
        let (width, _) = plane_size(picture.size(), plane);
        other.plane_mut(plane).chunks_exact_mut(width).for_each(|row| row.reverse());
    }
    let [luma, u, v] = other.planes_mut();
    for sample in luma {
        *sample = 16 + ((u32::from(*sample).saturating_sub(16)) * 13 / 16) as u8;
    }
    for (u, v) in u.iter_mut().zip(v) {
        let (blue, red) = (i32::from(*u) - 128, i32::from(*v) - 128);
        *u = (128 + blue * 3 / 4 + 9).clamp(16, 240) as u8;
        *v = (128 + red * 3 / 4 - 7).clamp(16, 240) as u8;
    }
    other
}

/// Pixels that embedded-graphics draws on.
struct Canvas {
    size: Size,
    pixels: Vec<[u8; 3]>,
}

impl OriginDimensions for Canvas {
    fn size(&self) -> embedded_graphics::geometry::Size {
        embedded_graphics::geometry::Size::new(self.size.width, self.size.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Self::Error> {
        let bounds = self.bounding_box();
        for Pixel(point, colour) in pixels {
            if bounds.contains(point) {
                let at = point.y as usize * self.size.width as usize + point.x as usize;
                self.pixels[at] = [colour.r(), colour.g(), colour.b()];
            }
        }
        Ok(())
    }
}

/// What the slides say.
const SLIDES: [(&str, [&str; 6]); 4] = [
    (
        "Why layers",
        [
            "one stream for a phone and for a wall",
            "the relay drops what a receiver cannot use",
            "and never decodes anything",
            "S0  160x90    S1  320x180    S2  640x360",
            "T0  7.5 fps   T1  15 fps     T2  30 fps",
            "(small print is what a shared screen is for)",
        ],
    ),
    (
        "Who holds which key",
        [
            "members: all keys of the epoch, by MLS",
            "observer: the base layers' keys alone",
            "relay: none",
            "a removed member: those of epochs that are over",
            "each layer has a key of its own",
            "RFC 9420, RFC 9605",
        ],
    ),
    (
        "What the relay goes by",
        [
            "the Dependency Descriptor of each packet",
            "frame number, layer, what it refers to",
            "which decode targets are coded",
            "feedback: what arrived, and when",
            "windows, and how fast receivers decode",
            "AV1 RTP specification, Appendix A",
        ],
    ),
    (
        "Layers on demand",
        [
            "nobody watches it: nobody codes it",
            "windows say how large a picture is shown",
            "processors say how much they decode",
            "paths say how much they carry",
            "the selector shares it out",
            "a layer comes back by a refresh",
        ],
    ),
];

/// A desktop with a slide, a pointer that moves, and a clock.
fn screen(size: Size, micros: u64) -> Picture {
    let mut canvas = Canvas { size, pixels: vec![[0; 3]; size.samples() as usize] };
    let seconds = micros / 1_000_000;
    let (title, lines) = SLIDES[(seconds / SLIDE) as usize % SLIDES.len()];
    let (width, height) = (size.width as i32, size.height as i32);
    let area = |x: i32, y: i32, width: i32, height: i32| {
        let size = embedded_graphics::geometry::Size::new(width.max(0) as u32, height.max(0) as u32);
        Rectangle::new(Point::new(x, y), size)
    };
    let fill = |colour: (u8, u8, u8)| PrimitiveStyle::with_fill(Rgb888::new(colour.0, colour.1, colour.2));
    let Ok(()) = area(0, 0, width, height).draw_styled(&fill((38, 70, 83)), &mut canvas);
    let Ok(()) = area(20, 26, width - 40, height - 46).draw_styled(&fill((250, 249, 245)), &mut canvas);
    let Ok(()) = area(20, 26, width - 40, 6).draw_styled(&fill((42, 157, 143)), &mut canvas);
    let mut write = |text: &str, x: i32, y: i32, style: MonoTextStyle<'_, Rgb888>| {
        let Ok(_) = Text::with_baseline(text, Point::new(x, y), style, Baseline::Top).draw(&mut canvas);
    };
    let (dark, grey) = (Rgb888::new(30, 34, 40), Rgb888::new(235, 235, 230));
    write(title, 44, 46, MonoTextStyle::new(&FONT_10X20, dark));
    for (row, line) in (0..).zip(lines) {
        let style = if row < 5 {
            MonoTextStyle::new(&FONT_9X18_BOLD, dark)
        } else {
            MonoTextStyle::new(&FONT_6X10, dark)
        };
        write(line, 60, 90 + 34 * row, style);
    }
    let clock = format!("layercast   10:{:02}:{:02}.{}", seconds / 60, seconds % 60, micros / 100_000 % 10);
    write(&clock, 24, 8, MonoTextStyle::new(&FONT_6X10, grey));
    for row in 0..6 {
        let bullet = Circle::new(Point::new(46, 95 + 34 * row), 8);
        let Ok(()) = bullet.draw_styled(&fill((231, 111, 81)), &mut canvas);
    }
    // The pointer goes from line to line.
    let step = (micros / 10_000) as i32;
    let pointer = Point::new(60 + step * 2 % 400, 90 + step / 200 * 34 % 200);
    let Ok(()) = Circle::new(pointer, 12).draw_styled(&fill((244, 162, 97)), &mut canvas);
    rgb::picture(size, &canvas.pixels)
}
