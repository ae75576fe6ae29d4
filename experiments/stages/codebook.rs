//! From configuration and catalog to the sizes of a policy.

use crate::config::Model;
use policy::model::T5Config;
use sampler::recommend::Codebook;

/// T5's own defaults (Raffel et al. 2020); not options because no recipe of the field changes them.
const BUCKETS: usize = 32;
const MAX_DISTANCE: usize = 128;
const EPSILON: f64 = 1e-6;

/// The sizes of a policy over a codebook.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySize(pub T5Config);

impl PolicySize {
    /// `model` over the tokens of `codebook`.
    pub fn of(model: &Model, codebook: &Codebook) -> Self {
        Self(T5Config {
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
        })
    }
}
