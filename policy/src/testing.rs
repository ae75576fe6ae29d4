//! A tiny catalog and policy for tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::catalog::Catalog;
use crate::ids::SemanticId;
use crate::model::{
    AttentionBias, CodeDecoder, ContextBlock, EncoderAttention, ExpertsConfig, HeadWeights,
    ItemContextConfig, ItemEmbedding, LazyDecoderConfig, OneRecMoeConfig, Policy, PolicyConfig, Qwen3Config,
    T5Config,
};
use crate::random::Key;
use burn::prelude::Device;

pub(crate) fn config() -> PolicyConfig {
    PolicyConfig::T5(t5_config())
}

pub(crate) fn t5_config() -> T5Config {
    T5Config {
        vocab_size: 16,
        d_model: 16,
        d_kv: 4,
        d_ff: 24,
        num_heads: 2,
        num_layers: 2,
        num_decoder_layers: 2,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.1,
        ..T5Config::default()
    }
}

pub(crate) fn model(device: &Device) -> Policy {
    Policy::new(&config(), Key::new(5), device).unwrap()
}

/// The same architecture with other weights.
pub(crate) fn other_model(device: &Device) -> Policy {
    Policy::new(&config(), Key::new(6), device).unwrap()
}

pub(crate) fn item_context_config() -> ItemContextConfig {
    ItemContextConfig {
        vocab_size: 16,
        levels: 3,
        num_items: 5,
        d_model: 16,
        d_kv: 4,
        d_ff: 24,
        num_heads: 2,
        num_layers: 2,
        num_decoder_layers: 2,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.1,
        layer_norm_epsilon: 1e-6,
        context_block: ContextBlock::Transformer,
        attention_bias: AttentionBias::Position,
        item_embedding: ItemEmbedding::CodesAndItem,
        item_dropout: 0.0,
        code_decoder: CodeDecoder::Depth,
        head: HeadWeights::Own,
        user_buckets: 0,
    }
}

pub(crate) fn qwen3_config() -> Qwen3Config {
    Qwen3Config {
        vocab_size: 16,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 4,
        rms_norm_eps: 1e-6,
        rope_theta: 100.0,
        tie_word_embeddings: true,
        dropout_rate: 0.1,
        user_buckets: 0,
    }
}

pub(crate) fn lazy_decoder_config() -> LazyDecoderConfig {
    LazyDecoderConfig {
        vocab_size: 16,
        num_items: 5,
        d_model: 16,
        d_head: 4,
        d_ff: 24,
        num_heads: 4,
        g_kv: 2,
        l_kv: 2,
        s_kv: 2,
        num_layers: 3,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.1,
        layer_norm_epsilon: 1e-6,
        item_embedding: ItemEmbedding::CodesAndItem,
        item_dropout: 0.0,
        head: HeadWeights::Own,
        user_buckets: 0,
    }
}

pub(crate) fn onerec_moe_config(encoder_attention: EncoderAttention) -> OneRecMoeConfig {
    let experts = ExpertsConfig {
        num_experts: 5,
        num_experts_per_token: 2,
        num_shared_experts: 1,
        balance_rate: 0.001,
    };
    OneRecMoeConfig { t5: T5Config { encoder_attention, ..t5_config() }, experts }
}

/// Policies whose states know nothing of what comes after them.
pub(crate) fn causal_policies(device: &Device) -> Vec<Policy> {
    causal_configs().iter().map(|config| Policy::new(config, Key::new(5), device).unwrap()).collect()
}

/// One configuration of every architecture.
pub(crate) fn configs() -> Vec<PolicyConfig> {
    let experts = onerec_moe_config(EncoderAttention::Bidirectional);
    let with_users = with_users(&config(), 3);
    [config(), with_users, PolicyConfig::OneRecMoe(experts)].into_iter().chain(causal_configs()).collect()
}

pub(crate) fn causal_configs() -> Vec<PolicyConfig> {
    let t5 = T5Config { encoder_attention: EncoderAttention::Causal, ..t5_config() };
    let branches = T5Config { branch_tokens: 3, ..t5.clone() };
    let hstu = ItemContextConfig { context_block: ContextBlock::Hstu, ..item_context_config() };
    let parallel = ItemContextConfig { code_decoder: CodeDecoder::Parallel, ..item_context_config() };
    let biased = |attention_bias| ItemContextConfig { attention_bias, ..hstu.clone() };
    let [time, both] = [AttentionBias::Time, AttentionBias::PositionAndTime].map(biased);
    // What `sasrec` and `hstu` are made of: nothing between the context and the codes, which are scored by what is read.
    let direct = |config: ItemContextConfig| ItemContextConfig {
        num_decoder_layers: 0,
        item_embedding: ItemEmbedding::Codes,
        head: HeadWeights::Tied,
        ..config
    };
    let [direct, direct_hstu] = [item_context_config(), hstu.clone()].map(direct);
    let item_context = [item_context_config(), hstu, time, both, parallel, direct, direct_hstu];
    let item_context = item_context.map(PolicyConfig::ItemContext);
    let own_head = Qwen3Config { tie_word_embeddings: false, num_key_value_heads: 4, ..qwen3_config() };
    let qwen3 = [qwen3_config(), own_head].map(PolicyConfig::Qwen3);
    let one_set =
        LazyDecoderConfig { l_kv: 1, s_kv: 1, item_embedding: ItemEmbedding::Codes, ..lazy_decoder_config() };
    let lazy = [lazy_decoder_config(), one_set].map(PolicyConfig::LazyDecoder);
    let experts = onerec_moe_config(EncoderAttention::Causal);
    let with_encoder = [PolicyConfig::T5(t5), PolicyConfig::T5(branches), PolicyConfig::OneRecMoe(experts)];
    let plain = with_encoder.into_iter().chain(item_context).chain(qwen3).chain(lazy);
    plain.flat_map(|config| [with_users(&config, 0), with_users(&config, 3)]).collect()
}

/// The same where a history begins with one of so many users.
fn with_users(config: &PolicyConfig, count: usize) -> PolicyConfig {
    let mut config = config.clone();
    *self::user_buckets(&mut config) = count;
    config
}

pub(crate) fn user_buckets(config: &mut PolicyConfig) -> &mut usize {
    match config {
        PolicyConfig::T5(config) => &mut config.user_buckets,
        PolicyConfig::OneRecMoe(config) => &mut config.t5.user_buckets,
        PolicyConfig::ItemContext(config) => &mut config.user_buckets,
        PolicyConfig::Qwen3(config) => &mut config.user_buckets,
        PolicyConfig::LazyDecoder(config) => &mut config.user_buckets,
    }
}

/// One policy of every architecture.
pub(crate) fn policies(device: &Device) -> Vec<Policy> {
    configs().iter().map(|config| Policy::new(config, Key::new(5), device).unwrap()).collect()
}

/// Five items over levels of 4, 3 and 4 codes.
pub(crate) fn catalog() -> Catalog {
    let codes = [[0, 0, 1], [0, 0, 3], [0, 2, 0], [3, 1, 1], [1, 1, 1]];
    Catalog::new(codes.map(|c| SemanticId::new(c.to_vec())).to_vec(), vec![4, 3, 4]).unwrap()
}
