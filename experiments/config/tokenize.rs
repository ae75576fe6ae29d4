//! `[tokenize]`: how items get their semantic IDs.

use serde::{Deserialize, Serialize};

/// `[tokenize]`: how items get their semantic IDs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokenize {
    /// Which vectors are quantised.
    pub vectors: Vectors,
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
    /// How collaborative vectors are made, for every choice of `vectors` but `text`.
    pub collaborative: policy::collaborative::CollaborativeConfig,
    /// How the fusion is learned, for `vectors = "aligned"`.
    pub contrastive: policy::collaborative::contrastive::ContrastiveConfig,
    /// Training of `rq-vae` and `residual-vq`.
    pub rq_vae: policy::quantize::LearnedConfig,
}

/// Which vectors are quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vectors {
    /// The data set's own, see `[data.embeddings]`.
    Text,
    /// What is consumed near what in training histories. Rare items have short vectors, which crowd into few codes unless
    /// `normalize = "unit"`.
    Collaborative,
    /// The principal components of the data set's own beside the collaborative ones, each part of unit length.
    Fused,
    /// Both parts in one space, learned by contrast and distillation; the sum of the two.
    Aligned,
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
            vectors: Vectors::Text,
            quantizer: policy::quantize::Quantizer::BalancedResidualKmeans,
            levels: 3,
            codes: 256,
            iterations: 20,
            sweep_order: policy::quantize::SweepOrder::Shuffled,
            normalize: policy::quantize::Normalize::None,
            collisions: policy::quantize::Collisions::Digit,
            new_items: policy::quantize::NewItems::Argmin,
            collaborative: policy::collaborative::CollaborativeConfig::default(),
            contrastive: policy::collaborative::contrastive::ContrastiveConfig::default(),
            rq_vae: policy::quantize::LearnedConfig::default(),
        }
    }
}
