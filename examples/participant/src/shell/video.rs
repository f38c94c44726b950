//! Cameras and screens: a Y4M file, or pictures drawn by code.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use layercast::Size;
use layercast::picture::Picture;
use layercast::scene::{FRAME_RATE, Scene, Screen};
use layercast_examples::{Result, at, video::Reader};

/// Pictures of a file that are kept: they are played forth and back.
const KEPT: usize = 300;
/// Samples of pictures that are kept: 300 of 640x360, and fewer larger ones.
const KEPT_SAMPLES: u64 = 300 * 640 * 360;

/// What a camera or a screen shows.
#[derive(Debug, Clone)]
pub enum Pictures {
    /// A video call, drawn by code.
    Scene(Size),
    /// A screen, drawn by code.
    Screen(Size),
    /// A Y4M file of 8-bit 4:2:0 pictures.
    File(PathBuf),
}

impl Pictures {
    /// Width, height and pictures a second.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn properties(&self, screen_rate: u32) -> Result<(Size, u32)> {
        Ok(match self {
            Self::Scene(size) => (*size, FRAME_RATE),
            Self::Screen(size) => (*size, screen_rate),
            Self::File(path) => {
                let reader = Reader::open(path)?;
                let rate = reader.frame_rate();
                (reader.size(), u32::try_from(rate.num.div_ceil(rate.den))?.clamp(1, 60))
            }
        })
    }

    /// Whether there is something to show.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn check(&self) -> Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        match Reader::open(path)?.next() {
            Some(picture) => at(path, picture).map(drop),
            None => at(path, Err("no pictures")),
        }
    }

    /// Gives one picture after the other at its time, until `take` returns `false`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn play(&self, frame_rate: u32, mut take: impl FnMut(Picture) -> bool) -> Result<()> {
        let interval = Duration::from_secs(1) / frame_rate.max(1);
        // A second of the scene has as many pictures as it is drawn for, however many are taken.
        let step = (FRAME_RATE / frame_rate.max(1)).max(1);
        let mut draw: Box<dyn FnMut(u64) -> Picture> = match self {
            Self::Scene(size) => {
                let scene = Scene::new(*size);
                let mut drawn: Vec<Picture> = Vec::new();
                let period = (KEPT_SAMPLES / size.samples().max(1)).clamp(2, KEPT as u64 / 2);
                // Drawing costs as much as coding does: what was drawn once is shown again.
                Box::new(move |n| {
                    let at = forth_and_back(n, period);
                    while drawn.len() <= at {
                        drawn.push(scene.picture(drawn.len() as u64 * u64::from(step)));
                    }
                    drawn[at].clone()
                })
            }
            Self::Screen(size) => {
                let screen = Screen::new(*size);
                Box::new(move |n| screen.picture(n * u64::from(step)))
            }
            Self::File(path) => {
                let pictures = read(path)?;
                let period = pictures.len() as u64;
                Box::new(move |n| pictures[forth_and_back(n, period)].clone())
            }
        };
        let start = Instant::now();
        let mut n: u64 = 0;
        loop {
            if !take(draw(n)) {
                return Ok(());
            }
            n += 1;
            let due = interval.mul_f64(n as f64);
            match due.checked_sub(start.elapsed()) {
                Some(early) => std::thread::sleep(early),
                // The machine is too slow: the camera goes on.
                None => n = (start.elapsed().as_secs_f64() / interval.as_secs_f64()) as u64,
            }
        }
    }
}

fn forth_and_back(n: u64, pictures: u64) -> usize {
    let last = pictures.saturating_sub(1).max(1);
    let at = n % (2 * last);
    at.min(2 * last - at).min(pictures.saturating_sub(1)) as usize
}

fn read(path: &Path) -> Result<Vec<Picture>> {
    let reader = Reader::open(path)?;
    let most = (KEPT_SAMPLES / reader.size().samples().max(1)).clamp(1, KEPT as u64) as usize;
    let pictures = reader.take(most).collect::<Result<Vec<_>>>();
    let pictures = at(path, pictures)?;
    match pictures.is_empty() {
        true => at(path, Err("no pictures")),
        false => Ok(pictures),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_played_forth_and_back() {
        let order = |pictures| (0..8).map(|n| forth_and_back(n, pictures)).collect::<Vec<_>>();
        assert_eq!(order(4), [0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!(order(1), [0; 8]);
        assert_eq!(order(2), [0, 1, 0, 1, 0, 1, 0, 1]);
    }
}
