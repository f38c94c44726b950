//! A frame in bands of rows, which threads share.

use std::ops::Range;

use super::kernels::*;
use super::superblock;
use crate::picture::{Chroma, PictureView, PlaneView, take_turns};

/// Rows of 8x8 luma samples in a band: those of a superblock, at whose top all columns have an edge.
pub(super) const HEIGHT: usize = superblock::SIDE / 8;

/// Some rows of a frame, with a height of one band or more.
pub(super) struct Band<'a> {
    /// The rows of 8x8 luma samples.
    pub(super) rows: Range<usize>,
    planes: [Part<'a>; 3],
}

/// A band's rows of one plane, with what lies around the picture beside them.
struct Part<'a> {
    data: &'a mut [u8],
    stride: usize,
    /// Rows to 8 luma rows.
    side: usize,
    /// Rows above the picture.
    above: usize,
    /// Samples at the left of the picture.
    left: usize,
    /// Samples of the picture in a row, and rows of it.
    width: usize,
    height: usize,
}

impl Part<'_> {
    /// The first `rows` of 8x8 luma samples, and the others.
    fn split(&mut self, rows: usize) -> (Part<'_>, Part<'_>) {
        let &mut Part { ref mut data, stride, side, above, left, width, height } = self;
        let (upper, lower) = data.split_at_mut((above + rows * side) * stride);
        (
            Part { data: upper, stride, side, above, left, width, height: rows * side },
            Part { data: lower, stride, side, above: 0, left, width, height: height - rows * side },
        )
    }

    /// The picture's rows.
    fn rows(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let (left, width) = (self.left, self.width);
        let rows = self.data.chunks_exact_mut(self.stride).skip(self.above).take(self.height);
        rows.map(move |row| &mut row[left..left + width])
    }
}

impl<'a> Band<'a> {
    /// All of a frame that shows `size` luma samples.
    pub(super) fn whole(frame: &'a mut Frame<u8>, size: (usize, usize)) -> Self {
        let rows = 0..frame.planes[0].cfg.height / 8;
        let planes = frame.planes.each_mut().map(|plane| {
            let (cfg, data) = (&plane.cfg, &mut plane.data[..]);
            let (width, height) = ((size.0 + cfg.xdec) >> cfg.xdec, (size.1 + cfg.ydec) >> cfg.ydec);
            Part {
                data,
                stride: cfg.stride,
                side: 8 >> cfg.ydec,
                above: cfg.yorigin,
                left: cfg.xorigin,
                width,
                height,
            }
        });
        Self { rows, planes }
    }

    /// Whether it is no more than one.
    pub(super) fn is_one(&self) -> bool {
        self.rows.len() <= HEIGHT
    }

    /// The upper and the lower half, in whole bands.
    pub(super) fn split(&mut self) -> (Band<'_>, Band<'_>) {
        let upper = self.rows.len().div_ceil(HEIGHT).div_ceil(2) * HEIGHT;
        let middle = self.rows.start + upper;
        let [(u0, l0), (u1, l1), (u2, l2)] = self.planes.each_mut().map(|part| part.split(upper));
        (
            Band { rows: self.rows.start..middle, planes: [u0, u1, u2] },
            Band { rows: middle..self.rows.end, planes: [l0, l1, l2] },
        )
    }

    /// The samples of a plane from the first one of the picture on, and how far a row is from the next.
    pub(super) fn samples(&mut self, plane: usize) -> (&mut [u8], usize) {
        let part = &mut self.planes[plane];
        (&mut part.data[part.above * part.stride + part.left..], part.stride)
    }

    /// Copies a picture's samples of these rows, and pads them.
    pub(super) fn copy(&mut self, picture: &PictureView<'_>) {
        if !self.is_one() {
            let (mut upper, mut lower) = self.split();
            rayon::join(|| upper.copy(picture), || lower.copy(picture));
            return;
        }
        let top = self.rows.start * 8;
        let [luma, u, v] = &mut self.planes;
        let plane = |to: &mut Part<'_>, from: &PlaneView<'_>, top: usize| {
            to.rows().zip(from.rows().skip(top)).for_each(|(to, from)| to.copy_from_slice(from));
        };
        plane(luma, &picture.luma(), top);
        match picture.chroma() {
            Chroma::Planar(from) => {
                plane(u, &from[0], top / 2);
                plane(v, &from[1], top / 2);
            }
            Chroma::Interleaved(from) => {
                for ((u, v), from) in u.rows().zip(v.rows()).zip(from.rows().skip(top / 2)) {
                    take_turns(from, u, v);
                }
            }
        }
        self.pad();
    }

    /// Repeats the edge samples of the picture around it.
    pub(super) fn pad(&mut self) {
        for &mut Part { ref mut data, stride, above, left, width, height, .. } in &mut self.planes {
            for row in data.chunks_exact_mut(stride).skip(above).take(height) {
                let (first, last) = (row[left], row[left + width - 1]);
                row[..left].fill(first);
                row[left + width..].fill(last);
            }
            let below = above + height;
            for (row, beyond) in [(above, 0..above), (below - 1, below..data.len() / stride)] {
                beyond.for_each(|to| data.copy_within(row * stride..(row + 1) * stride, to * stride));
            }
        }
    }
}
