//! From configuration and catalog to the sizes of a policy.

use crate::config::{Architecture, EncoderInput, Model};
use policy::model::{
    ExpertsConfig, HeadWeights, ItemContextConfig, LazyDecoderConfig, OneRecMoeConfig, PolicyConfig,
    Qwen3Config, T5Config,
};
use sampler::recommend::Codebook;

/// T5's own defaults (Raffel et al. 2020); not options because no recipe of the field changes them.
const BUCKETS: usize = 32;
const MAX_DISTANCE: usize = 128;
const EPSILON: f64 = 1e-6;

/// The sizes of the policy that `model` describes, over the tokens of `codebook`.
pub fn policy_config(model: &Model, codebook: &Codebook) -> PolicyConfig {
    match model.architecture {
        Architecture::T5 => PolicyConfig::T5(t5(model, codebook)),
        Architecture::ItemContext => PolicyConfig::ItemContext(item_context(model, codebook)),
        Architecture::Qwen3 => PolicyConfig::Qwen3(qwen3(model, codebook)),
        Architecture::LazyDecoder => PolicyConfig::LazyDecoder(lazy_decoder(model, codebook)),
        Architecture::OneRecMoe => {
            PolicyConfig::OneRecMoe(OneRecMoeConfig { t5: t5(model, codebook), experts: experts(model) })
        }
    }
}

fn t5(model: &Model, codebook: &Codebook) -> T5Config {
    T5Config {
        vocab_size: codebook.vocab.size(),
        d_model: model.d_model,
        d_kv: model.d_kv,
        d_ff: model.d_ff,
        num_heads: model.num_heads,
        num_layers: model.encoder_layers,
        num_decoder_layers: model.decoder_layers,
        relative_attention_num_buckets: BUCKETS,
        relative_attention_max_distance: MAX_DISTANCE,
        dropout_rate: model.dropout,
        layer_norm_epsilon: EPSILON,
        encoder_attention: model.encoder_attention,
        user_buckets: model.user_buckets,
        branch_tokens: match model.encoder_input {
            EncoderInput::Codes => 0,
            EncoderInput::TwoBranches => codebook.vocab.levels(),
        },
    }
}

fn item_context(model: &Model, codebook: &Codebook) -> ItemContextConfig {
    ItemContextConfig {
        vocab_size: codebook.vocab.size(),
        levels: codebook.vocab.levels(),
        num_items: codebook.catalog.num_items(),
        d_model: model.d_model,
        d_kv: model.d_kv,
        d_ff: model.d_ff,
        num_heads: model.num_heads,
        num_layers: model.encoder_layers,
        num_decoder_layers: model.decoder_layers,
        relative_attention_num_buckets: BUCKETS,
        relative_attention_max_distance: MAX_DISTANCE,
        dropout_rate: model.dropout,
        layer_norm_epsilon: EPSILON,
        context_block: model.context_block,
        attention_bias: model.attention_bias,
        item_embedding: model.item_embedding,
        item_dropout: model.item_dropout,
        code_decoder: model.code_decoder,
        head: model.head,
        user_buckets: model.user_buckets,
    }
}

fn qwen3(model: &Model, codebook: &Codebook) -> Qwen3Config {
    Qwen3Config {
        vocab_size: codebook.vocab.size(),
        hidden_size: model.d_model,
        intermediate_size: model.d_ff,
        num_hidden_layers: model.decoder_layers,
        num_attention_heads: model.num_heads,
        num_key_value_heads: model.key_value_heads(),
        head_dim: model.d_kv,
        rms_norm_eps: EPSILON,
        rope_theta: model.rope_theta,
        tie_word_embeddings: model.head == HeadWeights::Tied,
        dropout_rate: model.dropout,
        user_buckets: model.user_buckets,
    }
}

fn lazy_decoder(model: &Model, codebook: &Codebook) -> LazyDecoderConfig {
    LazyDecoderConfig {
        vocab_size: codebook.vocab.size(),
        num_items: codebook.catalog.num_items(),
        d_model: model.d_model,
        d_head: model.d_kv,
        d_ff: model.d_ff,
        num_heads: model.num_heads,
        g_kv: model.key_value_heads(),
        l_kv: model.l_kv,
        s_kv: model.s_kv,
        num_layers: model.decoder_layers,
        relative_attention_num_buckets: BUCKETS,
        relative_attention_max_distance: MAX_DISTANCE,
        dropout_rate: model.dropout,
        layer_norm_epsilon: EPSILON,
        item_embedding: model.item_embedding,
        item_dropout: model.item_dropout,
        head: model.head,
        user_buckets: model.user_buckets,
    }
}

fn experts(model: &Model) -> ExpertsConfig {
    ExpertsConfig {
        num_experts: model.experts,
        num_experts_per_token: model.experts_per_token,
        num_shared_experts: model.shared_experts,
        balance_rate: model.balance_rate,
    }
}
