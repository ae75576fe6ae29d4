//! `[tokenize]`, `[model]` and `[pretrain]`: the policy before alignment.

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
    /// What is consumed near what in training histories.
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

/// How a policy reads a history and writes codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Encoder-decoder over code tokens, exported as Hugging Face's T5.
    T5,
    /// One token per item, read by a causal stack; a depth decoder writes the codes of the next item. With
    /// `tokenize.quantizer = "item-id"` and no decoder layer it is SASRec with full softmax.
    ItemContext,
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
    /// Encoder blocks.
    pub encoder_layers: usize,
    /// Decoder blocks; only `item-context` can do without.
    pub decoder_layers: usize,
    /// What an encoder token of `t5` sees; in `item-context` it is always causal.
    pub encoder_attention: policy::model::EncoderAttention,
    /// What the blocks of `item-context` that read a history are.
    pub context_block: policy::model::ContextBlock,
    /// What of an item the context of `item-context` shows.
    pub item_embedding: policy::model::ItemEmbedding,
    /// How `item-context` writes the codes of the next item.
    pub code_decoder: policy::model::CodeDecoder,
    /// Whether the logits of `item-context` come from the codes' embeddings or from a table of their own.
    pub head: policy::model::HeadWeights,
    /// Dropout probability in training.
    pub dropout: f64,
}

impl Model {
    /// Whether no state of a history knows what comes after it.
    pub fn is_causal(&self) -> bool {
        self.architecture == Architecture::ItemContext
            || self.encoder_attention == policy::model::EncoderAttention::Causal
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
            encoder_layers: 2,
            decoder_layers: 2,
            encoder_attention: policy::model::EncoderAttention::Bidirectional,
            context_block: policy::model::ContextBlock::Transformer,
            item_embedding: policy::model::ItemEmbedding::Codes,
            code_decoder: policy::model::CodeDecoder::Depth,
            head: policy::model::HeadWeights::Tied,
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
    /// Order of training interactions with equal timestamps.
    pub ties: Ties,
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
    /// Stop after this many minutes of training and validation, the learning rate decayed by then; 0 = no limit. The one
    /// setting under which the same seed gives other weights on another machine.
    pub max_minutes: f64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up; cosine decay to zero follows.
    pub warmup_steps: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub max_grad_norm: f64,
    /// Share of a target's place in the loss that all tokens have together.
    pub label_smoothing: f64,
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

/// Order of training interactions with equal timestamps. Held-out interactions stay where `data.tie_order` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ties {
    /// That of the data.
    AsStored,
    /// Another in every epoch: an augmentation that also hides the order of the file.
    Shuffled,
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
            ties: Ties::AsStored,
            encoding: Encoding::PerTarget,
            history_items: 20,
            batch_size: 256,
            epochs: 10,
            max_steps: 0,
            max_minutes: 0.0,
            learning_rate: 3e-3,
            warmup_steps: 200,
            weight_decay: 0.05,
            max_grad_norm: 1.0,
            label_smoothing: 0.0,
            validation_users: 2000,
            evaluate_every: 1,
            patience: 3,
            checkpoint_every: 500,
        }
    }
}
