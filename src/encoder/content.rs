//! Finding out what the pictures show, where nobody tells ([`Automatic`](super::Content::Automatic)).

use crate::picture::PlaneView;

/// Pictures from one that is looked at to the next.
const EVERY: u64 = 8;
/// Blocks are looked at as squares of so many luma samples: every second one of each second row of them.
const SIDE: usize = 16;
/// A block with no more between its darkest and its brightest sample tells nothing.
const FLAT: u8 = 2;
/// A block is drawn if half of its samples are just the same, and others differ from them by so much. Noise, and what
/// lossy coding makes of it, leaves no such block in what a camera sees but where light clips.
const CONTRAST: u8 = 32;
/// Pictures show a screen from this share of drawn blocks on, of all that are not flat, until they fall below the other.
/// Recorded screens have 0.3 to 1, cameras up to 0.02.
const ENTER: f64 = 0.17;
const LEAVE: f64 = 0.08;

/// What was found so far.
pub(super) struct Detector {
    screen: bool,
    /// Pictures until the next look.
    wait: u64,
}

impl Detector {
    /// A camera, until a picture shows something else.
    pub(super) fn new() -> Self {
        Self { screen: false, wait: 0 }
    }

    /// Whether the pictures show a screen, as far as was seen.
    pub(super) fn screen(&self) -> bool {
        self.screen
    }

    /// Takes the luma of the next picture, and tells whether the pictures show a screen.
    pub(super) fn look(&mut self, luma: PlaneView<'_>) -> bool {
        if self.wait > 0 {
            self.wait -= 1;
            return self.screen;
        }
        self.wait = EVERY - 1;
        let (drawn, natural) = count(luma);
        // An empty page tells nothing new.
        if drawn + natural > 0 {
            let share = f64::from(drawn) / f64::from(drawn + natural);
            self.screen = share >= if self.screen { LEAVE } else { ENTER };
        }
        self.screen
    }
}

/// Blocks that are drawn, and others that are not flat.
fn count(luma: PlaneView<'_>) -> (u32, u32) {
    let (mut drawn, mut natural) = (0, 0);
    for y in (0..luma.height().saturating_sub(SIDE - 1)).step_by(2 * SIDE) {
        for x in (0..luma.width().saturating_sub(SIDE - 1)).step_by(2 * SIDE) {
            let mut of = [0u16; 256];
            for row in y..y + SIDE {
                luma.row(row)[x..x + SIDE].iter().for_each(|&sample| of[usize::from(sample)] += 1);
            }
            let darkest = of.iter().position(|&n| n > 0).unwrap_or(0);
            let brightest = of.iter().rposition(|&n| n > 0).unwrap_or(0);
            let range = brightest - darkest;
            let half = of.iter().any(|&n| usize::from(n) * 2 >= SIDE * SIDE);
            if range >= usize::from(CONTRAST) && half {
                drawn += 1;
            } else if range > usize::from(FLAT) {
                natural += 1;
            }
        }
    }
    (drawn, natural)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Picture, Size};
    use crate::scene::{Scene, Screen};

    const SIZE: Size = Size::new(400, 304);

    fn looks(detector: &mut Detector, pictures: impl Iterator<Item = Picture>) -> Vec<bool> {
        pictures.map(|picture| detector.look(picture.view().luma())).collect()
    }

    #[test]
    fn a_camera_and_a_screen_are_told_apart() {
        let (scene, screen) = (Scene::new(SIZE), Screen::new(SIZE));
        let mut detector = Detector::new();
        assert_eq!(looks(&mut detector, (0..20).map(|n| scene.picture(n))), [false; 20]);
        let shown = looks(&mut detector, (0..60).map(|n| screen.picture(n)));
        assert!(shown[EVERY as usize..].iter().all(|&screen| screen), "{shown:?}");
        let shown = looks(&mut detector, (0..20).map(|n| scene.picture(n)));
        assert!(shown[EVERY as usize..].iter().all(|&screen| !screen), "{shown:?}");
    }

    #[test]
    fn an_empty_page_and_a_picture_without_a_whole_block_change_nothing() {
        let mut detector = Detector::new();
        let empty = || Picture::new(SIZE);
        let screen = Screen::new(SIZE).picture(0);
        assert_eq!(looks(&mut detector, [empty()].into_iter()), [false]);
        detector.wait = 0;
        assert_eq!(looks(&mut detector, [screen].into_iter()), [true]);
        for picture in [empty(), Picture::new(Size::new(16, 15)), Picture::new(Size::new(8, 8))] {
            detector.wait = 0;
            assert!(detector.look(picture.view().luma()));
        }
    }
}
