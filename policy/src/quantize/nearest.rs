//! The nearest centre of every point: exact, though most distances are never computed.

#![expect(
    clippy::inline_always,
    reason = "a body must be inlined into the function compiled for the vector unit"
)]

use super::bounds::{Block, Bounds};
use super::rows::{dot, first_at_least, squared_norms};
use crate::embeddings::Embeddings;
use pulp::{Arch, Simd, WithSimd};

/// Bounds are of use while they spare all but one in so many scores.
const WORTHWHILE: usize = 4;

/// Replaces guesses by the row of every point's nearest centre, the first of equally near ones. Good guesses save time.
pub(super) fn find_nearest(bounds: &mut Bounds, centers: &Embeddings, nearest: &mut [usize]) {
    let norms = squared_norms(centers.values(), centers.width());
    let halves: Vec<f32> = norms.iter().map(|norm| norm / 2.0).collect();
    let scored = bounds.visit(centers, nearest, |block, nearest| {
        Arch::new().dispatch(Scan { block, centers, halves: &halves, nearest })
    });
    if scored > nearest.len() * centers.rows() / WORTHWHILE {
        bounds.tighten();
    }
}

/// One block's search.
struct Scan<'a> {
    block: Block<'a>,
    centers: &'a Embeddings,
    halves: &'a [f32],
    nearest: &'a mut [usize],
}

impl WithSimd for Scan<'_> {
    /// How many scores were computed.
    type Output = usize;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let mut scored = 0;
        for at in 0..self.nearest.len() {
            let (center, scores) = self.search(simd, at);
            self.nearest[at] = center;
            scored += scores;
        }
        scored
    }
}

/// A centre and its score.
#[derive(Clone, Copy)]
struct Scored {
    center: usize,
    score: f32,
}

impl Scan<'_> {
    /// The centre of the highest score of point `at`, the first of several, and how many scores it took to know.
    #[inline(always)]
    fn search<S: Simd>(&self, simd: S, at: usize) -> (usize, usize) {
        let bounds = &self.block.bounds[at * self.centers.rows()..][..self.centers.rows()];
        let guess = self.nearest[at];
        let lowest = bounds[guess] - self.block.gap(at, guess);
        if first_at_least(bounds, lowest) == guess && next_at_least(bounds, guess, lowest) == bounds.len() {
            return (guess, 0);
        }
        let (mut best, mut scored) = (self.score(simd, at, guess), 1);
        let mut center = first_at_least(bounds, best.score);
        while center < bounds.len() {
            if center != guess {
                best = best.better(self.score(simd, at, center));
                scored += 1;
            }
            center = next_at_least(bounds, center, best.score);
        }
        (best.center, scored)
    }
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, at: usize, center: usize) -> Scored {
        let width = self.centers.width();
        let point = &self.block.points[at * width..][..width];
        Scored { center, score: dot(simd, point, self.centers.row(center)) - self.halves[center] }
    }
}

impl Scored {
    /// The higher score; of equal ones, the first centre's.
    #[inline(always)]
    fn better(self, other: Self) -> Self {
        let earlier = other.center < self.center;
        if other.score > self.score || (other.score >= self.score && earlier) { other } else { self }
    }
}

/// The position after `last` of the next value that reaches `least`; the number of values if none does.
#[inline(always)]
fn next_at_least(values: &[f32], last: usize, least: f32) -> usize {
    last + 1 + first_at_least(&values[last + 1..], least)
}

#[cfg(test)]
mod tests {
    use super::super::distance::gather;
    use super::*;
    use crate::random::Key;

    /// Points with a few strong directions, or without any: the bounds leave little of one and all of the other.
    fn points(strong: usize) -> Embeddings {
        let noise =
            |row: usize, column: usize| Key::new(5).at(row as u64).at(column as u64).unit() as f32 - 0.5;
        let value = |row: usize, column: usize| {
            let scale = if column < strong { 9.0 } else { 1.0 };
            scale * noise(row, column)
        };
        Embeddings::new(80, (0..1100 * 80).map(|at| value(at / 80, at % 80)).collect())
    }

    /// Every score, one by one.
    fn by_comparison(points: &Embeddings, centers: &Embeddings) -> Vec<usize> {
        struct Product<'a>(&'a [f32], &'a [f32]);
        impl WithSimd for Product<'_> {
            type Output = f32;
            fn with_simd<S: Simd>(self, simd: S) -> f32 {
                dot(simd, self.0, self.1)
            }
        }
        let product = |a: &[f32], b: &[f32]| Arch::new().dispatch(Product(a, b));
        let score = |point: &[f32], center: &[f32]| product(point, center) - product(center, center) / 2.0;
        let nearest = |point: &[f32]| {
            // `max_by` keeps the last of equal elements; reversing makes it the first.
            let scores = (0..centers.rows()).map(|center| (score(point, centers.row(center)), center));
            scores.rev().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
        };
        points.values().chunks_exact(points.width()).map(nearest).collect()
    }

    #[test]
    fn what_the_bounds_spare_changes_no_assignment() {
        for strong in [8, 0] {
            let points = points(strong);
            // Twice the same centres: ties go to the first of the two.
            let rows: Vec<usize> = (0..40).chain(0..40).map(|row| row * 11).collect();
            let centers = gather(&points, &rows);
            let expected = by_comparison(&points, &centers);
            assert!(expected.iter().all(|center| *center < 40));
            for guess in [0, 79] {
                let mut bounds = Bounds::new(&points);
                let mut nearest = vec![guess; points.rows()];
                for _ in 0..2 {
                    find_nearest(&mut bounds, &centers, &mut nearest);
                    assert!(nearest == expected, "{strong} strong directions, guess {guess}");
                }
            }
        }
    }

    #[test]
    fn bounds_spare_most_scores_where_few_directions_are_strong() {
        let points = points(8);
        let centers = gather(&points, &(0..64).collect::<Vec<_>>());
        let norms = squared_norms(centers.values(), centers.width());
        let halves: Vec<f32> = norms.iter().map(|norm| norm / 2.0).collect();
        let mut nearest = by_comparison(&points, &centers);
        let scored = Bounds::new(&points).visit(&centers, &mut nearest, |block, nearest| {
            Arch::new().dispatch(Scan { block, centers: &centers, halves: &halves, nearest })
        });
        assert!(scored < points.rows() * 8, "{scored} scores of {} points with 64 centres", points.rows());
    }
}
