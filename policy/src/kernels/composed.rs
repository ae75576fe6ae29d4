//! The same operators composed of burn's own: the definition that the fused ones are tested against, and the
//! path of every device without fused ones.

use super::heads::{Heads, Visible};
use super::mask::Mask;
use super::packing::Packing;
use super::readers::Readers;
use super::target_log_prob::{HIDDEN, TargetLogProb};
use super::{Block, CrossAttentionInput, FeedForwardInput, SelfAttentionInput};
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use std::ops::Range;
use std::sync::Arc;

pub(super) fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

pub(super) fn rms_norm(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let scale = x.clone().square().mean_dim(1).add_scalar(epsilon).sqrt().recip();
    x * scale * gain.unsqueeze()
}

pub(super) fn gather(table: Tensor<2>, rows: &[u32]) -> Tensor<2> {
    let indices = ints(rows.iter().map(|&row| i64::from(row)), &table.device());
    table.select(0, indices)
}

pub(super) fn gather_sums(table: Tensor<2>, rows: &[u32], per: usize) -> Tensor<2> {
    let d = table.dims()[1];
    let count = rows.len() / per;
    gather(table, rows).reshape([count, per, d]).sum_dim(1).reshape([count, d])
}

pub(super) fn dropout(x: Tensor<2>, mask: Option<Mask>) -> Tensor<2> {
    let Some(mask) = mask else { return x };
    let [n, d] = x.dims();
    let factors: Vec<f32> = (0..(n * d) as u32).map(|i| mask.factor(i)).collect();
    let factors = Tensor::from_data(TensorData::new(factors, [n, d]), &x.device());
    x * factors
}

pub(super) fn self_attention(input: SelfAttentionInput, packing: &Packing, block: &Block) -> Tensor<2> {
    let SelfAttentionInput { x, gain, qkv, out, bias } = input;
    let inner = out.dims()[1];
    let projected = linear(rms_norm(x.clone(), gain, block.epsilon), qkv);
    let [n, _] = projected.dims();
    let (longest, all) = (packing.longest(), packing.ranges());
    let part =
        |index: usize| padded(projected.clone().slice([0..n, index * inner..(index + 1) * inner]), &all);
    let bias = bias.map(|bias| bias.slice([0..block.heads.count, 0..longest, 0..longest]));
    let visible = visible(&all, longest, block.heads.visible, &x.device());
    let attended = attend([part(0), part(1), part(2)], bias, visible, &block.heads);
    let attended = attended.reshape([all.len() * longest, inner]).select(0, positions(packing, &x.device()));
    x + dropout(linear(attended, out), block.mask)
}

pub(super) fn cross_attention(input: CrossAttentionInput, readers: &Readers, block: &Block) -> Tensor<2> {
    let CrossAttentionInput { x, gain, query, out, keys_values } = input;
    let (inner, count, seen) = (out.dims()[1], readers.count(), readers.all().collect::<Vec<_>>());
    let [n, _] = x.dims();
    let [m, _] = keys_values.dims();
    let query = linear(rms_norm(x.clone(), gain, block.epsilon), query).reshape([count, n / count, inner]);
    let key = padded(keys_values.clone().slice([0..m, 0..inner]), &seen);
    let value = padded(keys_values.slice([0..m, inner..2 * inner]), &seen);
    let visible = visible(&seen, n / count, Visible::All, &x.device());
    let attended = attend([query, key, value], None, visible, &block.heads).reshape([n, inner]);
    x + dropout(linear(attended, out), block.mask)
}

pub(super) fn feed_forward(input: FeedForwardInput, epsilon: f64, masks: Option<[Mask; 2]>) -> Tensor<2> {
    let FeedForwardInput { x, gain, inner, outer } = input;
    let hidden = activation::relu(linear(rms_norm(x.clone(), gain, epsilon), inner));
    let hidden = dropout(hidden, masks.map(|[inner, _]| inner));
    x + dropout(linear(hidden, outer), masks.map(|[_, outer]| outer))
}

/// `[b, tq, h dk]` of queries, keys and values, `bias [h, tq, tk]`, `visible [b, 1, tq, tk]` additive.
fn attend(
    [query, key, value]: [Tensor<3>; 3],
    bias: Option<Tensor<3>>,
    visible: Tensor<4>,
    heads: &Heads,
) -> Tensor<3> {
    let [b, tq, inner] = query.dims();
    let split = |x: Tensor<3>| {
        let [b, t, inner] = x.dims();
        x.reshape([b, t, heads.count, inner / heads.count]).swap_dims(1, 2)
    };
    let scores = split(query).matmul(split(key).transpose()).mul_scalar(heads.scale) + visible;
    let scores = match bias {
        Some(bias) => scores + bias.unsqueeze::<4>(),
        None => scores,
    };
    activation::softmax(scores, 3).matmul(split(value)).swap_dims(1, 2).reshape([b, tq, inner])
}

/// Additive `[b, 1, tq, longest]`: zero where a query may look, [`HIDDEN`] elsewhere.
fn visible(rows: &[Range<usize>], queries: usize, visible: Visible, device: &Device) -> Tensor<4> {
    let longest = longest(rows);
    let mut values = Vec::with_capacity(rows.len() * queries * longest);
    for row in rows {
        for query in 0..queries {
            let seen = if visible == Visible::Past { row.len().min(query + 1) } else { row.len() };
            values.extend((0..longest).map(|key| if key < seen { 0.0 } else { HIDDEN }));
        }
    }
    let shape = [rows.len(), 1, queries, longest];
    Tensor::from_data(TensorData::new(values, shape), &device.clone().without_autodiff()).to_device(device)
}

fn longest(rows: &[Range<usize>]) -> usize {
    rows.iter().map(ExactSizeIterator::len).max().unwrap_or(0)
}

/// Rows of a packed `[n, d]`, right-padded to `[rows, longest, d]`; padding repeats the row's first token.
fn padded(x: Tensor<2>, rows: &[Range<usize>]) -> Tensor<3> {
    let (longest, d) = (longest(rows), x.dims()[1]);
    let indices = rows.iter().flat_map(|row| {
        (0..longest).map(move |t| if t < row.len() { row.start + t } else { row.start } as i64)
    });
    let indices = ints(indices, &x.device());
    x.select(0, indices).reshape([rows.len(), longest, d])
}

/// Where the tokens of a packing are in its padded form, flattened.
fn positions(packing: &Packing, device: &Device) -> Tensor<1, Int> {
    let longest = packing.longest();
    ints(
        packing.lengths().enumerate().flat_map(|(row, t)| (0..t).map(move |t| (row * longest + t) as i64)),
        device,
    )
}

fn ints(values: impl Iterator<Item = i64>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}

pub(super) fn target_log_prob(states: Tensor<2>, head: Tensor<2>, operator: &TargetLogProb) -> Tensor<1> {
    let (n, v) = (operator.targets.len(), operator.columns.len());
    let (d, device) = (head.dims()[1], states.device());
    let head = head.slice([operator.columns.clone(), 0..d]);
    let mut logits = linear(states, head).mul_scalar(operator.scale);
    if let Some(legal) = &operator.legal {
        let mut hidden = vec![HIDDEN; n * v];
        for (row, hidden) in hidden.chunks_exact_mut(v).enumerate() {
            legal.row(row).iter().for_each(|&column| hidden[column as usize] = 0.0);
        }
        logits = logits + Tensor::from_data(TensorData::new(hidden, [n, v]), &device);
    }
    let targets = ints(operator.targets.iter().map(|&target| i64::from(target)), &device);
    let log_probs = activation::log_softmax(logits, 1);
    let own = log_probs.clone().gather(1, targets.reshape([n, 1])).reshape([n]);
    if operator.smoothing == 0.0 {
        return own;
    }
    let everywhere = log_probs.mean_dim(1).reshape([n]);
    own.clone() + (everywhere - own) * operator.smoothing
}

/// `positions`: `[rows, 3 h dk]` each; see [`super::PastKeysValues::attend`].
pub(super) fn cached_attention(
    positions: &[&Tensor<2>],
    bias: Tensor<3>,
    heads: &Heads,
    ancestry: &[Arc<[u32]>],
) -> Tensor<2> {
    let newest = positions[positions.len() - 1].clone();
    let (inner, rows) = (newest.dims()[1] / 3, ancestry[0].len());
    let part = |index: usize| {
        let rows_of = |(position, ancestors): (&&Tensor<2>, &Arc<[u32]>)| {
            gather((*position).clone(), ancestors)
                .slice([0..rows, index * inner..(index + 1) * inner])
                .reshape([rows, 1, inner])
        };
        Tensor::cat(positions.iter().zip(ancestry).map(rows_of).collect(), 1)
    };
    let query = newest.slice([0..rows, 0..inner]).reshape([rows, 1, inner]);
    let all = Packing::uniform(rows, positions.len()).ranges();
    let visible = visible(&all, 1, Visible::All, &query.device());
    attend([query, part(1), part(2)], Some(bias), visible, heads).reshape([rows, inner])
}
