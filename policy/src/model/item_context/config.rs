//! Sizes and choices of a policy with item-level context.

use super::super::config::{SizeError, check_counts, check_share, is_zero, is_zero_rate};
use super::super::stack::{GENTLE, StackShape};
use serde::{Deserialize, Serialize};

/// What of an item its token in the history shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemEmbedding {
    /// Its codes: new items need no training.
    #[default]
    Codes,
    /// Its codes, and a vector of its own.
    CodesAndItem,
}

/// What the blocks that read a history are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextBlock {
    /// Softmax attention and a feed-forward layer.
    #[default]
    Transformer,
    /// Gated pointwise attention (2402.17152).
    Hstu,
}

/// What moves the scores of HSTU blocks beside queries and keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionBias {
    /// How many items apart two items are.
    #[default]
    Position,
    /// How much time lies between them.
    Time,
    /// The sum of both, as published.
    PositionAndTime,
}

impl AttentionBias {
    /// Whether it needs to know when items were consumed.
    pub fn reads_times(self) -> bool {
        self != Self::Position
    }
    pub(in super::super) fn reads_positions(self) -> bool {
        self != Self::Time
    }
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    fn is_position(&self) -> bool {
        *self == Self::Position
    }
}

/// How the codes of the next item are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodeDecoder {
    /// One after the other: a causal stack over the codes so far.
    #[default]
    Depth,
    /// All at once, each from the context alone: for codes that have no order, such as those of product quantisation
    /// (RPG, 2506.05781; `SETRec`, 2502.10833).
    Parallel,
}

/// Which table turns decoder states into logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadWeights {
    /// That of the input embeddings.
    #[default]
    Tied,
    /// One of its own.
    Own,
}

/// Sizes of an [`ItemContext`](super::ItemContext).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemContextConfig {
    /// Code tokens.
    pub vocab_size: usize,
    /// Codes of an item.
    pub levels: usize,
    /// Items of the catalog.
    pub num_items: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one attention head.
    pub d_kv: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Blocks that read the history.
    pub num_layers: usize,
    /// Blocks that write the codes one after the other.
    pub num_decoder_layers: usize,
    /// Buckets of relative position.
    pub relative_attention_num_buckets: usize,
    /// Distance from which all positions share a bucket.
    pub relative_attention_max_distance: usize,
    /// Dropout probability in training.
    pub dropout_rate: f64,
    /// Added to the mean square in normalisation.
    pub layer_norm_epsilon: f64,
    /// What reads the history.
    pub context_block: ContextBlock,
    /// What moves its scores, if it is made of HSTU blocks; elsewhere it is always position.
    #[serde(default, skip_serializing_if = "AttentionBias::is_position")]
    pub attention_bias: AttentionBias,
    /// What of an item the context shows.
    pub item_embedding: ItemEmbedding,
    /// Share of the items that training reads by their codes alone, where they have vectors of their own.
    #[serde(default, skip_serializing_if = "is_zero_rate")]
    pub item_dropout: f64,
    /// What writes the codes.
    pub code_decoder: CodeDecoder,
    /// Where logits come from.
    pub head: HeadWeights,
    /// Embeddings of users, one of which a history begins with; 0 = it begins with its first item.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub user_buckets: usize,
}

impl ItemContextConfig {
    pub(super) fn check(&self) -> Result<(), SizeError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("levels", self.levels),
            ("num_items", self.num_items),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
            ("num_layers", self.num_layers),
        ];
        check_counts(&counts, self.dropout_rate)?;
        check_share("item_dropout", self.item_dropout)
    }
    pub(super) fn stack(&self) -> StackShape {
        StackShape {
            d_model: self.d_model,
            d_kv: self.d_kv,
            d_ff: self.d_ff,
            num_heads: self.num_heads,
            epsilon: self.layer_norm_epsilon,
            gain: GENTLE,
            positions: [self.relative_attention_num_buckets, self.relative_attention_max_distance],
        }
    }
}
