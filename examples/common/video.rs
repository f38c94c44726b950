//! Y4M files of 8-bit 4:2:0 pictures.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use layercast::Size;
use layercast::picture::{Picture, PictureView};
use layercast::scene::{FRAME_RATE, Scene};
use y4m::{Colorspace, Decoder, Ratio};

use super::{Result, at};

/// The size of the video that is drawn by code.
const SCENE_SIZE: Size = Size::new(1280, 720);

/// A video: a file's, or a video call drawn by code.
pub struct Source {
    /// The file's name without its ending, or "scene".
    pub name: String,
    /// Width and height in luma samples.
    pub size: Size,
    /// Pictures per second.
    pub frame_rate: Ratio,
    /// How many pictures are coded unless told otherwise: the drawn video has no end.
    pub default_frames: u64,
    /// The pictures in order.
    pub pictures: Box<dyn Iterator<Item = Result<Picture>>>,
}

impl Source {
    /// Opens the Y4M file, or the drawn video where there is none.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            let scene = Scene::new(SCENE_SIZE);
            return Ok(Self {
                name: "scene".into(),
                size: SCENE_SIZE,
                frame_rate: Ratio::new(FRAME_RATE as usize, 1),
                default_frames: 10 * u64::from(FRAME_RATE),
                pictures: Box::new((0..).map(move |n| Ok(scene.picture(n)))),
            });
        };
        let reader = Reader::open(path)?;
        let file = path.to_owned();
        Ok(Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            size: reader.size(),
            frame_rate: reader.frame_rate(),
            default_frames: u64::MAX,
            pictures: Box::new(reader.map(move |picture| at(&file, picture))),
        })
    }
}

/// Reads the pictures of a Y4M file.
pub struct Reader {
    decoder: Decoder<BufReader<File>>,
}

impl Reader {
    /// Reads the file's header.
    pub fn open(path: &Path) -> Result<Self> {
        let file = at(path, File::open(path))?;
        let decoder = at(path, y4m::decode(BufReader::new(file)))?;
        match decoder.get_colorspace() {
            Colorspace::C420 | Colorspace::C420jpeg | Colorspace::C420paldv | Colorspace::C420mpeg2 => {}
            other => return at(path, Err(format!("{other:?} where 8-bit 4:2:0 is needed"))),
        }
        let Ratio { num, den } = decoder.get_framerate();
        if num == 0 || den == 0 {
            return at(path, Err("no frame rate"));
        }
        Ok(Self { decoder })
    }

    /// Width and height in luma samples.
    pub fn size(&self) -> Size {
        Size::new(self.decoder.get_width() as u32, self.decoder.get_height() as u32)
    }

    /// Pictures per second.
    pub fn frame_rate(&self) -> Ratio {
        self.decoder.get_framerate()
    }

    fn read(&mut self) -> Result<Option<Picture>> {
        let size = self.size();
        let width = size.width as usize;
        let strides = [width, width.div_ceil(2), width.div_ceil(2)];
        let frame = match self.decoder.read_frame() {
            Ok(frame) => frame,
            Err(y4m::Error::EOF) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()];
        Ok(Some(PictureView::new(size, planes, strides)?.to_picture()))
    }
}

impl Iterator for Reader {
    type Item = Result<Picture>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Writes pictures of one size to a Y4M file.
pub struct Writer {
    size: Size,
    file: BufWriter<File>,
}

impl Writer {
    /// Writes the file's header; `frame_rate` is in pictures per second.
    pub fn create(path: &Path, size: Size, frame_rate: Ratio) -> Result<Self> {
        let mut file = BufWriter::new(at(path, File::create(path))?);
        let Ratio { num, den } = frame_rate;
        let header = writeln!(file, "YUV4MPEG2 W{} H{} F{num}:{den} Ip C420jpeg", size.width, size.height);
        at(path, header)?;
        Ok(Self { size, file })
    }

    /// Width and height in luma samples.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Appends a picture.
    pub fn write(&mut self, picture: &Picture) -> Result<()> {
        let size = picture.size();
        if size != self.size {
            return Err(format!("a picture of {size} after one of {}: Y4M has one size", self.size).into());
        }
        self.file.write_all(b"FRAME\n")?;
        for plane in 0..3 {
            self.file.write_all(picture.plane(plane))?;
        }
        Ok(())
    }

    /// Writes what is still to be written.
    pub fn finish(mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
