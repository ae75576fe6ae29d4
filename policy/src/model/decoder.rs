//! T5's decoder: causal self-attention over the codes so far, cross-attention to the encoder.

use super::config::T5Config;
use super::experts::{DecoderFeedForward, Experts, ExpertsConfig};
use super::layers::{Attention, Dropout, FeedForward, Norm, RelativeBias};
use super::position::Direction;
use super::stack::{AFTER_CROSS, AFTER_SELF, FINAL, Past};
use crate::kernels::{Packing, Readers, Visible};
use crate::random::Key;
use burn::prelude::*;

#[derive(Module, Debug)]
pub(super) struct DecoderBlock {
    pub(super) self_attention: Attention,
    pub(super) self_attention_norm: Norm,
    pub(super) cross_attention: Attention,
    pub(super) cross_attention_norm: Norm,
    pub(super) feed_forward: DecoderFeedForward,
    pub(super) feed_forward_norm: Norm,
}

impl DecoderBlock {
    /// What the codes so far and the memory add, residual included.
    fn attend(
        &self,
        x: Tensor<2>,
        within: (&Packing, Option<Tensor<3>>),
        to: (&Readers, Tensor<2>),
        dropout: Dropout,
    ) -> Tensor<2> {
        let x = self.self_attention.within(x, &self.self_attention_norm, within, dropout.mask(AFTER_SELF));
        self.cross_attention.to(x, &self.cross_attention_norm, to, dropout.mask(AFTER_CROSS))
    }
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
    /// A decoder whose blocks have these experts, or one feed-forward layer each.
    pub(super) fn new(config: &T5Config, experts: Option<&ExpertsConfig>, key: Key, device: &Device) -> Self {
        let shape = config.stack();
        let sizes = ([shape.d_model, shape.d_ff], shape.gain);
        let feed_forward = |key| match experts {
            None => DecoderFeedForward::Dense(FeedForward::new(sizes.0, sizes.1, key, device)),
            Some(experts) => DecoderFeedForward::Experts(Experts::new(experts, sizes, key, device)),
        };
        let block = |i: usize| {
            let key = key.named("block").at(i as u64);
            DecoderBlock {
                self_attention: Attention::new(shape.attention(Visible::Past), key.named("self"), device),
                self_attention_norm: shape.norm(device),
                cross_attention: Attention::new(shape.attention(Visible::All), key.named("cross"), device),
                cross_attention_norm: shape.norm(device),
                feed_forward: feed_forward(key.named("ff")),
                feed_forward_norm: shape.norm(device),
            }
        };
        Self {
            block: (0..config.num_decoder_layers).map(block).collect(),
            relative_attention_bias: RelativeBias::new(&shape, key.named("bias"), device),
            final_layer_norm: shape.norm(device),
        }
    }

    /// A cache without positions.
    pub(super) fn past(&self) -> Past {
        Past::of(self.block.iter().map(|block| &block.self_attention))
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
            x = block.attend(x, within, (&memory.readers, keys_values.clone()), dropout);
            x = block.feed_forward.apply(x, &block.feed_forward_norm, dropout);
        }
        dropout.apply(self.final_layer_norm.apply(x), FINAL)
    }

    /// How many positions each expert is chosen for, per block that has experts. `x` as in [`Self::forward`].
    pub(super) fn expert_loads(&self, x: Tensor<2>, rows: usize, memory: &Memory) -> Vec<Vec<usize>> {
        let t = x.dims()[0] / rows;
        let packing = Packing::uniform(rows, t);
        let bias = self.relative_attention_bias.bias(0..t, t, Direction::Backward);
        let (mut x, mut loads) = (x, Vec::new());
        for (block, keys_values) in self.block.iter().zip(&memory.keys_values) {
            let within = (&packing, Some(bias.clone()));
            x = block.attend(x, within, (&memory.readers, keys_values.clone()), Dropout::Off);
            loads.extend(block.feed_forward.loads(x.clone(), &block.feed_forward_norm));
            x = block.feed_forward.apply(x, &block.feed_forward_norm, Dropout::Off);
        }
        loads
    }

    /// The next position of every row, given the cached ones. `x`: `[r, d]`.
    pub(super) fn step(&self, x: Tensor<2>, memory: &Memory, past: &mut Past) -> Tensor<2> {
        let bias = past.advance(x.dims()[0], &self.relative_attention_bias);
        let mut x = x;
        for ((block, keys_values), own) in self.block.iter().zip(&memory.keys_values).zip(&mut past.blocks) {
            let read = (&mut *own, &past.ancestry);
            x = block.self_attention.newest(x, &block.self_attention_norm, read, bias.clone());
            let to = (&memory.readers, keys_values.clone());
            x = block.cross_attention.to(x, &block.cross_attention_norm, to, None);
            x = block.feed_forward.apply(x, &block.feed_forward_norm, Dropout::Off);
        }
        self.final_layer_norm.apply(x)
    }
}
