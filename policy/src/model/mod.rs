//! The policy: a T5-layout encoder-decoder over code tokens (Raffel et al. 2020; TIGER, OneRec).
//!
//! Exactly what Hugging Face's `T5ForConditionalGeneration` computes with `feed_forward_proj = "relu"` and tied
//! embeddings: no biases, RMS norms before each sub-block, attention without `1 / sqrt(d)`, one table of relative
//! position biases per stack, logits `(h * d^-0.5) E^T`. Departure: no dropout on attention weights.

mod causal;
mod config;
mod layers;
mod position;
mod stack;

pub use causal::{CausalLm, CausalLmConfig};
pub use config::{EncoderAttention, T5Config, T5ConfigError};
pub use layers::Dropout;
pub use stack::DecoderCache;

use crate::batch::EncoderBatch;
use crate::kernels::{self, Choices, Normalization, Readers, Targets};
use crate::random::Key;
use burn::prelude::*;
use layers::Matrix;
use stack::{Decoder, Encoder};

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

/// Encoder states of some users, and who reads them.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// `[n, d]`, one user after the other.
    pub states: Tensor<2>,
    /// Which decoder rows see which states: at first one reader per user, who sees all.
    pub readers: Readers,
}

impl Encoded {
    /// Number of readers: of users, unless prefixes were asked for.
    pub fn readers(&self) -> usize {
        self.readers.count()
    }
    /// The first `users` users.
    #[must_use]
    pub fn first(self, users: usize) -> Self {
        let (readers, d) = (self.readers.first(users), self.states.dims()[1]);
        Self { states: self.states.slice([0..readers.memory().tokens(), 0..d]), readers }
    }
    /// Read by one reader per prefix: `prefixes[user]` are lengths in tokens. With a causal encoder each reader sees what
    /// an encoding of that prefix alone would be.
    ///
    /// # Panics
    /// If there is not one list per user, or a prefix is empty or longer than the user's states.
    #[must_use]
    pub fn read_prefixes(self, prefixes: &[Vec<usize>]) -> Self {
        Self { readers: Readers::of_prefixes(self.readers.memory().clone(), prefixes), ..self }
    }
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
        let dropout = dropout.part(ENCODER);
        let x = dropout.apply(self.shared.rows(&batch.tokens), EMBEDDED);
        let states = self.encoder.forward(x, &batch.packing, dropout);
        Encoded { states, readers: Readers::whole(batch.packing.clone()) }
    }

    /// Decoder states of teacher-forced inputs: `rows` rows of one length, a multiple of the readers, a reader's
    /// rows neighbours.
    ///
    /// # Shapes
    /// - `inputs`: the tokens of all rows, `r * t`; result `[r * t, d]`.
    pub fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2> {
        let dropout = dropout.part(DECODER);
        let x = dropout.apply(self.shared.rows(inputs), EMBEDDED);
        let memory = self.decoder.memory(&encoded.states, &encoded.readers);
        self.decoder.forward(x, rows, &memory, dropout)
    }

    /// An empty cache for decoding code by code.
    pub fn start(&self, encoded: &Encoded) -> DecoderCache {
        self.decoder.start(self.decoder.memory(&encoded.states, &encoded.readers))
    }

    /// Decoder states of the next position of every row. Not differentiable: training is teacher forced ([`T5::decode`]).
    ///
    /// # Shapes
    /// - `tokens`: one per row, result `[r, d]`.
    pub fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2> {
        self.decoder.step(self.shared.rows(tokens), cache)
    }

    /// Logits of a range of tokens: a level's codes, or the whole vocabulary.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, result `[n, tokens.len()]`.
    pub fn logits(&self, states: Tensor<2>, tokens: std::ops::Range<usize>) -> Tensor<2> {
        let weight = self.shared.weight.val();
        let [vocab, d] = weight.dims();
        let rows = if tokens == (0..vocab) { weight } else { weight.slice([tokens, 0..d]) };
        kernels::linear(states.mul_scalar(self.logit_scale()), rows)
    }

    /// Log-probabilities of chosen tokens of each state, without gradient.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, `choices`: `n` rows of tokens, result: as many values.
    pub fn choice_log_probs(&self, states: Tensor<2>, choices: &Choices, over: &Normalization) -> Vec<f32> {
        let head = self.shared.weight.val();
        kernels::choice_log_probs([states, head], choices, over, self.logit_scale())
    }

    /// Log-probability of one target per state, over the tokens `targets` names.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, result `[n]`.
    pub fn target_log_probs(&self, states: Tensor<2>, targets: Targets) -> Tensor<1> {
        kernels::target_log_prob(states, self.shared.weight.val(), targets, self.logit_scale())
    }

    fn logit_scale(&self) -> f64 {
        (self.shared.weight.dims()[1] as f64).powf(-0.5)
    }
}

#[cfg(test)]
mod tests;
