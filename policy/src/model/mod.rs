//! The policy: a T5-layout encoder-decoder over code tokens (Raffel et al. 2020; TIGER, OneRec).
//!
//! Exactly what Hugging Face's `T5ForConditionalGeneration` computes with `feed_forward_proj = "relu"` and tied
//! embeddings: no biases, RMS norms before each sub-block, attention without `1 / sqrt(d)`, one table of relative
//! position biases per stack, logits `(h * d^-0.5) E^T`. Departure: no dropout on attention weights.

mod config;
mod layers;
mod position;
mod stack;

pub use config::{T5Config, T5ConfigError};
pub use layers::Dropout;
pub use stack::DecoderCache;

use crate::batch::EncoderBatch;
use crate::kernels;
use crate::random::Key;
use burn::prelude::*;
use layers::Matrix;
use stack::{Decoder, Encoder};
use std::sync::Arc;

/// Standard deviation of the token embeddings. T5 uses 1 with Adafactor's relative step; under Adam's absolute
/// step that keeps embeddings near their noise for thousands of steps.
const EMBEDDING_STD: f64 = 0.2;

/// Dropout parts.
const EMBEDDED: u64 = 0;
const ENCODER: u64 = 1;
const DECODER: u64 = 2;

/// Encoder-decoder policy.
#[derive(Module, Debug)]
pub struct T5 {
    shared: Matrix,
    encoder: Encoder,
    decoder: Decoder,
}

/// Encoder states of some users.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// `[b, s, d]`.
    pub states: Tensor<3>,
    /// Valid positions per user.
    pub lengths: Arc<[usize]>,
}

impl T5 {
    /// A policy with fresh weights, a function of `key` alone.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: &T5Config, key: Key, device: &Device) -> Result<Self, T5ConfigError> {
        config.check()?;
        let shape = [config.vocab_size, config.d_model];
        Ok(Self {
            shared: Matrix::new(shape, EMBEDDING_STD, key.named("shared"), device),
            encoder: Encoder::new(config, key.named("encoder"), device),
            decoder: Decoder::new(config, key.named("decoder"), device),
        })
    }

    /// Where the weights live.
    pub fn device(&self) -> Device {
        self.shared.weight.val().device()
    }

    /// Reads histories, once per user.
    pub fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded {
        let [b, s] = batch.tokens.dims();
        let x = dropout.part(ENCODER).apply(self.shared.rows(batch.tokens.clone()), EMBEDDED);
        let states = self.encoder.forward(x, &batch.lengths, dropout.part(ENCODER));
        let d = states.dims()[1];
        Encoded { states: states.reshape([b, s, d]), lengths: Arc::clone(&batch.lengths) }
    }

    /// Decoder states of teacher-forced inputs.
    ///
    /// # Shapes
    /// - `inputs`: `[r, t]` tokens, `r` a multiple of the users, a user's rows neighbours; result `[r * t, d]`.
    pub fn decode(&self, encoded: &Encoded, inputs: Tensor<2, Int>, dropout: Dropout) -> Tensor<2> {
        let rows = inputs.dims()[0];
        let x = dropout.part(DECODER).apply(self.shared.rows(inputs), EMBEDDED);
        let cross = self.decoder.cross_keys_values(&encoded.states);
        self.decoder.forward(x, rows, (&cross, &encoded.lengths), dropout.part(DECODER))
    }

    /// An empty cache for decoding code by code.
    pub fn start(&self, encoded: &Encoded) -> DecoderCache {
        DecoderCache::new(self.decoder.cross_keys_values(&encoded.states), Arc::clone(&encoded.lengths))
    }

    /// Decoder states of the next position.
    ///
    /// # Shapes
    /// - `tokens`: `[r]`, result `[r, d]`.
    pub fn step(&self, tokens: Tensor<1, Int>, cache: &mut DecoderCache) -> Tensor<2> {
        let [r] = tokens.dims();
        self.decoder.step(self.shared.rows(tokens.reshape([r, 1])), cache)
    }

    /// Logits of a range of tokens: a level's codes, or the whole vocabulary.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, result `[n, tokens.len()]`.
    pub fn logits(&self, states: Tensor<2>, tokens: std::ops::Range<usize>) -> Tensor<2> {
        let weight = self.shared.weight.val();
        let [vocab, d] = weight.dims();
        let rows = if tokens == (0..vocab) { weight } else { weight.slice([tokens, 0..d]) };
        kernels::linear(states.mul_scalar((d as f64).powf(-0.5)), rows)
    }
}

#[cfg(test)]
mod tests;
