//! The choice of a block's palette, and whether the block has one.
//!
//! The colours that occur in the block are joined, nearest first, until two are left; of the palettes on the way the one is
//! taken whose squared error and rate together are the least.

use arrayvec::ArrayVec;

use super::intra::INTRA_IN_INTER;
use super::kernels::*;
use super::palette::{Palette, map_bits};
use super::probabilities::MOST_COLOURS;
use super::tile::{Choice, Leaf, TileCoder};

/// The most colours that are told apart at first.
const MOST_CLUSTERS: usize = 64;
/// About how many bits a colour takes that no neighbour has, beyond those of one that a neighbour has.
const NEW_COLOUR_BITS: f32 = 6.0;

/// Samples of like colours.
#[derive(Clone, Copy, Debug, Default)]
struct Cluster {
    count: f32,
    sum: f32,
}

impl Cluster {
    fn mean(self) -> f32 {
        self.sum / self.count
    }

    fn with(self, other: Self) -> Self {
        Self { count: self.count + other.count, sum: self.sum + other.sum }
    }

    /// By how much the squared error rises if two clusters become one.
    fn apart(self, other: Self) -> f32 {
        let distance = self.mean() - other.mean();
        self.count * other.count / (self.count + other.count) * distance * distance
    }
}

type Clusters = ArrayVec<Cluster, MOST_CLUSTERS>;

/// The colours of a block with how often they occur, in rising order; like ones are joined if there are too many.
fn clusters(source: &PlaneRegion<'_, u8>, (width, height): (usize, usize)) -> Clusters {
    let mut counts = [0u16; 256];
    // Which colours there are.
    let mut present = [0u64; 4];
    for row in source.rows_iter().take(height) {
        for &sample in &row[..width] {
            counts[usize::from(sample)] += 1;
            present[usize::from(sample >> 6)] |= 1 << (sample & 63);
        }
    }
    let different: usize = present.iter().map(|word| word.count_ones() as usize).sum();
    let step = if different > MOST_CLUSTERS { 256 / MOST_CLUSTERS } else { 1 };
    let mut clusters = Clusters::new();
    let mut last = usize::MAX;
    for (word, present) in present.iter_mut().enumerate() {
        while *present != 0 {
            let colour = 64 * word + present.trailing_zeros() as usize;
            *present &= *present - 1;
            let count = f32::from(counts[colour]);
            let cluster = Cluster { count, sum: count * colour as f32 };
            match clusters.last_mut() {
                Some(like) if colour / step == last => *like = like.with(cluster),
                _ => clusters.push(cluster),
            }
            last = colour / step;
        }
    }
    clusters
}

/// Joins the two neighbours that are least apart, and returns by how much the squared error rises.
fn join(clusters: &mut Clusters, apart: &mut ArrayVec<f32, MOST_CLUSTERS>) -> f32 {
    let mut least = 0;
    for (i, &distance) in apart.iter().enumerate() {
        if distance < apart[least] {
            least = i;
        }
    }
    let error = apart.remove(least);
    let other = clusters.remove(least + 1);
    clusters[least] = clusters[least].with(other);
    if least > 0 {
        apart[least - 1] = clusters[least - 1].apart(clusters[least]);
    }
    if least < apart.len() {
        apart[least] = clusters[least].apart(clusters[least + 1]);
    }
    error
}

/// Joins neighbours that are little apart until `most` clusters are left at most, and returns by how much the squared
/// error rises: each time all that are less apart than twice as much as before. Nothing if it rises above `limit`.
fn join_like(clusters: &mut Clusters, most: usize, limit: f32) -> Option<f32> {
    let (mut error, mut least) = (0.0, 4.0);
    // For each cluster but the first, how far it is apart from the one before.
    let mut apart: ArrayVec<f32, MOST_CLUSTERS> =
        clusters.windows(2).map(|pair| pair[0].apart(pair[1])).collect();
    while clusters.len() > most {
        let mut last = 0;
        // Whether the last cluster is another than it was when its neighbours' distances were found.
        let mut joined = false;
        let mut nearest = f32::MAX;
        for i in 1..clusters.len() {
            let distance = if joined { clusters[last].apart(clusters[i]) } else { apart[i - 1] };
            if distance < least {
                clusters[last] = clusters[last].with(clusters[i]);
                error += distance;
                joined = true;
                // Its distance to the one before is another, too.
                if last > 0 {
                    apart[last - 1] = clusters[last - 1].apart(clusters[last]);
                    nearest = nearest.min(apart[last - 1]);
                }
            } else {
                apart[last] = distance;
                nearest = nearest.min(distance);
                last += 1;
                clusters[last] = clusters[i];
                joined = false;
            }
        }
        clusters.truncate(last + 1);
        apart.truncate(last);
        if error > limit {
            return None;
        }
        least *= 2.0;
        while least <= nearest && clusters.len() > most {
            least *= 2.0;
        }
    }
    Some(error)
}

/// A palette for a block.
#[derive(Clone, Copy, Debug)]
struct Found {
    palette: Palette,
    /// The bits of the palette, of its indices, and of the modes.
    bits: f32,
    /// Squared error and rate together, without chroma.
    cost: f32,
}

impl Found {
    fn choice(self) -> Choice {
        Choice {
            mode: PredictionMode::DC_PRED,
            angle: 0,
            ref_frame: RefType::INTRA_FRAME,
            mv: MotionVector::default(),
            candidates: None,
            bits: self.bits,
            cost: self.cost,
        }
    }
}

/// The most that a palette may cost, and how much less than that it costs where it is clear that it is better, both by the
/// estimate of what the other choice costs.
const MOST: f32 = 4.0;
const CLEARLY: f32 = 0.5;

impl TileCoder<'_, '_> {
    /// Codes a block as `choice` says or with a palette, whichever costs less.
    ///
    /// A palette that costs far less than the choice by its estimate is all that is coded.
    pub(super) fn code_or_palette(
        &mut self,
        bsize: BlockSize,
        bo: TileBlockOffset,
        choice: &Choice,
    ) -> (Leaf, f32) {
        let estimate = choice.cost * self.q.lambda_satd;
        let found = self.choose_palette(bsize, bo, MOST * estimate);
        if let Some(found) = found.filter(|found| found.cost < CLEARLY * estimate) {
            return self.code_choice(bsize, bo, &found.choice(), found.palette);
        }
        let (leaf, cost) = self.code_choice(bsize, bo, choice, Palette::default());
        let Some(found) = found.filter(|found| found.cost < cost) else { return (leaf, cost) };
        self.save(bsize, bo);
        let (mut other, other_cost) = self.code_choice(bsize, bo, &found.choice(), found.palette);
        if other_cost < cost {
            self.coefficients.copy_within(other.coefficients..self.used, leaf.coefficients);
            self.used -= other.coefficients - leaf.coefficients;
            other.coefficients = leaf.coefficients;
            return (other, other_cost);
        }
        self.used = other.coefficients;
        self.restore(bsize, bo);
        (leaf, cost)
    }

    /// The palette that describes a block's luma at the least cost; nothing if that costs `most` or more.
    fn choose_palette(&mut self, bsize: BlockSize, bo: TileBlockOffset, most: f32) -> Option<Found> {
        let lambda = self.q.lambda;
        let size = self.visible(bsize, bo);
        let probabilities = &*self.palette_probabilities;
        let neighbours = self.palettes.neighbours(bo);
        let mode_bits = probabilities.has_luma_bits(bsize, neighbours, true)
            + if self.frame.intra { 1.5 } else { INTRA_IN_INTER + 1.5 };
        // An index takes a bit for each 100 samples at the very least.
        let least = mode_bits + 12.0 + (size.0 * size.1) as f32 / 100.0;
        if lambda * least >= most {
            return None;
        }
        let area = Area::BlockRect { bo: bo.0, width: size.0, height: size.1 };
        let source = self.ts.input_tile.planes[0].subregion(area);
        let mut clusters = clusters(&source, size);
        let mut error = join_like(&mut clusters, 2 * MOST_COLOURS, most - lambda * least)?;
        let mut apart: ArrayVec<f32, MOST_CLUSTERS> =
            clusters.windows(2).map(|pair| pair[0].apart(pair[1])).collect();
        while clusters.len() > MOST_COLOURS {
            error += join(&mut clusters, &mut apart);
        }
        let cache = self.palettes.cache(bo);
        let mut best = None;
        let mut best_cost = most;
        while clusters.len() >= 2 && error + lambda * least < best_cost {
            let colour = |&cluster: &Cluster| {
                let mean = cluster.mean();
                let own = mean.round();
                let off = |colour: f32| (colour - mean) * (colour - mean);
                let near = cache.iter().map(|&c| f32::from(c)).min_by(|&a, &b| off(a).total_cmp(&off(b)));
                let taken =
                    near.filter(|&near| cluster.count * (off(near) - off(own)) < lambda * NEW_COLOUR_BITS);
                taken.unwrap_or(own) as u8
            };
            let colours: ArrayVec<u8, MOST_COLOURS> = clusters.iter().map(colour).collect();
            let palette = Palette::new(&colours);
            if !palette.is_empty() {
                let map = &mut self.palettes.map[..size.0 * size.1];
                palette.index(&source, size, map);
                let colour_bits: u32 =
                    palette.literals(&cache).iter().map(|&(bits, _)| u32::from(bits)).sum();
                let bits = mode_bits + probabilities.size_bits(bsize, palette.len()) + colour_bits as f32;
                let error = palette.error(&source, map, size.0) as f32;
                let left = (best_cost - error) / lambda - bits;
                let index_bits = probabilities.index_bits(palette.len());
                let bits = bits + map_bits(map, size, palette.len(), &index_bits, left);
                if error + lambda * bits < best_cost {
                    best_cost = error + lambda * bits;
                    best = Some(Found { palette, bits, cost: best_cost });
                }
            }
            if clusters.len() == 2 {
                break;
            }
            error += join(&mut clusters, &mut apart);
        }
        best
    }

    /// Width and height of the part of a block that lies within the picture, whose indices are coded.
    pub(super) fn visible(&self, bsize: BlockSize, bo: TileBlockOffset) -> (usize, usize) {
        let left = |side: usize, at: usize, end: usize| side.min(4 * (end - at));
        (left(bsize.width(), bo.0.x, self.ts.mi_width), left(bsize.height(), bo.0.y, self.ts.mi_height))
    }

    /// Predicts luma by its palette. Samples beyond the picture repeat those at its edge, as their indices do.
    pub(super) fn predict_palette(&mut self, leaf: &Leaf) {
        let Leaf { bsize, bo, palette, .. } = *leaf;
        let (width, height) = (bsize.width(), bsize.height());
        let area = Area::BlockRect { bo: bo.0, width, height };
        let source = self.ts.input_tile.planes[0].subregion(area);
        palette.index(&source, (width, height), &mut self.palettes.map);
        palette.paint(&self.palettes.map, &mut self.ts.rec.planes[0].subregion_mut(area), width);
    }
}
