//! From configuration and catalog to the sizes of a policy.

use crate::config::{Architecture, Model};
use policy::model::{ItemContextConfig, PolicyConfig, T5Config};
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
        item_embedding: model.item_embedding,
        code_decoder: model.code_decoder,
        head: model.head,
    }
}
