//! The operators that the model spends its time in, as functions on tensors.
//!
//! On the CPU each is one autodiff node with its own forward and backward (`operator`): a chunk of rows passes through
//! a whole sub-block while it is in a core's cache, threads meet only at the end of an operator, and rows of different
//! lengths are packed, so that nothing is computed for padding. On other devices the same function is composed of burn's
//! operations (`composed`), which is also what the tests compare the fused operators with.

mod buffer;
mod cached;
mod choices;
mod composed;
mod cross_attention;
mod feed_forward;
mod heads;
mod mask;
mod operator;
mod packing;
mod parallel;
mod products;
mod readers;
mod self_attention;
mod simple;
mod target_log_prob;
mod update;
mod vector;

pub use cached::{Ancestry, PastKeysValues};
pub use choices::{Choices, Normalization, choice_log_probs};
pub use heads::{Heads, Visible};
pub use mask::Mask;
pub use packing::Packing;
pub use readers::Readers;
pub(crate) use target_log_prob::HIDDEN;
pub use update::{AdamW, Flat, Moments};

use burn::backend::Dispatch;
use burn::prelude::*;
use operator::Fused;
use std::ops::Range;
use std::sync::Arc;

/// Settings of an attention sub-block.
#[derive(Clone, Debug)]
pub struct Block {
    /// How heads attend.
    pub heads: Heads,
    /// Added to the mean square in normalisation.
    pub epsilon: f64,
    /// Dropout of the sub-block's output.
    pub mask: Option<Mask>,
}

/// Tensors of [`self_attention`].
#[derive(Clone, Debug)]
pub struct SelfAttentionInput {
    /// `[n, d]`, packed rows.
    pub x: Tensor<2>,
    /// `[d]`.
    pub gain: Tensor<1>,
    /// `[3 h dk, d]`: queries above keys above values.
    pub qkv: Tensor<2>,
    /// `[d, h dk]`.
    pub out: Tensor<2>,
    /// Added to the scores of every row, `[h, t, t]` with `t` at least the longest row; relative position bias.
    pub bias: Option<Tensor<3>>,
}

/// Tensors of [`cross_attention`].
#[derive(Clone, Debug)]
pub struct CrossAttentionInput {
    /// `[n, d]`: the tokens of a reader side by side, as many for every reader.
    pub x: Tensor<2>,
    /// `[d]`.
    pub gain: Tensor<1>,
    /// `[h dk, d]`.
    pub query: Tensor<2>,
    /// `[d, h dk]`.
    pub out: Tensor<2>,
    /// Projected memory of all users, `[m, 2 h dk]`, keys left of values.
    pub keys_values: Tensor<2>,
}

/// Tensors of [`feed_forward`].
#[derive(Clone, Debug)]
pub struct FeedForwardInput {
    /// `[n, d]`.
    pub x: Tensor<2>,
    /// `[d]`.
    pub gain: Tensor<1>,
    /// `[ff, d]`.
    pub inner: Tensor<2>,
    /// `[d, ff]`.
    pub outer: Tensor<2>,
}

/// Whether tensors there are the host's, so that threads of the host share the work.
pub fn on_cpu(device: &Device) -> bool {
    *device == Device::flex()
}

/// `x W^T`: weights are stored `[out, in]`, as in PyTorch and in the exported files.
///
/// # Shapes
/// - `x`: `[n, in]`, `weight`: `[out, in]`, result: `[n, out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    if !on_cpu(&x.device()) {
        return composed::linear(x, weight);
    }
    Tensor::from_dispatch(Dispatch::fused_2(x.into_dispatch(), weight.into_dispatch(), simple::Linear))
}

/// Root-mean-square normalisation over the last axis, without bias or mean (T5, Zhang & Sennrich 2019).
///
/// # Shapes
/// - `x`: `[n, d]`, `gain`: `[d]`, result: `[n, d]`.
pub fn rms_norm(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    if !on_cpu(&x.device()) {
        return composed::rms_norm(x, gain, epsilon);
    }
    let operator = simple::RmsNorm { epsilon: epsilon as f32 };
    Tensor::from_dispatch(Dispatch::fused_2(x.into_dispatch(), gain.into_dispatch(), operator))
}

/// Rows of a table: token embeddings, relative position biases.
///
/// # Shapes
/// - `table`: `[v, d]`, result: `[rows.len(), d]`.
pub fn gather(table: Tensor<2>, rows: &[u32]) -> Tensor<2> {
    gather_sums(table, rows, 1)
}

/// Sums of `per` neighbours among rows of a table: an item as the sum of its codes.
///
/// # Shapes
/// - `table`: `[v, d]`, result: `[rows.len() / per, d]`.
///
/// # Panics
/// If the rows are not a multiple of `per`.
pub fn gather_sums(table: Tensor<2>, rows: &[u32], per: usize) -> Tensor<2> {
    assert!(rows.len().is_multiple_of(per), "{} rows are no multiple of {per}", rows.len());
    if !on_cpu(&table.device()) {
        return composed::gather_sums(table, rows, per);
    }
    Tensor::from_dispatch(Dispatch::fused_1(table.into_dispatch(), simple::Gather { rows: rows.into(), per }))
}

/// Inverted dropout.
///
/// # Shapes
/// - `x` and result: `[n, d]`.
pub fn dropout(x: Tensor<2>, mask: Option<Mask>) -> Tensor<2> {
    match mask {
        Some(mask) if on_cpu(&x.device()) => {
            Tensor::from_dispatch(Dispatch::fused_1(x.into_dispatch(), simple::Dropout { mask }))
        }
        mask => composed::dropout(x, mask),
    }
}

/// The sigmoid linear unit, `x * sigmoid(x)` (Hendrycks & Gimpel 2016), element by element.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !on_cpu(&x.device()) {
        return burn::tensor::activation::silu(x);
    }
    let shape = x.dims();
    let width = shape[D - 1];
    let x: Tensor<2> = x.reshape([shape.iter().product::<usize>() / width, width]);
    let y: Tensor<2> = Tensor::from_dispatch(Dispatch::fused_1(x.into_dispatch(), simple::Silu));
    y.reshape(shape)
}

/// `x + dropout(attention(rms_norm(x)) W_o)` within each row.
///
/// # Shapes
/// - see [`SelfAttentionInput`]; result: `[n, d]`.
pub fn self_attention(input: SelfAttentionInput, packing: &Packing, block: &Block) -> Tensor<2> {
    if !on_cpu(&input.x.device()) {
        return composed::self_attention(input, packing, block);
    }
    let (x, gain) = (input.x.into_dispatch(), input.gain.into_dispatch());
    let (qkv, out) = (input.qkv.into_dispatch(), input.out.into_dispatch());
    let operator = self_attention::SelfAttention {
        packing: packing.clone(),
        heads: block.heads,
        epsilon: block.epsilon as f32,
        mask: block.mask,
    };
    Tensor::from_dispatch(match input.bias {
        Some(bias) => Dispatch::fused_5(x, gain, qkv, out, bias.into_dispatch(), operator),
        None => Dispatch::fused_4(x, gain, qkv, out, operator),
    })
}

/// `x + dropout(attention(rms_norm(x) W_q, memory) W_o)`: tokens read the memory of their user, or a prefix of it.
///
/// # Shapes
/// - see [`CrossAttentionInput`]; result: `[n, d]`.
pub fn cross_attention(input: CrossAttentionInput, readers: &Readers, block: &Block) -> Tensor<2> {
    if !on_cpu(&input.x.device()) {
        return composed::cross_attention(input, readers, block);
    }
    let operator = cross_attention::CrossAttention {
        readers: readers.clone(),
        heads: block.heads,
        epsilon: block.epsilon as f32,
        mask: block.mask,
    };
    Tensor::from_dispatch(Dispatch::fused_5(
        input.x.into_dispatch(),
        input.gain.into_dispatch(),
        input.query.into_dispatch(),
        input.out.into_dispatch(),
        input.keys_values.into_dispatch(),
        operator,
    ))
}

/// `x + dropout(dropout(relu(rms_norm(x) W_i)) W_o)`; `masks` are those after the rectifier and after the sub-block.
///
/// # Shapes
/// - see [`FeedForwardInput`]; result: `[n, d]`.
pub fn feed_forward(input: FeedForwardInput, epsilon: f64, masks: Option<[Mask; 2]>) -> Tensor<2> {
    if !on_cpu(&input.x.device()) {
        return composed::feed_forward(input, epsilon, masks);
    }
    Tensor::from_dispatch(Dispatch::fused_4(
        input.x.into_dispatch(),
        input.gain.into_dispatch(),
        input.inner.into_dispatch(),
        input.outer.into_dispatch(),
        feed_forward::FeedForward { epsilon: epsilon as f32, masks },
    ))
}

/// What the softmax of a head runs over, and which entry of it is wanted.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Rows of the head that take part.
    pub columns: Range<usize>,
    /// One per state, counted from the first of `columns`.
    pub targets: Vec<u32>,
    /// Columns each state may choose from; all of them where absent.
    pub legal: Option<Choices>,
    /// Share of the target's place that all columns have together: label smoothing (Szegedy et al. 2016, 1512.00567).
    pub smoothing: f64,
}

impl Targets {
    /// Targets among all of these columns.
    pub fn among(columns: Range<usize>, targets: Vec<u32>) -> Self {
        Self { columns, targets, legal: None, smoothing: 0.0 }
    }
}

/// `log_softmax(scale * x W^T)` of each state at its target; with smoothing `s`, `1 - s` of that and `s` of the mean over all
/// columns.
///
/// # Shapes
/// - `states`: `[n, d]`, `head`: `[v, d]`, result: `[n]`.
///
/// # Panics
/// If a smoothed target has columns that it may not choose: their log-probability has no bound.
pub fn target_log_prob(states: Tensor<2>, head: Tensor<2>, targets: Targets, scale: f64) -> Tensor<1> {
    assert!(targets.smoothing == 0.0 || targets.legal.is_none(), "smoothing is over all columns");
    let operator = target_log_prob::TargetLogProb {
        columns: targets.columns,
        smoothing: targets.smoothing as f32,
        targets: targets.targets.into(),
        scale: scale as f32,
        legal: targets.legal.map(Arc::new),
    };
    if !on_cpu(&states.device()) {
        return composed::target_log_prob(states, head, &operator);
    }
    Tensor::from_dispatch(Dispatch::fused_2(states.into_dispatch(), head.into_dispatch(), operator))
}

/// The log of the summed exponentials: the normaliser that [`target_log_prob`] subtracts from a logit. Negative infinity
/// of nothing.
pub fn log_sum_exp(values: &[f32]) -> f32 {
    vector::log_sum_exp(values)
}

#[cfg(test)]
mod tests;
