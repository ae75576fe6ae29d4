//! Encoder and decoder stacks: pre-norm residual blocks in T5's order.

use super::config::{EncoderAttention, T5Config};
use super::layers::{Attention, AttentionShape, Dropout, FeedForward, Norm, RelativeBias};
use super::position::Direction;
use crate::kernels::{Ancestry, Heads, Packing, PastKeysValues, Readers, Visible};
use crate::random::Key;
use burn::prelude::*;

/// Sites of dropout within a block.
const AFTER_SELF: u64 = 1;
const AFTER_CROSS: u64 = 2;
const INSIDE_FEED_FORWARD: u64 = 3;
const AFTER_FEED_FORWARD: u64 = 4;
/// Site after the last normalisation of a stack.
pub(super) const FINAL: u64 = u64::MAX;

fn feed_forward_masks(dropout: Dropout) -> [Option<crate::kernels::Mask>; 2] {
    [INSIDE_FEED_FORWARD, AFTER_FEED_FORWARD].map(|site| dropout.mask(site))
}

/// T5's attention has no factor on its scores.
fn attention(config: &T5Config, visible: Visible) -> AttentionShape {
    let heads = Heads { count: config.num_heads, scale: 1.0, visible };
    AttentionShape { d_model: config.d_model, d_kv: config.d_kv, heads }
}

fn norm(config: &T5Config, device: &Device) -> Norm {
    Norm::new(config.d_model, config.layer_norm_epsilon, device)
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
            feed_forward: FeedForward::new([shape.d_model, d_ff], key.named("ff"), device),
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

/// Stack that reads a history.
#[derive(Module, Debug)]
pub(super) struct Encoder {
    pub(super) block: Vec<SelfBlock>,
    pub(super) relative_attention_bias: RelativeBias,
    pub(super) final_layer_norm: Norm,
    #[module(skip)]
    direction: Direction,
}

impl Encoder {
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Self {
        let (visible, direction) = match config.encoder_attention {
            EncoderAttention::Bidirectional => (Visible::All, Direction::Both),
            EncoderAttention::Causal => (Visible::Past, Direction::Backward),
        };
        let shape = attention(config, visible);
        let block = |i: usize| {
            let key = key.named("block").at(i as u64);
            SelfBlock::new(shape, (config.d_ff, config.layer_norm_epsilon), key, device)
        };
        Self {
            block: (0..config.num_layers).map(block).collect(),
            relative_attention_bias: RelativeBias::new(config, key.named("bias"), device),
            final_layer_norm: norm(config, device),
            direction,
        }
    }

    /// `x`: embedded tokens `[n, d]`, packed; result `[n, d]`.
    pub(super) fn forward(&self, x: Tensor<2>, packing: &Packing, dropout: Dropout) -> Tensor<2> {
        let longest = packing.longest();
        let bias = self.relative_attention_bias.bias(0..longest, longest, self.direction);
        let mut x = x;
        for (i, block) in self.block.iter().enumerate() {
            x = block.forward(x, (packing, Some(bias.clone())), dropout.part(i as u64));
        }
        dropout.apply(self.final_layer_norm.apply(x), FINAL)
    }
}

#[derive(Module, Debug)]
pub(super) struct DecoderBlock {
    pub(super) self_attention: Attention,
    pub(super) self_attention_norm: Norm,
    pub(super) cross_attention: Attention,
    pub(super) cross_attention_norm: Norm,
    pub(super) feed_forward: FeedForward,
    pub(super) feed_forward_norm: Norm,
}

/// Causal stack that also attends to the encoder.
#[derive(Module, Debug)]
pub(super) struct Decoder {
    pub(super) block: Vec<DecoderBlock>,
    pub(super) relative_attention_bias: RelativeBias,
    pub(super) final_layer_norm: Norm,
}

/// What a decoder reads: keys and values of the encoder states per block, `[m, 2 h dk]` each, computed once per user.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) keys_values: Vec<Tensor<2>>,
    pub(super) readers: Readers,
}

impl Decoder {
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Self {
        let block = |i: usize| {
            let key = key.named("block").at(i as u64);
            DecoderBlock {
                self_attention: Attention::new(attention(config, Visible::Past), key.named("self"), device),
                self_attention_norm: norm(config, device),
                cross_attention: Attention::new(attention(config, Visible::All), key.named("cross"), device),
                cross_attention_norm: norm(config, device),
                feed_forward: FeedForward::new([config.d_model, config.d_ff], key.named("ff"), device),
                feed_forward_norm: norm(config, device),
            }
        };
        Self {
            block: (0..config.num_decoder_layers).map(block).collect(),
            relative_attention_bias: RelativeBias::new(config, key.named("bias"), device),
            final_layer_norm: norm(config, device),
        }
    }

    /// A cache without positions.
    pub(super) fn start(&self, memory: Memory) -> DecoderCache {
        let past = |block: &DecoderBlock| Past {
            qkv: block.self_attention.query_key_value(),
            positions: PastKeysValues::default(),
        };
        DecoderCache { past: self.block.iter().map(past).collect(), ancestry: Ancestry::default(), memory }
    }

    /// Projects encoder states `[m, d]`.
    pub(super) fn memory(&self, states: &Tensor<2>, readers: &Readers) -> Memory {
        let keys_values = self.block.iter().map(|block| block.cross_attention.keys_values(states)).collect();
        Memory { keys_values, readers: readers.clone() }
    }

    /// All positions at once. `x`: embedded decoder inputs of `rows` rows of one length, a reader's rows neighbours.
    pub(super) fn forward(&self, x: Tensor<2>, rows: usize, memory: &Memory, dropout: Dropout) -> Tensor<2> {
        let t = x.dims()[0] / rows;
        let packing = Packing::uniform(rows, t);
        let bias = self.relative_attention_bias.bias(0..t, t, Direction::Backward);
        let mut x = x;
        for (i, (block, keys_values)) in self.block.iter().zip(&memory.keys_values).enumerate() {
            let dropout = dropout.part(i as u64);
            let within = (&packing, Some(bias.clone()));
            x = block.self_attention.within(x, &block.self_attention_norm, within, dropout.mask(AFTER_SELF));
            let to = (&memory.readers, keys_values.clone());
            x = block.cross_attention.to(x, &block.cross_attention_norm, to, dropout.mask(AFTER_CROSS));
            x = block.feed_forward.apply(x, &block.feed_forward_norm, feed_forward_masks(dropout));
        }
        dropout.apply(self.final_layer_norm.apply(x), FINAL)
    }

    /// The next position of every row, given the cached ones. `x`: `[r, d]`.
    pub(super) fn step(&self, x: Tensor<2>, cache: &mut DecoderCache) -> Tensor<2> {
        let position = cache.ancestry.len();
        cache.ancestry.advance(x.dims()[0]);
        let bias =
            self.relative_attention_bias.bias(position..position + 1, position + 1, Direction::Backward);
        let mut x = x;
        for ((block, keys_values), Past { qkv, positions }) in
            self.block.iter().zip(&cache.memory.keys_values).zip(&mut cache.past)
        {
            let weights = (&block.self_attention_norm, qkv.clone());
            x = block.self_attention.newest(x, weights, (positions, &cache.ancestry), bias.clone());
            let to = (&cache.memory.readers, keys_values.clone());
            x = block.cross_attention.to(x, &block.cross_attention_norm, to, None);
            x = block.feed_forward.apply(x, &block.feed_forward_norm, [None; 2]);
        }
        self.final_layer_norm.apply(x)
    }
}

/// What decoding one code further needs: keys and values of the positions so far (per row) and of the encoder
/// (per user).
pub struct DecoderCache {
    past: Vec<Past>,
    ancestry: Ancestry,
    memory: Memory,
}

/// A block's side of the cache.
struct Past {
    /// Its projections in one matrix.
    qkv: Tensor<2>,
    positions: PastKeysValues,
}

impl DecoderCache {
    /// Makes row `i` continue what was row `rows[i]`; a user's rows stay neighbours. One entry per new row, a multiple
    /// of the number of users.
    pub fn reorder(&mut self, rows: &[u32]) {
        self.ancestry.reorder(rows);
    }
}
