//! Stacks of self-attention blocks: pre-norm residual blocks in T5's order, relative positions, a last norm.

use super::layers::{Attention, AttentionShape, Dropout, FeedForward, Norm, RelativeBias};
use super::position::Direction;
use crate::kernels::{Ancestry, Heads, Mask, Packing, PastKeysValues, Visible};
use crate::random::Key;
use burn::prelude::*;

/// Sites of dropout within a block.
pub(super) const AFTER_SELF: u64 = 1;
pub(super) const AFTER_CROSS: u64 = 2;
const INSIDE_FEED_FORWARD: u64 = 3;
const AFTER_FEED_FORWARD: u64 = 4;
/// Site after the last normalisation of a stack.
pub(super) const FINAL: u64 = u64::MAX;

pub(super) fn feed_forward_masks(dropout: Dropout) -> [Option<Mask>; 2] {
    [INSIDE_FEED_FORWARD, AFTER_FEED_FORWARD].map(|site| dropout.mask(site))
}

/// A [`StackShape::gain`] with which blocks start by adding little, so that embeddings are learnt from the first step on.
pub(super) const GENTLE: f64 = 0.1;

/// Sizes that all blocks of a policy share.
#[derive(Clone, Copy, Debug)]
pub(super) struct StackShape {
    pub(super) d_model: usize,
    pub(super) d_kv: usize,
    pub(super) d_ff: usize,
    pub(super) num_heads: usize,
    pub(super) epsilon: f64,
    /// Factor of the initial output weights of every sub-block.
    pub(super) gain: f64,
    /// Buckets of relative position, and the distance from which all positions share one.
    pub(super) positions: [usize; 2],
}

impl StackShape {
    /// T5's attention has no factor on its scores.
    pub(super) fn attention(&self, visible: Visible) -> AttentionShape {
        let heads = Heads { count: self.num_heads, scale: 1.0, visible };
        AttentionShape { gain: self.gain, d_model: self.d_model, d_kv: self.d_kv, heads }
    }
    pub(super) fn norm(&self, device: &Device) -> Norm {
        Norm::new(self.d_model, self.epsilon, device)
    }
}

/// Self-attention and feed-forward.
#[derive(Module, Debug)]
pub(super) struct SelfBlock {
    pub(super) self_attention: Attention,
    pub(super) self_attention_norm: Norm,
    pub(super) feed_forward: FeedForward,
    pub(super) feed_forward_norm: Norm,
}

impl SelfBlock {
    /// A block whose norms have the width of the attention's.
    pub(super) fn new(
        shape: AttentionShape,
        (d_ff, epsilon): (usize, f64),
        key: Key,
        device: &Device,
    ) -> Self {
        let norm = || Norm::new(shape.d_model, epsilon, device);
        Self {
            self_attention: Attention::new(shape, key.named("self"), device),
            self_attention_norm: norm(),
            feed_forward: FeedForward::new([shape.d_model, d_ff], shape.gain, key.named("ff"), device),
            feed_forward_norm: norm(),
        }
    }
    /// `x [n, d]` packed.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        rows: (&Packing, Option<Tensor<3>>),
        dropout: Dropout,
    ) -> Tensor<2> {
        let x = self.self_attention.within(x, &self.self_attention_norm, rows, dropout.mask(AFTER_SELF));
        self.feed_forward.apply(x, &self.feed_forward_norm, feed_forward_masks(dropout))
    }
}

/// Blocks that read rows of vectors: histories, or the codes of one item.
#[derive(Module, Debug)]
pub(super) struct SelfStack {
    pub(super) block: Vec<SelfBlock>,
    pub(super) relative_attention_bias: RelativeBias,
    pub(super) final_layer_norm: Norm,
    #[module(skip)]
    direction: Direction,
}

impl SelfStack {
    pub(super) fn new(
        shape: &StackShape,
        (layers, direction): (usize, Direction),
        key: Key,
        device: &Device,
    ) -> Self {
        let visible = match direction {
            Direction::Both => Visible::All,
            Direction::Backward => Visible::Past,
        };
        let block = |i: usize| {
            let key = key.named("block").at(i as u64);
            SelfBlock::new(shape.attention(visible), (shape.d_ff, shape.epsilon), key, device)
        };
        Self {
            block: (0..layers).map(block).collect(),
            relative_attention_bias: RelativeBias::new(shape, key.named("bias"), device),
            final_layer_norm: shape.norm(device),
            direction,
        }
    }

    /// `x`: embedded tokens `[n, d]`, packed; result `[n, d]`, after the last norm.
    pub(super) fn forward(&self, x: Tensor<2>, packing: &Packing, dropout: Dropout) -> Tensor<2> {
        let longest = packing.longest();
        let bias = self.relative_attention_bias.bias(0..longest, longest, self.direction);
        let mut x = x;
        for (i, block) in self.block.iter().enumerate() {
            x = block.forward(x, (packing, Some(bias.clone())), dropout.part(i as u64));
        }
        self.final_layer_norm.apply(x)
    }

    /// A cache without positions.
    pub(super) fn past(&self) -> Past {
        Past::of(self.block.iter().map(|block| &block.self_attention))
    }

    /// The next position of every row, given the cached ones. `x`: `[r, d]`.
    pub(super) fn step(&self, x: Tensor<2>, past: &mut Past) -> Tensor<2> {
        let bias = past.advance(x.dims()[0], &self.relative_attention_bias);
        let mut x = x;
        for (block, own) in self.block.iter().zip(&mut past.blocks) {
            let read = (&mut *own, &past.ancestry);
            x = block.self_attention.newest(x, &block.self_attention_norm, read, bias.clone());
            x = block.feed_forward.apply(x, &block.feed_forward_norm, [None; 2]);
        }
        self.final_layer_norm.apply(x)
    }
}

/// Keys and values of the positions so far, of all blocks of a causal stack.
pub(super) struct Past {
    pub(super) blocks: Vec<BlockPast>,
    pub(super) ancestry: Ancestry,
}

/// One block's side of the cache.
pub(super) struct BlockPast {
    /// Its projections in one matrix, [`Attention::query_key_value`].
    pub(super) qkv: Tensor<2>,
    pub(super) positions: PastKeysValues,
}

impl Past {
    /// Nothing yet.
    pub(super) fn of<'a>(attentions: impl Iterator<Item = &'a Attention>) -> Self {
        let block = |attention: &Attention| BlockPast {
            qkv: attention.query_key_value(),
            positions: PastKeysValues::default(),
        };
        Self { blocks: attentions.map(block).collect(), ancestry: Ancestry::default() }
    }
    /// Makes room for one more position of `rows` rows; the bias of its scores.
    pub(super) fn advance(&mut self, rows: usize, bias: &RelativeBias) -> Tensor<3> {
        let position = self.ancestry.len();
        self.ancestry.advance(rows);
        bias.bias(position..position + 1, position + 1, Direction::Backward)
    }
}
