//! The policy and how it is trained.

use super::{Check, reading};
use crate::config::{Architecture, Encoding, Model, Pretrain, Targets};

pub(super) fn model(model: &Model, check: &mut Check) {
    check.within("model.d_model", model.d_model, 8..=8192);
    check.within("model.num_heads", model.num_heads, 1..=128);
    check.within("model.d_kv", model.d_kv, 4..=1024);
    check.within("model.d_ff", model.d_ff, 8..=65_536);
    check.within("model.encoder_layers", model.encoder_layers, 1..=64);
    let least = usize::from(model.architecture != Architecture::ItemContext);
    check.within("model.decoder_layers", model.decoder_layers, least..=64);
    check.within("model.user_buckets", model.user_buckets, 0..=10_000_000);
    check.within("model.rope_theta", model.rope_theta, 1.0..=1e9);
    check.within("model.s_kv", model.s_kv, 1..=2);
    check.within("model.l_kv", model.l_kv, 1..=64);
    check.within("model.experts", model.experts, 1..=1024);
    check.within("model.experts_per_token", model.experts_per_token, 1..=model.experts.max(1));
    check.within("model.shared_experts", model.shared_experts, 0..=64);
    check.within("model.balance_rate", model.balance_rate, 0.0..=1.0);
    grouped_heads(model, check);
    if model.architecture == Architecture::LazyDecoder && model.l_kv > model.decoder_layers {
        let message = format!(
            "`model.l_kv` = {} is more than the {} blocks of `model.decoder_layers` that would read them",
            model.l_kv, model.decoder_layers
        );
        check.between_keys("model.l_kv", message, "model.decoder_layers");
    }
    reading::model(model, check);
    let dropout = model.dropout;
    check.that("model.dropout", (0.0..1.0).contains(&dropout), dropout, "at least 0 and below 1");
}

fn grouped_heads(model: &Model, check: &mut Check) {
    let (heads, shared) = (model.num_heads, model.key_value_heads());
    if shared == 0 || !heads.is_multiple_of(shared) {
        let message =
            format!("`model.num_key_value_heads` = {shared} must divide `model.num_heads` = {heads}");
        check.between_keys("model.num_key_value_heads", message, "model.num_heads");
    }
    let odd = model.architecture == Architecture::Qwen3 && !model.d_kv.is_multiple_of(2);
    check.that("model.d_kv", !odd, model.d_kv, "even: rotary positions turn pairs of values");
}

pub(super) fn pretrain(pretrain: &Pretrain, check: &mut Check) {
    check.within("pretrain.history_items", pretrain.history_items, 1..=1000);
    check.positive("pretrain.batch_size", pretrain.batch_size);
    check.positive("pretrain.epochs", pretrain.epochs);
    check.within("pretrain.max_cpu_minutes", pretrain.max_cpu_minutes, 0.0..=1e6);
    check.within("pretrain.ema_decay", pretrain.ema_decay, 0.0..=0.99999);
    check.learning_rate("pretrain.learning_rate", pretrain.learning_rate);
    if let Some(rate) = pretrain.embedding_learning_rate {
        check.learning_rate("pretrain.embedding_learning_rate", rate);
    }
    check.within("pretrain.weight_decay", pretrain.weight_decay, 0.0..=10.0);
    check.gradient_norm("pretrain.max_grad_norm", pretrain.max_grad_norm);
    check.within("pretrain.label_smoothing", pretrain.label_smoothing, 0.0..=0.5);
    check.positive("pretrain.validation_users", pretrain.validation_users);
    check.positive("pretrain.evaluate_every", pretrain.evaluate_every);
    check.positive("pretrain.patience", pretrain.patience);
    let every = pretrain.checkpoint_every;
    check.that("pretrain.checkpoint_every", every >= 1, every, "at least 1");
    check.that("pretrain.rollbacks", pretrain.rollbacks <= 100, pretrain.rollbacks, "at most 100");
}

/// One encoding serves all prefixes only if no state knows what comes after it.
pub(super) fn shared_encoding(model: &Model, pretrain: &Pretrain, check: &mut Check) {
    if pretrain.encoding == Encoding::PerTarget {
        return;
    }
    if !model.is_causal() {
        let message = "`pretrain.encoding` = \"shared\" needs `model.encoder_attention` = \"causal\": in a bidirectional \
                       encoding every state knows the targets";
        check.between_keys("pretrain.encoding", message.into(), "model.encoder_attention");
    }
    if pretrain.targets != Targets::AllPrefixes {
        let message = "`pretrain.encoding` = \"shared\" reads a history once for all its targets: it needs \
                       `pretrain.targets` = \"all-prefixes\"";
        check.between_keys("pretrain.encoding", message.into(), "pretrain.targets");
    }
}
