//! Plain k-means: Lloyd's algorithm from a k-means++ start (Arthur and Vassilvitskii 2007).
//!
//! Every item ends at its nearest centre. A cluster that loses all its items is restarted at the item farthest from
//! its own centre; it stays unused only when every item already sits on a centre (fewer distinct vectors than codes).

use super::bounds::Bounds;
use super::distance::distances;
use super::means::Sums;
use super::nearest::find_nearest;
use super::seeding::plus_plus;
use super::{Clusters, QuantizeConfig};
use crate::embeddings::Embeddings;
use crate::random::Key;

/// Clusters `points`; settings are checked by the caller.
pub(super) fn cluster(points: &Embeddings, config: &QuantizeConfig, key: Key) -> Clusters {
    let bounds = Bounds::new(points);
    let (centers, assignment) = plus_plus(&bounds, config.codes, key);
    descend(bounds, Clusters { assignment, centers }, config.iterations)
}

/// At most `iterations` more sweeps from these centres.
pub(super) fn refine(points: &Embeddings, start: Clusters, iterations: usize) -> Clusters {
    descend(Bounds::new(points), start, iterations)
}

/// Lloyd's algorithm; the assignment of the start is only a guess of the nearest centres.
fn descend(mut bounds: Bounds, start: Clusters, iterations: usize) -> Clusters {
    let (points, Clusters { mut assignment, mut centers }) = (bounds.points, start);
    let mut sums = Sums::new(points, centers.rows());
    let mut previous = Vec::new();
    for _ in 0..iterations {
        find_nearest(&mut bounds, &centers, &mut assignment);
        let filled = without_empty(points, &centers, &assignment);
        if filled == previous {
            return Clusters { assignment, centers };
        }
        sums.assign(points, &filled);
        centers = sums.means(&centers);
        previous = filled;
    }
    find_nearest(&mut bounds, &centers, &mut assignment);
    Clusters { assignment, centers }
}

/// The assignment after empty clusters are restarted.
fn without_empty(points: &Embeddings, centers: &Embeddings, assignment: &[usize]) -> Vec<usize> {
    let mut sizes = vec![0usize; centers.rows()];
    for cluster in assignment {
        sizes[*cluster] += 1;
    }
    if !sizes.contains(&0) {
        return assignment.to_vec();
    }
    let distances = distances(points, centers, assignment);
    let pairs = assignment.iter().zip(distances);
    let mut found: Vec<_> = pairs.map(|(&center, distance)| Nearest { center, distance }).collect();
    reseed_empty(&mut found, &mut sizes);
    found.into_iter().map(|nearest| nearest.center).collect()
}

/// The centre nearest to a point.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Nearest {
    center: usize,
    /// Squared distance to it.
    distance: f32,
}

/// Gives every empty cluster the point that is farthest from its centre (the first of several), as long as
/// that point is not alone and not on its centre.
fn reseed_empty(found: &mut [Nearest], sizes: &mut [usize]) {
    for empty in 0..sizes.len() {
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
        reseed_empty(&mut found, &mut [3, 0, 1, 0]);
        // The point of cluster 2 is alone; of the two at distance 4 the first moves first.
        assert_eq!(found, [near(0, 1.0), near(1, 0.0), near(3, 0.0), near(2, 9.0)]);
    }

    #[test]
    fn points_on_their_centres_are_left_alone() {
        let mut found = [Nearest { center: 0, distance: 0.0 }; 3];
        reseed_empty(&mut found, &mut [3, 0]);
        assert!(found.iter().all(|nearest| nearest.center == 0));
    }
}
