//! The start of plain k-means: k-means++ (Arthur and Vassilvitskii 2007).
//!
//! Centres are drawn one after the other, each with a probability proportional to the squared distance from the nearest one so
//! far. Distances to new centres are cheapest in batches, by matrix multiplication, so a draw uses the distances before its batch
//! and is accepted with the ratio of the present distance to that one: rejection sampling from the same distribution.

use super::bounds::Bounds;
use super::distance::gather;
use super::rows::{first_at_least, squared_distance, squared_norms};
use crate::embeddings::Embeddings;
use crate::random::Key;

/// Most centres between two updates of all distances.
const BATCH: usize = 32;
/// Most draws for a batch: where most are refused, the distances are too old.
const DRAWS: u64 = 64;

/// `count` points as centres, and for every point the row of a near one. When all points sit on centres, the remaining centres
/// repeat the first.
pub(super) fn plus_plus(bounds: &Bounds, count: usize, key: Key) -> (Embeddings, Vec<usize>) {
    let points = bounds.points;
    let mut chosen = vec![(key.at(0).unit() * points.rows() as f64) as usize];
    let mut distances = Distances::new(points);
    let mut settled = 0;
    while chosen.len() < count {
        distances.shrink(bounds, &gather(points, &chosen[settled..]), settled);
        settled = chosen.len();
        let batch = distances.draw(BATCH.min(count - settled), key.at(settled as u64));
        if batch.is_empty() {
            chosen.resize(count, chosen[0]);
        }
        chosen.extend(batch);
    }
    (gather(points, &chosen), distances.of_points.into_iter().map(|point| point.center).collect())
}

/// What is known of a point.
struct Point {
    /// Squared norm.
    norm: f32,
    /// Squared distance from the nearest centre so far.
    distance: f32,
    /// That centre.
    center: usize,
}

/// Distances of all points from the centres so far.
struct Distances<'a> {
    points: &'a Embeddings,
    of_points: Vec<Point>,
}

impl<'a> Distances<'a> {
    fn new(points: &'a Embeddings) -> Self {
        let norms = squared_norms(points.values(), points.width()).into_iter();
        let of_points = norms.map(|norm| Point { norm, distance: f32::INFINITY, center: 0 });
        Self { points, of_points: of_points.collect() }
    }
    /// Takes new centres into account, which have the numbers from `first` on.
    fn shrink(&mut self, bounds: &Bounds, centers: &Embeddings, first: usize) {
        bounds.visit(centers, &mut self.of_points, |block, of_points| {
            let rows = block.points.chunks_exact(centers.width());
            let rows = rows.zip(block.bounds.chunks_exact(centers.rows())).zip(of_points);
            rows.for_each(|((row, bounds), point)| point.approach(row, bounds, (centers, first)));
            0
        });
    }
    /// Draws at most `most` centres; none when all points sit on centres.
    fn draw(&self, most: usize, key: Key) -> Vec<usize> {
        let running = running_sums(self.of_points.iter().map(|point| point.distance));
        let mut batch = Vec::with_capacity(most);
        for key in (0..DRAWS).map(|draw| key.at(draw)) {
            let point = draw_weighted(&running, key.at(0).unit()).filter(|_| batch.len() < most);
            let accepted = point.filter(|point| self.accepts(*point, &batch, key.at(1).unit()));
            batch.extend(accepted);
        }
        batch
    }
    /// Whether a point that was drawn by its distance before the batch is drawn by its present one, too.
    fn accepts(&self, point: usize, batch: &[usize], unit: f64) -> bool {
        let before = self.of_points[point].distance;
        let distance = |other: &usize| squared_distance(self.points.row(point), self.points.row(*other));
        let present = batch.iter().map(distance).fold(before, f32::min);
        unit * f64::from(before) < f64::from(present)
    }
}

impl Point {
    /// Compares with the new centres that may be nearer.
    fn approach(&mut self, row: &[f32], bounds: &[f32], (centers, first): (&Embeddings, usize)) {
        let mut from = 0;
        while from < bounds.len() {
            // The score of a nearer centre, and so its bound, reaches this.
            let least = (self.norm - self.distance) / 2.0;
            let center = from + first_at_least(&bounds[from..], least);
            if center < bounds.len() {
                let distance = squared_distance(row, centers.row(center));
                if distance < self.distance {
                    (self.distance, self.center) = (distance, first + center);
                }
            }
            from = center + 1;
        }
    }
}

fn running_sums(weights: impl Iterator<Item = f32>) -> Vec<f64> {
    let add = |sum: &mut f64, weight| {
        *sum += f64::from(weight);
        Some(*sum)
    };
    weights.scan(0.0, add).collect()
}

/// The position at which the running sum of weights passes `unit` of the total; none when the total is 0.
fn draw_weighted(running: &[f64], unit: f64) -> Option<usize> {
    let total = *running.last().filter(|total| **total > 0.0)?;
    let passed = running.partition_point(|sum| *sum <= unit * total);
    // Rounding at the end must not reach a zero weight.
    Some(passed.min(running.partition_point(|sum| *sum < total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From point 0, distances 1, 4 and 9: the second centre is drawn by these, the third by what is left of them.
    #[test]
    fn centres_are_drawn_in_proportion_to_squared_distances() {
        let points = Embeddings::new(1, vec![0.0, 1.0, 2.0, 3.0]);
        let bounds = Bounds::new(&points);
        let mut counts = [0u32; 4];
        let mut starts = 0;
        for seed in 0..40_000 {
            let (centers, _) = plus_plus(&bounds, 3, Key::new(seed));
            if centers.values()[..2] == [0.0, 3.0] {
                starts += 1;
                counts[centers.values()[2] as usize] += 1;
            }
        }
        // A quarter starts at 0 and 9 of 14 of those go on to 3; then 1 and 2 have distance 1 each.
        // Six standard deviations: 370 of 6429, and 240 of half as many.
        assert!((f64::from(starts) - 6428.6).abs() < 440.0, "{starts}");
        assert_eq!(counts[0] + counts[3], 0);
        assert!(f64::from(counts[1]).mul_add(2.0, -f64::from(starts)).abs() < 490.0, "{counts:?}");
    }

    #[test]
    fn weighted_draws_follow_the_running_sum_and_skip_zeros() {
        let running = running_sums([0.0, 1.0, 0.0, 3.0, 0.0].into_iter());
        assert_eq!(draw_weighted(&running, 0.0), Some(1));
        assert_eq!(draw_weighted(&running, 0.2499), Some(1));
        assert_eq!(draw_weighted(&running, 0.25), Some(3));
        assert_eq!(draw_weighted(&running, 1.0), Some(3), "rounding at the end must not reach a zero weight");
        assert_eq!(draw_weighted(&running_sums([0.0; 2].into_iter()), 0.5), None);
    }
}
