//! Plain k-means: Lloyd's algorithm from a k-means++ start (Arthur and Vassilvitskii 2007).
//!
//! Every item ends at its nearest centre. A cluster that loses all its items is restarted at the item farthest from
//! its own centre; it stays unused only when every item already sits on a centre (fewer distinct vectors than codes).

use super::distance::{Nearest, means, nearest, squared_distance};
use super::{Clusters, QuantizeConfig};
use crate::embeddings::Embeddings;
use crate::random::Key;
use rayon::prelude::*;

/// Clusters `points`; settings are checked by the caller.
pub(super) fn cluster(points: &Embeddings, config: &QuantizeConfig, key: Key) -> Clusters {
    let mut centers = plus_plus(points, config.codes, key);
    let mut previous = Vec::new();
    for _ in 0..config.iterations {
        let mut found = nearest(points, &centers);
        reseed_empty(&mut found, config.codes);
        let assignment: Vec<usize> = found.iter().map(|nearest| nearest.center).collect();
        if assignment == previous {
            break;
        }
        centers = means(points, &assignment, &centers);
        previous = assignment;
    }
    let assignment = nearest(points, &centers).iter().map(|nearest| nearest.center).collect();
    Clusters { assignment, centers }
}

/// Centres drawn one after the other, each with a probability proportional to the squared distance from the
/// nearest one so far. When all points sit on centres, the remaining centres repeat the first.
fn plus_plus(points: &Embeddings, count: usize, key: Key) -> Embeddings {
    let first = (key.at(0).unit() * points.rows() as f64) as usize;
    let mut centers = points.row(first).to_vec();
    let mut distances = vec![f32::INFINITY; points.rows()];
    for draw in 1..count {
        let latest = &centers[(draw - 1) * points.width()..];
        distances.par_iter_mut().enumerate().for_each(|(point, distance)| {
            *distance = distance.min(squared_distance(points.row(point), latest));
        });
        let chosen = draw_weighted(&distances, key.at(draw as u64).unit()).unwrap_or(first);
        centers.extend_from_slice(points.row(chosen));
    }
    Embeddings::new(points.width(), centers)
}

/// The position at which the running sum of weights passes `unit` of the total; none when the total is 0.
fn draw_weighted(weights: &[f32], unit: f64) -> Option<usize> {
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let mut left = unit * total;
    let mut last = None;
    for (position, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        last = Some(position);
        left -= f64::from(weight);
        if left < 0.0 {
            break;
        }
    }
    last
}

/// Gives every empty cluster the point that is farthest from its centre (the first of several), as long as
/// that point is not alone and not on its centre.
fn reseed_empty(found: &mut [Nearest], clusters: usize) {
    let mut sizes = vec![0usize; clusters];
    for nearest in found.iter() {
        sizes[nearest.center] += 1;
    }
    for empty in 0..clusters {
        if sizes[empty] > 0 {
            continue;
        }
        let movable = found.iter_mut().filter(|nearest| nearest.distance > 0.0 && sizes[nearest.center] > 1);
        // `max_by` keeps the last of equal elements; reversing makes it the first.
        let Some(farthest) = movable.rev().max_by(|a, b| a.distance.total_cmp(&b.distance)) else {
            return;
        };
        sizes[farthest.center] -= 1;
        sizes[empty] = 1;
        *farthest = Nearest { center: empty, distance: 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cluster_is_restarted_at_the_farthest_point() {
        let near = |center, distance| Nearest { center, distance };
        let mut found = [near(0, 1.0), near(0, 4.0), near(0, 4.0), near(2, 9.0)];
        reseed_empty(&mut found, 4);
        // The point of cluster 2 is alone; of the two at distance 4 the first moves first.
        assert_eq!(found, [near(0, 1.0), near(1, 0.0), near(3, 0.0), near(2, 9.0)]);
    }

    #[test]
    fn points_on_their_centres_are_left_alone() {
        let mut found = [Nearest { center: 0, distance: 0.0 }; 3];
        reseed_empty(&mut found, 2);
        assert!(found.iter().all(|nearest| nearest.center == 0));
    }

    #[test]
    fn weighted_draws_follow_the_running_sum_and_skip_zeros() {
        let weights = [0.0, 1.0, 0.0, 3.0, 0.0];
        assert_eq!(draw_weighted(&weights, 0.0), Some(1));
        assert_eq!(draw_weighted(&weights, 0.2499), Some(1));
        assert_eq!(draw_weighted(&weights, 0.25), Some(3));
        assert_eq!(draw_weighted(&weights, 1.0), Some(3), "rounding at the end must not reach a zero weight");
        assert_eq!(draw_weighted(&[0.0, 0.0], 0.5), None);
    }
}
