//! What is coded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use layercast::picture::Picture;
use layercast::scene::{FRAME_RATE, Scene};
use layercast::{Size, Time};
use y4m::Ratio;

use layercast_examples::{Result, at, video};

/// The first pictures of a video.
pub struct Clip {
    /// The file's name without its ending, or the scene's.
    pub name: String,
    /// The pictures in order.
    pub pictures: Vec<Picture>,
    /// Pictures a second.
    pub frame_rate: Ratio,
}

impl Clip {
    /// Width and height in luma samples.
    pub fn size(&self) -> Size {
        self.pictures[0].size()
    }

    /// The pictures played forth and back for so many seconds, and when each was captured.
    pub fn played(&self, seconds: f64) -> impl Iterator<Item = (&Picture, Time)> {
        let last = self.pictures.len() - 1;
        let there = 0..last.max(1);
        let back = (1..=last).rev();
        let rate = self.frame_rate.num as f64 / self.frame_rate.den as f64;
        let count = (seconds * rate).round() as usize;
        let time = move |n: usize| Time::new(Duration::from_secs_f64(n as f64 / rate));
        there.chain(back).cycle().take(count).enumerate().map(move |(n, i)| (&self.pictures[i], time(n)))
    }
}

/// The first `pictures` of the Y4M files that `LAYERCAST_Y4M` names, separated as in `PATH`; without it those of the
/// built-in scene at two sizes.
pub fn clips(pictures: usize) -> Result<Vec<Clip>> {
    let paths = std::env::var_os("LAYERCAST_Y4M");
    let paths: Vec<PathBuf> = paths.iter().flat_map(std::env::split_paths).collect();
    clips_of(&paths, pictures)
}

/// The first `pictures` of these Y4M files; without any those of the built-in scene at two sizes.
pub fn clips_of(paths: &[PathBuf], pictures: usize) -> Result<Vec<Clip>> {
    if !paths.is_empty() {
        return paths.iter().map(|path| read(path, pictures)).collect();
    }
    let scene = |size: Size| {
        let scene = Scene::new(size);
        Ok(Clip {
            name: format!("scene-{}p", size.height),
            pictures: (0..pictures as u64).map(|n| scene.picture(n)).collect(),
            frame_rate: Ratio::new(FRAME_RATE as usize, 1),
        })
    };
    [Size::new(640, 360), Size::new(1280, 720)].into_iter().map(scene).collect()
}

fn read(path: &Path, pictures: usize) -> Result<Clip> {
    let reader = video::Reader::open(path)?;
    let frame_rate = reader.frame_rate();
    let pictures: Vec<Picture> = at(path, reader.take(pictures).collect::<Result<_>>())?;
    if pictures.is_empty() {
        return at(path, Err("no pictures"));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Clip { name, pictures, frame_rate })
}
