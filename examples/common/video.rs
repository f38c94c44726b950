//! Y4M files of 8-bit 4:2:0 pictures.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use layercast::Size;
use layercast::picture::{Picture, PictureView};
use y4m::{Colorspace, Decoder, Ratio};

use super::{Result, at};

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
