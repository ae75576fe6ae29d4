//! A decoder-only language model over code tokens: learned positions, pre-norm blocks, tied head.
//!
//! `x_0 = E[token] + P[position]`, blocks of causal self-attention with `1 / sqrt(dk)` and a rectified feed-forward
//! layer, RMS norms, logits `h E^T` (GPT-2's order with T5's norms and no biases).

use super::layers::{AttentionShape, Dropout, Norm, Table};
use super::stack::{FINAL, SelfBlock};
use crate::batch::EncoderBatch;
use crate::kernels::{self, Heads, Packing, Targets, Visible};
use crate::random::Key;
use burn::prelude::*;

/// Added to the mean square in normalisation.
const EPSILON: f64 = 1e-6;
/// Standard deviation of learned positions.
const POSITION_STD: f64 = 0.02;
/// Site of dropout after the embeddings.
const EMBEDDED: u64 = 0;

/// Sizes of a [`CausalLm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CausalLmConfig {
    /// Tokens.
    pub vocab_size: usize,
    /// Longest row.
    pub positions: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one attention head.
    pub d_kv: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Blocks.
    pub num_layers: usize,
}

/// Decoder-only model.
#[derive(Module, Debug)]
pub struct CausalLm {
    shared: Table,
    position: Table,
    block: Vec<SelfBlock>,
    final_layer_norm: Norm,
}

impl CausalLm {
    /// A model with fresh weights, a function of `key` alone.
    pub fn new(config: &CausalLmConfig, key: Key, device: &Device) -> Self {
        let d = config.d_model;
        let scale = (config.d_kv as f32).sqrt().recip();
        let heads = Heads { count: config.num_heads, scale, visible: Visible::Past };
        let shape = AttentionShape { gain: 1.0, d_model: d, d_kv: config.d_kv, heads };
        let block =
            |i: usize| SelfBlock::new(shape, (config.d_ff, EPSILON), key.named("block").at(i as u64), device);
        Self {
            shared: Table::new([config.vocab_size, d], (d as f64).powf(-0.5), key.named("shared"), device),
            position: Table::new([config.positions, d], POSITION_STD, key.named("position"), device),
            block: (0..config.num_layers).map(block).collect(),
            final_layer_norm: Norm::new(d, EPSILON, device),
        }
    }

    /// States of every token of every row, `[n, d]`.
    ///
    /// # Panics
    /// If a row is longer than the positions there are.
    pub fn states(&self, batch: &EncoderBatch, dropout: Dropout) -> Tensor<2> {
        let positions = positions(&batch.packing);
        let x = self.shared.rows(&batch.tokens) + self.position.rows(&positions);
        let mut x = dropout.apply(x, EMBEDDED);
        for (i, block) in self.block.iter().enumerate() {
            x = block.forward(x, (&batch.packing, None), dropout.part(i as u64));
        }
        dropout.apply(self.final_layer_norm.apply(x), FINAL)
    }

    /// Log-probability of one target per state.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, result `[n]`.
    pub fn target_log_probs(&self, states: Tensor<2>, targets: Targets) -> Tensor<1> {
        kernels::target_log_prob(states, self.shared.weight.val(), targets, 1.0)
    }
}

fn positions(packing: &Packing) -> Vec<u32> {
    packing.lengths().flat_map(|length| 0..length as u32).collect()
}
