//! Encoder and decoder stacks: pre-norm residual blocks in T5's order.

use super::config::T5Config;
use super::layers::{Attention, Dropout, FeedForward, Norm, RelativeBias};
use super::position::Direction;
use crate::kernels::Attend;
use crate::random::Key;
use burn::prelude::*;
use std::sync::Arc;

/// Sites of dropout within a block.
const AFTER_SELF: u64 = 1;
const AFTER_CROSS: u64 = 2;
const INSIDE_FEED_FORWARD: u64 = 3;
const AFTER_FEED_FORWARD: u64 = 4;
/// Site after the last normalisation of a stack.
const FINAL: u64 = u64::MAX;

#[derive(Module, Debug)]
pub(super) struct EncoderBlock {
    pub(super) self_attention: Attention,
    pub(super) self_attention_norm: Norm,
    pub(super) feed_forward: FeedForward,
    pub(super) feed_forward_norm: Norm,
}

/// Bidirectional stack.
#[derive(Module, Debug)]
pub(super) struct Encoder {
    pub(super) block: Vec<EncoderBlock>,
    pub(super) relative_attention_bias: RelativeBias,
    pub(super) final_layer_norm: Norm,
}

impl Encoder {
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Self {
        let block = |i: usize| {
            let key = key.named("block").at(i as u64);
            EncoderBlock {
                self_attention: Attention::new(config, key.named("self"), device),
                self_attention_norm: Norm::new(config, device),
                feed_forward: FeedForward::new(config, key.named("ff"), device),
                feed_forward_norm: Norm::new(config, device),
            }
        };
        Self {
            block: (0..config.num_layers).map(block).collect(),
            relative_attention_bias: RelativeBias::new(config, key.named("bias"), device),
            final_layer_norm: Norm::new(config, device),
        }
    }

    /// `x`: embedded tokens `[b * s, d]`; result `[b * s, d]`.
    pub(super) fn forward(&self, x: Tensor<2>, lengths: &Arc<[usize]>, dropout: Dropout) -> Tensor<2> {
        let batch = lengths.len();
        let s = x.dims()[0] / batch;
        let bias = self.relative_attention_bias.bias(0..s, s, Direction::Both);
        let attend = Attend::Within(Arc::clone(lengths));
        let mut x = x;
        for (i, block) in self.block.iter().enumerate() {
            let dropout = dropout.part(i as u64);
            let h = block.self_attention_norm.apply(x.clone());
            let keys_values = block.self_attention.keys_values(&h, batch);
            let h = block.self_attention.attend(h, keys_values, Some(bias.clone()), &attend);
            x = x + dropout.apply(h, AFTER_SELF);
            x = add_feed_forward(x, &block.feed_forward_norm, &block.feed_forward, dropout);
        }
        dropout.apply(self.final_layer_norm.apply(x), FINAL)
    }
}

fn add_feed_forward(x: Tensor<2>, norm: &Norm, feed_forward: &FeedForward, dropout: Dropout) -> Tensor<2> {
    let h = feed_forward.apply(norm.apply(x.clone()), dropout.part(INSIDE_FEED_FORWARD));
    x + dropout.apply(h, AFTER_FEED_FORWARD)
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

/// Keys and values of the encoder states, per decoder block, `[b, s, h * dk]` each; computed once per user.
pub(super) type CrossKeysValues = Vec<(Tensor<3>, Tensor<3>)>;

impl Decoder {
    pub(super) fn new(config: &T5Config, key: Key, device: &Device) -> Self {
        let block = |i: usize| {
            let key = key.named("block").at(i as u64);
            DecoderBlock {
                self_attention: Attention::new(config, key.named("self"), device),
                self_attention_norm: Norm::new(config, device),
                cross_attention: Attention::new(config, key.named("cross"), device),
                cross_attention_norm: Norm::new(config, device),
                feed_forward: FeedForward::new(config, key.named("ff"), device),
                feed_forward_norm: Norm::new(config, device),
            }
        };
        Self {
            block: (0..config.num_decoder_layers).map(block).collect(),
            relative_attention_bias: RelativeBias::new(config, key.named("bias"), device),
            final_layer_norm: Norm::new(config, device),
        }
    }

    pub(super) fn cross_keys_values(&self, states: &Tensor<3>) -> CrossKeysValues {
        let flat = states.clone().flatten::<2>(0, 1);
        self.block.iter().map(|b| b.cross_attention.keys_values(&flat, states.dims()[0])).collect()
    }

    /// All positions at once. `x`: embedded decoder inputs `[r * t, d]`, `r` a multiple of the users behind
    /// `cross`; a user's rows are neighbours and fold into the query axis of cross-attention.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        rows: usize,
        (cross, lengths): (&CrossKeysValues, &Arc<[usize]>),
        dropout: Dropout,
    ) -> Tensor<2> {
        let t = x.dims()[0] / rows;
        let bias = self.relative_attention_bias.bias(0..t, t, Direction::Backward);
        let cross_attend = Attend::To(Arc::clone(lengths));
        let mut x = x;
        for (i, (block, cross)) in self.block.iter().zip(cross).enumerate() {
            let dropout = dropout.part(i as u64);
            let h = block.self_attention_norm.apply(x.clone());
            let keys_values = block.self_attention.keys_values(&h, rows);
            let h = block.self_attention.attend(h, keys_values, Some(bias.clone()), &Attend::Causal);
            x = x + dropout.apply(h, AFTER_SELF);
            let h = block.cross_attention_norm.apply(x.clone());
            let h = block.cross_attention.attend(h, cross.clone(), None, &cross_attend);
            x = x + dropout.apply(h, AFTER_CROSS);
            x = add_feed_forward(x, &block.feed_forward_norm, &block.feed_forward, dropout);
        }
        dropout.apply(self.final_layer_norm.apply(x), FINAL)
    }

    /// The next position of every row, given the cached ones. `x`: `[r, d]`.
    pub(super) fn step(&self, x: Tensor<2>, cache: &mut DecoderCache) -> Tensor<2> {
        let rows = x.dims()[0];
        let position = cache.position;
        let bias =
            self.relative_attention_bias.bias(position..position + 1, position + 1, Direction::Backward);
        let all = Attend::To(vec![position + 1; rows].into());
        let cross_attend = Attend::To(Arc::clone(&cache.lengths));
        let mut x = x;
        for (i, block) in self.block.iter().enumerate() {
            let h = block.self_attention_norm.apply(x.clone());
            let keys_values = cache.extend(i, block.self_attention.keys_values(&h, rows));
            let h = block.self_attention.attend(h, keys_values, Some(bias.clone()), &all);
            x = x + h;
            let h = block.cross_attention_norm.apply(x.clone());
            x = x + block.cross_attention.attend(h, cache.cross[i].clone(), None, &cross_attend);
            x = add_feed_forward(x, &block.feed_forward_norm, &block.feed_forward, Dropout::Off);
        }
        cache.position += 1;
        self.final_layer_norm.apply(x)
    }
}

/// What decoding one code further needs: keys and values of the positions so far (per row) and of the encoder
/// (per user).
pub struct DecoderCache {
    own: Vec<Option<(Tensor<3>, Tensor<3>)>>,
    cross: CrossKeysValues,
    lengths: Arc<[usize]>,
    position: usize,
}

impl DecoderCache {
    pub(super) fn new(cross: CrossKeysValues, lengths: Arc<[usize]>) -> Self {
        Self { own: vec![None; cross.len()], cross, lengths, position: 0 }
    }
    fn extend(&mut self, block: usize, (key, value): (Tensor<3>, Tensor<3>)) -> (Tensor<3>, Tensor<3>) {
        let extended = match self.own[block].take() {
            Some((keys, values)) => (Tensor::cat(vec![keys, key], 1), Tensor::cat(vec![values, value], 1)),
            None => (key, value),
        };
        self.own[block] = Some(extended.clone());
        extended
    }
    /// Makes row `i` continue what was row `rows[i]`; a user's rows stay neighbours.
    ///
    /// # Shapes
    /// - `rows`: one entry per new row, a multiple of the number of users.
    pub fn reorder(&mut self, rows: &Tensor<1, Int>) {
        for (keys, values) in self.own.iter_mut().flatten() {
            *keys = keys.clone().select(0, rows.clone());
            *values = values.clone().select(0, rows.clone());
        }
    }
}
