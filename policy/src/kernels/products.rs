//! Matrix products of row-major slices on the calling thread. Weights are `[out, in]`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// `rows` of a row-major matrix.
pub(super) fn matrix(x: &[f32], width: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(x, x.len() / width, width)
}

/// The same, to write to.
pub(super) fn matrix_mut(x: &mut [f32], width: usize) -> MatMut<'_, f32> {
    let rows = x.len() / width;
    MatMut::from_row_major_slice_mut(x, rows, width)
}

/// `out = scale * left * right`.
pub(super) fn product(
    out: MatMut<'_, f32>,
    left: MatRef<'_, f32>,
    right: MatRef<'_, f32>,
    accumulate: Accum,
    scale: f32,
) {
    matmul(out, accumulate, left, right, scale, Par::Seq);
}

/// A weight with its number of inputs.
#[derive(Clone, Copy)]
pub(super) struct Weight<'a> {
    pub(super) values: &'a [f32],
    pub(super) inputs: usize,
}

impl Weight<'_> {
    pub(super) fn outputs(&self) -> usize {
        self.values.len() / self.inputs
    }
    /// `out = x W^T`.
    pub(super) fn apply(&self, x: &[f32], out: &mut [f32]) {
        let weight = matrix(self.values, self.inputs).transpose();
        product(matrix_mut(out, self.outputs()), matrix(x, self.inputs), weight, Accum::Replace, 1.0);
    }
    /// `dx = dy W`.
    pub(super) fn input_grad(&self, dy: &[f32], dx: &mut [f32]) {
        let (dy, weight) = (matrix(dy, self.outputs()), matrix(self.values, self.inputs));
        product(matrix_mut(dx, self.inputs), dy, weight, Accum::Replace, 1.0);
    }
    /// `dW = dy^T x`, or added to what is there.
    pub(super) fn grad(&self, x: &[f32], dy: &[f32], (dweight, accumulate): (&mut [f32], Accum)) {
        let (dy, x) = (matrix(dy, self.outputs()).transpose(), matrix(x, self.inputs));
        product(matrix_mut(dweight, self.inputs), dy, x, accumulate, 1.0);
    }
}
