//! One block of [`super::LazyDecoder`]: cross-attention without projections of keys and values, causal self-attention,
//! feed-forward layer.

use super::layers::{Attention, Dropout, FeedForward, Matrix, Norm};
use super::stack::{AFTER_CROSS, AFTER_SELF, BlockPast, StackShape, feed_forward_masks};
use crate::kernels::{self, Ancestry, Block, CrossAttentionInput, Heads, Mask, Packing, Readers, Visible};
use crate::random::Key;
use burn::prelude::*;

/// Cross-attention that takes keys and values as they are.
#[derive(Module, Debug)]
struct LazyCrossAttention {
    q: Matrix,
    o: Matrix,
    epsilon: f64,
    #[module(skip)]
    heads: Heads,
}

impl LazyCrossAttention {
    fn new(shape: &StackShape, key: Key, device: &Device) -> Self {
        let (d, inner) = (shape.d_model, shape.num_heads * shape.d_kv);
        let scale = (shape.d_kv as f32).sqrt().recip();
        let out = shape.gain * (inner as f64).powf(-0.5);
        Self {
            q: Matrix::new([inner, d], (d as f64).powf(-0.5), key.named("q"), device),
            o: Matrix::new([d, inner], out, key.named("o"), device),
            epsilon: shape.epsilon,
            heads: Heads { count: shape.num_heads, scale, visible: Visible::All },
        }
    }
    /// Residual included. `keys_values`: `[m, 2 h dk]`.
    fn to(
        &self,
        x: Tensor<2>,
        norm: &Norm,
        (readers, keys_values): (&Readers, Tensor<2>),
        mask: Option<Mask>,
    ) -> Tensor<2> {
        let (query, out) = (self.q.weight.val(), self.o.weight.val());
        let input = CrossAttentionInput { x, gain: norm.weight.val(), query, out, keys_values };
        kernels::cross_attention(input, readers, &Block { heads: self.heads, epsilon: self.epsilon, mask })
    }
}

/// A block of the decoder.
#[derive(Module, Debug)]
pub(super) struct LazyBlock {
    cross_attention: LazyCrossAttention,
    cross_attention_norm: Norm,
    pub(super) self_attention: Attention,
    self_attention_norm: Norm,
    feed_forward: FeedForward,
    feed_forward_norm: Norm,
}

impl LazyBlock {
    pub(super) fn new(shape: &StackShape, key: Key, device: &Device) -> Self {
        let (sizes, gain) = ([shape.d_model, shape.d_ff], shape.gain);
        Self {
            cross_attention: LazyCrossAttention::new(shape, key.named("cross"), device),
            cross_attention_norm: shape.norm(device),
            self_attention: Attention::new(shape.attention(Visible::Past), key.named("self"), device),
            self_attention_norm: shape.norm(device),
            feed_forward: FeedForward::new(sizes, gain, key.named("ff"), device),
            feed_forward_norm: shape.norm(device),
        }
    }

    /// All positions of rows of one length. `x`: `[r * t, d]`.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        memory: (&Readers, Tensor<2>),
        rows: (&Packing, Option<Tensor<3>>),
        dropout: Dropout,
    ) -> Tensor<2> {
        let x = self.cross_attention.to(x, &self.cross_attention_norm, memory, dropout.mask(AFTER_CROSS));
        let x = self.self_attention.within(x, &self.self_attention_norm, rows, dropout.mask(AFTER_SELF));
        self.feed_forward.apply(x, &self.feed_forward_norm, feed_forward_masks(dropout))
    }

    /// The newest position of every row. `x`: `[r, d]`.
    pub(super) fn step(
        &self,
        x: Tensor<2>,
        memory: (&Readers, Tensor<2>),
        past: (&mut BlockPast, &Ancestry),
        bias: Tensor<3>,
    ) -> Tensor<2> {
        let x = self.cross_attention.to(x, &self.cross_attention_norm, memory, None);
        let x = self.self_attention.newest(x, &self.self_attention_norm, past, bias);
        self.feed_forward.apply(x, &self.feed_forward_norm, [None; 2])
    }
}
