//! Distances between many points and many centres, by matrix multiplication.
//!
//! Points are cut into blocks of fixed size, and each block is multiplied on one thread: the result does not
//! depend on how many threads there are.

use super::Clusters;
use crate::embeddings::Embeddings;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Points multiplied at a time: large enough for the kernel, small enough that 8192 centres take 32 MiB.
const BLOCK: usize = 1024;

/// The centre nearest to a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Nearest {
    /// Row of the centre; the first of equally near ones.
    pub(super) center: usize,
    /// Squared distance to it.
    pub(super) distance: f32,
}

/// Inner products of every point with every centre, `[points, centers]`, row-major.
pub(super) fn products(points: &Embeddings, centers: &Embeddings) -> Vec<f32> {
    let mut result = vec![0.0; points.rows() * centers.rows()];
    let blocks = result.par_chunks_mut(BLOCK * centers.rows());
    blocks.zip(points.values().par_chunks(BLOCK * points.width())).for_each(|(out, block)| {
        multiply(block, centers, out);
    });
    result
}

/// For every point, the nearest centre.
pub(super) fn nearest(points: &Embeddings, centers: &Embeddings) -> Vec<Nearest> {
    let halves: Vec<f32> = squared_norms(centers).iter().map(|square| square / 2.0).collect();
    let blocks = points.values().par_chunks(BLOCK * points.width());
    blocks.flat_map_iter(|block| nearest_of_block(block, centers, &halves)).collect()
}

/// `|v - c|^2 / 2` is `|v|^2 / 2 - (v c - |c|^2 / 2)`, so the nearest centre has the largest bracket.
fn nearest_of_block(block: &[f32], centers: &Embeddings, halves: &[f32]) -> Vec<Nearest> {
    let mut scores = vec![0.0; block.len() / centers.width() * centers.rows()];
    multiply(block, centers, &mut scores);
    let best = |scores: &[f32]| {
        let mut best = (0, f32::NEG_INFINITY);
        for (center, (product, half)) in scores.iter().zip(halves).enumerate() {
            let score = product - half;
            if score > best.1 {
                best = (center, score);
            }
        }
        best
    };
    let rows = block.chunks_exact(centers.width()).zip(scores.chunks_exact(centers.rows()));
    rows.map(|(point, scores)| {
        let (center, score) = best(scores);
        Nearest { center, distance: (square(point) - 2.0 * score).max(0.0) }
    })
    .collect()
}

/// `out = block centers^T`.
fn multiply(block: &[f32], centers: &Embeddings, out: &mut [f32]) {
    let (width, columns) = (centers.width(), centers.rows());
    let rows = block.len() / width;
    matmul(
        MatMut::from_row_major_slice_mut(out, rows, columns),
        Accum::Replace,
        MatRef::from_row_major_slice(block, rows, width),
        MatRef::from_row_major_slice(centers.values(), columns, width).transpose(),
        1.0,
        Par::Seq,
    );
}

/// The centre of every cluster; a cluster without points keeps the one in `previous`.
pub(super) fn means(points: &Embeddings, assignment: &[usize], previous: &Embeddings) -> Embeddings {
    let mut members = vec![Vec::new(); previous.rows()];
    for (point, &cluster) in assignment.iter().enumerate() {
        members[cluster].push(point);
    }
    let centers =
        members.par_iter().enumerate().flat_map_iter(|(cluster, members)| match members.as_slice() {
            [] => previous.row(cluster).to_vec(),
            members => mean_of(points, members),
        });
    Embeddings::new(points.width(), centers.collect())
}

fn mean_of(points: &Embeddings, members: &[usize]) -> Vec<f32> {
    let mut sum = vec![0.0f64; points.width()];
    for &member in members {
        for (sum, &value) in sum.iter_mut().zip(points.row(member)) {
            *sum += f64::from(value);
        }
    }
    sum.iter().map(|sum| (sum / members.len() as f64) as f32).collect()
}

/// Sum of squared distances between points and the centres of their clusters.
pub(super) fn inertia(points: &Embeddings, clusters: &Clusters) -> f64 {
    let distances: Vec<f64> = clusters
        .assignment
        .par_iter()
        .enumerate()
        .map(|(point, &cluster)| {
            f64::from(squared_distance(points.row(point), clusters.centers.row(cluster)))
        })
        .collect();
    distances.iter().sum()
}

/// Squared distance of two vectors.
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Squared norm of every row.
pub(super) fn squared_norms(rows: &Embeddings) -> Vec<f32> {
    rows.values().chunks_exact(rows.width()).map(square).collect()
}

fn square(row: &[f32]) -> f32 {
    row.iter().map(|value| value * value).sum()
}

/// Mean of every column.
pub(super) fn column_means(rows: &Embeddings) -> Vec<f32> {
    mean_of(rows, &(0..rows.rows()).collect::<Vec<_>>())
}

/// `rows + sign * vector`.
pub(super) fn shifted(rows: &Embeddings, vector: &[f32], sign: f32) -> Embeddings {
    let values = rows.values().chunks_exact(rows.width()).flat_map(|row| row.iter().zip(vector));
    Embeddings::new(rows.width(), values.map(|(value, shift)| value + sign * shift).collect())
}

/// Mean squared norm of the rows.
pub(super) fn mean_square(rows: &Embeddings) -> f64 {
    rows.values().iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / rows.rows() as f64
}
