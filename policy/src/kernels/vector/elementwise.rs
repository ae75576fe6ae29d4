//! Element by element: sums, masks, the rectifier, the sigmoid linear unit.

use super::exp;
use crate::kernels::mask::Mask;

/// `1 / (1 + e^-x)`, without overflow on either side.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let numerator = if x >= 0.0 { 1.0 } else { e };
    numerator / (1.0 + e)
}

vectorized! {
    /// `out += x`.
    fn add<'a>(out: &'a mut [f32], x: &'a [f32]) {
        let x = &x[..out.len()];
        for i in 0..out.len() {
            out[i] += x[i];
        }
    }
}

vectorized! {
    /// `x * mask`; element `i` of `x` is element `offset + i` of the mask.
    fn dropped<'a>(x: &'a [f32], mask: Mask, offset: usize, out: &'a mut [f32]) {
        let x = &x[..out.len()];
        for i in 0..out.len() {
            out[i] = x[i] * mask.factor((offset + i) as u32);
        }
    }
}

vectorized! {
    /// `out += update * mask`, indexed as in [`dropped`].
    fn add_update<'a>(out: &'a mut [f32], update: &'a [f32], masked: Option<(Mask, usize)>) {
        let update = &update[..out.len()];
        match masked {
            Some((mask, offset)) => {
                for i in 0..out.len() {
                    out[i] += update[i] * mask.factor((offset + i) as u32);
                }
            }
            None => {
                for i in 0..out.len() {
                    out[i] += update[i];
                }
            }
        }
    }
}

vectorized! {
    /// `max(x, 0) * mask` in place, indexed as in [`dropped`].
    fn relu<'a>(x: &'a mut [f32], masked: Option<(Mask, usize)>) {
        match masked {
            Some((mask, offset)) => {
                for i in 0..x.len() {
                    x[i] = x[i].max(0.0) * mask.factor((offset + i) as u32);
                }
            }
            None => {
                for i in 0..x.len() {
                    x[i] = x[i].max(0.0);
                }
            }
        }
    }
}

vectorized! {
    /// Gradient of [`relu`] in place: a value that is zero was negative or dropped, any other was scaled by `scale`.
    fn relu_backward<'a>(grad: &'a mut [f32], hidden: &'a [f32], scale: f32) {
        let hidden = &hidden[..grad.len()];
        for i in 0..grad.len() {
            grad[i] = if hidden[i] > 0.0 { grad[i] * scale } else { 0.0 };
        }
    }
}

vectorized! {
    /// `x * sigmoid(x)`.
    fn silu<'a>(x: &'a [f32], out: &'a mut [f32]) {
        let x = &x[..out.len()];
        for i in 0..out.len() {
            out[i] = x[i] * sigmoid(x[i]);
        }
    }
}

vectorized! {
    /// Gradient of [`silu`] in place: `g * s * (1 + x * (1 - s))`.
    fn silu_backward<'a>(x: &'a [f32], grad: &'a mut [f32]) {
        let x = &x[..grad.len()];
        for i in 0..grad.len() {
            let s = sigmoid(x[i]);
            grad[i] *= s * (1.0 + x[i] * (1.0 - s));
        }
    }
}
