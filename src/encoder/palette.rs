//! Palettes: blocks of few colours, coded as their colours and an index for each sample (AV1 specification, sections
//! 5.11.46, 5.11.49, 5.11.50 and 7.11.4).

use arrayvec::ArrayVec;

use super::kernels::*;
use super::probabilities::{INDEX_CONTEXTS, MOST_COLOURS, PaletteProbabilities};

/// A number of bits and their value, coded with even probabilities.
type Literal = (u8, u32);

/// The colours of a block's luma, in rising order; none if it has no palette.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Palette {
    size: u8,
    colours: [u8; MOST_COLOURS],
}

impl Palette {
    /// The palette of these colours, in any order; none if there are fewer than two different ones.
    pub(super) fn new(colours: &[u8]) -> Self {
        let mut all = ArrayVec::<u8, MOST_COLOURS>::from_iter(colours.iter().copied());
        all.sort_unstable();
        let mut palette = Self::default();
        for colour in all {
            if palette.colours().last() != Some(&colour) {
                palette.colours[palette.len()] = colour;
                palette.size += 1;
            }
        }
        if palette.size < 2 { Self::default() } else { palette }
    }

    pub(super) fn len(&self) -> usize {
        self.size.into()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(super) fn colours(&self) -> &[u8] {
        &self.colours[..self.len()]
    }

    /// Writes the index of the nearest colour to each sample of a block into `map`.
    pub(super) fn index(
        &self,
        source: &PlaneRegion<'_, u8>,
        (width, height): (usize, usize),
        map: &mut [u8],
    ) {
        let mut between = [u8::MAX; MOST_COLOURS - 1];
        for (between, pair) in between.iter_mut().zip(self.colours().windows(2)) {
            *between = pair[0].midpoint(pair[1]);
        }
        for (to, from) in map.chunks_exact_mut(width).zip(source.rows_iter()).take(height) {
            index_row(to, &from[..width], &between);
        }
    }

    /// The squared error of the colours that `map` tells.
    pub(super) fn error(&self, source: &PlaneRegion<'_, u8>, map: &[u8], width: usize) -> u32 {
        let mut sum = 0;
        for (from, map) in source.rows_iter().zip(map.chunks_exact(width)) {
            for (&sample, &index) in from.iter().zip(map) {
                let off = i32::from(sample) - i32::from(self.colours[usize::from(index & 7)]);
                sum += (off * off) as u32;
            }
        }
        sum
    }

    /// Writes the colours that `map` tells into a block.
    pub(super) fn paint(&self, map: &[u8], to: &mut PlaneRegionMut<'_, u8>, width: usize) {
        for (to, from) in to.rows_iter_mut().zip(map.chunks_exact(width)) {
            for (to, &index) in to.iter_mut().zip(from) {
                *to = self.colours[usize::from(index)];
            }
        }
    }

    /// What is written of the colours: which of the `cache` are taken, then the others.
    pub(super) fn literals(&self, cache: &Cache) -> ArrayVec<Literal, 32> {
        let mut literals = ArrayVec::new();
        let mut others = ArrayVec::<u8, MOST_COLOURS>::from_iter(self.colours().iter().copied());
        for colour in cache {
            if others.is_empty() {
                break;
            }
            let taken = others.iter().position(|other| other == colour);
            literals.push((1, taken.is_some().into()));
            if let Some(i) = taken {
                others.remove(i);
            }
        }
        let Some(&first) = others.first() else { return literals };
        literals.push((8, first.into()));
        if others.len() < 2 {
            return literals;
        }
        let steps = others.windows(2).map(|pair| u32::from(pair[1] - pair[0]) - 1);
        let needed = steps.clone().map(|step| 32 - step.leading_zeros()).max().unwrap_or(0);
        let extra = needed.saturating_sub(5);
        literals.push((2, extra));
        let mut bits = 5 + extra;
        for (step, &colour) in steps.zip(&others[1..]) {
            literals.push((bits as u8, step));
            bits = bits.min(ceil_log2(255 - u32::from(colour)));
        }
        literals
    }
}

/// CeilLog2() of section 4.7.
fn ceil_log2(x: u32) -> u32 {
    if x < 2 { 0 } else { 32 - (x - 1).leading_zeros() }
}

wide! {
    fn index_row(to: &mut [u8], from: &[u8], between: &[u8; MOST_COLOURS - 1]) {
        for (to, &sample) in to.iter_mut().zip(from) {
            let mut index = 0;
            for &between in between {
                index += u8::from(sample > between);
            }
            *to = index;
        }
    }
}

/// The colours of the palettes above and to the left, in rising order.
pub(super) type Cache = ArrayVec<u8, { 2 * MOST_COLOURS }>;

/// The palettes of a tile's blocks.
pub(super) struct Palettes {
    columns: usize,
    /// One for each 8x8 luma samples.
    blocks: Vec<Palette>,
    /// The indices of a block.
    pub(super) map: Vec<u8>,
}

impl Palettes {
    /// For a tile of `width` x `height` luma samples, in units of 4 samples.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
        Self { columns, blocks: vec![Palette::default(); columns * rows], map: vec![0; 64 * 64] }
    }

    /// Notes the palette of a block, or that it has none.
    pub(super) fn set(&mut self, bo: TileBlockOffset, bsize: BlockSize, palette: Palette) {
        let (x, y) = (bo.0.x / 2, bo.0.y / 2);
        let width = (bsize.width() / 8).min(self.columns - x);
        for row in self.blocks.chunks_exact_mut(self.columns).skip(y).take(bsize.height() / 8) {
            row[x..x + width].fill(palette);
        }
    }

    fn above(&self, bo: TileBlockOffset) -> Option<&Palette> {
        (bo.0.y > 0).then(|| &self.blocks[(bo.0.y / 2 - 1) * self.columns + bo.0.x / 2])
    }

    fn left(&self, bo: TileBlockOffset) -> Option<&Palette> {
        (bo.0.x > 0).then(|| &self.blocks[bo.0.y / 2 * self.columns + bo.0.x / 2 - 1])
    }

    /// How many of the blocks above and to the left have a palette.
    pub(super) fn neighbours(&self, bo: TileBlockOffset) -> usize {
        [self.above(bo), self.left(bo)].into_iter().flatten().filter(|palette| !palette.is_empty()).count()
    }

    /// get_palette_cache() of section 5.11.46. Colours above the superblock are not kept.
    pub(super) fn cache(&self, bo: TileBlockOffset) -> Cache {
        let above = self.above(bo).filter(|_| !bo.0.y.is_multiple_of(16));
        let both = above.into_iter().chain(self.left(bo));
        let mut all: Cache = both.flat_map(|palette| palette.colours().iter().copied()).collect();
        all.sort_unstable();
        let mut cache = Cache::new();
        cache.extend(all.iter().enumerate().filter(|&(i, c)| i == 0 || all[i - 1] != *c).map(|(_, &c)| c));
        cache
    }
}

/// The context of an index, and its rank in the order of indices, by its neighbours (section 5.11.50).
#[inline(always)]
fn rank(left: u8, above_left: u8, above: u8, index: u8) -> (usize, u8) {
    let (context, first) = if left == above {
        if left == above_left { (4, [left; 3]) } else { (3, [left, above_left, above_left]) }
    } else if above_left == above {
        (2, [above, left, left])
    } else if above_left == left {
        (2, [left, above, above])
    } else {
        (1, [left.min(above), left.max(above), above_left])
    };
    (context, rank_after(first, index))
}

/// The rank of an index if those of `first` are the first ones, and the others follow in rising order.
#[inline(always)]
fn rank_after(first: [u8; 3], index: u8) -> u8 {
    let [a, b, c] = first;
    if index == a {
        return 0;
    }
    if index == b {
        return 1;
    }
    if index == c {
        return 2;
    }
    // Those of `first` that are larger than the index stand before it.
    index + u8::from(a > index) + u8::from(b > index && b != a) + u8::from(c > index && c != a && c != b)
}

/// The context and the rank of the index at `(x, y)` of a map that is not the first.
#[inline(always)]
fn rank_at(map: &[u8], width: usize, x: usize, y: usize) -> (usize, u8) {
    let at = y * width + x;
    match (x, y) {
        (0, _) => (0, rank_after([map[at - width]; 3], map[at])),
        (_, 0) => (0, rank_after([map[at - 1]; 3], map[at])),
        _ => rank(map[at - 1], map[at - width - 1], map[at - width], map[at]),
    }
}

/// How many bits a map of indices takes, or more than `most` if it takes more than that.
pub(super) fn map_bits(
    map: &[u8],
    (width, height): (usize, usize),
    size: usize,
    bits: &[[f32; MOST_COLOURS]; INDEX_CONTEXTS],
    most: f32,
) -> f32 {
    // write_quniform of the first index.
    let mut sum = ceil_log2(size as u32) as f32;
    for x in 1..width {
        let (context, rank) = rank_at(map, width, x, 0);
        sum += bits[context][usize::from(rank)];
    }
    for y in 1..height {
        if sum > most {
            break;
        }
        let (context, first) = rank_at(map, width, 0, y);
        sum += bits[context][usize::from(first)];
        let (above, row) = (&map[(y - 1) * width..y * width], &map[y * width..(y + 1) * width]);
        for (above, row) in above.windows(2).zip(row.windows(2)) {
            let (context, rank) = rank(row[0], above[0], above[1], row[1]);
            sum += bits[context][usize::from(rank)];
        }
    }
    sum
}

/// Writes palette_tokens() of section 5.11.49: the indices of `map` along its diagonals.
pub(super) fn write_map(
    w: &mut impl Writer,
    probabilities: &mut PaletteProbabilities,
    map: &[u8],
    (width, height): (usize, usize),
    size: usize,
) {
    w.write_quniform(size as u32, map[0].into());
    for diagonal in 1..width + height - 1 {
        for x in (diagonal.saturating_sub(height - 1)..=diagonal.min(width - 1)).rev() {
            let (context, rank) = rank_at(map, width, x, diagonal - x);
            probabilities.write_index(w, size, context, rank.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_neighbours_are_told_by_a_bit_each_and_others_by_steps() {
        let palette = Palette::new(&[200, 10, 40, 10, 255]);
        assert_eq!(palette.colours(), [10, 40, 200, 255]);
        let cache: Cache = [5, 40, 90, 200, 201].into_iter().collect();
        let literals = palette.literals(&cache);
        // 40 and 200 are taken; 10 is told whole, 255 as a step of 245, which takes 8 bits.
        let expected = [(1, 0), (1, 1), (1, 0), (1, 1), (1, 0), (8, 10), (2, 3), (8, 244)];
        assert_eq!(literals.as_slice(), expected);
        // Once all colours are taken, no more is said of those of the neighbours.
        let literals = Palette::new(&[5, 40]).literals(&cache);
        assert_eq!(literals.as_slice(), [(1, 1), (1, 1)]);
        assert!(Palette::new(&[7, 7]).is_empty());
    }

    #[test]
    fn steps_take_fewer_bits_towards_white() {
        let literals = Palette::new(&[100, 250, 252, 255]).literals(&Cache::new());
        // 5 values are above 250, and 3 above 252.
        assert_eq!(literals.as_slice(), [(8, 100), (2, 3), (8, 149), (3, 1), (2, 2)]);
    }

    #[test]
    fn ranks_are_an_order_of_all_indices() {
        for left in 0..8 {
            for above_left in 0..8 {
                for above in 0..8 {
                    let mut ranks: Vec<u8> = (0..8).map(|i| rank(left, above_left, above, i).1).collect();
                    let context = rank(left, above_left, above, 0).0;
                    // What both neighbours have is first; if they differ, the one that the corner has is.
                    match context {
                        3 | 4 => assert_eq!(ranks[usize::from(left)], 0),
                        2 => assert_eq!(ranks[usize::from(above_left)], 0),
                        _ => assert_eq!(ranks[usize::from(left.min(above))], 0),
                    }
                    ranks.sort_unstable();
                    assert_eq!(ranks, [0, 1, 2, 3, 4, 5, 6, 7]);
                }
            }
        }
    }
}
