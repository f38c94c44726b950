//! Pictures: 8-bit 4:2:0 samples, borrowed from their owner or owned.
//!
//! A [`PictureView`] borrows planes, each with a stride of its own, so that a camera pipeline hands over its buffers as
//! they are: three of them, or two as in NV12. A [`Picture`] owns its samples, in three planes.

mod colours;

use std::fmt;

pub use colours::Colours;

/// Width and height of a picture, a layer or a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs)] // There is nothing more to a size.
pub struct Size {
    /// In luma samples, or in the pixels of a window.
    pub width: u32,
    /// In luma samples, or in the pixels of a window.
    pub height: u32,
}

impl Size {
    /// `width` x `height`.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of samples: the width times the height.
    pub const fn samples(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Whether AV1 can code a picture of this size: 1 to 65536 samples wide and high.
    pub const fn is_codable(self) -> bool {
        1 <= self.width && self.width <= 1 << 16 && 1 <= self.height && self.height <= 1 << 16
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// Why planes do not make a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The width or height is zero or above 65536, the largest that AV1 can code.
    #[error("a picture is 1 to 65536 samples wide and high, not {0}")]
    Size(Size),
    /// A row is longer than the distance between two rows.
    #[error("plane {plane}: a stride of {stride} is less than its width of {width}")]
    Stride {
        /// 0 for luma, 1 and 2 for chroma, or 1 for both in one.
        plane: usize,
        /// Distance between two rows, in samples.
        stride: usize,
        /// Width of the plane, in samples.
        width: usize,
    },
    /// The plane ends before its last row does.
    #[error("plane {plane}: {len} samples, but {needed} are needed")]
    Short {
        /// 0 for luma, 1 and 2 for chroma, or 1 for both in one.
        plane: usize,
        /// Samples given.
        len: usize,
        /// Samples needed.
        needed: usize,
    },
}

/// One borrowed plane of samples.
#[derive(Clone, Copy)]
pub struct PlaneView<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> PlaneView<'a> {
    /// A plane of this width and height, number `plane` of its picture.
    fn new(
        plane: usize,
        (width, height): (usize, usize),
        data: &'a [u8],
        stride: usize,
    ) -> Result<Self, PictureError> {
        if stride < width {
            return Err(PictureError::Stride { plane, stride, width });
        }
        let needed = stride.saturating_mul(height - 1).saturating_add(width);
        if data.len() < needed {
            return Err(PictureError::Short { plane, len: data.len(), needed });
        }
        Ok(Self { data, stride, width, height })
    }

    /// Width in samples.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in samples.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y`, `width` samples long.
    ///
    /// # Panics
    /// If `y` is not below the height.
    pub fn row(&self, y: usize) -> &'a [u8] {
        assert!(y < self.height, "row {y} of {}", self.height);
        &self.data[y * self.stride..][..self.width]
    }

    /// All rows from the top.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let this = *self;
        (0..this.height).map(move |y| this.row(y))
    }
}

/// Borrowed chroma samples: half the width and height of luma, rounded up.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Chroma<'a> {
    /// A plane of U and one of V, as in I420.
    Planar([PlaneView<'a>; 2]),
    /// One plane of twice the width, in which samples of U and V take turns, as in NV12.
    Interleaved(PlaneView<'a>),
}

/// A borrowed picture: luma and chroma.
#[derive(Clone, Copy)]
pub struct PictureView<'a> {
    luma: PlaneView<'a>,
    chroma: Chroma<'a>,
}

impl<'a> PictureView<'a> {
    /// A picture of `size` luma samples over planes Y, U, V, each with its stride in samples.
    ///
    /// # Errors
    /// [`PictureError`] if the planes cannot hold such a picture.
    pub fn new(size: Size, planes: [&'a [u8]; 3], strides: [usize; 3]) -> Result<Self, PictureError> {
        if !size.is_codable() {
            return Err(PictureError::Size(size));
        }
        let view =
            |plane: usize| PlaneView::new(plane, plane_size(size, plane), planes[plane], strides[plane]);
        Ok(Self { luma: view(0)?, chroma: Chroma::Planar([view(1)?, view(2)?]) })
    }

    /// A picture of `size` luma samples over a plane Y and one in which U and V take turns (NV12), each with its stride
    /// in samples.
    ///
    /// # Errors
    /// [`PictureError`] if the planes cannot hold such a picture.
    pub fn nv12(size: Size, planes: [&'a [u8]; 2], strides: [usize; 2]) -> Result<Self, PictureError> {
        if !size.is_codable() {
            return Err(PictureError::Size(size));
        }
        let (width, height) = plane_size(size, 1);
        let luma = PlaneView::new(0, plane_size(size, 0), planes[0], strides[0])?;
        let chroma = PlaneView::new(1, (2 * width, height), planes[1], strides[1])?;
        Ok(Self { luma, chroma: Chroma::Interleaved(chroma) })
    }

    /// Width and height in luma samples.
    pub fn size(&self) -> Size {
        Size::new(self.luma.width as u32, self.luma.height as u32)
    }

    /// The luma samples.
    pub fn luma(&self) -> PlaneView<'a> {
        self.luma
    }

    /// The chroma samples.
    pub fn chroma(&self) -> Chroma<'a> {
        self.chroma
    }

    /// A copy that owns its samples.
    pub fn to_picture(&self) -> Picture {
        let mut picture = Picture::new(self.size());
        let copy = |to: &mut [u8], from: PlaneView<'_>| {
            for (to, from) in to.chunks_exact_mut(from.width).zip(from.rows()) {
                to.copy_from_slice(from);
            }
        };
        let [y, u, v] = &mut picture.planes;
        copy(y, self.luma);
        match self.chroma {
            Chroma::Planar(planes) => [u, v].into_iter().zip(planes).for_each(|(to, from)| copy(to, from)),
            Chroma::Interleaved(plane) => {
                let width = plane.width / 2;
                let rows = u.chunks_exact_mut(width).zip(v.chunks_exact_mut(width));
                rows.zip(plane.rows()).for_each(|((u, v), row)| take_turns(row, u, v));
            }
        }
        picture
    }
}

/// Copies samples of U and V that take turns to rows of their own.
pub(crate) fn take_turns(row: &[u8], u: &mut [u8], v: &mut [u8]) {
    let (pairs, _) = row.as_chunks();
    for ((u, v), [from_u, from_v]) in u.iter_mut().zip(v).zip(pairs) {
        (*u, *v) = (*from_u, *from_v);
    }
}

/// Width and height in samples of plane 0, 1 or 2 of a 4:2:0 picture.
pub const fn plane_size(size: Size, plane: usize) -> (usize, usize) {
    let (width, height) = (size.width as usize, size.height as usize);
    if plane == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) }
}

/// A picture that owns its samples. Its rows follow each other without a gap.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    size: Size,
    planes: [Vec<u8>; 3],
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({})", self.size)
    }
}

impl Picture {
    /// A grey picture of 1 to 65536 samples a side.
    ///
    /// # Panics
    /// If the size is not in that range.
    pub fn new(size: Size) -> Self {
        assert!(size.is_codable(), "{size}");
        let plane = |p| {
            let (w, h) = plane_size(size, p);
            vec![128; w * h]
        };
        Self { size, planes: [plane(0), plane(1), plane(2)] }
    }

    /// Width and height in luma samples.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The samples of plane 0, 1 or 2; the stride is the plane's width.
    pub fn plane(&self, plane: usize) -> &[u8] {
        &self.planes[plane]
    }

    /// The samples of plane 0, 1 or 2, writable.
    pub fn plane_mut(&mut self, plane: usize) -> &mut [u8] {
        &mut self.planes[plane]
    }

    /// The samples of all planes, writable.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        self.planes.each_mut().map(Vec::as_mut_slice)
    }

    /// Borrowed views of all planes.
    pub fn planes(&self) -> [PlaneView<'_>; 3] {
        [0, 1, 2].map(|plane| {
            let (width, height) = plane_size(self.size, plane);
            PlaneView { data: &self.planes[plane], stride: width, width, height }
        })
    }

    /// A borrowed view of the whole picture.
    pub fn view(&self) -> PictureView<'_> {
        let [luma, u, v] = self.planes();
        PictureView { luma, chroma: Chroma::Planar([u, v]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_reads_rows_by_stride() {
        let y: Vec<u8> = (0..32).collect();
        let view = PictureView::new(Size::new(3, 3), [&y, &y, &y], [8, 4, 2]).unwrap();
        assert_eq!(view.luma().row(2), [16, 17, 18]);
        let Chroma::Planar([u, _]) = view.chroma() else { panic!("three planes") };
        assert_eq!(u.row(1), [4, 5]);
        let copy = view.to_picture();
        assert_eq!(copy.plane(0), [0, 1, 2, 8, 9, 10, 16, 17, 18]);
        assert_eq!(copy.plane(2), [0, 1, 2, 3]);
        assert!(copy.view().luma().rows().eq(view.luma().rows()));
    }

    #[test]
    fn u_and_v_of_nv12_take_turns() {
        let samples: Vec<u8> = (0..32).collect();
        let view = PictureView::nv12(Size::new(3, 3), [&samples, &samples], [8, 5]).unwrap();
        let copy = view.to_picture();
        assert_eq!(copy.plane(0), [0, 1, 2, 8, 9, 10, 16, 17, 18]);
        assert_eq!((copy.plane(1), copy.plane(2)), (&[0, 2, 5, 7][..], &[1, 3, 6, 8][..]));
    }

    #[test]
    fn planes_that_hold_no_picture_are_refused() {
        let d = [0u8; 16];
        let new = |w, h, strides| PictureView::new(Size::new(w, h), [&d, &d, &d], strides).err();
        assert_eq!(new(0, 4, [4; 3]), Some(PictureError::Size(Size::new(0, 4))));
        assert_eq!(new(4, 4, [3, 4, 4]), Some(PictureError::Stride { plane: 0, stride: 3, width: 4 }));
        assert_eq!(new(4, 4, [4, 15, 4]), Some(PictureError::Short { plane: 1, len: 16, needed: 17 }));
        assert_eq!(new(4, 4, [4, 14, 2]), None);
        let nv12 = |w, h, strides| PictureView::nv12(Size::new(w, h), [&d, &d], strides).err();
        assert_eq!(nv12(4, 0, [4; 2]), Some(PictureError::Size(Size::new(4, 0))));
        assert_eq!(nv12(3, 3, [4, 3]), Some(PictureError::Stride { plane: 1, stride: 3, width: 4 }));
        assert_eq!(nv12(4, 4, [4, 13]), Some(PictureError::Short { plane: 1, len: 16, needed: 17 }));
        assert_eq!(nv12(4, 4, [4, 12]), None);
    }
}
