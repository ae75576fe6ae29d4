//! Arithmetic on rows of `f32`, compiled for the machine's vector units and chosen at run time.
//!
//! A sum runs in an order that the rows' width alone decides: no result depends on the number of threads.
#![expect(
    clippy::inline_always,
    reason = "a body must be inlined into the function compiled for the vector unit"
)]

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows handled by one task.
const BLOCK: usize = 512;

/// Values that are compared together: they fill a vector register.
const LANES: usize = 16;
/// Sums that grow side by side: an addition need not wait for the one before.
const CHAINS: usize = 4;

/// Inner product.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, x: &[f32], y: &[f32]) -> f32 {
    let ((xs, x_rest), (ys, y_rest)) = (S::as_simd_f32s(x), S::as_simd_f32s(y));
    let ((x_chunks, xs), (y_chunks, ys)) = (xs.as_chunks::<CHAINS>(), ys.as_chunks::<CHAINS>());
    let mut sums = [simd.splat_f32s(0.0); CHAINS];
    for at in 0..x_chunks.len() {
        for chain in 0..CHAINS {
            sums[chain] = simd.mul_add_f32s(x_chunks[at][chain], y_chunks[at][chain], sums[chain]);
        }
    }
    for at in 0..xs.len() {
        sums[0] = simd.mul_add_f32s(xs[at], ys[at], sums[0]);
    }
    let [a, b, c, d] = sums;
    let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
    let mut rest = 0.0;
    for at in 0..x_rest.len() {
        rest += x_rest[at] * y_rest[at];
    }
    simd.reduce_sum_f32s(sum) + rest
}

/// Squared distance; exactly 0 for equal rows.
pub(super) fn squared_distance(x: &[f32], y: &[f32]) -> f32 {
    struct Distance<'a>(&'a [f32], &'a [f32]);
    impl WithSimd for Distance<'_> {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            let ((xs, x_rest), (ys, y_rest)) = (S::as_simd_f32s(self.0), S::as_simd_f32s(self.1));
            let mut sum = simd.splat_f32s(0.0);
            for (x, y) in xs.iter().zip(ys) {
                let difference = simd.sub_f32s(*x, *y);
                sum = simd.mul_add_f32s(difference, difference, sum);
            }
            let mut rest = 0.0;
            for (x, y) in x_rest.iter().zip(y_rest) {
                rest += (x - y) * (x - y);
            }
            simd.reduce_sum_f32s(sum) + rest
        }
    }
    Arch::new().dispatch(Distance(x, y))
}

/// Squared norm of every row of `width` values.
pub(super) fn squared_norms(values: &[f32], width: usize) -> Vec<f32> {
    struct Norms<'a>(&'a [f32], &'a mut [f32]);
    impl WithSimd for Norms<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let width = self.0.len() / self.1.len();
            for (at, norm) in self.1.iter_mut().enumerate() {
                let row = &self.0[at * width..][..width];
                *norm = dot(simd, row, row);
            }
        }
    }
    let mut norms = vec![0.0; values.len() / width];
    let blocks = norms.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK * width));
    blocks.for_each(|(norms, values)| Arch::new().dispatch(Norms(values, norms)));
    norms
}

/// The position of the first value that reaches `least`; the number of values if none does.
#[inline(always)]
pub(super) fn first_at_least(values: &[f32], least: f32) -> usize {
    let mut start = 0;
    for group in values.as_chunks::<LANES>().0 {
        // A whole group is compared without branches, which vectorises.
        let mut reached = false;
        for value in group {
            reached |= *value >= least;
        }
        if reached {
            break;
        }
        start += LANES;
    }
    while start < values.len() && values[start] < least {
        start += 1;
    }
    start
}

/// `out = a b^T` for rows of `width` values, on this thread.
///
/// # Shapes
/// - `a`: `[n, width]`, `b`: `[k, width]`, `out`: `[n, k]`.
pub(super) fn multiply(a: &[f32], b: &[f32], width: usize, out: &mut [f32]) {
    let (rows, columns) = (a.len() / width, b.len() / width);
    matmul(
        MatMut::from_row_major_slice_mut(out, rows, columns),
        Accum::Replace,
        MatRef::from_row_major_slice(a, rows, width),
        MatRef::from_row_major_slice(b, columns, width).transpose(),
        1.0,
        Par::Seq,
    );
}
