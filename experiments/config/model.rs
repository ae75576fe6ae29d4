//! `[model]`: the policy.

use super::is_default;
use serde::{Deserialize, Serialize};

/// How a policy reads a history and writes codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Encoder-decoder over code tokens, exported as Hugging Face's T5.
    T5,
    /// One token per item, read by a causal stack; a depth decoder writes the codes of the next item. With
    /// `tokenize.quantizer = "item-id"` and no decoder layer it is SASRec with full softmax.
    ItemContext,
    /// Decoder-only over code tokens, exported as Hugging Face's Qwen3.
    Qwen3,
    /// One token per item, projected to keys and values that all decoder blocks read as they are (OneRec-V2).
    LazyDecoder,
    /// `t5` with a mixture of experts in every decoder block (OneRec).
    #[serde(rename = "onerec-moe")]
    OneRecMoe,
}

/// What an encoder of code tokens is given of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderInput {
    /// The embeddings of its codes.
    #[default]
    Codes,
    /// These beside codes that know of the others of their item, weighed by a gate (`DiscRec`).
    TwoBranches,
}

/// `[model]`: the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// Which policy.
    pub architecture: Architecture,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Width of one head.
    pub d_kv: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Heads of keys and values in `qwen3` and `lazy-decoder` (`G_kv`), a divisor of `num_heads`; absent: as many.
    pub num_key_value_heads: Option<usize>,
    /// Encoder blocks; `qwen3` and `lazy-decoder` have none.
    pub encoder_layers: usize,
    /// Decoder blocks; only `item-context` can do without.
    pub decoder_layers: usize,
    /// What an encoder token of `t5` and `onerec-moe` sees; elsewhere it is always causal.
    pub encoder_attention: policy::model::EncoderAttention,
    /// What the encoder of `t5` and `onerec-moe` is given of a history.
    #[serde(skip_serializing_if = "is_default")]
    pub encoder_input: EncoderInput,
    /// What the blocks of `item-context` that read a history are.
    pub context_block: policy::model::ContextBlock,
    /// What moves the attention of `context_block = "hstu"` beside the items: how far apart they are in the history, in time, or
    /// both. Times are those of the log; one without a clock has places instead.
    #[serde(skip_serializing_if = "is_default")]
    pub attention_bias: policy::model::AttentionBias,
    /// Embeddings that users share by a hash of who they are; a history begins with that of its user (TIGER: 2000). 0 = it begins
    /// with its first item. Such a policy knows the users of its log alone: it cannot be exported or see those of another.
    #[serde(skip_serializing_if = "is_default")]
    pub user_buckets: usize,
    /// What of an item the context of `item-context` and `lazy-decoder` shows.
    pub item_embedding: policy::model::ItemEmbedding,
    /// Share of the items of a history that training reads by their codes alone where `item_embedding` is "codes-and-item": the policy
    /// must know them by both. 0 = none.
    #[serde(skip_serializing_if = "is_default")]
    pub item_dropout: f64,
    /// How `item-context` writes the codes of the next item.
    pub code_decoder: policy::model::CodeDecoder,
    /// Whether the logits of `item-context`, `qwen3` and `lazy-decoder` come from the codes' embeddings or from a table of
    /// their own.
    pub head: policy::model::HeadWeights,
    /// Base of the wavelengths of rotary positions in `qwen3`.
    pub rope_theta: f64,
    /// Sets of keys and values of `lazy-decoder`, shared by neighbouring blocks; at most one per block.
    pub l_kv: usize,
    /// In `lazy-decoder`, 1: keys are the values, 2: values of their own.
    pub s_kv: usize,
    /// Experts of a decoder block of `onerec-moe`, each with inner width `d_ff`.
    pub experts: usize,
    /// Experts that a token is sent to.
    pub experts_per_token: usize,
    /// Experts that every token is sent to.
    pub shared_experts: usize,
    /// How far the bias of an expert moves in a training step, towards equal loads.
    pub balance_rate: f64,
    /// Dropout probability in training.
    pub dropout: f64,
}

impl Model {
    /// Whether no state of a history knows what comes after it.
    pub fn is_causal(&self) -> bool {
        !matches!(self.architecture, Architecture::T5 | Architecture::OneRecMoe)
            || self.encoder_attention == policy::model::EncoderAttention::Causal
    }
    /// Heads of keys and values.
    pub fn key_value_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_heads)
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            architecture: Architecture::T5,
            d_model: 128,
            num_heads: 4,
            d_kv: 32,
            d_ff: 512,
            num_key_value_heads: None,
            encoder_layers: 2,
            decoder_layers: 2,
            encoder_attention: policy::model::EncoderAttention::Bidirectional,
            encoder_input: EncoderInput::Codes,
            context_block: policy::model::ContextBlock::Transformer,
            attention_bias: policy::model::AttentionBias::Position,
            user_buckets: 0,
            item_embedding: policy::model::ItemEmbedding::Codes,
            item_dropout: 0.0,
            code_decoder: policy::model::CodeDecoder::Depth,
            head: policy::model::HeadWeights::Tied,
            // That of `transformers` where nothing is said; released models read longer texts and take 1e6.
            rope_theta: 1e4,
            // The least a history can cost: what the lazy decoder is for. More is for catalogs that need it.
            l_kv: 1,
            s_kv: 1,
            // OneRec: 24 experts, 2 of them for a token, none shared. The rate is that of 2408.15664.
            experts: 24,
            experts_per_token: 2,
            shared_experts: 0,
            balance_rate: 1e-3,
            dropout: 0.1,
        }
    }
}
