//! Gradients past the choice of codes.
//!
//! Both functions return the codes' sum `q` as their value and differ in what they let through to the encoding `e`. With the
//! rotation trick (Fifty et al. 2024, 2410.06424, section 4.2) the value is written as
//!
//! ```text
//! q = (|q| / |e|) R e,   R = I - 2 r r^T + 2 q^ e^T,   e^ = e / |e|,   q^ = q / |q|,   r = (e^ + q^) / |e^ + q^|
//! ```
//!
//! where `R` is orthogonal and turns `e^` onto `q^`, and ratio and `R` are constants of the gradient: `d/de = (|q| / |e|) R^T g`. So the
//! angle between gradient and code becomes that between gradient and encoding, where straight through copies the gradient itself.

use super::Gradient;
use burn::prelude::*;

/// Below this, norms are taken for this: a direction of nothing is nothing.
const LEAST_NORM: f64 = 1e-12;

/// The quantised rows with gradients for the rows that were quantised. A row opposite to its codes' sum has no unique rotation;
/// it is turned by a reflection.
///
/// # Shapes
/// - `encoded`, `quantized` (its gradient is ignored) and result: `[n, d]`.
pub fn pass(encoded: Tensor<2>, quantized: Tensor<2>, gradient: Gradient) -> Tensor<2> {
    let quantized = quantized.detach();
    match gradient {
        Gradient::StraightThrough => encoded.clone() + (quantized - encoded.detach()),
        Gradient::Rotation => rotated(&encoded, quantized),
    }
}

fn rotated(encoded: &Tensor<2>, quantized: Tensor<2>) -> Tensor<2> {
    let constant = encoded.clone().detach();
    let (from, to) = (norms(constant.clone()), norms(quantized.clone()));
    let ratio = to.clone() / from.clone();
    let (from, to) = (constant / from, quantized / to);
    let between = from.clone() + to.clone();
    let between = between.clone() / norms(between);
    // Never the d x d matrix: R e = e - 2 r (r e) + 2 q^ (e^ e).
    let along = |direction: &Tensor<2>| (direction.clone() * encoded.clone()).sum_dim(1).mul_scalar(2.0);
    let turned = encoded.clone() - between.clone() * along(&between) + to * along(&from);
    turned * ratio
}

/// `[n, 1]`.
fn norms(rows: Tensor<2>) -> Tensor<2> {
    rows.square().sum_dim(1).sqrt().clamp_min(LEAST_NORM)
}
