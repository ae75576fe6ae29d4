//! Distances between many points and many centres, by matrix multiplication.
//!
//! Points are cut into blocks of fixed size, and each block is multiplied on one thread: the result does not
//! depend on how many threads there are.

use super::Clusters;
use super::rows::{multiply, squared_distance, squared_norms};
use crate::embeddings::Embeddings;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Points multiplied at a time: large enough for the kernel, small enough to share few points among threads.
const BLOCK: usize = 256;

/// Inner products of every point with every centre, `[points, centers]`, row-major.
pub(super) fn products(points: &Embeddings, centers: &Embeddings) -> Vec<f32> {
    let mut result = vec![0.0; points.rows() * centers.rows()];
    let blocks = result.par_chunks_mut(BLOCK * centers.rows());
    blocks.zip(points.values().par_chunks(BLOCK * points.width())).for_each(|(out, block)| {
        multiply(block, centers.values(), centers.width(), out);
    });
    result
}

/// As [`products`], but `[centers, points]`: those of one centre stand together.
pub(super) fn products_by_center(points: &Embeddings, centers: &Embeddings) -> Vec<f32> {
    let mut result = vec![0.0; points.rows() * centers.rows()];
    let out = MatMut::from_row_major_slice_mut(&mut result, centers.rows(), points.rows());
    let blocks = points.values().par_chunks(BLOCK * points.width());
    out.par_col_chunks_mut(BLOCK).zip(blocks).for_each(|(out, block)| {
        let points = MatRef::from_row_major_slice(block, block.len() / points.width(), points.width());
        let centers = MatRef::from_row_major_slice(centers.values(), centers.rows(), centers.width());
        matmul(out, Accum::Replace, centers, points.transpose(), 1.0, Par::Seq);
    });
    result
}

/// The nearest centre of every point, the first of equally near ones: by all products, for points that are only looked at once.
pub(super) fn nearest(points: &Embeddings, centers: &Embeddings) -> Vec<u32> {
    let halves: Vec<f32> =
        squared_norms(centers.values(), centers.width()).into_iter().map(|norm| norm / 2.0).collect();
    let products = products(points, centers);
    let best = |products: &[f32]| {
        let mut best = (f32::NEG_INFINITY, 0);
        for ((product, half), center) in products.iter().zip(&halves).zip(0..) {
            if product - half > best.0 {
                best = (product - half, center);
            }
        }
        best.1
    };
    products.par_chunks_exact(centers.rows()).map(best).collect()
}

/// Squared distance between every point and the centre of its cluster.
pub(super) fn distances(points: &Embeddings, centers: &Embeddings, assignment: &[usize]) -> Vec<f32> {
    let clusters = assignment.par_iter().enumerate();
    clusters.map(|(point, &cluster)| squared_distance(points.row(point), centers.row(cluster))).collect()
}

/// Sum of squared distances between points and the centres of their clusters.
pub(super) fn inertia(points: &Embeddings, clusters: &Clusters) -> f64 {
    let distances = distances(points, &clusters.centers, &clusters.assignment);
    distances.into_iter().map(f64::from).sum()
}

/// The rows with these numbers.
pub(super) fn gather(table: &Embeddings, rows: &[usize]) -> Embeddings {
    let values = rows.iter().flat_map(|&row| table.row(row)).copied().collect();
    Embeddings::new(table.width(), values)
}

/// `rows + sign * vector`.
pub(super) fn shifted(rows: &Embeddings, vector: &[f32], sign: f32) -> Embeddings {
    let mut result = rows.clone();
    result.values_mut().par_chunks_mut(rows.width()).for_each(|row| {
        row.iter_mut().zip(vector).for_each(|(value, shift)| *value += sign * shift);
    });
    result
}

/// Mean squared norm of the rows.
pub(super) fn mean_square(rows: &Embeddings) -> f64 {
    let norms = squared_norms(rows.values(), rows.width());
    norms.into_iter().map(f64::from).sum::<f64>() / rows.rows() as f64
}
