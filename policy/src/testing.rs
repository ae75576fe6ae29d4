//! A tiny catalog and policy for tests.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::catalog::Catalog;
use crate::ids::SemanticId;
use crate::model::{EncoderAttention, T5, T5Config};
use crate::random::Key;
use burn::prelude::Device;

pub(crate) fn config() -> T5Config {
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
        layer_norm_epsilon: 1e-6,
        encoder_attention: EncoderAttention::Bidirectional,
    }
}

pub(crate) fn model(device: &Device) -> T5 {
    T5::new(&config(), Key::new(5), device).unwrap()
}

/// Five items over levels of 4, 3 and 4 codes.
pub(crate) fn catalog() -> Catalog {
    let codes = [[0, 0, 1], [0, 0, 3], [0, 2, 0], [3, 1, 1], [1, 1, 1]];
    Catalog::new(codes.map(|c| SemanticId::new(c.to_vec())).to_vec(), vec![4, 3, 4]).unwrap()
}
