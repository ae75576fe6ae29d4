//! The same operators composed of burn's own: the definition that the fused ones are tested against, and the
//! path of every device without fused ones.

use super::{Attend, AttentionInput, rows};
use crate::random::Key;
use burn::prelude::*;
use burn::tensor::{TensorData, activation};

/// Low enough to vanish in any softmax, high enough that sums with it stay finite.
const MASKED: f32 = -1e9;

pub(super) fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

pub(super) fn rms_norm(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let scale = x.clone().square().mean_dim(1).add_scalar(epsilon).sqrt().recip();
    x * scale * gain.unsqueeze()
}

pub(super) fn attention(input: AttentionInput, heads: usize, attend: &Attend) -> Tensor<3> {
    let split = |x: Tensor<3>| {
        let [b, t, width] = x.dims();
        x.reshape([b, t, heads, width / heads]).swap_dims(1, 2)
    };
    let [b, tq, width] = input.query.dims();
    let tk = input.key.dims()[1];
    let mask = mask(attend, [b, tq, tk], &input.query.device());
    let mut scores = split(input.query).matmul(split(input.key).transpose()) + mask;
    if let Some(bias) = input.bias {
        scores = scores + bias.unsqueeze::<4>();
    }
    activation::softmax(scores, 3).matmul(split(input.value)).swap_dims(1, 2).reshape([b, tq, width])
}

/// Additive `[b, 1, tq, tk]`: zero where a query may look, [`MASKED`] elsewhere.
fn mask(attend: &Attend, [b, tq, tk]: [usize; 3], device: &Device) -> Tensor<4> {
    let mut values = Vec::with_capacity(b * tq * tk);
    for row in 0..b {
        let valid = attend.keys(row, tk);
        for query in 0..tq {
            let visible = if *attend == Attend::Causal { query + 1 } else { valid };
            values.extend((0..tk).map(|key| if key < visible { 0.0 } else { MASKED }));
        }
    }
    Tensor::from_data(TensorData::new(values, [b, 1, tq, tk]), &device.clone().without_autodiff())
        .to_device(device)
}

pub(super) fn target_log_prob(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [n, _] = logits.dims();
    activation::log_softmax(logits, 1).gather(1, targets.reshape([n, 1])).reshape([n])
}

pub(super) fn dropout(x: Tensor<2>, rate: f32, key: Key) -> Tensor<2> {
    let shape = x.dims();
    let mut mask = vec![1.0; shape[0] * shape[1]];
    rows::dropout(&mut mask, rate, key, 0);
    let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}
