//! Parameters and the sub-blocks made of them. Weights are `[out, in]`, as in the exported files.

use super::config::T5Config;
use super::position::{Direction, bucket};
use crate::kernels::{self, Attend, AttentionInput};
use crate::random::Key;
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::TensorData;
use rand_distr::{Distribution, Normal};

/// A tensor of normal draws that belong to `key`.
fn normal<const D: usize>(shape: [usize; D], std: f64, key: Key, device: &Device) -> Param<Tensor<D>> {
    let draws = Normal::new(0.0, std).expect("a standard deviation is finite and positive");
    let values: Vec<f32> =
        draws.sample_iter(key.rng()).take(shape.iter().product()).map(|x: f64| x as f32).collect();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
}

/// A matrix: a linear map without bias (`[out, in]`) or a table of rows (`[rows, d]`).
#[derive(Module, Debug)]
pub(super) struct Matrix {
    pub(super) weight: Param<Tensor<2>>,
}

impl Matrix {
    pub(super) fn new(shape: [usize; 2], std: f64, key: Key, device: &Device) -> Self {
        Self { weight: normal(shape, std, key, device) }
    }
    /// `[n, in]` -> `[n, out]`.
    pub(super) fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::linear(x, self.weight.val())
    }
    /// `[b, t]` -> `[b * t, d]`.
    pub(super) fn rows(&self, indices: Tensor<2, Int>) -> Tensor<2> {
        burn::tensor::module::embedding(self.weight.val(), indices).flatten(0, 1)
    }
}

/// RMS normalisation.
#[derive(Module, Debug)]
pub(super) struct Norm {
    pub(super) weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl Norm {
    pub(super) fn new(config: &T5Config, device: &Device) -> Self {
        let ones = Tensor::ones([config.d_model], device);
        Self { weight: Param::from_tensor(ones), epsilon: config.layer_norm_epsilon }
    }
    pub(super) fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::rms_norm(x, self.weight.val(), self.epsilon)
    }
}

/// Dropout in one forward pass: off, or a mask per site.
#[derive(Clone, Copy, Debug)]
pub enum Dropout {
    /// Evaluation, rollout, reference.
    Off,
    /// Training: `rate` of the values are dropped, which ones is a function of `key` and the site.
    On {
        /// Probability of dropping.
        rate: f64,
        /// Differs between steps.
        key: Key,
    },
}

impl Dropout {
    pub(super) fn apply(self, x: Tensor<2>, site: u64) -> Tensor<2> {
        match self {
            Self::Off => x,
            Self::On { rate, key } => kernels::dropout(x, rate, key.at(site)),
        }
    }
    /// The dropout of a part of the network, whose sites count from 0 again.
    pub(super) fn part(self, part: u64) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::On { rate, key } => Self::On { rate, key: key.at(part).named("part") },
        }
    }
}

/// Attention projections; `o` maps the heads back to the residual stream.
#[derive(Module, Debug)]
pub(super) struct Attention {
    pub(super) q: Matrix,
    pub(super) k: Matrix,
    pub(super) v: Matrix,
    pub(super) o: Matrix,
    heads: usize,
}

impl Attention {
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Self {
        let (d, inner) = (config.d_model, config.inner());
        let (wide, per_head) = ((d as f64).powf(-0.5), ((d * config.d_kv) as f64).powf(-0.5));
        Self {
            q: Matrix::new([inner, d], per_head, key.named("q"), device),
            k: Matrix::new([inner, d], wide, key.named("k"), device),
            v: Matrix::new([inner, d], wide, key.named("v"), device),
            o: Matrix::new([d, inner], (inner as f64).powf(-0.5), key.named("o"), device),
            heads: config.num_heads,
        }
    }
    /// Keys and values of `x` (`[b * t, d]`), `[b, t, h * dk]` each.
    pub(super) fn keys_values(&self, x: &Tensor<2>, batch: usize) -> (Tensor<3>, Tensor<3>) {
        (by_row(self.k.apply(x.clone()), batch), by_row(self.v.apply(x.clone()), batch))
    }
    /// Attends from `x` (`[b * t, d]`) to keys and values; `[b * t, d]`.
    pub(super) fn attend(
        &self,
        x: Tensor<2>,
        (key, value): (Tensor<3>, Tensor<3>),
        bias: Option<Tensor<3>>,
        attend: &Attend,
    ) -> Tensor<2> {
        let query = by_row(self.q.apply(x), key.dims()[0]);
        let out = kernels::attention(AttentionInput { query, key, value, bias }, self.heads, attend);
        self.o.apply(out.flatten(0, 1))
    }
}

fn by_row(x: Tensor<2>, batch: usize) -> Tensor<3> {
    let [n, width] = x.dims();
    x.reshape([batch, n / batch, width])
}

/// `wo(relu(wi(x)))`.
#[derive(Module, Debug)]
pub(super) struct FeedForward {
    pub(super) wi: Matrix,
    pub(super) wo: Matrix,
}

impl FeedForward {
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Self {
        let (d, ff) = (config.d_model, config.d_ff);
        Self {
            wi: Matrix::new([ff, d], (d as f64).powf(-0.5), key.named("wi"), device),
            wo: Matrix::new([d, ff], (ff as f64).powf(-0.5), key.named("wo"), device),
        }
    }
    pub(super) fn apply(&self, x: Tensor<2>, dropout: Dropout) -> Tensor<2> {
        let inner = burn::tensor::activation::relu(self.wi.apply(x));
        self.wo.apply(dropout.apply(inner, 0))
    }
}

/// One table of relative position biases per stack, shared by its blocks.
#[derive(Module, Debug)]
pub(super) struct RelativeBias {
    /// `[buckets, h]`.
    pub(super) weight: Param<Tensor<2>>,
    max_distance: usize,
}

impl RelativeBias {
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Self {
        let shape = [config.relative_attention_num_buckets, config.num_heads];
        let weight = normal(shape, (config.d_model as f64).powf(-0.5), key, device);
        Self { weight, max_distance: config.relative_attention_max_distance }
    }
    /// Bias of queries at positions `queries` towards keys `0..keys`, `[h, queries, keys]`.
    pub(super) fn bias(
        &self,
        queries: std::ops::Range<usize>,
        keys: usize,
        direction: Direction,
    ) -> Tensor<3> {
        let [buckets, heads] = self.weight.dims();
        let rows = queries.len();
        let of = |query, key| bucket(key as i64 - query as i64, direction, buckets, self.max_distance) as i64;
        let indices: Vec<i64> = queries.flat_map(|q| (0..keys).map(move |k| of(q, k))).collect();
        let weight = self.weight.val();
        let indices = Tensor::from_data(TensorData::new(indices, [1, rows * keys]), &weight.device());
        burn::tensor::module::embedding(weight, indices)
            .reshape([rows * keys, heads])
            .transpose()
            .reshape([heads, rows, keys])
    }
}
