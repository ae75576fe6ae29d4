//! The co-occurrence graph of training histories: two items are joined by as many edges as there are users who have both.
//!
//! The graph is never written down. With the 0/1 matrix `B` of users and items its adjacency is `B^T B` without the diagonal, so a
//! product with it is two passes over the histories, however long these are.

use crate::embeddings::Embeddings;
use crate::history::Log;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Who has what.
pub(super) struct CoOccurrence {
    /// Users of every item, ascending.
    users_of: Vec<Vec<u32>>,
}

/// The graph among some items, numbered from 0.
pub(super) struct Graph {
    /// The items of every user who has at least two.
    baskets: Vec<Vec<u32>>,
    /// Those users, for every item.
    users_of: Vec<Vec<u32>>,
    /// `1 / sqrt(degree)` of every item; 0 where no edge leads.
    scales: Vec<f32>,
}

impl CoOccurrence {
    /// Of the training part of all histories.
    pub(super) fn of(log: &Log) -> Self {
        let mut users_of = vec![Vec::new(); log.num_items];
        for user in log.users() {
            let items: BTreeSet<_> = log.train_items(user).iter().collect();
            for item in items {
                users_of[item.index()].push(user.index() as u32);
            }
        }
        Self { users_of }
    }
    /// The graph among these items.
    pub(super) fn among(&self, items: &[usize]) -> Graph {
        let had = items
            .iter()
            .zip(0..)
            .flat_map(|(&item, at)| self.users_of[item].iter().map(move |user| (*user, at)));
        let mut had: Vec<(u32, u32)> = had.collect();
        had.sort_unstable();
        let baskets = had.chunk_by(|a, b| a.0 == b.0).filter(|basket| basket.len() > 1);
        let baskets: Vec<Vec<u32>> = baskets.map(|basket| basket.iter().map(|had| had.1).collect()).collect();
        Graph::new(baskets, items.len())
    }
}

impl Graph {
    fn new(baskets: Vec<Vec<u32>>, items: usize) -> Self {
        let (mut users_of, mut degrees) = (vec![Vec::new(); items], vec![0.0_f64; items]);
        for (basket, user) in baskets.iter().zip(0..) {
            for &item in basket {
                users_of[item as usize].push(user);
                degrees[item as usize] += (basket.len() - 1) as f64;
            }
        }
        let scale = |degree: f64| if degree > 0.0 { degree.sqrt().recip() as f32 } else { 0.0 };
        Self { baskets, users_of, scales: degrees.into_iter().map(scale).collect() }
    }
    /// Items.
    pub(super) fn items(&self) -> usize {
        self.scales.len()
    }
    /// Whether an edge leads to the item.
    pub(super) fn is_connected(&self, item: usize) -> bool {
        self.scales[item] > 0.0
    }
    /// `(I + D^-1/2 A D^-1/2) x / 2`: one minus half the normalised Laplacian. Its eigenvalues lie between 0 and 1, and the largest
    /// belong to the smallest of the Laplacian.
    ///
    /// # Shapes
    /// - `x` and result: `[items, columns]`.
    pub(super) fn smoothed(&self, x: &Embeddings) -> Embeddings {
        let width = x.width();
        let scaled = self.by_item(width, |item, out| add(out, x.row(item), self.scales[item]));
        let sums = rows(self.baskets.len(), width, |user, out| {
            self.baskets[user].iter().for_each(|&item| add(out, scaled.row(item as usize), 1.0));
        });
        self.by_item(width, |item, out| {
            let users = &self.users_of[item];
            for &user in users {
                add(out, &sums[user as usize * width..][..width], 1.0);
            }
            add(out, scaled.row(item), -(users.len() as f32));
            for value in &mut *out {
                *value *= self.scales[item] / 2.0;
            }
            add(out, x.row(item), 0.5);
        })
    }
    fn by_item(&self, width: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Embeddings {
        Embeddings::new(width, rows(self.items(), width, fill))
    }
}

/// Rows of zeros, filled one by one: no sum depends on the number of threads.
fn rows(count: usize, width: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut values = vec![0.0; count * width];
    values.par_chunks_exact_mut(width).enumerate().for_each(|(row, out)| fill(row, out));
    values
}

/// `out += factor * values`.
fn add(out: &mut [f32], values: &[f32], factor: f32) {
    out.iter_mut().zip(values).for_each(|(out, value)| *out += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users have {0, 1, 2} and {0, 1}, and item 3 is alone: A = [[0, 2, 1], [2, 0, 1], [1, 1, 0]], degrees 3, 3, 2.
    #[test]
    fn the_product_is_that_of_the_graph_written_down() {
        let graph =
            CoOccurrence { users_of: vec![vec![0, 1], vec![0, 1], vec![0], vec![2]] }.among(&[0, 1, 2, 3]);
        let (third, sixth) = (1.0 / 3.0_f32, 1.0 / 6.0_f32.sqrt());
        let expected = [
            [0.5, third, sixth / 2.0, 0.0],
            [third, 0.5, sixth / 2.0, 0.0],
            [sixth / 2.0, sixth / 2.0, 0.5, 0.0],
            [0.0, 0.0, 0.0, 0.5],
        ];
        let unit = Embeddings::new(4, (0..16).map(|at| if at % 5 == 0 { 1.0 } else { 0.0 }).collect());
        let smoothed = graph.smoothed(&unit);
        for (found, expected) in smoothed.values().iter().zip(expected.as_flattened()) {
            assert!((found - expected).abs() < 1e-6, "{:?}", smoothed.values());
        }
        assert!(graph.is_connected(2) && !graph.is_connected(3));
    }

    #[test]
    fn a_part_of_the_graph_forgets_users_with_one_item_in_it() {
        let all = CoOccurrence { users_of: vec![vec![0, 1], vec![0, 1], vec![0], vec![2]] };
        let graph = all.among(&[2, 1]);
        assert_eq!(graph.baskets, [[0, 1]]);
        assert_eq!(graph.scales, [1.0, 1.0]);
    }
}
