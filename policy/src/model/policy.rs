//! What every policy can do, whatever its architecture, and the choice among architectures.

use super::config::SizeError;
use super::config::{OneRecMoeConfig, T5Config};
use super::decoder::Memory;
use super::encoded::Encoded;
use super::item_context::{ItemContext, ItemContextConfig};
use super::layers::Dropout;
use super::lazy_config::LazyDecoderConfig;
use super::lazy_decoder::LazyDecoder;
use super::qwen3::{Continued, Qwen3};
use super::qwen3_config::Qwen3Config;
use super::stack::Past;
use super::t5::T5;
use crate::batch::EncoderBatch;
use crate::kernels::{self, Choices, Normalization, Targets};
use crate::random::Key;
use burn::prelude::*;

/// The part of a policy that differs between architectures: how histories are read and codes follow codes.
pub(super) trait Architecture {
    /// See [`Policy::encode`].
    fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded;
    /// See [`Policy::decode`].
    fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2>;
    /// See [`Policy::expert_loads`].
    fn expert_loads(&self, _encoded: &Encoded, _inputs: &[u32], _rows: usize) -> Vec<Vec<usize>> {
        Vec::new()
    }
    /// See [`Policy::start`].
    fn start(&self, encoded: &Encoded) -> DecoderCache;
    /// See [`Policy::step`].
    fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2>;
    /// What turns decoder states into logits.
    fn head(&self) -> Head;
}

/// Logits are `scale * states weight^T`.
pub(super) struct Head {
    /// `[v, d]`.
    pub(super) weight: Tensor<2>,
    pub(super) scale: f64,
}

/// What decoding one code further needs: keys and values of the positions so far (per row) and what was read of the
/// history (per user).
pub struct DecoderCache {
    pub(super) past: Past,
    pub(super) context: Context,
}

/// What decoding knows of the history.
pub(super) enum Context {
    /// Keys and values of all its states.
    Memory(Memory),
    /// One state per reader, `[readers, d]`.
    State(Tensor<2>),
    /// Keys and values of the sequence that rows continue.
    Continued(Continued),
}

impl DecoderCache {
    /// Makes row `i` continue what was row `rows[i]`; a user's rows stay neighbours. One entry per new row, a multiple
    /// of the number of users.
    pub fn reorder(&mut self, rows: &[u32]) {
        self.past.ancestry.reorder(rows);
    }
}

/// Which architecture, and its sizes.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyConfig {
    /// Encoder-decoder over code tokens.
    T5(T5Config),
    /// Item-level context, read by a depth decoder.
    ItemContext(ItemContextConfig),
    /// Decoder-only, in the layout of Qwen3.
    Qwen3(Qwen3Config),
    /// A projected context, read without further projections.
    LazyDecoder(LazyDecoderConfig),
    /// Encoder-decoder over code tokens with experts in the decoder.
    OneRecMoe(OneRecMoeConfig),
}

/// A policy: writes the next item's codes, given a history.
#[derive(Module, Debug)]
pub enum Policy {
    /// See [`T5`].
    T5(T5),
    /// See [`ItemContext`].
    ItemContext(ItemContext),
    /// See [`Qwen3`].
    Qwen3(Qwen3),
    /// See [`LazyDecoder`].
    LazyDecoder(LazyDecoder),
    /// See [`T5::mixture`].
    OneRecMoe(T5),
}

impl Policy {
    /// A policy with fresh weights, a function of `key` alone.
    ///
    /// # Errors
    /// If the configuration is out of range.
    pub fn new(config: &PolicyConfig, key: Key, device: &Device) -> Result<Self, SizeError> {
        Ok(match config {
            PolicyConfig::T5(config) => Self::T5(T5::new(config, key, device)?),
            PolicyConfig::ItemContext(config) => Self::ItemContext(ItemContext::new(config, key, device)?),
            PolicyConfig::Qwen3(config) => Self::Qwen3(Qwen3::new(config, key, device)?),
            PolicyConfig::LazyDecoder(config) => Self::LazyDecoder(LazyDecoder::new(config, key, device)?),
            PolicyConfig::OneRecMoe(config) => Self::OneRecMoe(T5::mixture(config, key, device)?),
        })
    }

    fn architecture(&self) -> &dyn Architecture {
        match self {
            Self::T5(policy) | Self::OneRecMoe(policy) => policy,
            Self::ItemContext(policy) => policy,
            Self::Qwen3(policy) => policy,
            Self::LazyDecoder(policy) => policy,
        }
    }

    /// Whether its decoder chooses among experts.
    pub fn has_experts(&self) -> bool {
        matches!(self, Self::OneRecMoe(_))
    }

    /// Whether every code depends on the history alone, not on the codes before it.
    pub fn writes_all_codes_at_once(&self) -> bool {
        matches!(self, Self::ItemContext(policy) if policy.writes_all_codes_at_once())
    }

    /// Where the weights live.
    pub fn device(&self) -> Device {
        self.architecture().head().weight.device()
    }

    /// Reads histories, once per user.
    pub fn encode(&self, batch: &EncoderBatch, dropout: Dropout) -> Encoded {
        self.architecture().encode(batch, dropout)
    }

    /// Decoder states of teacher-forced inputs: `rows` rows of one length, a multiple of the readers, a reader's
    /// rows neighbours.
    ///
    /// # Shapes
    /// - `inputs`: the tokens of all rows, `r * t`; result `[r * t, d]`.
    pub fn decode(&self, encoded: &Encoded, inputs: &[u32], rows: usize, dropout: Dropout) -> Tensor<2> {
        self.architecture().decode(encoded, inputs, rows, dropout)
    }

    /// How many positions of teacher-forced inputs, as in [`Policy::decode`], each expert is chosen for: a list per decoder block
    /// that has experts.
    pub fn expert_loads(&self, encoded: &Encoded, inputs: &[u32], rows: usize) -> Vec<Vec<usize>> {
        self.architecture().expert_loads(encoded, inputs, rows)
    }

    /// An empty cache for decoding code by code.
    pub fn start(&self, encoded: &Encoded) -> DecoderCache {
        self.architecture().start(encoded)
    }

    /// Decoder states of the next position of every row. Not differentiable: training is teacher forced
    /// ([`Policy::decode`]).
    ///
    /// # Shapes
    /// - `tokens`: one per row, result `[r, d]`.
    pub fn step(&self, tokens: &[u32], cache: &mut DecoderCache) -> Tensor<2> {
        self.architecture().step(tokens, cache)
    }

    /// Logits of a range of tokens: a level's codes, or the whole vocabulary.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, result `[n, tokens.len()]`.
    pub fn logits(&self, states: Tensor<2>, tokens: std::ops::Range<usize>) -> Tensor<2> {
        let Head { weight, scale } = self.architecture().head();
        let [vocab, d] = weight.dims();
        let rows = if tokens == (0..vocab) { weight } else { weight.slice([tokens, 0..d]) };
        kernels::linear(states.mul_scalar(scale), rows)
    }

    /// Log-probabilities of chosen tokens of each state, without gradient.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, `choices`: `n` rows of tokens, result: as many values.
    pub fn choice_log_probs(&self, states: Tensor<2>, choices: &Choices, over: &Normalization) -> Vec<f32> {
        let Head { weight, scale } = self.architecture().head();
        kernels::choice_log_probs([states, weight], choices, over, scale)
    }

    /// Log-probability of one target per state, over the tokens `targets` names.
    ///
    /// # Shapes
    /// - `states`: `[n, d]`, result `[n]`.
    pub fn target_log_probs(&self, states: Tensor<2>, targets: Targets) -> Tensor<1> {
        let Head { weight, scale } = self.architecture().head();
        kernels::target_log_prob(states, weight, targets, scale)
    }
}
