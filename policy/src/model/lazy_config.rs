//! Sizes of the policy with a lazy decoder.

use super::config::{SizeError, check_counts, check_share, is_zero, is_zero_rate};
use super::grouped::GroupedHeads;
use super::item_context::{HeadWeights, ItemEmbedding};
use super::stack::{GENTLE, StackShape};
use serde::{Deserialize, Serialize};

/// Sizes of a [`super::LazyDecoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LazyDecoderConfig {
    /// Code tokens.
    pub vocab_size: usize,
    /// Items of the catalog.
    pub num_items: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one head.
    pub d_head: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Query heads.
    pub num_heads: usize,
    /// Heads of keys and values, a divisor of the query heads.
    pub g_kv: usize,
    /// Sets of keys and values, at most one per block.
    pub l_kv: usize,
    /// 1: keys are values; 2: values of their own.
    pub s_kv: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Buckets of relative position among codes.
    pub relative_attention_num_buckets: usize,
    /// Distance from which all positions share a bucket.
    pub relative_attention_max_distance: usize,
    /// Dropout probability in training.
    pub dropout_rate: f64,
    /// Added to the mean square in normalisation.
    pub layer_norm_epsilon: f64,
    /// What of an item the context shows.
    pub item_embedding: ItemEmbedding,
    /// Share of the items that training reads by their codes alone, where they have vectors of their own.
    #[serde(default, skip_serializing_if = "is_zero_rate")]
    pub item_dropout: f64,
    /// Where logits come from.
    pub head: HeadWeights,
    /// Embeddings of users, one of which a history begins with; 0 = it begins with its first item.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub user_buckets: usize,
}

impl LazyDecoderConfig {
    pub(super) fn check(&self) -> Result<(), SizeError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("num_items", self.num_items),
            ("d_model", self.d_model),
            ("d_head", self.d_head),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
            ("g_kv", self.g_kv),
            ("num_layers", self.num_layers),
            ("l_kv", self.l_kv),
            ("s_kv", self.s_kv),
        ];
        check_counts(&counts, self.dropout_rate)?;
        check_share("item_dropout", self.item_dropout)?;
        let most = [("l_kv", self.l_kv, self.num_layers), ("s_kv", self.s_kv, 2)];
        match most.into_iter().find(|(_, value, most)| value > most) {
            Some((name, value, most)) => Err(SizeError::TooMany { name, value, most }),
            None => self.heads().check(),
        }
    }
    pub(super) fn heads(&self) -> GroupedHeads {
        GroupedHeads { count: self.num_heads, groups: self.g_kv, width: self.d_head }
    }
    pub(super) fn stack(&self) -> StackShape {
        StackShape {
            d_model: self.d_model,
            d_kv: self.d_head,
            d_ff: self.d_ff,
            num_heads: self.num_heads,
            epsilon: self.layer_norm_epsilon,
            gain: GENTLE,
            positions: [self.relative_attention_num_buckets, self.relative_attention_max_distance],
        }
    }
}
