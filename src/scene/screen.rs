//! A moving scene drawn by code: a shared screen, with text that is scrolled, slides that change, a window that is
//! dragged, and a cursor.

use super::{FRAME_RATE, hash};
use crate::Time;
use crate::picture::{Picture, Size, plane_size};

/// Luma, U and V.
type Colour = [u8; 3];

const DESKTOP: Colour = [72, 140, 118];
const PAPER: Colour = [235, 128, 128];
const INK: Colour = [24, 128, 128];
const FRAME: Colour = [60, 150, 112];
const LINK: Colour = [80, 190, 100];

/// Width and height of a letter with the space around it.
const CELL: (i32, i32) = (8, 14);

/// The shared screen at one picture size.
///
/// It stands in for the capture of a screen, as [`Scene`](super::Scene) does for a camera. There is no noise in it:
/// what does not move is the same in the next picture, sample by sample. A picture depends on its size and number
/// alone.
#[derive(Debug, Clone)]
pub struct Screen {
    size: Size,
}

impl Screen {
    /// The screen in pictures of 1 to 65536 samples a side.
    ///
    /// # Panics
    /// If the size is not in that range.
    pub fn new(size: Size) -> Self {
        assert!(size.is_codable(), "{size}");
        Self { size }
    }

    /// Width and height in luma samples.
    pub fn size(&self) -> Size {
        self.size
    }

    /// When picture `n` is captured, at [`FRAME_RATE`].
    pub fn time(n: u64) -> Time {
        super::Scene::time(n)
    }

    /// Picture `n`, the first being 0, at [`FRAME_RATE`].
    ///
    /// In each second the text is scrolled by 12 pictures of 23 rows, and a window is dragged in another 10. A new slide
    /// is shown every two seconds.
    pub fn picture(&self, n: u64) -> Picture {
        let mut canvas = Canvas { picture: Picture::new(self.size), size: self.size };
        let (width, height) = (self.size.width as i32, self.size.height as i32);
        let (second, step) = ((n / u64::from(FRAME_RATE)) as i32, (n % u64::from(FRAME_RATE)) as i32);
        canvas.fill((0, 0, width, height), DESKTOP);
        let scrolled = second.wrapping_mul(12).wrapping_add(step.min(12)).wrapping_mul(23) & 0xff_ffff;
        canvas.window((width / 32, height / 16, width * 9 / 16, height * 7 / 8), scrolled, 1);
        canvas.slide((width * 5 / 8, height / 16, width / 3, height / 3), n / (2 * u64::from(FRAME_RATE)));
        // Back and forth, 10 pictures each.
        let dragged = if second % 2 == 0 { (step - 15).clamp(0, 10) } else { 10 - (step - 15).clamp(0, 10) };
        let (dx, dy) = (dragged * 13, dragged * 7);
        canvas.window((width * 7 / 16 + dx, height * 7 / 16 + dy, width / 3, height / 3), 0, 2);
        canvas.cursor(width / 4 + step * 5, height / 4 + step * 3);
        canvas.picture
    }
}

/// Left, top, width and height in luma samples.
type Area = (i32, i32, i32, i32);

struct Canvas {
    picture: Picture,
    size: Size,
}

impl Canvas {
    /// Sets a luma sample, if it lies in the picture, and the chroma samples of those at even places.
    fn set(&mut self, x: i32, y: i32, colour: Colour) {
        let (width, height) = plane_size(self.size, 0);
        if x < 0 || y < 0 || x as usize >= width || y as usize >= height {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        self.picture.plane_mut(0)[y * width + x] = colour[0];
        if (x | y) & 1 == 0 {
            let (width, _) = plane_size(self.size, 1);
            for plane in [1, 2] {
                self.picture.plane_mut(plane)[y / 2 * width + x / 2] = colour[plane];
            }
        }
    }

    fn fill(&mut self, (left, top, width, height): Area, colour: Colour) {
        for y in top..top + height {
            for x in left..left + width {
                self.set(x, y, colour);
            }
        }
    }

    /// A window with a title and text, which begins `scrolled` rows into the text.
    fn window(&mut self, (left, top, width, height): Area, scrolled: i32, seed: u32) {
        self.fill((left - 2, top - 16, width + 4, height + 18), FRAME);
        self.fill((left, top, width, height), PAPER);
        for y in 0..height - 4 {
            let row = y + scrolled;
            let line = hash((row / CELL.1) as u32 ^ seed << 24);
            // Paragraphs end, and some lines are links.
            let length = if line.is_multiple_of(7) { width * 2 / 5 } else { width - 16 };
            let colour = if line.is_multiple_of(11) { LINK } else { INK };
            for x in 0..length - 8 {
                let letter = hash(line.wrapping_add((x / CELL.0) as u32)) % 40;
                let ink = ink(letter, x % CELL.0, row % CELL.1);
                if ink > 0 {
                    self.set(left + 8 + x, top + 4 + y, blend(colour, ink));
                }
            }
        }
    }

    /// A slide: a headline and bars.
    fn slide(&mut self, (left, top, width, height): Area, number: u64) {
        let seed = hash(number as u32 ^ 0x51de);
        let colour = |i: u32| {
            let bits = hash(seed.wrapping_add(i)).to_le_bytes();
            [60 + bits[0] % 150, 60 + bits[1] % 140, 60 + bits[2] % 140]
        };
        self.fill((left, top, width, height), PAPER);
        self.fill((left, top, width, height / 5), colour(0));
        let bars = 3 + (seed % 5) as i32;
        for bar in 0..bars {
            let tall = (hash(seed ^ bar as u32) % 100) as i32 * height / 2 / 100 + 1;
            let at = left + width * (2 * bar + 1) / (2 * bars + 1);
            self.fill((at, top + height - tall, width / (2 * bars + 1), tall), colour(1 + bar as u32));
        }
    }

    /// An arrow.
    fn cursor(&mut self, left: i32, top: i32) {
        for y in 0..16 {
            for x in 0..=y * 2 / 3 {
                let edge = x == 0 || x == y * 2 / 3 || y == 15;
                self.set(left + x, top + y, if edge { INK } else { PAPER });
            }
        }
    }
}

/// How dark a letter is at a place of its cell, 0 to 4: stems, bars and a bow with soft edges.
fn ink(letter: u32, x: i32, y: i32) -> u8 {
    let shape = hash(letter ^ 0xab_cdef);
    // Every sixth is a space.
    if letter.is_multiple_of(6) || !(2..12).contains(&y) || x > 6 {
        return 0;
    }
    let has = |bit: u32| shape >> bit & 1 != 0;
    let (stem_left, stem_right) = (has(0) || !has(1), has(1));
    let bar = |row: i32, bit: u32| has(bit) && (1..6).contains(&x) && y == row;
    match x {
        1 if stem_left => 4,
        2 if stem_left => 1 + (shape >> 8) as u8 % 3,
        5 if stem_right && (y > 4 || has(5)) => 4,
        4 if stem_right && (y > 4 || has(5)) => 1 + (shape >> 10) as u8 % 3,
        _ if bar(2, 2) || bar(6, 3) || bar(11, 4) => 3,
        _ if bar(3, 2) || bar(7, 3) || bar(10, 4) => 1,
        _ => 0,
    }
}

/// Paper with so much of a colour, of 4.
fn blend(colour: Colour, ink: u8) -> Colour {
    std::array::from_fn(|i| {
        ((u32::from(colour[i]) * u32::from(ink) + u32::from(PAPER[i]) * u32::from(4 - ink)) / 4) as u8
    })
}
