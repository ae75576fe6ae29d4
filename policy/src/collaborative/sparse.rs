//! A symmetric matrix of mostly zeros.

use super::dense::Dense;
use super::eigen::Symmetric;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a product that one task computes.
const BLOCK: usize = 64;

/// Rows of (column, value), one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sparse {
    /// Where each row starts, and the end.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Sparse {
    /// A matrix of these rows, columns ascending.
    pub(super) fn from_rows(rows: Vec<Vec<(u32, f64)>>) -> Self {
        let entries = rows.iter().map(Vec::len).sum();
        let mut matrix = Self {
            starts: Vec::with_capacity(rows.len() + 1),
            columns: Vec::with_capacity(entries),
            values: Vec::with_capacity(entries),
        };
        matrix.starts.push(0);
        for row in rows {
            for (column, value) in row {
                matrix.columns.push(column);
                matrix.values.push(value);
            }
            matrix.starts.push(matrix.columns.len());
        }
        matrix
    }
    /// Number of rows, and of columns.
    pub(super) fn rows(&self) -> usize {
        self.starts.len() - 1
    }
    /// Whether every entry is zero.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
    /// Columns and values of one row.
    pub(super) fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }
}

impl Symmetric for Sparse {
    fn size(&self) -> usize {
        self.rows()
    }
    fn times(&self, x: &Dense) -> Dense {
        let mut result = Dense::zeros(self.rows(), x.width);
        let blocks = result.values.par_chunks_mut(BLOCK * x.width).enumerate();
        blocks.for_each(|(block, out)| {
            Arch::new().dispatch(Rows { matrix: self, first: block * BLOCK, x, out });
        });
        result
    }
}

/// Some rows of a product, compiled for the machine's vector units.
struct Rows<'a> {
    matrix: &'a Sparse,
    first: usize,
    x: &'a Dense,
    out: &'a mut [f64],
}

impl WithSimd for Rows<'_> {
    type Output = ();
    #[expect(clippy::inline_always, reason = "it must be compiled for the vector unit")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.x.width;
        for (row, out) in self.out.chunks_exact_mut(width).enumerate() {
            let (columns, values) = self.matrix.row(self.first + row);
            for (column, value) in columns.iter().zip(values) {
                let x = &self.x.values[*column as usize * width..][..width];
                for at in 0..width {
                    out[at] += value * x[at];
                }
            }
        }
    }
}
