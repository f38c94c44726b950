//! Moving scenes drawn by code: [`Scene`], a person in a video call, who talks with their hands; and [`Screen`], a
//! shared screen.
//!
//! `Scene` stands in for a camera in tests, benchmarks and examples, which then need no video files. A textured wall
//! with a picture and a bookshelf stays still; the head sways and nods, the eyes blink, the mouth talks, the
//! hands gesture with motion blur. The noise of a sensor lies over everything, new in each picture.
//!
//! A picture depends on its size and number alone and is the same on every machine, bit for bit: the code uses only
//! operations that IEEE 754 defines exactly, and no `sin` of the platform's library.

mod screen;

use std::time::Duration;

use crate::Time;
use crate::picture::{Picture, Size, plane_size};

pub use screen::Screen;

/// Pictures per second at which the motion looks natural.
pub const FRAME_RATE: u32 = 30;

/// The sensor noise of luma, as a standard deviation in levels of 8 bits.
const LUMA_NOISE: f32 = 1.2;
/// The sensor noise of chroma.
const CHROMA_NOISE: f32 = 0.7;

/// The scene at one picture size.
#[derive(Clone)]
pub struct Scene {
    size: Size,
    /// Everything that does not move, drawn once.
    still: Vec<Colour>,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scene({})", self.size)
    }
}

impl Scene {
    /// The scene in pictures of 1 to 65536 samples a side.
    ///
    /// # Panics
    /// If the size is not in that range.
    pub fn new(size: Size) -> Self {
        assert!(size.is_codable(), "{size}");
        let (width, height) = plane_size(size, 0);
        let mut canvas = Canvas { width, height, pixels: vec![[0.0; 3]; width * height] };
        let quarter = 0.25 / canvas.scale();
        canvas.paint(Area::EVERYWHERE, |x, y| {
            let corners = [(-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0)];
            let colours = corners.map(|(dx, dy)| room(x + dx * quarter, y + dy * quarter));
            (colours.into_iter().fold([0.0; 3], |sum, colour| mix(sum, colour, 1.0, 0.25)), 1.0)
        });
        Self { size, still: canvas.pixels }
    }

    /// Width and height in luma samples.
    pub fn size(&self) -> Size {
        self.size
    }

    /// When picture `n` is captured, at [`FRAME_RATE`].
    pub fn time(n: u64) -> Time {
        Time::new(Duration::from_secs(n) / FRAME_RATE)
    }

    /// Picture `n`, the first being 0, at [`FRAME_RATE`].
    pub fn picture(&self, n: u64) -> Picture {
        let (width, height) = plane_size(self.size, 0);
        let mut canvas = Canvas { width, height, pixels: self.still.clone() };
        let time = n as f64 / f64::from(FRAME_RATE);
        let body = Body::at(time);
        body.paint_torso(&mut canvas);
        body.paint_head(&mut canvas);
        for side in [-1.0, 1.0] {
            paint_arm(&mut canvas, side, time);
        }
        self.expose(&canvas.pixels, n)
    }

    /// Adds the sensor's noise and rounds to samples.
    fn expose(&self, pixels: &[Colour], n: u64) -> Picture {
        let (width, _) = plane_size(self.size, 0);
        let mut picture = Picture::new(self.size);
        let seed = hash(n as u32) ^ hash(!(n >> 32) as u32);
        let mut number = 0u32;
        let mut sample = |value: f32, noise: f32| {
            number = number.wrapping_add(1);
            (value + noise * normal(hash(number ^ seed)) + 0.5).clamp(0.0, 255.0) as u8
        };
        for (to, from) in picture.plane_mut(0).iter_mut().zip(pixels) {
            *to = sample(from[0].clamp(16.0, 235.0), LUMA_NOISE);
        }
        let (chroma_width, _) = plane_size(self.size, 1);
        for plane in [1, 2] {
            let rows = picture.plane_mut(plane).chunks_exact_mut(chroma_width);
            for (to, rows) in rows.zip(pixels.chunks(2 * width)) {
                // At an odd edge the last row and column are averaged with themselves.
                let (upper, lower) = (&rows[..width], &rows[rows.len() - width..]);
                let pairs = upper.chunks(2).zip(lower.chunks(2));
                for (to, (upper, lower)) in to.iter_mut().zip(pairs) {
                    let last = upper.len() - 1;
                    let sum = upper[0][plane] + upper[last][plane] + lower[0][plane] + lower[last][plane];
                    *to = sample(128.0 + sum * 0.25, CHROMA_NOISE);
                }
            }
        }
        picture
    }
}

// ---- Arithmetic that is the same everywhere ----

/// Luma from 0 to 255, and two colour differences around 0.
type Colour = [f32; 3];

fn rgb(r: f32, g: f32, b: f32) -> Colour {
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [16.0 + y * 0.859, (b - y) * 0.496, (r - y) * 0.627]
}

/// `a` times `x` and `b` times `y`.
fn mix(x: Colour, y: Colour, a: f32, b: f32) -> Colour {
    [x[0] * a + y[0] * b, x[1] * a + y[1] * b, x[2] * a + y[2] * b]
}

/// From `x` to `y` as `a` goes from 0 to 1.
fn blend(x: Colour, y: Colour, a: f32) -> Colour {
    mix(x, y, 1.0 - a, a)
}

/// The colour in more or less light.
fn lit(colour: Colour, light: f32) -> Colour {
    mix(colour, [16.0, 0.0, 0.0], light, 1.0 - light)
}

/// The sine of an angle in turns: a polynomial that is off by at most 0.0012.
fn sine(turns: f64) -> f32 {
    let x = (turns - turns.floor()) * 2.0 - 1.0;
    let x = x as f32;
    // Zero at -1, 0 and 1, as sin(-pi x) is.
    let parabola = -4.0 * x * (1.0 - x.abs());
    parabola * (0.775 + 0.225 * parabola.abs())
}

fn cosine(turns: f64) -> f32 {
    sine(turns + 0.25)
}

/// 0 below `from`, 1 above `to`, smooth between; `from` may be the larger.
fn step(from: f32, to: f32, x: f32) -> f32 {
    let x = ((x - from) / (to - from)).clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// The whole number below, for values far from the limits of `i32`. Without SSE4.1 `floor` is a call into the
/// platform's library, which is slow.
fn floor(x: f32) -> i32 {
    let whole = x as i32;
    whole - i32::from(x < whole as f32)
}

/// From 0.5 at a whole number down to 0 half-way to the next, and up again.
fn saw(x: f32) -> f32 {
    (x - floor(x) as f32 - 0.5).abs()
}

/// 32 bits that look random.
fn hash(x: u32) -> u32 {
    let x = (x ^ x >> 16).wrapping_mul(0x21f0_aaad);
    let x = (x ^ x >> 15).wrapping_mul(0x735a_2d97);
    x ^ x >> 15
}

/// About a normal distribution of mean 0 and deviation 1: the sum of four bytes is near enough.
fn normal(bits: u32) -> f32 {
    let [a, b, c, d] = bits.to_le_bytes().map(i32::from);
    (a + b + c + d - 510) as f32 * (1.0 / 147.8)
}

/// A random value from -1 to 1 for a point of a lattice.
fn lattice(x: i32, y: i32, seed: u32) -> f32 {
    let bits = hash((x as u32).wrapping_mul(0x9e37_79b1) ^ hash((y as u32).wrapping_add(seed << 16)));
    (bits >> 8) as f32 * (2.0 / 16_777_216.0) - 1.0
}

/// Smooth noise from -1 to 1 with a grain of 1.
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (i, j) = (floor(x), floor(y));
    let (a, b) = (step(0.0, 1.0, x - i as f32), step(0.0, 1.0, y - j as f32));
    let upper = lattice(i, j, seed) * (1.0 - a) + lattice(i + 1, j, seed) * a;
    let lower = lattice(i, j + 1, seed) * (1.0 - a) + lattice(i + 1, j + 1, seed) * a;
    upper * (1.0 - b) + lower * b
}

/// Smooth noise from -1 to 1 along a line, with a grain of 1.
fn wander(x: f64, seed: u32) -> f32 {
    let left = x.floor();
    let a = step(0.0, 1.0, (x - left) as f32);
    let i = left as i64 as i32;
    lattice(i, 0, seed) * (1.0 - a) + lattice(i.wrapping_add(1), 0, seed) * a
}

// ---- The canvas ----

/// A box in the scene's coordinates.
#[derive(Clone, Copy)]
struct Area {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Area {
    const EVERYWHERE: Self = Self { left: -1e9, top: -1e9, right: 1e9, bottom: 1e9 };
}

/// Pixels to draw on. The scene's coordinates are 1 high, 0 at the top and in the middle; a narrow picture shows
/// less of the room and more of the wall above.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    /// Pixels to a unit.
    fn scale(&self) -> f32 {
        (self.height as f32).min(self.width as f32 * 0.85)
    }

    /// Lays a colour over each pixel of an area, as thick as `paint` says from 0 to 1.
    fn paint(&mut self, area: Area, paint: impl Fn(f32, f32) -> (Colour, f32)) {
        let (scale, unit) = (self.scale(), 1.0 / self.scale());
        let (middle, bottom) = (self.width as f32 * 0.5, self.height as f32);
        let columns = |x: f32| (middle + x * scale).clamp(0.0, self.width as f32) as usize;
        let rows = |y: f32| (bottom + (y - 1.0) * scale).clamp(0.0, bottom) as usize;
        let (left, right) = (columns(area.left), columns(area.right + unit));
        let (first, last) = (rows(area.top), rows(area.bottom + unit));
        for row in first..last {
            let y = (row as f32 + 0.5 - bottom) * unit + 1.0;
            let pixels = &mut self.pixels[row * self.width..][left..right];
            for (column, pixel) in (left..).zip(pixels) {
                let (colour, alpha) = paint((column as f32 + 0.5 - middle) * unit, y);
                if alpha > 0.0 {
                    *pixel = blend(*pixel, colour, alpha);
                }
            }
        }
    }
}

// ---- The room ----

/// Everything that stands still: the wall, a picture on it, a bookshelf.
fn room(x: f32, y: f32) -> Colour {
    let light = 1.04 - 0.30 * length(x + 0.55, y - 0.15);
    let wall = || {
        let cloud = noise(x * 5.0, y * 5.0, 1) * 3.0 + noise(x * 17.0, y * 17.0, 2) * 2.0;
        let weave = noise(x * 150.0, y * 60.0, 3) * 2.4 + noise(x * 60.0, y * 150.0, 4) * 2.4;
        let [luma, blue, red] = rgb(186.0, 186.0, 174.0);
        [luma + cloud + weave, blue, red]
    };
    let (px, py) = (x + 0.58, y - 0.27);
    let picture = (px.abs() - 0.2).max(py.abs() - 0.15);
    let shelf = (x - 0.68).abs() - 0.24;
    let colour = if picture < 0.0 {
        painting(px, py, picture)
    } else if shelf < 0.0 && y > 0.06 {
        books(x - 0.44, y - 0.08)
    } else {
        // The frame and the shelf throw a soft shadow to the right and below.
        let (sx, sy) = ((px - 0.015).abs() - 0.2, (py - 0.02).abs() - 0.15);
        let under_picture = step(0.03, -0.01, sx.max(sy));
        let (sx, sy) = ((x - 0.70).abs() - 0.24, 0.09 - y);
        let beside_shelf = step(0.05, -0.02, sx.max(sy));
        lit(wall(), 1.0 - 0.28 * under_picture.max(beside_shelf))
    };
    lit(colour, light)
}

/// A landscape in a wooden frame, `edge` from its border inwards being negative.
fn painting(x: f32, y: f32, edge: f32) -> Colour {
    if edge > -0.018 {
        let grain = noise(x * 30.0 + y * 30.0, (x - y) * 120.0, 5);
        let bevel = if edge > -0.006 { 1.12 } else { 0.92 };
        return lit(rgb(104.0 + grain * 8.0, 70.0 + grain * 6.0, 42.0), bevel);
    }
    if edge > -0.042 {
        return rgb(222.0, 218.0, 206.0);
    }
    let far = noise(x * 11.0, 0.0, 6) * 0.022 - 0.015;
    let near = noise(x * 8.0 + 3.0, 0.0, 7) * 0.025 + 0.035;
    let stroke = noise(x * 70.0, y * 130.0, 8) * 10.0;
    if y < far {
        let height = (y + 0.11) * 8.0;
        let cloud = step(0.1, 0.6, noise(x * 14.0, y * 40.0, 9)) * 30.0;
        rgb(128.0 + height * 60.0 + cloud, 166.0 + height * 30.0 + cloud, 205.0 + cloud * 0.5)
    } else if y < near {
        rgb(92.0 + stroke, 116.0 + stroke, 120.0 + stroke)
    } else {
        rgb(96.0 + stroke * 1.5, 118.0 + stroke * 1.5, 62.0 + stroke)
    }
}

/// A shelf of boards and books, from its inner left upper corner.
fn books(x: f32, y: f32) -> Colour {
    const SHELF: f32 = 0.235;
    let grain = noise(x * 18.0, y * 160.0, 10) * 7.0;
    let wood = |light| lit(rgb(132.0 + grain, 96.0 + grain, 62.0 + grain), light);
    if !(0.015..0.465).contains(&x) || y < 0.0 {
        return wood(1.1);
    }
    let number = (y / SHELF).floor();
    let height = SHELF - (y - number * SHELF);
    if height < 0.02 {
        return wood(1.15);
    }
    // Books stand side by side, one wide and one narrow.
    const PAIR: f32 = 0.062;
    let along = x + lattice(number as i32, 0, 11) * 0.02 + 0.05;
    let pair = (along / PAIR).floor();
    let split = 0.5 + 0.16 * lattice(pair as i32, number as i32, 12);
    let within = along / PAIR - pair;
    let (book, within, thickness) = if within < split {
        (pair as i32 * 2, within / split, split)
    } else {
        (pair as i32 * 2 + 1, (within - split) / (1.0 - split), 1.0 - split)
    };
    let chance = |seed| lattice(book, number as i32, seed);
    let top = 0.165 + 0.03 * chance(13);
    if height > top || chance(14) > 0.82 {
        // The back of the shelf, in the shade of the board above.
        return wood(0.34 + 0.1 * step(0.2, 0.1, height));
    }
    let (warm, deep) = (chance(15), 1.0 + 0.4 * chance(16));
    let cover = rgb(112.0 + warm * 60.0, 98.0 + chance(17) * 34.0, 96.0 - warm * 48.0);
    let round = 1.0 - 1.6 * (within - 0.45) * (within - 0.45);
    let label = (height - 0.11).abs() < 0.012 && (within - 0.5).abs() * thickness < 0.2;
    let band = (height - 0.045).abs() < 0.004 || (height - top + 0.016).abs() < 0.003;
    let cover = if label || band { rgb(206.0, 190.0, 150.0) } else { cover };
    lit(cover, round * deep * (1.0 - 0.5 * step(0.14, 0.2, height)))
}

// ---- The person ----

fn skin() -> Colour {
    rgb(222.0, 168.0, 140.0)
}

/// The part of a pixel that is inside an outline. `distance` is from the outline, negative inside.
fn cover(distance: f32, softness: f32) -> f32 {
    (0.5 - distance / softness).clamp(0.0, 1.0)
}

/// The approximate distance from an ellipse around the origin.
fn ellipse(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    (length(x / half_width, y / half_height) - 1.0) * half_width.min(half_height)
}

/// The distance from a straight limb, thicker at one end, and how far along it is from 0 to 1.
fn limb(x: f32, y: f32, from: (f32, f32), to: (f32, f32), thick: (f32, f32)) -> (f32, f32) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let along = (((x - from.0) * dx + (y - from.1) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
    let radius = thick.0 + (thick.1 - thick.0) * along;
    (length(x - from.0 - dx * along, y - from.1 - dy * along) - radius, along)
}

/// Head and shoulders at a time.
struct Body {
    torso: (f32, f32),
    head: (f32, f32),
    /// Cosine and sine of the head's roll.
    roll: (f32, f32),
    /// How far the face is turned right and down, in halves of the head's height.
    turn: (f32, f32),
    gaze: (f32, f32),
    /// 0 for open eyes, 1 for closed ones.
    blink: f32,
    brows: f32,
    mouth_open: f32,
    mouth_wide: f32,
}

impl Body {
    /// Half the height of the head.
    const HEAD: f32 = 0.185;
    /// The height at which it rests.
    const HEAD_AT: f32 = 0.432;

    fn at(time: f64) -> Self {
        let sway = 0.024 * sine(time * 0.13) + 0.012 * wander(time * 0.7, 20);
        let breath = 0.004 * sine(time * 0.27);
        let talking = step(-0.55, -0.1, wander(time * 0.45, 21));
        let syllable = 0.5 + 0.5 * sine(time * 4.3 + 0.4 * f64::from(wander(time * 1.9, 22)));
        let nod = 0.008 * sine(time * 0.41) + 0.008 * talking * wander(time * 2.3, 23);
        let roll = f64::from(0.010 * sine(time * 0.17 + 0.3) + 0.008 * wander(time * 0.9, 24));
        // One blink at some moment of every 2.7 seconds.
        let slot = (time / 2.7).floor();
        let moment = 0.2 + 2.0 * f64::from(0.5 + 0.5 * wander(slot, 25));
        let since = (time - slot * 2.7 - moment) as f32;
        Self {
            torso: (sway * 0.55, breath),
            head: (sway * 1.3, Self::HEAD_AT + breath * 0.8 + nod),
            roll: (cosine(roll), sine(roll)),
            turn: (0.11 * wander(time * 0.55, 26) + sway * 1.5, 0.02 + nod * 2.2),
            gaze: (0.5 * wander((time * 1.3).floor(), 27), 0.25 * wander((time * 0.8).floor(), 28)),
            blink: step(0.0, 0.09, since) * step(0.26, 0.12, since),
            brows: 0.035 * step(0.1, 0.8, wander(time * 0.8, 29)),
            mouth_open: talking * syllable * (0.6 + 0.4 * wander(time * 3.1, 30)),
            mouth_wide: 0.02 * wander(time * 2.0, 31) + 0.02 * (1.0 - talking),
        }
    }

    fn paint_torso(&self, canvas: &mut Canvas) {
        let softness = 1.6 / canvas.scale();
        let (tx, ty) = self.torso;
        let head = self.head;
        // The neck first, in the chin's shade.
        let area = Area { left: tx - 0.13, right: tx + 0.13, top: 0.45, bottom: 0.74 };
        canvas.paint(area, |x, y| {
            let lean = head.0 + (tx - head.0) * step(0.5, 0.7, y);
            let across = (x - lean) / (0.082 + 0.035 * step(0.62, 0.72, y));
            let light = 0.92 - 0.25 * across * across - 0.1 * across;
            let shade = 0.36 * step(0.675, 0.605, y - (head.1 - Self::HEAD_AT));
            (lit(skin(), light - shade), cover((across.abs() - 1.0) * 0.08, softness))
        });
        let area = Area { left: tx - 0.56, right: tx + 0.56, top: 0.6, bottom: 1.0 };
        canvas.paint(area, |x, y| {
            let (x, y) = (x - tx, y - ty);
            let side = x.abs();
            let fall = (side - 0.33).max(0.0);
            let shoulder = 0.662 + 0.55 * x * x + 36.0 * fall * fall * fall;
            let slope = 1.1 * side + 108.0 * fall * fall;
            let outside = (shoulder - y) / (1.0 + slope * slope).sqrt();
            // The collar is a ring around the neck.
            let neckline = ellipse(x, y - 0.63, 0.118, 0.075);
            let alpha = cover(outside.max(-neckline), softness);
            if alpha <= 0.0 {
                return ([0.0; 3], 0.0);
            }
            (jumper(x, y, neckline, outside, softness), alpha)
        });
    }

    fn paint_head(&self, canvas: &mut Canvas) {
        let softness = 1.6 / (canvas.scale() * Self::HEAD);
        let area = Area {
            left: self.head.0 - Self::HEAD * 1.15,
            right: self.head.0 + Self::HEAD * 1.15,
            top: self.head.1 - Self::HEAD * 1.35,
            bottom: self.head.1 + Self::HEAD * 1.15,
        };
        canvas.paint(area, |x, y| {
            let (x, y) = ((x - self.head.0) / Self::HEAD, (y - self.head.1) / Self::HEAD);
            let (x, y) = (x * self.roll.0 + y * self.roll.1, y * self.roll.0 - x * self.roll.1);
            self.head_at(x, y, softness)
        });
    }

    /// The head in its own coordinates: 0 in the middle, 1 at the chin.
    fn head_at(&self, x: f32, y: f32, softness: f32) -> (Colour, f32) {
        // The jaw is narrower than the brow.
        let half_width = 0.755 - 0.17 * step(0.15, 1.05, y);
        let outline = ellipse(x, y, half_width, 1.0);
        let hair_outline = ellipse(x + self.turn.0 * 0.25, y + 0.16, 0.83, 1.02);
        let ear_x = x.abs() - 0.75 + self.turn.0.abs() * 0.1;
        let ear = ellipse(ear_x, y - 0.10 - self.turn.1 * 0.3, 0.085, 0.19);
        let face = cover(outline, softness);
        let hair = cover(hair_outline, softness * 2.0) * {
            // Hair ends at the brow and in front of the ears.
            let opening = ellipse(x - self.turn.0 * 0.8, y - 0.24 - self.turn.1, 0.66, 0.86);
            let ragged = 0.03 * noise(x * 13.0, y * 3.0, 32);
            step(-0.05, 0.06, opening + ragged) * step(0.16, 0.02, y + ragged)
        };
        let alpha = face.max(cover(ear, softness)).max(hair);
        if alpha <= 0.0 {
            return ([0.0; 3], 0.0);
        }
        let mut colour = if face > 0.0 { self.face_at(x, y, half_width, softness) } else { skin() };
        if face < 1.0 {
            let hollow = step(-0.03, -0.08, ear);
            colour = blend(lit(skin(), 0.82 - 0.25 * hollow), colour, face);
        }
        if hair > 0.0 {
            let strand =
                noise(x * 26.0 + y * 9.0, y * 4.0 - x * 2.0, 33) + 0.6 * noise(x * 55.0, y * 7.0, 34);
            let gloss = step(0.45, 0.0, length(x + 0.25, (y + 0.85) * 1.6));
            let light = 0.85 + 0.16 * strand + gloss * 0.5 - 0.25 * step(-0.25, 0.0, hair_outline);
            colour = blend(colour, lit(rgb(74.0, 52.0, 38.0), light), hair);
        }
        (colour, alpha)
    }

    fn face_at(&self, x: f32, y: f32, half_width: f32, softness: f32) -> Colour {
        // The face is a half of an ellipsoid in light from the upper left; its features shift as it turns.
        let (nx, ny) = (x / half_width * 0.97, y * 0.97);
        let nz = (1.0 - nx * nx - ny * ny).max(0.0).sqrt();
        let light = 0.66 + 0.40 * (nz * 0.74 - nx * 0.42 - ny * 0.42);
        let (fx, fy) = (x - self.turn.0 * (0.35 + 0.65 * nz), y - self.turn.1 * (0.35 + 0.65 * nz));
        let pores = 0.012 * noise(fx * 34.0, fy * 34.0, 35) + 0.016 * noise(fx * 9.0, fy * 9.0, 36);
        let mut light = light + pores;
        let side = fx.abs();

        // Eye sockets, the ridge of the nose and what it shades, the chin.
        light -= 0.15 * step(0.24, 0.03, length((side - 0.27) * 0.8, fy + 0.10));
        if side < 0.2 && (-0.25..0.45).contains(&fy) {
            let width = 0.05 + 0.09 * step(-0.1, 0.3, fy);
            let nose = step(-0.15, 0.05, fy) * step(0.34, 0.24, fy);
            light += 0.10 * nose * step(width * 0.7, 0.0, (fx + 0.015).abs());
            light -= 0.13 * nose * step(0.07, 0.0, (fx - width).abs());
            light -= 0.20 * step(1.0, 0.5, length(fx / 0.17, (fy - 0.315) / 0.06));
            light -= 0.40 * step(1.0, 0.4, length((side - 0.065) / 0.042, (fy - 0.285) / 0.026));
        }
        light -= 0.10 * step(1.0, 0.2, length(fx / 0.2, (fy - 0.70) / 0.06));
        light += 0.05 * step(0.16, 0.0, length(fx, fy - 0.82));

        let blush = step(0.26, 0.0, length(side - 0.40, fy - 0.27));
        let mut colour = lit(skin(), light);
        colour[2] += 5.0 * blush;
        colour[0] -= 3.0 * blush;
        // A close shave.
        let beard = step(0.35, 0.6, fy) * step(0.9, 0.5, length(fx * 0.9, fy - 0.5) * 1.3);
        colour = blend(colour, lit(rgb(150.0, 126.0, 118.0), light), 0.16 * beard);

        if (fy + 0.12).abs() < 0.24 && side < 0.55 {
            colour = self.eye_at(colour, fx, fy, light, softness);
        }
        if (fy - 0.55).abs() < 0.3 && side < 0.4 {
            colour = self.mouth_at(colour, fx, fy - 0.52, light, softness);
        }
        colour
    }

    fn eye_at(&self, skin: Colour, x: f32, y: f32, light: f32, softness: f32) -> Colour {
        let mut colour = skin;
        let across = x.abs() - 0.29;
        let brow = (y + 0.235 + self.brows + 0.5 * across * across + 0.02 * across).abs() - 0.034
            + 0.12 * (across + 0.06).max(0.0) * (across + 0.06).max(0.0);
        let hairs = 0.75 + 0.25 * noise(x * 50.0, y * 30.0 + x * 20.0, 37);
        let brow = cover(brow, softness + 0.02) * step(0.20, 0.13, across.abs());
        colour = blend(colour, rgb(80.0, 58.0, 46.0), 0.8 * brow * hairs);

        // The lids part between two arcs; the upper one comes down.
        let arc = (1.0 - across * across / (0.155 * 0.155)).max(0.0);
        let upper = -0.078 * arc * (1.0 - self.blink) + 0.035 * arc * self.blink - 0.01;
        let lower = 0.045 * arc - 0.01;
        let y = y + 0.03;
        let open = cover(upper - y, softness) * cover(y - lower, softness) * step(0.0, 0.08, arc);
        if open > 0.0 {
            let centre = across * x.signum() - self.gaze.0 * 0.05;
            let from_centre = length(centre, y + 0.012 - self.gaze.1 * 0.03);
            let white = lit(rgb(222.0, 216.0, 212.0), light * (0.98 - 0.25 * step(0.06, 0.0, y - upper)));
            let iris = blend(rgb(92.0, 110.0, 96.0), rgb(50.0, 56.0, 52.0), step(0.045, 0.075, from_centre));
            let eye = blend(white, iris, cover(from_centre - 0.072, softness));
            let eye = blend(eye, rgb(18.0, 16.0, 18.0), cover(from_centre - 0.032, softness));
            let glint = cover(length(centre + 0.022, y + 0.035) - 0.016, softness);
            colour = blend(colour, blend(eye, rgb(240.0, 240.0, 240.0), glint), open);
        }
        let lashes = cover((y - upper).abs() - 0.014, softness) * step(0.0, 0.15, arc);
        let crease = cover((y - upper + 0.045 * (1.0 - self.blink)).abs() - 0.006, softness + 0.02);
        colour = blend(colour, rgb(58.0, 40.0, 34.0), 0.75 * lashes);
        blend(colour, lit(skin, 0.7), 0.4 * crease * step(0.0, 0.3, arc))
    }

    fn mouth_at(&self, skin: Colour, x: f32, y: f32, light: f32, softness: f32) -> Colour {
        let half_width = 0.235 + self.mouth_wide - 0.035 * self.mouth_open;
        let arc = (1.0 - x * x / (half_width * half_width)).max(0.0);
        let open = 0.10 * self.mouth_open * arc;
        let smile = -0.55 * x * x + 0.012;
        let y = y - smile;
        let bow = 0.012 * step(0.05, 0.0, x.abs());
        let top = -0.055 * arc.sqrt() + bow - open * 0.25;
        let bottom = 0.068 * arc.sqrt() + open * 1.1;
        let lips = cover(top - y, softness + 0.02) * cover(y - bottom, softness + 0.03) * step(0.0, 0.1, arc);
        let shine = 0.16 * step(0.035, 0.0, length(x * 0.3, y - (bottom + open * 0.5) * 0.6));
        let lip_light = if y < open * 0.4 { light * 0.86 } else { light * 0.98 + shine };
        let mut colour = blend(skin, lit(rgb(190.0, 112.0, 104.0), lip_light), 0.85 * lips);
        // What is between the lips: a dark line, or teeth in the dark.
        let parting =
            cover((y - open * 0.42).abs() - 0.006 - open * 0.58, softness + 0.01) * step(0.0, 0.12, arc);
        let teeth = cover((y + open * 0.02).abs() - open * 0.2, softness) * step(0.12, 0.5, self.mouth_open);
        let inside = blend(rgb(70.0, 34.0, 32.0), rgb(206.0, 200.0, 190.0), 0.8 * teeth);
        colour = blend(colour, inside, 0.9 * parting);
        colour
    }
}

/// A knitted jumper in the torso's coordinates; `neckline` and `outside` are the distances from its borders.
fn jumper(x: f32, y: f32, neckline: f32, outside: f32, softness: f32) -> Colour {
    // Rows follow the shoulders.
    let rows = y - 0.12 * x * x;
    let stitch = saw(x * 70.0);
    let knit = rows * 95.0 + stitch * 1.6;
    let knit = saw(knit) * 0.22 - 0.06 * stitch;
    let folds = 0.10 * noise(x * 7.0 + rows * 4.0, rows * 5.0, 40) + 0.02 * noise(x * 60.0, y * 60.0, 41);
    let zigzag = saw(x * 11.0) * 0.05;
    let within =
        |y: f32, from: f32, to: f32| cover((y - (from + to) * 0.5).abs() - (to - from) * 0.5, softness);
    let (blue, pale, rust) = (rgb(58.0, 82.0, 112.0), rgb(176.0, 170.0, 156.0), rgb(172.0, 92.0, 70.0));
    let stripes = within(rows, 0.80, 0.815) + within(rows, 0.915, 0.93) + cover(neckline - 0.028, softness);
    let colour = blend(blue, rust, within(rows + zigzag, 0.845, 0.885));
    let colour = blend(colour, pale, stripes.min(1.0));
    let round = 0.95 - 0.9 * x * x - 0.35 * x;
    let armpit = 0.20 * step(0.03, 0.0, (x.abs() - 0.30 + 0.12 * (y - 0.8)).abs()) * step(0.76, 0.86, y);
    let rim = 0.22 * step(-0.05, 0.0, outside) + 0.18 * step(0.012, 0.0, (neckline - 0.03).abs());
    lit(colour, round + knit + folds - armpit - rim)
}

/// A forearm and a hand at an instant.
struct Arm {
    elbow: (f32, f32),
    wrist: (f32, f32),
    /// Cosine and sine of where the fingers point.
    angle: (f32, f32),
    /// How far the fingers are spread.
    spread: f32,
    curl: f32,
    /// -1 for the left arm in the picture, 1 for the right one.
    side: f32,
}

impl Arm {
    const FINGERS: f32 = 0.21;

    fn at(side: f32, time: f64) -> Self {
        let seed = if side < 0.0 { 50 } else { 60 };
        // The arms rise and sink now and then, and beat to the talk while they are up.
        let up = step(-0.5, 0.35, wander(time * 0.35 + 0.3, seed));
        let lively = 0.35 + 0.65 * step(-0.3, 0.5, wander(time * 0.6, seed + 1));
        let beat = f64::from(0.5 * wander(time * 0.8, seed + 2));
        let x = 0.40 + lively * (0.085 * sine(time * 0.83 + beat) + 0.035 * sine(time * 1.9));
        let y =
            1.12 - 0.27 * up + lively * (0.065 * sine(time * 1.21 + 0.3 + beat) + 0.02 * sine(time * 2.7));
        let turn = f64::from(0.07 * lively * sine(time * 1.07 + 0.1) + 0.05 * wander(time * 1.4, seed + 3));
        // Upwards and inwards, from a quarter turn being straight up.
        let angle = if side < 0.0 { -0.205 + turn } else { -0.295 - turn };
        Self {
            elbow: (side * 0.55, 1.22),
            wrist: (side * x, y),
            angle: (cosine(angle), sine(angle)),
            spread: 0.75 + 0.35 * wander(time * 1.1, seed + 4),
            curl: 0.14 + 0.12 * wander(time * 0.9, seed + 5),
            side,
        }
    }

    fn area(&self) -> Area {
        let (x, y) = self.wrist;
        Area {
            left: x.min(self.elbow.0) - Self::FINGERS,
            right: x.max(self.elbow.0) + Self::FINGERS,
            top: y - Self::FINGERS,
            bottom: 1.0,
        }
    }

    /// The colour times its thickness, and the thickness.
    fn at_point(&self, x: f32, y: f32, softness: f32) -> (Colour, f32) {
        let (sleeve, along) = limb(x, y, self.elbow, self.wrist, (0.10, 0.056));
        let sleeve_alpha = cover(sleeve.max((along - 0.99) * 0.3), softness);
        let mut colour = [0.0; 3];
        let mut alpha = 0.0;
        let mut lay = |over: Colour, a: f32| {
            colour = mix(colour, over, 1.0 - a, a);
            alpha = alpha * (1.0 - a) + a;
        };
        let (dx, dy) = (x - self.wrist.0, y - self.wrist.1);
        if length(dx, dy) < Self::FINGERS {
            // The hand's coordinates: forward along the fingers, and across to the thumb.
            let forward = dx * self.angle.0 + dy * self.angle.1;
            let across = (dy * self.angle.0 - dx * self.angle.1) * self.side;
            let (hand, light) = self.hand(forward, across);
            let crease = 0.02 * noise(forward * 120.0, across * 90.0, 70);
            let shade = light - 0.16 * (dx * 4.0 + dy * 2.0) + crease;
            lay(lit(skin(), shade), cover(hand, softness));
        }
        if sleeve_alpha > 0.0 {
            let (ex, ey) = (self.wrist.0 - self.elbow.0, self.wrist.1 - self.elbow.1);
            let across = ((x - self.elbow.0) * ey - (y - self.elbow.1) * ex) / length(ex, ey);
            let knit =
                0.05 * noise(across * 90.0, along * 36.0, 71) + 0.08 * noise(across * 20.0, along * 7.0, 72);
            let cuff = if along > 0.90 { rgb(176.0, 170.0, 156.0) } else { rgb(58.0, 82.0, 112.0) };
            let round =
                1.02 + 2.4 * across - 34.0 * across * across - 0.10 * step(0.02, 0.0, (along - 0.9).abs());
            lay(lit(cuff, round + knit), sleeve_alpha);
        }
        (colour, alpha)
    }

    /// The distance from the hand and the light on it.
    fn hand(&self, forward: f32, across: f32) -> (f32, f32) {
        // Wrist and palm.
        let palm = ellipse(forward - 0.058, across, 0.056, 0.044);
        let (wrist, _) = limb(forward, across, (-0.02, 0.0), (0.04, 0.0), (0.033, 0.036));
        let mut nearest = palm.min(wrist);
        let mut light = 0.98 + 1.6 * nearest.max(-0.03);
        let mut finger = |from: (f32, f32), to: (f32, f32), thick: (f32, f32)| {
            let (distance, along) = limb(forward, across, from, to, thick);
            // Fingers have round edges, which shade the gap between two of them.
            let round = (distance / thick.0 + 1.0).clamp(0.0, 1.0);
            let own = 1.04 - 0.26 * round * round + 0.04 * along;
            let edge = step(0.008, 0.0, distance.abs()) * 0.10;
            if distance < nearest || distance < 0.0 {
                light = light + (own - light) * step(0.0, 0.35, along).max(step(0.0, 0.004, nearest));
            }
            light -= edge * step(0.15, 0.4, along);
            nearest = nearest.min(distance);
        };
        for (i, length) in [(-1.5, 0.062), (-0.5, 0.080), (0.5, 0.084), (1.5, 0.074)] {
            let (spread, length) = (i * 0.022 * self.spread, length * (1.0 - self.curl));
            let base = (0.092 - 0.004 * f32::abs(i), i * 0.0215);
            finger(base, (base.0 + length, base.1 + spread), (0.0125, 0.0098));
        }
        finger((0.03, 0.03), (0.085, 0.068 + 0.016 * self.spread), (0.0185, 0.0125));
        (nearest, light)
    }
}

/// Paints an arm as it is seen while the shutter is open, half the time between two pictures.
fn paint_arm(canvas: &mut Canvas, side: f32, time: f64) {
    const INSTANTS: u8 = 4;
    let softness = 1.6 / canvas.scale();
    let shutter = 0.5 / f64::from(FRAME_RATE);
    let arms: Vec<_> =
        (0..INSTANTS).map(|i| Arm::at(side, time + shutter * f64::from(i) / f64::from(INSTANTS))).collect();
    let area = arms.iter().map(Arm::area).reduce(|a, b| Area {
        left: a.left.min(b.left),
        right: a.right.max(b.right),
        top: a.top.min(b.top),
        bottom: a.bottom.max(b.bottom),
    });
    let Some(area) = area else { return };
    canvas.paint(area, |x, y| {
        let (mut colour, mut alpha) = ([0.0; 3], 0.0);
        for arm in &arms {
            let (c, a) = arm.at_point(x, y, softness);
            colour = mix(colour, c, 1.0, 1.0);
            alpha += a;
        }
        if alpha <= 0.0 { (colour, 0.0) } else { (colour.map(|c| c / alpha), alpha / f32::from(INSTANTS)) }
    });
}

#[cfg(test)]
mod tests;
