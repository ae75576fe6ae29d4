//! The T5-layout encoder-decoder (Raffel et al. 2020; TIGER, OneRec).
//!
//! Exactly what Hugging Face's `T5ForConditionalGeneration` computes with `feed_forward_proj = "relu"` and tied
//! embeddings: no biases, RMS norms before each sub-block, attention without `1 / sqrt(d)`, one table of relative
//! position biases per stack, logits `(h * d^-0.5) E^T`. Departure: no dropout on attention weights.
//!
//! # Shapes
//! - tokens of all histories, packed, `[n]`: embedded and encoded `[n, d]`;
//! - decoder: `rows * t` input tokens, a reader's rows neighbours: states `[rows * t, d]`, each seeing the earlier tokens of its row
//!   and what its reader sees of the encoding; with a cache one token per row: `[rows, d]`;
//! - logits of states: `[rows * t, vocab]`, by the table that reads tokens, `[vocab, d]`.

use super::branches::Branches;
use super::config::{EncoderAttention, OneRecMoeConfig, SizeError, T5Config};
use super::decoder::{Decoder, Memory};
use super::encoded::Encoded;
use super::experts::ExpertsConfig;
use super::layers::{Dropout, Table};
use super::policy::{Architecture, Context, DecoderCache, Head};
use super::position::Direction;
use super::stack::{FINAL, SelfStack};
use super::users::Users;
use crate::batch::EncoderBatch;
use crate::random::Key;
use burn::prelude::*;

/// Standard deviation of the token embeddings. T5 uses 1 with Adafactor's relative step; under Adam's absolute
/// step that keeps embeddings near their noise for thousands of steps.
const EMBEDDING_STD: f64 = 0.2;

/// Dropout parts.
const EMBEDDED: u64 = 0;
const ENCODER: u64 = 1;
const DECODER: u64 = 2;
const BRANCHES: u64 = 3;

/// Encoder-decoder policy.
#[derive(Module, Debug)]
pub struct T5 {
    pub(super) shared: Table,
    users: Users,
    branches: Option<Branches>,
    pub(super) encoder: SelfStack,
    decoder: Decoder,
}

impl T5 {
    /// A policy with fresh weights, a function of `key` alone.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: &T5Config, key: Key, device: &Device) -> Result<Self, SizeError> {
        Self::with_experts(config, None, key, device)
    }

    /// OneRec's policy: the same with experts in the decoder's blocks.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn mixture(config: &OneRecMoeConfig, key: Key, device: &Device) -> Result<Self, SizeError> {
        config.check()?;
        Self::with_experts(&config.t5, Some(&config.experts), key, device)
    }

    fn with_experts(
        config: &T5Config,
        experts: Option<&ExpertsConfig>,
        key: Key,
        device: &Device,
    ) -> Result<Self, SizeError> {
        config.check()?;
        let shape = [config.vocab_size, config.d_model];
        let direction = match config.encoder_attention {
            EncoderAttention::Bidirectional => Direction::Both,
            EncoderAttention::Causal => Direction::Backward,
        };
        let (encoder, decoder) = (key.named("encoder"), key.named("decoder"));
        Ok(Self {
            shared: Table::new(shape, EMBEDDING_STD, key.named("shared"), device),
            users: Users::new(config.user_buckets, (config.d_model, EMBEDDING_STD), key, device),
            branches: Branches::new(config, key, device),
            encoder: SelfStack::new(&config.stack(), (config.num_layers, direction), encoder, device),
            decoder: Decoder::new(config, experts, decoder, device),
        })
    }

    fn memory(&self, encoded: &Encoded) -> Memory {
        self.decoder.memory(&encoded.states, &encoded.readers)
    }
}

impl Architecture for T5 {
    fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded {
        let tokens = self.shared.rows(&batch.tokens);
        let tokens = match &self.branches {
            Some(branches) => branches.forward(tokens, dropout.part(BRANCHES)),
            None => tokens,
        };
        let dropout = dropout.part(ENCODER);
        let (x, packing) = self.users.before(tokens, &batch.packing, &batch.users);
        let x = dropout.apply(x, EMBEDDED);
        let states = dropout.apply(self.encoder.forward(x, &packing, dropout), FINAL);
        Encoded::new(states, packing, batch.tokens_per_item).behind(self.users.tokens())
    }
    fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2> {
        let dropout = dropout.part(DECODER);
        let x = dropout.apply(self.shared.rows(inputs), EMBEDDED);
        self.decoder.forward(x, rows, &self.memory(encoded), dropout)
    }
    fn expert_loads(&self, encoded: &Encoded, inputs: &[u32], rows: usize) -> Vec<Vec<usize>> {
        self.decoder.expert_loads(self.shared.rows(inputs), rows, &self.memory(encoded))
    }
    fn start(&self, encoded: &Encoded) -> DecoderCache {
        DecoderCache { past: self.decoder.past(), context: Context::Memory(self.memory(encoded)) }
    }
    fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2> {
        let Context::Memory(memory) = &cache.context else { unreachable!("a cache belongs to its policy") };
        self.decoder.step(self.shared.rows(tokens), memory, &mut cache.past)
    }
    fn head(&self) -> Head {
        let weight = self.shared.weight.val();
        Head { scale: (weight.dims()[1] as f64).powf(-0.5), weight }
    }
}
