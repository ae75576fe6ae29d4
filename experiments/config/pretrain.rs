//! `[pretrain]`: the policy before alignment.

use super::is_default;
use super::sessions::Sessions;
use policy::optimizer::OptimizerConfig;
use serde::{Deserialize, Serialize};

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
    /// Stop when this many tokens of targets have been learnt, the codes of a target all counted; 0 = no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub max_tokens: u64,
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
            max_tokens: 0,
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
