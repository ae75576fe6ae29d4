//! The two losses: pure functions of tensors.

use burn::prelude::*;
use burn::tensor::activation;

/// Added to a row's similarity with itself; `exp` of it is exactly 0.
const LEFT_OUT: f64 = -1e9;

/// Symmetric `InfoNCE` (van den Oord et al. 2018; both directions as in CLIP, Radford et al. 2021): the mean over rows of
/// `-ln softmax(x y^T / temperature)_ii`, averaged over rows of `x` among `y` and of `y` among `x`.
///
/// Rows should have unit length. One row alone has loss 0.
///
/// # Shapes
/// `x`, `y`: `[b, d]`.
pub fn info_nce(x: Tensor<2>, y: Tensor<2>, temperature: f64) -> Tensor<1> {
    // Not divided: the backward pass of a division by a scalar rounds it to f32.
    let same = (x.clone() * y.clone()).sum_dim(1).mul_scalar(temperature.recip()).mean();
    let logits = x.matmul(y.transpose()).mul_scalar(temperature.recip());
    let among = |dim: usize| log_sum_exp(logits.clone(), dim).mean();
    (among(0) + among(1)).div_scalar(2.0) - same
}

/// How far the similarities among the rows of `student` are from those among the rows of `teacher`: the mean over rows of
/// `KL(softmax(T_i T^T / temperature) || softmax(S_i S^T / temperature))`, a row's similarity with itself left out.
///
/// No gradient reaches the teacher. One row alone has loss 0.
///
/// # Shapes
/// `student`: `[b, d]`, `teacher`: `[b, e]`.
pub fn distillation(student: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
    let wanted = log_similarities(teacher.detach(), temperature);
    let found = log_similarities(student, temperature);
    let divergence = wanted.clone().exp() * (wanted - found);
    divergence.sum_dim(1).mean()
}

/// Logarithms of the softmax over the other rows.
fn log_similarities(rows: Tensor<2>, temperature: f64) -> Tensor<2> {
    let own = Tensor::<2>::eye(rows.dims()[0], &rows.device()).cast(rows.dtype()).mul_scalar(LEFT_OUT);
    let similarities = rows.clone().matmul(rows.transpose()).mul_scalar(temperature.recip());
    activation::log_softmax(similarities + own, 1)
}

/// `ln sum exp` along one dimension, which stays with size 1.
fn log_sum_exp(logits: Tensor<2>, dim: usize) -> Tensor<2> {
    let largest = logits.clone().max_dim(dim).detach();
    (logits - largest.clone()).exp().sum_dim(dim).log() + largest
}
