//! HSTU blocks (Zhai et al. 2024, 2402.17152, eq. 1-3): pointwise attention without softmax, gated.
//!
//! `U, V, Q, K = silu(norm(x) W)`, `A = silu(Q K^T + bias) / n`, `x + (norm(A V) * U) W_o`: one sub-block takes the place of
//! attention and feed-forward layer. Departures: RMS norms without bias; `n` is the number of keys a query sees instead of
//! the longest sequence (the norm that follows takes the factor away again); biases are shared by the blocks, see
//! [`super::time_bias`] for those of time.
//!
//! Composed of burn's operations on rows padded to the longest: a baseline, not a hot path.

use super::item_context::AttentionBias;
use super::layers::{Dropout, Matrix, Norm, RelativeBias, Table};
use super::padded::Padded;
use super::position::Direction;
use super::stack::{AFTER_SELF, StackShape};
use super::time_bias::{TIME_BUCKETS, time_bias};
use crate::kernels::{self, Packing};
use crate::random::Key;
use burn::prelude::*;

/// Gate, values, queries, keys.
const PARTS: usize = 4;
/// Standard deviation of the initial biases of time, as in the published code.
const TIME_BIAS_STD: f64 = 0.02;

#[derive(Module, Debug)]
struct HstuBlock {
    /// `[4 h dk, d]`: gates above values above queries above keys.
    uvqk: Matrix,
    o: Matrix,
    norm: Norm,
    attended_norm: Norm,
}

impl HstuBlock {
    fn new(shape: &StackShape, key: Key, device: &Device) -> Self {
        let (d, inner) = (shape.d_model, shape.num_heads * shape.d_kv);
        let wide = |width: usize| (width as f64).powf(-0.5);
        Self {
            uvqk: Matrix::new([PARTS * inner, d], wide(d), key.named("uvqk"), device),
            o: Matrix::new([d, inner], shape.gain * wide(inner), key.named("o"), device),
            norm: shape.norm(device),
            attended_norm: Norm::new(inner, shape.epsilon, device),
        }
    }

    fn forward(&self, x: Tensor<2>, rows: &Rows, bias: &Tensor<4>, dropout: Dropout) -> Tensor<2> {
        let projected = kernels::silu(kernels::linear(self.norm.apply(x.clone()), self.uvqk.weight.val()));
        let [n, width] = projected.dims();
        let inner = width / PARTS;
        let part = |i: usize| projected.clone().slice([0..n, i * inner..(i + 1) * inner]);
        let [value, query, key] = [1, 2, 3].map(|i| rows.padded.heads(part(i), bias.dims()[1]));
        let scores = query.matmul(key.transpose()) + bias.clone();
        let attended = rows.packed((kernels::silu(scores) * rows.visible.clone()).matmul(value));
        let update = kernels::linear(self.attended_norm.apply(attended) * part(0), self.o.weight.val());
        x + kernels::dropout(update, dropout.mask(AFTER_SELF))
    }
}

/// A causal stack of HSTU blocks with one table of biases of relative position, one of time, or both.
#[derive(Module, Debug)]
pub(super) struct HstuStack {
    block: Vec<HstuBlock>,
    relative_attention_bias: Option<RelativeBias>,
    relative_time_bias: Option<Table>,
    final_layer_norm: Norm,
}

impl HstuStack {
    pub(super) fn new(
        shape: &StackShape,
        (layers, bias): (usize, AttentionBias),
        key: Key,
        device: &Device,
    ) -> Self {
        let times = [TIME_BUCKETS, shape.num_heads];
        let block = |i: usize| HstuBlock::new(shape, key.named("block").at(i as u64), device);
        Self {
            block: (0..layers).map(block).collect(),
            relative_attention_bias: bias
                .reads_positions()
                .then(|| RelativeBias::new(shape, key.named("bias"), device)),
            relative_time_bias: bias
                .reads_times()
                .then(|| Table::new(times, TIME_BIAS_STD, key.named("time"), device)),
            final_layer_norm: shape.norm(device),
        }
    }

    /// `x`: embedded tokens `[n, d]`, packed, with their times; result `[n, d]`, after the last norm.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        (packing, times): (&Packing, &[i64]),
        dropout: Dropout,
    ) -> Tensor<2> {
        let rows = Rows::new(packing, &x.device());
        let bias = self.bias(&rows.padded, times);
        let mut x = x;
        for (i, block) in self.block.iter().enumerate() {
            x = block.forward(x, &rows, &bias, dropout.part(i as u64));
        }
        self.final_layer_norm.apply(x)
    }

    /// The sum of the biases there are, `[rows or 1, h, t, t]`.
    fn bias(&self, rows: &Padded, times: &[i64]) -> Tensor<4> {
        let t = rows.longest();
        let position = self.relative_attention_bias.as_ref();
        let position = position.map(|table| table.bias(0..t, t, Direction::Backward).unsqueeze());
        let time = self.relative_time_bias.as_ref().map(|table| time_bias(table, rows, times));
        match (position, time) {
            (Some(position), Some(time)) => position + time,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => unreachable!("a stack has one of the biases"),
        }
    }
}

/// Histories as rows of one length, and what their positions see.
struct Rows {
    padded: Padded,
    /// `1 / keys` where a query sees a key, else 0, `[1, 1, t, t]`.
    visible: Tensor<4>,
}

impl Rows {
    fn new(packing: &Packing, device: &Device) -> Self {
        let padded = Padded::new(&packing.ranges());
        let longest = padded.longest();
        let share = |query: usize, key: usize| if key <= query { 1.0 / (query + 1) as f32 } else { 0.0 };
        let visible: Vec<f32> =
            (0..longest).flat_map(|query| (0..longest).map(move |key| share(query, key))).collect();
        let visible = Tensor::from_data(TensorData::new(visible, [1, 1, longest, longest]), device);
        Self { padded, visible }
    }
    /// `[b, h, t, dk]` to `[n, h dk]`.
    fn packed(&self, x: Tensor<4>) -> Tensor<2> {
        let [rows, heads, longest, dk] = x.dims();
        self.padded.packed(x.swap_dims(1, 2).reshape([rows * longest, heads * dk]))
    }
}
