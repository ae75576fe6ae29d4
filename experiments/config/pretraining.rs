//! `[tokenize]`, `[model]` and `[pretrain]`: the policy before alignment.

use serde::{Deserialize, Serialize};

/// `[tokenize]`: how items get their semantic IDs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokenize {
    /// Which quantiser.
    pub quantizer: policy::quantize::Quantizer,
    /// Codes of an ID, before any collision digit. `item-id` has one; the trees stop earlier when all items are told apart.
    pub levels: usize,
    /// Codes per level. `item-id` has as many as there are items.
    pub codes: usize,
    /// Most sweeps per level; rounds of `optimized-product`.
    pub iterations: usize,
    /// Order in which clusters choose their items in balanced k-means.
    pub sweep_order: policy::quantize::SweepOrder,
    /// What happens to the vectors before each level.
    pub normalize: policy::quantize::Normalize,
    /// What happens to items whose quantised IDs are equal.
    pub collisions: policy::quantize::Collisions,
    /// How items that come after the codebooks were fitted get their codes.
    pub new_items: policy::quantize::NewItems,
    /// Training of `rq-vae` and `residual-vq`.
    pub rq_vae: policy::quantize::LearnedConfig,
}

impl Tokenize {
    /// What the quantiser is asked to do.
    pub fn quantization(&self) -> policy::quantize::QuantizeConfig {
        policy::quantize::QuantizeConfig {
            quantizer: self.quantizer,
            levels: self.levels,
            codes: self.codes,
            iterations: self.iterations,
            sweep_order: self.sweep_order,
            normalize: self.normalize,
            rq_vae: self.rq_vae.clone(),
        }
    }
}

impl Default for Tokenize {
    fn default() -> Self {
        Self {
            quantizer: policy::quantize::Quantizer::BalancedResidualKmeans,
            levels: 3,
            codes: 256,
            iterations: 20,
            sweep_order: policy::quantize::SweepOrder::Shuffled,
            normalize: policy::quantize::Normalize::None,
            collisions: policy::quantize::Collisions::Digit,
            new_items: policy::quantize::NewItems::Argmin,
            rq_vae: policy::quantize::LearnedConfig::default(),
        }
    }
}

/// `[model]`: the T5-layout encoder-decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Width of one head.
    pub d_kv: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Encoder blocks.
    pub encoder_layers: usize,
    /// Decoder blocks.
    pub decoder_layers: usize,
    /// What an encoder token sees.
    pub encoder_attention: policy::model::EncoderAttention,
    /// Dropout probability in training.
    pub dropout: f64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            d_model: 128,
            num_heads: 4,
            d_kv: 32,
            d_ff: 512,
            encoder_layers: 2,
            decoder_layers: 2,
            encoder_attention: policy::model::EncoderAttention::Bidirectional,
            dropout: 0.1,
        }
    }
}

/// `[pretrain]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pretrain {
    /// Which positions of a history are targets.
    pub targets: Targets,
    /// How often a history is read to learn from all its prefixes.
    pub encoding: Encoding,
    /// Most recent items the encoder sees.
    pub history_items: usize,
    /// Examples per step.
    pub batch_size: usize,
    /// Passes over the targets.
    pub epochs: usize,
    /// Stop after this many steps whatever the epochs say; 0 = no limit.
    pub max_steps: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up; cosine decay to zero follows.
    pub warmup_steps: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub max_grad_norm: f64,
    /// Validation NDCG@10 is measured on this many users after every `evaluate_every` epochs.
    pub validation_users: usize,
    /// Epochs between validations.
    pub evaluate_every: usize,
    /// Stop after this many validations without a better NDCG@10.
    pub patience: usize,
    /// Steps between checkpoints that an interrupted stage resumes from.
    pub checkpoint_every: u64,
}

/// Which positions of a training history are targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// Every position but the first, every epoch.
    AllPrefixes,
    /// One random position per user and epoch.
    RandomPrefix,
    /// The last position only.
    Last,
}

/// How often a history is read to learn from its prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Once for every target: each sees exactly the items before it, the last `history_items` of them.
    PerTarget,
    /// Once for all targets, whose readers see prefixes: needs a causal encoder and `targets = "all-prefixes"`. Histories
    /// longer than `history_items` are read in overlapping windows, where a target sees at least half as many items.
    Shared,
}

impl Default for Pretrain {
    fn default() -> Self {
        Self {
            targets: Targets::AllPrefixes,
            encoding: Encoding::PerTarget,
            history_items: 20,
            batch_size: 256,
            epochs: 10,
            max_steps: 0,
            learning_rate: 3e-3,
            warmup_steps: 200,
            weight_decay: 0.05,
            max_grad_norm: 1.0,
            validation_users: 2000,
            evaluate_every: 1,
            patience: 3,
            checkpoint_every: 500,
        }
    }
}
