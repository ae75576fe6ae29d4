//! Means of points that change clusters.

#![expect(
    clippy::inline_always,
    reason = "a body must be inlined into the function compiled for the vector unit"
)]

use crate::embeddings::Embeddings;
use pulp::{Arch, Simd, WithSimd};

/// The sum of every cluster's points. Only points that change their cluster are looked at again: every move is one subtraction and
/// one addition in `f64`, whose rounding is far below that of the points. Moves follow the order of the points.
pub(super) struct Sums {
    /// `[clusters, width]`, row-major.
    values: Vec<f64>,
    sizes: Vec<u32>,
    /// The cluster that each point is part of; [`NOWHERE`] at first.
    assignment: Vec<usize>,
}

const NOWHERE: usize = usize::MAX;

impl Sums {
    /// No points in any cluster.
    pub(super) fn new(points: &Embeddings, clusters: usize) -> Self {
        Self {
            values: vec![0.0; clusters * points.width()],
            sizes: vec![0; clusters],
            assignment: vec![NOWHERE; points.rows()],
        }
    }
    /// Moves every point to its cluster.
    pub(super) fn assign(&mut self, points: &Embeddings, assignment: &[usize]) {
        Arch::new().dispatch(Moves { sums: self, points, assignment });
    }
    /// The centre of every cluster; a cluster without points keeps the one in `previous`.
    pub(super) fn means(&self, previous: &Embeddings) -> Embeddings {
        let mut centers = previous.clone();
        let width = previous.width();
        let rows = centers.values_mut().chunks_exact_mut(width).zip(self.values.chunks_exact(width));
        for ((row, sums), size) in rows.zip(&self.sizes).filter(|(_, size)| **size > 0) {
            row.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum / f64::from(*size)) as f32);
        }
        centers
    }
}

/// Mean of every column.
pub(super) fn column_means(rows: &Embeddings) -> Vec<f32> {
    let mut sums = Sums::new(rows, 1);
    sums.assign(rows, &vec![0; rows.rows()]);
    sums.means(&Embeddings::new(rows.width(), vec![0.0; rows.width()])).values().to_vec()
}

struct Moves<'a> {
    sums: &'a mut Sums,
    points: &'a Embeddings,
    assignment: &'a [usize],
}

impl WithSimd for Moves<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { sums, points, assignment } = self;
        for (point, &to) in assignment.iter().enumerate() {
            let from = sums.assignment[point];
            if from != to {
                if from != NOWHERE {
                    sums.sizes[from] -= 1;
                    add(sums.row(from), points.row(point), -1.0);
                }
                sums.sizes[to] += 1;
                add(sums.row(to), points.row(point), 1.0);
                sums.assignment[point] = to;
            }
        }
    }
}

impl Sums {
    #[inline(always)]
    fn row(&mut self, cluster: usize) -> &mut [f64] {
        let width = self.values.len() / self.sizes.len();
        &mut self.values[cluster * width..][..width]
    }
}

/// `sums += sign * values`.
#[inline(always)]
fn add(sums: &mut [f64], values: &[f32], sign: f64) {
    for column in 0..values.len() {
        sums[column] += sign * f64::from(values[column]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_points_count_where_they_are_and_empty_clusters_stay() {
        let points = Embeddings::new(2, vec![1.0, 2.0, 3.0, 6.0, -5.0, 8.0]);
        let start = Embeddings::new(2, vec![9.0; 6]);
        let mut sums = Sums::new(&points, 3);
        sums.assign(&points, &[0, 0, 1]);
        assert_eq!(sums.means(&start).values(), [2.0, 4.0, -5.0, 8.0, 9.0, 9.0]);
        sums.assign(&points, &[1, 0, 1]);
        assert_eq!(sums.means(&start).values(), [3.0, 6.0, -2.0, 5.0, 9.0, 9.0]);
        sums.assign(&points, &[2, 2, 2]);
        assert_eq!(sums.means(&start).row(0), [9.0, 9.0]);
        assert_eq!(column_means(&Embeddings::new(1, vec![1.0, 2.0, 6.0])), [3.0]);
    }
}
