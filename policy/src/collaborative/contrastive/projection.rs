//! A small MLP per modality into the space that both share.

use crate::random::Key;
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use rand::RngExt;
use rand_distr::StandardNormal;

/// Keeps the gradient of the length of a zero row finite.
const LEAST_SQUARE: f64 = 1e-12;

/// `unit(W2 silu(W1 x + b))`. Weights come from a key, so a projection is a function of (widths, key).
#[derive(Module, Debug)]
pub(super) struct Projection {
    inner: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    outer: Param<Tensor<2>>,
}

impl Projection {
    /// Normal weights of standard deviation `1 / sqrt(inputs)`, no bias.
    pub(super) fn new([inputs, hidden, outputs]: [usize; 3], key: Key, device: &Device) -> Self {
        let bias = Tensor::from_data(TensorData::new(vec![0.0_f32; hidden], [hidden]), device);
        Self {
            inner: normal([inputs, hidden], key.named("inner"), device),
            bias: Param::from_tensor(bias),
            outer: normal([hidden, outputs], key.named("outer"), device),
        }
    }

    /// Rows of unit length.
    ///
    /// # Shapes
    /// `[b, inputs] -> [b, outputs]`.
    pub(super) fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = activation::silu(x.matmul(self.inner.val()) + self.bias.val().unsqueeze());
        let projected = hidden.matmul(self.outer.val());
        let squares = projected.clone().powi_scalar(2).sum_dim(1);
        projected / (squares + LEAST_SQUARE).sqrt()
    }
}

fn normal(shape: [usize; 2], key: Key, device: &Device) -> Param<Tensor<2>> {
    let (mut rng, std) = (key.rng(), (shape[0] as f32).sqrt().recip());
    let values: Vec<f32> =
        (0..shape[0] * shape[1]).map(|_| std * rng.sample::<f32, _>(StandardNormal)).collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}
