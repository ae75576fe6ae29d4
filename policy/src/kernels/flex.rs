//! The kernels on burn's CPU backend: tensors in and out, slices inside.

use super::Attend;
use super::attention::{self, Inputs, Layout};
use super::node::{AttentionGrads, AttentionState, FusedOps, Kernels};
use super::rows::{self, RmsNormSaved};
use crate::random::Key;
use burn::backend::Flex;
use burn::backend::tensor::IntTensor;
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout as FlexLayout};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Values per parallel piece: fixed, so that results do not depend on the number of threads.
const CHUNK: usize = 1 << 16;

impl FusedOps for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::linear_forward(&x, &weight)
    }
    fn fused_rms_norm(x: FlexTensor, gain: FlexTensor, epsilon: f64) -> FlexTensor {
        Self::rms_norm(&x, &gain, epsilon)
    }
    fn fused_attention(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        heads: usize,
        attend: Attend,
    ) -> FlexTensor {
        Self::attention_forward(AttentionState { query, key, value, bias: None, heads, attend }).0
    }
    fn fused_biased_attention(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        bias: FlexTensor,
        heads: usize,
        attend: Attend,
    ) -> FlexTensor {
        Self::attention_forward(AttentionState { query, key, value, bias: Some(bias), heads, attend }).0
    }
    fn fused_target_log_prob(logits: FlexTensor, targets: IntTensor<Self>) -> FlexTensor {
        Self::target_log_prob(logits, &targets).0
    }
    fn fused_dropout(x: FlexTensor, rate: f32, key: Key) -> FlexTensor {
        <Self as Kernels>::dropout(x, rate, key)
    }
}

fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), FlexLayout::contiguous(shape), DType::F32)
}

fn contiguous(x: &FlexTensor) -> FlexTensor {
    if x.is_contiguous() && x.layout().start_offset() == 0 { x.clone() } else { x.to_contiguous() }
}

fn values(x: &FlexTensor) -> &[f32] {
    &x.storage::<f32>()[..x.layout().num_elements()]
}

fn indices(x: &IntTensor<Flex>) -> Vec<usize> {
    let x = x.to_contiguous();
    let n = x.layout().num_elements();
    match x.dtype() {
        DType::I64 => x.storage::<i64>()[..n].iter().map(|&i| i as usize).collect(),
        DType::I32 => x.storage::<i32>()[..n].iter().map(|&i| i as usize).collect(),
        other => panic!("indices are 32 or 64 bit integers, not {other:?}"),
    }
}

fn dims<const D: usize>(x: &FlexTensor) -> [usize; D] {
    x.layout().shape().dims()
}

/// `left * right` as a row-major vector.
fn product(left: MatRef<'_, f32>, right: MatRef<'_, f32>) -> Vec<f32> {
    let (m, n) = (left.nrows(), right.ncols());
    let mut out = vec![0.0; m * n];
    let target = MatMut::from_row_major_slice_mut(&mut out, m, n);
    matmul(target, Accum::Replace, left, right, 1.0, Par::rayon(0));
    out
}

fn attention_layout(state: &AttentionState<FlexTensor>) -> Layout {
    let [_, queries, width] = dims(&state.query);
    let [_, keys, _] = dims(&state.key);
    Layout { queries, keys, width, heads: state.heads, attend: state.attend.clone() }
}

fn made_contiguous(state: AttentionState<FlexTensor>) -> AttentionState<FlexTensor> {
    AttentionState {
        query: contiguous(&state.query),
        key: contiguous(&state.key),
        value: contiguous(&state.value),
        bias: state.bias.as_ref().map(contiguous),
        ..state
    }
}

fn inputs(state: &AttentionState<FlexTensor>) -> Inputs<'_> {
    Inputs {
        query: values(&state.query),
        key: values(&state.key),
        value: values(&state.value),
        bias: state.bias.as_ref().map(values),
    }
}

impl Kernels for Flex {
    fn linear_forward(x: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
        let (x, weight) = (contiguous(x), contiguous(weight));
        let ([n, d_in], [d_out, _]) = (dims(&x), dims(&weight));
        let x = MatRef::from_row_major_slice(values(&x), n, d_in);
        let weight = MatRef::from_row_major_slice(values(&weight), d_out, d_in);
        tensor(product(x, weight.transpose()), Shape::from([n, d_out]))
    }

    fn linear_backward(x: FlexTensor, weight: FlexTensor, grad: FlexTensor) -> (FlexTensor, FlexTensor) {
        let (x, weight, grad) = (contiguous(&x), contiguous(&weight), contiguous(&grad));
        let ([n, d_in], [d_out, _]) = (dims(&x), dims(&weight));
        let x = MatRef::from_row_major_slice(values(&x), n, d_in);
        let weight = MatRef::from_row_major_slice(values(&weight), d_out, d_in);
        let grad = MatRef::from_row_major_slice(values(&grad), n, d_out);
        let dx = product(grad, weight);
        let dweight = product(grad.transpose(), x);
        (tensor(dx, Shape::from([n, d_in])), tensor(dweight, Shape::from([d_out, d_in])))
    }

    fn rms_norm(x: &FlexTensor, gain: &FlexTensor, epsilon: f64) -> FlexTensor {
        let (x, gain) = (contiguous(x), contiguous(gain));
        let (xs, gains) = (values(&x), values(&gain));
        let chunk = CHUNK / gains.len() * gains.len();
        let mut out = vec![0.0; xs.len()];
        out.par_chunks_mut(chunk)
            .zip(xs.par_chunks(chunk))
            .for_each(|(out, x)| rows::rms_norm(x, gains, epsilon as f32, out));
        tensor(out, x.layout().shape().clone())
    }

    fn rms_norm_backward(
        x: FlexTensor,
        gain: FlexTensor,
        epsilon: f64,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let (x, gain, grad) = (contiguous(&x), contiguous(&gain), contiguous(&grad));
        let (xs, gains, grads) = (values(&x), values(&gain), values(&grad));
        let chunk = CHUNK / gains.len() * gains.len();
        let mut dx = vec![0.0; xs.len()];
        let partials: Vec<Vec<f32>> = dx
            .par_chunks_mut(chunk)
            .zip(xs.par_chunks(chunk))
            .zip(grads.par_chunks(chunk))
            .map(|((dx, x), dy)| {
                let mut dgain = vec![0.0; gains.len()];
                let saved = RmsNormSaved { x, gain: gains, epsilon: epsilon as f32 };
                rows::rms_norm_backward(saved, dy, dx, &mut dgain);
                dgain
            })
            .collect();
        let mut dgain = vec![0.0; gains.len()];
        for partial in &partials {
            rows::add(&mut dgain, partial);
        }
        (tensor(dx, x.layout().shape().clone()), tensor(dgain, gain.layout().shape().clone()))
    }

    fn attention_forward(state: AttentionState<FlexTensor>) -> (FlexTensor, FlexTensor) {
        let (layout, [batch, ..]) = (attention_layout(&state), dims::<3>(&state.query));
        let state = made_contiguous(state);
        let mut out = vec![0.0; batch * layout.queries * layout.width];
        let mut probs = vec![0.0; batch * layout.probs_per_row()];
        attention::forward(inputs(&state), &layout, &mut out, &mut probs);
        let probs_shape = Shape::from([batch, layout.heads, layout.queries, layout.keys]);
        (tensor(out, Shape::from([batch, layout.queries, layout.width])), tensor(probs, probs_shape))
    }

    fn attention_backward(
        state: AttentionState<FlexTensor>,
        probs: FlexTensor,
        grad: FlexTensor,
    ) -> AttentionGrads<FlexTensor> {
        let layout = attention_layout(&state);
        let (state, grad) = (made_contiguous(state), contiguous(&grad));
        let grads = attention::backward(inputs(&state), values(&probs), values(&grad), &layout);
        AttentionGrads {
            query: tensor(grads.query, state.query.layout().shape().clone()),
            key: tensor(grads.key, state.key.layout().shape().clone()),
            value: tensor(grads.value, state.value.layout().shape().clone()),
            bias: state.bias.map(|bias| tensor(grads.bias, bias.layout().shape().clone())),
        }
    }

    fn target_log_prob(logits: FlexTensor, targets: &IntTensor<Self>) -> (FlexTensor, FlexTensor) {
        let shape = logits.layout().shape().clone();
        let [n, v] = dims(&logits);
        let mut probs = values(&contiguous(&logits)).to_vec();
        let targets = indices(targets);
        let mut out = vec![0.0; n];
        let rows = (CHUNK / v).max(1);
        probs
            .par_chunks_mut(rows * v)
            .zip(targets.par_chunks(rows))
            .zip(out.par_chunks_mut(rows))
            .for_each(|((probs, targets), out)| rows::target_log_prob(probs, targets, out));
        (tensor(out, Shape::from([n])), tensor(probs, shape))
    }

    fn target_log_prob_backward(
        probs: FlexTensor,
        targets: &IntTensor<Self>,
        grad: FlexTensor,
    ) -> FlexTensor {
        let shape = probs.layout().shape().clone();
        let [_, v] = dims(&probs);
        let mut out = values(&probs).to_vec();
        let (targets, grad) = (indices(targets), contiguous(&grad));
        let rows = (CHUNK / v).max(1);
        out.par_chunks_mut(rows * v)
            .zip(targets.par_chunks(rows))
            .zip(values(&grad).par_chunks(rows))
            .for_each(|((out, targets), grad)| rows::target_log_prob_backward(out, targets, grad));
        tensor(out, shape)
    }

    fn dropout(x: FlexTensor, rate: f32, key: Key) -> FlexTensor {
        let x = contiguous(&x);
        let mut out = values(&x).to_vec();
        out.par_chunks_mut(CHUNK)
            .enumerate()
            .for_each(|(chunk, out)| rows::dropout(out, rate, key, chunk * CHUNK));
        tensor(out, x.layout().shape().clone())
    }
}
