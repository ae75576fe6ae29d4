//! The fused operators as a burn backend extension: what runs on a backend, and the autodiff node around it.

use super::Attend;
use crate::random::Key;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, backend_extension};

/// What the model calls; see the functions of [`super`] for shapes.
#[backend_extension(Autodiff, Flex)]
pub(super) trait FusedOps: Backend {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
        attend: Attend,
    ) -> FloatTensor<Self>;
    fn fused_biased_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        heads: usize,
        attend: Attend,
    ) -> FloatTensor<Self>;
    fn fused_target_log_prob(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
    fn fused_dropout(x: FloatTensor<Self>, rate: f32, key: Key) -> FloatTensor<Self>;
}

/// What attention's backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct AttentionState<T> {
    pub(super) query: T,
    pub(super) key: T,
    pub(super) value: T,
    pub(super) bias: Option<T>,
    pub(super) heads: usize,
    pub(super) attend: Attend,
}

/// Gradients of attention's inputs.
pub(super) struct AttentionGrads<T> {
    pub(super) query: T,
    pub(super) key: T,
    pub(super) value: T,
    pub(super) bias: Option<T>,
}

/// Forward and backward kernels of a backend; the forward ones also return what backward needs.
pub(super) trait Kernels: Backend {
    fn linear_forward(x: &FloatTensor<Self>, weight: &FloatTensor<Self>) -> FloatTensor<Self>;
    /// `(dx, dweight)`.
    fn linear_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn rms_norm(x: &FloatTensor<Self>, gain: &FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self>;
    /// `(dx, dgain)`.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        epsilon: f64,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// `(output, probabilities)`.
    fn attention_forward(state: AttentionState<FloatTensor<Self>>) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn attention_backward(
        state: AttentionState<FloatTensor<Self>>,
        probs: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> AttentionGrads<FloatTensor<Self>>;
    /// `(log-probability of the target, softmax)`.
    fn target_log_prob(
        logits: FloatTensor<Self>,
        targets: &IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn target_log_prob_backward(
        probs: FloatTensor<Self>,
        targets: &IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn dropout(x: FloatTensor<Self>, rate: f32, key: Key) -> FloatTensor<Self>;
}

/// One node with two differentiable parents and a backward closure over its saved state.
macro_rules! two_parent_node {
    ($a:ident, $b:ident, $state:ty, $saved:expr, $out:expr, $backward:expr) => {{
        #[derive(Debug)]
        struct Node;
        impl<B: Kernels> Backward<B, 2> for Node {
            type State = $state;
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [first, second] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                let (d_first, d_second) = $backward(ops.state, grad);
                if let Some(node) = first {
                    grads.register::<B>(node.id, d_first);
                }
                if let Some(node) = second {
                    grads.register::<B>(node.id, d_second);
                }
            }
        }
        match Node.prepare::<C>([$a, $b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish($saved, $out),
            OpsKind::UnTracked(prep) => prep.finish($out),
        }
    }};
}

/// One node with one differentiable parent.
macro_rules! one_parent_node {
    ($a:ident, $state:ty, $saved:expr, $out:expr, $backward:expr) => {{
        #[derive(Debug)]
        struct Node;
        impl<B: Kernels> Backward<B, 1> for Node {
            type State = $state;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [parent] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = parent {
                    grads.register::<B>(node.id, $backward(ops.state, grad));
                }
            }
        }
        match Node.prepare::<C>([$a]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish($saved, $out),
            OpsKind::UnTracked(prep) => prep.finish($out),
        }
    }};
}

impl<B: Kernels, C: CheckpointStrategy> FusedOps for Autodiff<B, C> {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        let out = B::linear_forward(&x, &weight);
        two_parent_node!(
            x_node,
            weight_node,
            (FloatTensor<B>, FloatTensor<B>),
            (x, weight),
            out,
            |(x, weight), grad| B::linear_backward(x, weight, grad)
        )
    }

    fn fused_rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>, epsilon: f64) -> FloatTensor<Self> {
        let ((x, x_node), (gain, gain_node)) = (x.into_parts(), gain.into_parts());
        let out = B::rms_norm(&x, &gain, epsilon);
        two_parent_node!(
            x_node,
            gain_node,
            (FloatTensor<B>, FloatTensor<B>, f64),
            (x, gain, epsilon),
            out,
            |(x, gain, epsilon), grad| B::rms_norm_backward(x, gain, epsilon, grad)
        )
    }

    fn fused_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: usize,
        attend: Attend,
    ) -> FloatTensor<Self> {
        let ((query, q), (key, k), (value, v)) = (query.into_parts(), key.into_parts(), value.into_parts());
        let state = AttentionState { query, key, value, bias: None, heads, attend };
        let (out, probs) = B::attention_forward(state.clone());
        match AttentionNode.prepare::<C>([q, k, v]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((state, probs), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn fused_biased_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        heads: usize,
        attend: Attend,
    ) -> FloatTensor<Self> {
        let ((query, q), (key, k), (value, v)) = (query.into_parts(), key.into_parts(), value.into_parts());
        let (bias, b) = bias.into_parts();
        let state = AttentionState { query, key, value, bias: Some(bias), heads, attend };
        let (out, probs) = B::attention_forward(state.clone());
        match AttentionNode.prepare::<C>([q, k, v, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((state, probs), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn fused_target_log_prob(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        let (out, probs) = B::target_log_prob(logits, &targets);
        one_parent_node!(
            node,
            (FloatTensor<B>, IntTensor<B>),
            (probs, targets),
            out,
            |(probs, targets), grad| B::target_log_prob_backward(probs, &targets, grad)
        )
    }

    fn fused_dropout(x: FloatTensor<Self>, rate: f32, key: Key) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        let out = B::dropout(x, rate, key);
        one_parent_node!(node, (f32, Key), (rate, key), out, |(rate, key), grad| B::dropout(grad, rate, key))
    }
}

/// Attention with `N` parents: query, key, value and, when `N` is 4, the bias.
#[derive(Debug)]
struct AttentionNode;

impl<B: Kernels, const N: usize> Backward<B, N> for AttentionNode {
    type State = (AttentionState<FloatTensor<B>>, FloatTensor<B>);
    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (state, probs) = ops.state;
        let out = B::attention_backward(state, probs, grad);
        let inputs = [Some(out.query), Some(out.key), Some(out.value), out.bias];
        for (node, grad) in ops.parents.into_iter().zip(inputs) {
            if let (Some(node), Some(grad)) = (node, grad) {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}
