//! Parameters and the sub-blocks made of them. Weights are `[out, in]`, as in the exported files.

use super::position::{Direction, bucket};
use super::stack::{BlockPast, StackShape};
use crate::kernels::{
    self, Ancestry, Block, CrossAttentionInput, FeedForwardInput, Heads, Mask, Packing, Readers,
    SelfAttentionInput,
};
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

/// Standard deviation of embeddings that enter a stack multiplied by `sqrt(d)`.
pub(super) const EMBEDDING_STD: f64 = 0.02;

/// Each of the rows of `x` as often as makes `rows` of them: what a reader's rows have in common.
pub(super) fn repeated(x: Tensor<2>, rows: usize) -> Tensor<2> {
    let own = x.dims()[0];
    let indices: Vec<u32> = (0..own as u32).flat_map(|row| std::iter::repeat_n(row, rows / own)).collect();
    kernels::gather(x, &indices)
}

/// A linear map without bias, `[out, in]`.
#[derive(Module, Debug)]
pub(super) struct Matrix {
    pub(super) weight: Param<Tensor<2>>,
}

impl Matrix {
    pub(super) fn new(shape: [usize; 2], std: f64, key: Key, device: &Device) -> Self {
        Self { weight: normal(shape, std, key, device) }
    }
}

/// Embeddings, `[rows, d]`: what [`crate::optimizer::OptimizerConfig::embedding_factor`] is about.
#[derive(Module, Debug)]
pub(super) struct Table {
    pub(super) weight: Param<Tensor<2>>,
}

impl Table {
    pub(super) fn new(shape: [usize; 2], std: f64, key: Key, device: &Device) -> Self {
        Self { weight: normal(shape, std, key, device) }
    }
    /// Sums of `per` neighbouring rows of those that `indices` name, `[indices / per, d]`.
    pub(super) fn sums(&self, indices: &[u32], per: usize) -> Tensor<2> {
        kernels::gather_sums(self.weight.val(), indices, per)
    }
    /// Rows of the table, `[n, d]`.
    pub(super) fn rows(&self, indices: &[u32]) -> Tensor<2> {
        kernels::gather(self.weight.val(), indices)
    }
    /// The weights that give logits: those of a head of its own, or these.
    pub(super) fn tied_unless(&self, own: Option<&Matrix>) -> Tensor<2> {
        own.map_or(&self.weight, |own| &own.weight).val()
    }
}

/// RMS normalisation.
#[derive(Module, Debug)]
pub(super) struct Norm {
    pub(super) weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl Norm {
    pub(super) fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::ones([width], device)), epsilon }
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
    /// The mask of a site.
    pub(super) fn mask(self, site: u64) -> Option<Mask> {
        match self {
            Self::On { rate, key } if rate > 0.0 => Some(Mask::new(rate, key.at(site))),
            _ => None,
        }
    }
    pub(super) fn apply(self, x: Tensor<2>, site: u64) -> Tensor<2> {
        kernels::dropout(x, self.mask(site))
    }
    /// The dropout of a part of the network, whose sites count from 0 again.
    pub(super) fn part(self, part: u64) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::On { rate, key } => Self::On { rate, key: key.at(part).named("part") },
        }
    }
}

/// Sizes and initial scales of an attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttentionShape {
    /// Factor of the initial output weights.
    pub(super) gain: f64,
    pub(super) d_model: usize,
    pub(super) d_kv: usize,
    pub(super) heads: Heads,
}

/// Attention projections; `o` maps the heads back to the residual stream.
#[derive(Module, Debug)]
pub(super) struct Attention {
    pub(super) q: Matrix,
    pub(super) k: Matrix,
    pub(super) v: Matrix,
    pub(super) o: Matrix,
    #[module(skip)]
    heads: Heads,
}

impl Attention {
    pub(super) fn new(shape: AttentionShape, key: Key, device: &Device) -> Self {
        let (d, heads) = (shape.d_model, shape.heads);
        let inner = heads.count * shape.d_kv;
        let wide = (d as f64).powf(-0.5);
        // What the scores are not multiplied by, the initial queries are.
        let query = wide * (shape.d_kv as f64).powf(-0.5) / f64::from(heads.scale);
        Self {
            q: Matrix::new([inner, d], query, key.named("q"), device),
            k: Matrix::new([inner, d], wide, key.named("k"), device),
            v: Matrix::new([inner, d], wide, key.named("v"), device),
            o: Matrix::new([d, inner], shape.gain * (inner as f64).powf(-0.5), key.named("o"), device),
            heads,
        }
    }
    /// Queries above keys above values, `[3 h dk, d]`.
    pub(super) fn query_key_value(&self) -> Tensor<2> {
        Tensor::cat(vec![self.q.weight.val(), self.k.weight.val(), self.v.weight.val()], 0)
    }
    fn block(&self, norm: &Norm, mask: Option<Mask>) -> Block {
        Block { heads: self.heads, epsilon: norm.epsilon, mask }
    }
    /// Self-attention within packed rows, residual included.
    pub(super) fn within(
        &self,
        x: Tensor<2>,
        norm: &Norm,
        (packing, bias): (&Packing, Option<Tensor<3>>),
        mask: Option<Mask>,
    ) -> Tensor<2> {
        let (qkv, out) = (self.query_key_value(), self.o.weight.val());
        let input = SelfAttentionInput { x, gain: norm.weight.val(), qkv, out, bias };
        kernels::self_attention(input, packing, &self.block(norm, mask))
    }
    /// Keys and values of a memory `[m, d]`, `[m, 2 h dk]`.
    pub(super) fn keys_values(&self, memory: &Tensor<2>) -> Tensor<2> {
        let weight = Tensor::cat(vec![self.k.weight.val(), self.v.weight.val()], 0);
        kernels::linear(memory.clone(), weight)
    }
    /// Cross-attention to a memory, residual included.
    pub(super) fn to(
        &self,
        x: Tensor<2>,
        norm: &Norm,
        (readers, keys_values): (&Readers, Tensor<2>),
        mask: Option<Mask>,
    ) -> Tensor<2> {
        let (query, out) = (self.q.weight.val(), self.o.weight.val());
        let input = CrossAttentionInput { x, gain: norm.weight.val(), query, out, keys_values };
        kernels::cross_attention(input, readers, &self.block(norm, mask))
    }
    /// Self-attention of the newest position of every row, residual included.
    pub(super) fn newest(
        &self,
        x: Tensor<2>,
        norm: &Norm,
        (past, ancestry): (&mut BlockPast, &Ancestry),
        bias: Tensor<3>,
    ) -> Tensor<2> {
        let (qkv, out) = (past.qkv.clone(), self.o.weight.val());
        let input = SelfAttentionInput { x, gain: norm.weight.val(), qkv, out, bias: Some(bias) };
        past.positions.attend(input, &self.block(norm, None), ancestry)
    }
}

/// `x + wo(relu(wi(norm(x))))`.
#[derive(Module, Debug)]
pub(super) struct FeedForward {
    pub(super) wi: Matrix,
    pub(super) wo: Matrix,
}

impl FeedForward {
    /// `gain` multiplies the initial output weights.
    pub(super) fn new([d, ff]: [usize; 2], gain: f64, key: Key, device: &Device) -> Self {
        Self {
            wi: Matrix::new([ff, d], (d as f64).powf(-0.5), key.named("wi"), device),
            wo: Matrix::new([d, ff], gain * (ff as f64).powf(-0.5), key.named("wo"), device),
        }
    }
    /// Residual included; `masks` of the hidden layer and of the output.
    pub(super) fn apply(&self, x: Tensor<2>, norm: &Norm, masks: [Option<Mask>; 2]) -> Tensor<2> {
        let [inner, outer] = masks;
        let input = FeedForwardInput {
            x,
            gain: norm.weight.val(),
            inner: self.wi.weight.val(),
            outer: self.wo.weight.val(),
        };
        kernels::feed_forward(input, norm.epsilon, inner.zip(outer).map(|(inner, outer)| [inner, outer]))
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
    pub(super) fn new(shape: &StackShape, key: Key, device: &Device) -> Self {
        let [buckets, max_distance] = shape.positions;
        let weight = normal([buckets, shape.num_heads], (shape.d_model as f64).powf(-0.5), key, device);
        Self { weight, max_distance }
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
        let of = |query, key| bucket(key as i64 - query as i64, direction, buckets, self.max_distance) as u32;
        let indices: Vec<u32> = queries.flat_map(|q| (0..keys).map(move |k| of(q, k))).collect();
        kernels::gather(self.weight.val(), &indices).transpose().reshape([heads, rows, keys])
    }
}
