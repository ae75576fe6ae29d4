//! Upper bounds that spare most distances between points and centres.
//!
//! `|v - c|^2 / 2` is `|v|^2 / 2 - s` with the score `s = v c - |c|^2 / 2`: the nearest centre has the largest score. Split into a
//! few [leading](super::directions) directions and the rest, a product has the bound `v c <= v' c' + |rest of v| |rest of c|`
//! (Cauchy-Schwarz), so the bounds of all scores are one narrow matrix product. What it cannot rule out is computed exactly, and
//! so nothing but the time depends on the bounds.

#![expect(
    clippy::inline_always,
    reason = "a body must be inlined into the function compiled for the vector unit"
)]

use super::directions::leading;
use super::distance::products;
use super::rows::{multiply, squared_norms};
use crate::embeddings::Embeddings;
use rayon::prelude::*;

/// Points handled at a time: their bounds against 256 centres take half a MiB.
const BLOCK: usize = 512;

/// Points, prepared for bounds against changing centres.
pub(super) struct Bounds<'a> {
    pub(super) points: &'a Embeddings,
    /// Absent: whole vectors are multiplied, and a bound leaves nothing but rounding.
    directions: Option<Embeddings>,
    /// [`factors`] of the points.
    factors: Embeddings,
}

/// Some of the points.
pub(super) struct Block<'a> {
    /// Row-major, as long as the table's rows.
    pub(super) points: &'a [f32],
    /// The bounds of their scores, `[points, centers]`.
    pub(super) bounds: &'a [f32],
    /// [`factors`] of these points and of the centres.
    factors: (&'a [f32], &'a Embeddings),
    rounding: f32,
}

impl Block<'_> {
    /// How far a score may lie below its bound.
    #[inline(always)]
    pub(super) fn gap(&self, point: usize, center: usize) -> f32 {
        let (points, centers) = self.factors;
        let end = centers.width() - 2;
        let (rest_of_point, center) = (points[point * centers.width() + end], centers.row(center));
        let (rest_of_center, minus_half) = (center[end], center[end + 1]);
        2.0 * (rest_of_point * rest_of_center - self.rounding * minus_half)
    }
}

impl<'a> Bounds<'a> {
    /// Bounds from leading directions, if the points have them.
    pub(super) fn new(points: &'a Embeddings) -> Self {
        Self::along(points, leading(points))
    }
    fn along(points: &'a Embeddings, directions: Option<Embeddings>) -> Self {
        let factors = factors(points, directions.as_ref(), |_| 1.0);
        Self { points, directions, factors }
    }
    /// Gives up the directions.
    pub(super) fn tighten(&mut self) {
        if self.directions.is_some() {
            *self = Self::along(self.points, None);
        }
    }
    /// Hands every block of points and their part of `out`, one value per point, to `visit`; the sum of what it returns.
    pub(super) fn visit<T: Send>(
        &self,
        centers: &Embeddings,
        out: &mut [T],
        visit: impl Fn(Block, &mut [T]) -> usize + Sync,
    ) -> usize {
        let rounding = rounding(centers.width());
        let minus_half = |norm: f32| (rounding - 1.0) * norm / 2.0;
        let centers = factors(centers, self.directions.as_ref(), minus_half);
        let points = self.points.values().par_chunks(BLOCK * self.points.width());
        let factors = self.factors.values().par_chunks(BLOCK * centers.width());
        let blocks = out.par_chunks_mut(BLOCK).zip(points).zip(factors);
        let visited = blocks.map_init(Vec::new, |bounds, ((out, points), factors)| {
            bounds.resize(out.len() * centers.rows(), 0.0);
            multiply(factors, centers.values(), centers.width(), bounds);
            visit(Block { points, bounds, factors: (factors, &centers), rounding }, out)
        });
        visited.sum()
    }
}

/// More than what rounding does to a sum of so many products, relative to the norms of the factors.
fn rounding(products: usize) -> f32 {
    4.0 * products as f32 * f32::EPSILON
}

/// For every row `v`: its coordinates `v'`, the length of the rest, and `last` of its squared norm, so that products of two tables'
/// factors are bounds. A rest includes what rounding may have done.
///
/// # Shapes
/// - result: `[rows, directions + 2]`
fn factors(rows: &Embeddings, directions: Option<&Embeddings>, last: impl Fn(f32) -> f32) -> Embeddings {
    let (coordinates, count) = match directions {
        Some(directions) => (&*products(rows, directions), directions.rows()),
        None => (rows.values(), rows.width()),
    };
    let (norms, kept) = (squared_norms(rows.values(), rows.width()), squared_norms(coordinates, count));
    let mut factors = Vec::with_capacity(rows.rows() * (count + 2));
    for ((coordinates, norm), kept) in coordinates.chunks_exact(count).zip(norms).zip(kept) {
        let rest = (norm - kept).max(0.0) + rounding(rows.width()) * norm;
        factors.extend_from_slice(coordinates);
        factors.extend([rest.sqrt(), last(norm)]);
    }
    Embeddings::new(count + 2, factors)
}
