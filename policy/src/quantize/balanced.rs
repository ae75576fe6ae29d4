//! Clusters of equal size (`OneRec`, 2502.18965, Alg. 1).
//!
//! In a sweep the clusters choose one after the other: each takes the nearest of the items that nobody has taken yet.
//! What the paper leaves open, and what happens here:
//! - items that do not divide evenly: the first `items mod codes` clusters hold one more than the others;
//! - who chooses first: [`SweepOrder`];
//! - the assignment of the fitted items: the balanced one, not the `argmin` of the paper's ID formula, which would not be
//!   balanced; items that come later follow [`super::NewItems`];
//! - convergence: this is not a descent and need not converge. A level stops when a sweep repeats the previous
//!   assignment or after `iterations` sweeps, and keeps the sweep with the least inertia.

use super::distance::{gather, inertia, products_by_center};
use super::means::Sums;
use super::rows::squared_norms;
use super::{Clusters, QuantizeConfig, SweepOrder};
use crate::embeddings::Embeddings;
use crate::random::Key;
use rand::seq::SliceRandom;

/// Distances held at a time: 2^26 floats are 256 MiB. Larger levels are swept in several blocks of clusters.
const MAX_DISTANCES: usize = 1 << 26;

/// Clusters `points`; settings are checked by the caller.
pub(super) fn cluster(points: &Embeddings, config: &QuantizeConfig, key: Key) -> Clusters {
    let mut centers = random_points(points, config.codes, key.named("init"));
    let mut best: Option<(f64, Clusters)> = None;
    let mut sums = Sums::new(points, config.codes);
    let mut previous = Vec::new();
    for sweep_idx in 0..config.iterations {
        let order = sweep_order(config, key.named("sweep").at(sweep_idx as u64));
        let assignment = sweep(points, &centers, &order);
        if assignment == previous {
            break;
        }
        sums.assign(points, &assignment);
        centers = sums.means(&centers);
        previous.clone_from(&assignment);
        let clusters = Clusters { assignment, centers: centers.clone() };
        let inertia = inertia(points, &clusters);
        if best.as_ref().is_none_or(|(least, _)| inertia < *least) {
            best = Some((inertia, clusters));
        }
    }
    best.expect("there is at least one sweep, checked before").1
}

fn random_points(points: &Embeddings, count: usize, key: Key) -> Embeddings {
    let chosen = rand::seq::index::sample(&mut key.rng(), points.rows(), count);
    gather(points, &chosen.into_vec())
}

fn sweep_order(config: &QuantizeConfig, key: Key) -> Vec<usize> {
    let mut order: Vec<usize> = (0..config.codes).collect();
    if config.sweep_order == SweepOrder::Shuffled {
        order.shuffle(&mut key.rng());
    }
    order
}

/// One sweep: the cluster of every point.
fn sweep(points: &Embeddings, centers: &Embeddings, order: &[usize]) -> Vec<usize> {
    let items = points.rows();
    let norms = squared_norms(points.values(), points.width());
    let mut assignment = vec![0; items];
    let mut free: Vec<u32> = (0..items as u32).collect();
    for block in order.chunks((MAX_DISTANCES / items).max(1)) {
        let products = products_by_center(points, &gather(centers, block));
        for (products, &cluster) in products.chunks_exact(items).zip(block) {
            // |v - c|^2 without |c|^2, which is the same for all points.
            let distance = |point: u32| norms[point as usize] - 2.0 * products[point as usize];
            let taken = take_nearest(&mut free, capacity(items, centers.rows(), cluster), distance);
            for point in taken {
                assignment[point as usize] = cluster;
            }
        }
    }
    assignment
}

/// Items that `cluster` holds.
fn capacity(items: usize, clusters: usize, cluster: usize) -> usize {
    items / clusters + usize::from(cluster < items % clusters)
}

/// Removes the `count` nearest points from `free`; among equally near ones, the first.
fn take_nearest(free: &mut Vec<u32>, count: usize, distance: impl Fn(u32) -> f32) -> Vec<u32> {
    // One number that sorts by distance, then by point.
    let key = |&point: &u32| u64::from(ordered(distance(point))) << 32 | u64::from(point);
    let mut keys: Vec<u64> = free.iter().map(key).collect();
    keys.select_nth_unstable(count - 1);
    let mut points = keys.into_iter().map(|key| key as u32);
    let taken = points.by_ref().take(count).collect();
    free.clear();
    free.extend(points);
    taken
}

/// A number that is ordered as [`f32::total_cmp`] orders floats: without the sign bit negative ones would be in reverse.
fn ordered(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_differ_by_at_most_one_and_hold_everything() {
        let capacities: Vec<_> = (0..5).map(|cluster| capacity(17, 5, cluster)).collect();
        assert_eq!(capacities, [4, 4, 3, 3, 3]);
    }

    /// Points 0, 1, 2, 9 on a line, centres at 2 and 9: by index the first cluster takes 2 and 1 and leaves 0 to the
    /// far one; the other way round the far cluster takes 9 and 2.
    #[test]
    fn the_order_of_choice_decides_who_gets_the_contested_points() {
        let points = Embeddings::new(1, vec![0.0, 1.0, 2.0, 9.0]);
        let centers = Embeddings::new(1, vec![2.0, 9.0]);
        assert_eq!(sweep(&points, &centers, &[0, 1]), [1, 0, 0, 1]);
        assert_eq!(sweep(&points, &centers, &[1, 0]), [0, 0, 1, 1]);
    }

    #[test]
    fn keys_are_ordered_as_floats() {
        let values = [f32::NEG_INFINITY, -2.0, -1e-40, -0.0, 0.0, 1e-40, 1.0, f32::INFINITY];
        assert!(values.map(ordered).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn equally_near_points_are_taken_in_item_order() {
        let mut free = vec![3, 1, 2, 0];
        let mut taken = take_nearest(&mut free, 2, |_| 1.0);
        taken.sort_unstable();
        free.sort_unstable();
        assert_eq!((taken, free), (vec![0, 1], vec![2, 3]));
    }
}
