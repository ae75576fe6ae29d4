//! Sizes of the decoder-only policy.

use super::config::{SizeError, check_counts, is_zero};
use super::grouped::GroupedHeads;
use serde::{Deserialize, Serialize};

/// Sizes of a [`super::Qwen3`]; field names are those of Hugging Face's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Qwen3Config {
    /// Tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Inner width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Heads of keys and values, a divisor of the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head, even.
    pub head_dim: usize,
    /// Added to the mean square in normalisation.
    pub rms_norm_eps: f64,
    /// Base of the rotations' wavelengths.
    pub rope_theta: f64,
    /// Whether logits come from the embeddings.
    pub tie_word_embeddings: bool,
    /// Dropout probability in training; `transformers` ignores it.
    pub dropout_rate: f64,
    /// Embeddings of users, one of which a history begins with; 0 = it begins with its first item.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub user_buckets: usize,
}

impl Qwen3Config {
    pub(super) fn check(&self) -> Result<(), SizeError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
        ];
        check_counts(&counts, self.dropout_rate)?;
        if !self.head_dim.is_multiple_of(2) {
            return Err(SizeError::OddHead(self.head_dim));
        }
        self.heads().check()
    }
    pub(super) fn heads(&self) -> GroupedHeads {
        GroupedHeads {
            count: self.num_attention_heads,
            groups: self.num_key_value_heads,
            width: self.head_dim,
        }
    }
}
