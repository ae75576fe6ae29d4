//! Optimised product quantisation (Ge, He, Ke and Sun 2013): a rotation, and k-means in each subspace of the rotated vectors.
//!
//! Rotation and codebooks are fitted in turns, and the error falls with both: given a rotation, k-means improves the codebooks
//! (one sweep of Lloyd's algorithm, as in the paper); given the quantised vectors `Y`, the rotation that brings the vectors `X`
//! nearest to them is `U V^T` of `X^T Y = U S V^T` (orthogonal Procrustes problem). The start is the paper's parametric solution:
//! principal directions, dealt out so that the subspaces have equal products of variances.
//!
//! No code is coarser than another, so their order means nothing: such IDs are sets (RPG, `SETRec`).
//!
//! The codebooks are kept in the space of the vectors, turned back and each in its own subspace. So these vectors, too, add up
//! to what the codes say - sub-vectors concatenated and rotated back - and the nearest code of a subspace is the nearest vector
//! of its codebook, since what other subspaces hold is the same distance from all of them.
//!
//! Departure: a width that `levels` does not divide is cut into subspaces whose widths differ by one.

use super::directions::transposed;
use super::distance::{mean_square, products, shifted};
use super::factorization::{procrustes, symmetric_eigen};
use super::levels::Levels;
use super::means::column_means;
use super::{Clusters, Fit, QuantizeConfig, QuantizeError, Quantized, lloyd};
use crate::embeddings::Embeddings;
use crate::random::Key;
use std::ops::Range;

/// A product quantisation in progress; a step is a round.
pub(super) struct Product {
    vectors: Embeddings,
    mean: Vec<f32>,
    /// The vectors around their mean.
    points: Embeddings,
    config: QuantizeConfig,
    key: Key,
    /// Orthonormal directions, one per row; each subspace has a range of them.
    rotation: Embeddings,
    /// One per subspace, from the first round on.
    clusters: Vec<Clusters>,
    rounds: usize,
}

impl Product {
    /// Before the first round; settings are checked by the caller.
    pub(super) fn new(vectors: Embeddings, config: &QuantizeConfig, key: Key) -> Self {
        let mean = column_means(&vectors);
        let points = shifted(&vectors, &mean, -1.0);
        let rotation = balanced_directions(&points, config.levels);
        Self { vectors, mean, points, config: config.clone(), key, rotation, clusters: Vec::new(), rounds: 0 }
    }
    fn subspace(&self, level: usize) -> Range<usize> {
        subspace(self.points.width(), self.config.levels, level)
    }
    /// Fits the codebooks to the rotated points, from where they are, with so many sweeps.
    fn cluster(&mut self, sweeps: usize) {
        let coordinates = self.coordinates(&self.points);
        let fit = |level| {
            let points = columns(&coordinates, self.subspace(level));
            match self.clusters.get(level) {
                None => lloyd::cluster(&points, &self.config, self.key.at(level as u64)),
                Some(clusters) => lloyd::refine(&points, clusters.clone(), sweeps),
            }
        };
        self.clusters = (0..self.config.levels).map(fit).collect();
    }
    /// Turns the points towards their codes.
    fn rotate(&mut self) {
        let width = self.points.width();
        let mut quantized = Vec::with_capacity(self.points.values().len());
        for item in 0..self.points.rows() {
            for clusters in &self.clusters {
                quantized.extend_from_slice(clusters.centers.row(clusters.assignment[item]));
            }
        }
        let quantized = transposed(&Embeddings::new(width, quantized));
        let correlation = Embeddings::new(width, products(&transposed(&self.points), &quantized));
        self.rotation = procrustes(&correlation);
    }
    fn coordinates(&self, rows: &Embeddings) -> Embeddings {
        Embeddings::new(rows.width(), products(rows, &self.rotation))
    }
    /// A subspace's codebook in the space of the vectors, with its share of their mean.
    fn turned_back(&self, level: usize) -> Embeddings {
        let (width, subspace) = (self.points.width(), self.subspace(level));
        let mean = self.coordinates(&Embeddings::new(width, self.mean.clone()));
        let centers = shifted(&self.clusters[level].centers, &mean.values()[subspace.clone()], 1.0);
        let directions = self.rotation.values()[subspace.start * width..subspace.end * width].to_vec();
        Embeddings::new(width, products(&centers, &transposed(&Embeddings::new(width, directions))))
    }
}

impl Fit for Product {
    fn remaining(&self) -> usize {
        self.config.iterations - self.rounds
    }
    fn step(&mut self) -> Result<(), QuantizeError> {
        self.cluster(1);
        self.rotate();
        self.rounds += 1;
        Ok(())
    }
    fn finish(mut self: Box<Self>) -> Quantized {
        // The codebooks have the last word: every item has its nearest codes.
        self.cluster(self.config.iterations);
        let mut levels = Levels::new(self.vectors.clone());
        for level in 0..self.config.levels {
            let centers = self.turned_back(level);
            levels.push(Clusters { assignment: self.clusters[level].assignment.clone(), centers });
        }
        levels.finish()
    }
}

/// The columns of a subspace.
fn subspace(width: usize, levels: usize, level: usize) -> Range<usize> {
    width * level / levels..width * (level + 1) / levels
}

fn columns(table: &Embeddings, columns: Range<usize>) -> Embeddings {
    let rows = table.values().chunks_exact(table.width());
    Embeddings::new(columns.len(), rows.flat_map(|row| &row[columns.clone()]).copied().collect())
}

/// Principal directions of centred points, dealt out to the subspaces (eigenvalue allocation, section 4.2 of the paper): the largest
/// variance that is left goes to the subspace with the smallest product of variances among those with room.
fn balanced_directions(points: &Embeddings, levels: usize) -> Embeddings {
    let width = points.width();
    let size = mean_square(points).sqrt() as f32;
    if size == 0.0 {
        return identity(width);
    }
    // Scaled, so that squares of large values stay finite.
    let turned = transposed(points);
    let turned = Embeddings::new(turned.width(), turned.values().iter().map(|value| value / size).collect());
    let (variances, vectors) = symmetric_eigen(&Embeddings::new(width, products(&turned, &turned)));
    let mut buckets: Vec<Vec<f32>> = vec![Vec::new(); levels];
    for (direction, level) in allocation(&variances, levels) {
        buckets[level].extend_from_slice(vectors.row(direction));
    }
    Embeddings::new(width, buckets.concat())
}

/// Pairs of a direction and its subspace. `variances` are ascending.
fn allocation(variances: &[f64], levels: usize) -> Vec<(usize, usize)> {
    let width = variances.len();
    // Relative to the smallest, no factor of a product is below 1; rounding leaves none below this share of the largest.
    let least = variances[0].max(variances[width - 1] * 1e-9).max(f64::MIN_POSITIVE);
    let mut logs = vec![0.0; levels];
    let mut room: Vec<usize> = (0..levels).map(|level| subspace(width, levels, level).len()).collect();
    let place = |direction: usize| {
        let open = (0..levels).filter(|level| room[*level] > 0);
        let level =
            open.min_by(|a, b| f64::total_cmp(&logs[*a], &logs[*b])).expect("as much room as directions");
        room[level] -= 1;
        logs[level] += (variances[direction].max(least) / least).ln();
        (direction, level)
    };
    (0..width).rev().map(place).collect()
}

fn identity(width: usize) -> Embeddings {
    Embeddings::new(
        width,
        (0..width * width).map(|at| if at % (width + 1) == 0 { 1.0 } else { 0.0 }).collect(),
    )
}

#[cfg(test)]
mod tests;
