//! `[tokenize]`, `[model]` and `[pretrain]`: the policy before alignment.

use super::is_default;
use super::sessions::Sessions;
use policy::optimizer::OptimizerConfig;
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

/// `[pretrain]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pretrain {
    /// Which positions of a history are targets.
    pub targets: Targets,
    /// What a target is; absent: the next item.
    #[serde(skip_serializing_if = "is_default")]
    pub sessions: Option<Sessions>,
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
    /// Stop after this many CPU minutes (all threads together) of training and validation, the learning rate decayed by
    /// then; 0 = no limit. What else the machine does costs nothing of it, but it is the one setting under which the same
    /// seed gives other weights on another machine.
    #[serde(skip_serializing_if = "is_default")]
    pub max_cpu_minutes: f64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// That of embeddings; absent: the same. With `sqrt(d_model)` times as much, `t5` and `onerec-moe` learn theirs as fast as
    /// `item-context` and `lazy-decoder`, which multiply what they read by that number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_learning_rate: Option<f64>,
    /// Steps of linear warm-up; cosine decay to zero follows.
    pub warmup_steps: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub max_grad_norm: f64,
    /// Decay of the exponential moving average of the weights that is validated and kept instead of the weights
    /// themselves; 0 = the weights themselves.
    #[serde(skip_serializing_if = "is_default")]
    pub ema_decay: f64,
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
    /// How often a loss or gradient that is not finite sends training back to the newest checkpoint, from where it goes on
    /// with half the learning rate. 0: such a number ends the run.
    #[serde(skip_serializing_if = "is_zero")]
    pub rollbacks: u64,
}

/// Whether the setting is left out of files: fingerprints of runs from before it was added stay what they were.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Pretrain {
    /// What its steps are made of.
    pub fn optimizer(&self) -> OptimizerConfig {
        let embeddings = self.embedding_learning_rate.unwrap_or(self.learning_rate);
        OptimizerConfig {
            weight_decay: self.weight_decay,
            max_grad_norm: self.max_grad_norm,
            embedding_factor: embeddings / self.learning_rate,
        }
    }
    /// Items that a decoding writes.
    pub fn session_items(&self) -> usize {
        self.sessions.as_ref().map_or(1, |sessions| sessions.items)
    }
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
            sessions: None,
            ties: Ties::AsStored,
            encoding: Encoding::PerTarget,
            history_items: 20,
            batch_size: 256,
            epochs: 10,
            max_steps: 0,
            max_cpu_minutes: 0.0,
            learning_rate: 3e-3,
            embedding_learning_rate: None,
            warmup_steps: 200,
            weight_decay: 0.05,
            max_grad_norm: 1.0,
            ema_decay: 0.0,
            label_smoothing: 0.0,
            validation_users: 2000,
            evaluate_every: 1,
            patience: 3,
            checkpoint_every: 500,
            rollbacks: 0,
        }
    }
}
