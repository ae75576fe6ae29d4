//! Size of the encoder-decoder.

use super::experts::ExpertsConfig;
use super::stack::StackShape;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What an encoder token sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderAttention {
    /// All tokens of its history, as in T5.
    #[default]
    Bidirectional,
    /// The tokens up to itself: the states of a prefix are those of the prefix alone, so that one encoding serves every
    /// prefix of a history. Not what Hugging Face's T5 computes.
    Causal,
}

/// The T5 layout; field names are those of Hugging Face's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct T5Config {
    /// Tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one attention head.
    pub d_kv: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Encoder blocks.
    pub num_layers: usize,
    /// Decoder blocks.
    pub num_decoder_layers: usize,
    /// Buckets of relative position (T5: 32).
    pub relative_attention_num_buckets: usize,
    /// Distance from which all positions share a bucket (T5: 128).
    pub relative_attention_max_distance: usize,
    /// Dropout probability in training.
    pub dropout_rate: f64,
    /// Added to the mean square in normalisation (T5: 1e-6).
    pub layer_norm_epsilon: f64,
    /// What an encoder token sees.
    #[serde(default, skip_serializing_if = "EncoderAttention::is_bidirectional")]
    pub encoder_attention: EncoderAttention,
    /// Embeddings of users, one of which a history begins with; 0 = it begins with its first item.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub user_buckets: usize,
    /// Codes of an item, among which a second branch of the encoder's input attends (`DiscRec`); 0 = the encoder reads codes as they
    /// are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub branch_tokens: usize,
}

/// `t5-small` of the paper, as Hugging Face's `T5Config` has it.
impl Default for T5Config {
    fn default() -> Self {
        Self {
            vocab_size: 32_128,
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_heads: 8,
            num_layers: 6,
            num_decoder_layers: 6,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            dropout_rate: 0.1,
            layer_norm_epsilon: 1e-6,
            encoder_attention: EncoderAttention::default(),
            user_buckets: 0,
            branch_tokens: 0,
        }
    }
}

impl EncoderAttention {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    fn is_bidirectional(&self) -> bool {
        *self == Self::Bidirectional
    }
}

/// Why a size is impossible.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SizeError {
    /// A count is zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// Dropout would remove everything, or is not a probability.
    #[error("{0} = {1} is out of range, must be in [0, 1)")]
    Dropout(&'static str, f64),
    /// Heads cannot share keys and values evenly.
    #[error("{heads} query heads do not divide among {groups} heads of keys and values")]
    Groups {
        /// Query heads.
        heads: usize,
        /// Heads of keys and values.
        groups: usize,
    },
    /// More of something than there can be.
    #[error("{name} = {value} must be at most {most}")]
    TooMany {
        /// What.
        name: &'static str,
        /// How many.
        value: usize,
        /// The most there can be.
        most: usize,
    },
    /// A file of weights is too small for them.
    #[error("its sizes need at least {parameters:e} parameters, the file of weights holds at most {held}")]
    MoreThanWeights {
        /// What the sizes ask for.
        parameters: f64,
        /// What the file can hold.
        held: usize,
    },
    /// Rotary positions turn pairs of values.
    #[error("head_dim = {0} must be even")]
    OddHead(usize),
}

impl T5Config {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first value out of range.
    pub fn check(&self) -> Result<(), SizeError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
            ("num_layers", self.num_layers),
            ("num_decoder_layers", self.num_decoder_layers),
        ];
        check_counts(&counts, self.dropout_rate)
    }
    /// Whether it is the T5 that `transformers` knows.
    pub fn is_plain(&self) -> bool {
        self.encoder_attention == EncoderAttention::Bidirectional
            && self.user_buckets == 0
            && self.branch_tokens == 0
    }
    /// What every stack of blocks needs to know.
    pub(super) fn stack(&self) -> StackShape {
        StackShape {
            d_model: self.d_model,
            d_kv: self.d_kv,
            d_ff: self.d_ff,
            num_heads: self.num_heads,
            epsilon: self.layer_norm_epsilon,
            gain: 1.0,
            positions: [self.relative_attention_num_buckets, self.relative_attention_max_distance],
        }
    }
    /// Width of all heads together.
    pub fn inner(&self) -> usize {
        self.num_heads * self.d_kv
    }
}

/// The T5 layout with a mixture of experts in every decoder block (OneRec, 2502.18965). Inside an expert the width is
/// `d_ff`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneRecMoeConfig {
    /// All but the experts.
    #[serde(flatten)]
    pub t5: T5Config,
    /// The experts.
    #[serde(flatten)]
    pub experts: ExpertsConfig,
}

impl OneRecMoeConfig {
    /// Checks what the encoder-decoder itself does not.
    ///
    /// # Errors
    /// The first value out of range.
    pub(super) fn check(&self) -> Result<(), SizeError> {
        let ExpertsConfig { num_experts, num_experts_per_token, .. } = self.experts;
        let counts = [("num_experts", num_experts), ("num_experts_per_token", num_experts_per_token)];
        check_counts(&counts, self.t5.dropout_rate)?;
        if num_experts_per_token > num_experts {
            let (value, most) = (num_experts_per_token, num_experts);
            return Err(SizeError::TooMany { name: "num_experts_per_token", value, most });
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
pub(super) fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
pub(super) fn is_zero_rate(rate: &f64) -> bool {
    *rate == 0.0
}

/// Checks what all architectures share.
pub(super) fn check_counts(counts: &[(&'static str, usize)], dropout: f64) -> Result<(), SizeError> {
    if let Some((name, _)) = counts.iter().find(|(_, value)| *value == 0) {
        return Err(SizeError::Zero(name));
    }
    check_share("dropout_rate", dropout)
}

/// Checks how much is dropped.
pub(super) fn check_share(name: &'static str, share: f64) -> Result<(), SizeError> {
    if (0.0..1.0).contains(&share) { Ok(()) } else { Err(SizeError::Dropout(name, share)) }
}
