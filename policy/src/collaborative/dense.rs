//! Tall matrices in `f64`: many rows, few columns. Products of them are summed over fixed shares of the rows.

use crate::embeddings::Embeddings;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Shares of the rows that are summed side by side, whatever the number of threads.
const LANES: usize = 16;
/// Rows that are multiplied at a time.
const BLOCK: usize = 256;

/// `[rows, width]` values, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dense {
    pub(super) width: usize,
    pub(super) values: Vec<f64>,
}

impl Dense {
    pub(super) fn zeros(rows: usize, width: usize) -> Self {
        Self { width, values: vec![0.0; rows * width] }
    }
    pub(super) fn of(table: &Embeddings) -> Self {
        Self { width: table.width(), values: table.values().iter().copied().map(f64::from).collect() }
    }
    pub(super) fn of_matrix(matrix: MatRef<'_, f64>) -> Self {
        let row = |row: usize| (0..matrix.ncols()).map(move |column| matrix[(row, column)]);
        Self { width: matrix.ncols(), values: (0..matrix.nrows()).flat_map(row).collect() }
    }
    pub(super) fn to_embeddings(&self) -> Embeddings {
        Embeddings::new(self.width, self.values.iter().map(|value| *value as f32).collect())
    }
    pub(super) fn rows(&self) -> usize {
        self.values.len() / self.width
    }
    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.width..][..self.width]
    }
    pub(super) fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.values, self.rows(), self.width)
    }
    /// The rows with these numbers.
    pub(super) fn gather(&self, rows: &[usize]) -> Self {
        Self { width: self.width, values: rows.iter().flat_map(|row| self.row(*row)).copied().collect() }
    }
    /// Mean of every column.
    pub(super) fn means(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        for row in self.values.chunks_exact(self.width) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        sums.iter().map(|sum| sum / self.rows() as f64).collect()
    }
    /// Subtracts `vector` from every row.
    pub(super) fn subtract(&mut self, vector: &[f64]) {
        for row in self.values.chunks_exact_mut(self.width) {
            row.iter_mut().zip(vector).for_each(|(value, shift)| *value -= shift);
        }
    }
}

/// `a^T b`.
///
/// # Shapes
/// - `a`: `[n, p]`, `b`: `[n, q]`; the result is `[p, q]`.
pub(super) fn inner(a: &Dense, b: &Dense) -> Mat<f64> {
    let share = a.rows().div_ceil(LANES).max(1);
    let shares = a.values.par_chunks(share * a.width).zip(b.values.par_chunks(share * b.width));
    let product = |(x, y): (&[f64], &[f64])| {
        let rows = x.len() / a.width;
        let x = MatRef::from_row_major_slice(x, rows, a.width);
        let y = MatRef::from_row_major_slice(y, rows, b.width);
        let mut out = Mat::zeros(a.width, b.width);
        matmul(&mut out, Accum::Replace, x.transpose(), y, 1.0, Par::Seq);
        out
    };
    let parts: Vec<Mat<f64>> = shares.map(product).collect();
    parts.into_iter().fold(Mat::zeros(a.width, b.width), |sum, part| sum + part)
}

/// `a m`.
///
/// # Shapes
/// - `a`: `[n, p]`, `m`: `[p, q]`; the result is `[n, q]`.
pub(super) fn times(a: &Dense, m: MatRef<'_, f64>) -> Dense {
    let mut result = Dense::zeros(a.rows(), m.ncols());
    let blocks = result.values.par_chunks_mut(BLOCK * m.ncols()).zip(a.values.par_chunks(BLOCK * a.width));
    blocks.for_each(|(out, block)| {
        let rows = block.len() / a.width;
        let out = MatMut::from_row_major_slice_mut(out, rows, m.ncols());
        matmul(out, Accum::Replace, MatRef::from_row_major_slice(block, rows, a.width), m, 1.0, Par::Seq);
    });
    result
}

/// `a b` of small matrices, on this thread: faer's operators would ask how many there are.
pub(super) fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(&mut out, Accum::Replace, a, b, 1.0, Par::Seq);
    out
}
