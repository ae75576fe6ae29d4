//! Sums of squares and root-mean-square normalisation.

use super::{dot_lanes, sum_of};

vectorized! {
    /// The sum of squares of a stretch short enough for `f32`.
    fn sum_of_squares<'a>(x: &'a [f32]) -> f32 {
        dot_lanes(x, x)
    }
}

vectorized! {
    /// Normalises rows of `gain.len()`.
    fn rms_norm<'a>(x: &'a [f32], gain: &'a [f32], epsilon: f32, out: &'a mut [f32]) {
        let width = gain.len();
        for row in 0..x.len() / width {
            let x = &x[row * width..(row + 1) * width];
            let out = &mut out[row * width..(row + 1) * width];
            let scale = (dot_lanes(x, x) / width as f32 + epsilon).sqrt().recip();
            for i in 0..width {
                out[i] = x[i] * scale * gain[i];
            }
        }
    }
}

/// What the backward pass of [`rms_norm`] reads.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Normalized<'a> {
    pub(in crate::kernels) x: &'a [f32],
    pub(in crate::kernels) gain: &'a [f32],
    pub(in crate::kernels) epsilon: f32,
}

vectorized! {
    /// Gradient of [`rms_norm`], added to `dx` and `dgain`.
    fn rms_norm_backward<'a>(saved: Normalized<'a>, dy: &'a [f32], dx: &'a mut [f32], dgain: &'a mut [f32]) {
        let Normalized { x, gain, epsilon } = saved;
        let width = gain.len();
        let dgain = &mut dgain[..width];
        for row in 0..x.len() / width {
            let x = &x[row * width..(row + 1) * width];
            let dy = &dy[row * width..(row + 1) * width];
            let dx = &mut dx[row * width..(row + 1) * width];
            let scale = (dot_lanes(x, x) / width as f32 + epsilon).sqrt().recip();
            let along = sum_of([dy, gain, x], |dy, gain, x| dy * gain * x) * scale * scale / width as f32;
            for i in 0..width {
                dx[i] += scale * (dy[i] * gain[i] - x[i] * along);
            }
            for i in 0..width {
                dgain[i] += dy[i] * x[i] * scale;
            }
        }
    }
}
