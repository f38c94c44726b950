//! Writes the video call that is drawn by code as a Y4M file: `draw WIDTH HEIGHT PICTURES FILE`. Browsers take it as a camera.

use std::path::Path;
use std::process::ExitCode;

use layercast::Size;
use layercast::scene::{FRAME_RATE, Scene};
use layercast_examples::video::Writer;
use layercast_examples::{Result, exit_code};
use y4m::Ratio;

fn main() -> ExitCode {
    exit_code(run(&std::env::args().skip(1).collect::<Vec<_>>()))
}

fn run(args: &[String]) -> Result<()> {
    let [width, height, pictures, file] = args else {
        return Err("draw WIDTH HEIGHT PICTURES FILE".into());
    };
    let size = Size::new(width.parse()?, height.parse()?);
    if !size.is_codable() {
        return Err(format!("{size}: not a size of pictures").into());
    }
    let scene = Scene::new(size);
    let mut video = Writer::create(Path::new(file), size, Ratio::new(FRAME_RATE as usize, 1))?;
    for picture in 0..pictures.parse()? {
        video.write(&scene.picture(picture))?;
    }
    video.finish().map_err(Into::into)
}
