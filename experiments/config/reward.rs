//! `[reward]`: the judges.

use super::is_default;
use reward::training::WEIGHT_DECAY;
use serde::{Deserialize, Serialize};

/// `[reward]`: two judges of one architecture, trained on disjoint users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reward {
    /// What a judge knows of an item.
    pub item_features: reward::features::ItemFeatures,
    /// Whether it also learns how much every item is worth to everybody: `hidden` or `learned`. Not for logs whose choice of items gives labels
    /// away, as KuaiRand's.
    #[serde(skip_serializing_if = "is_default")]
    pub item_identity: reward::features::ItemIdentity,
    /// Width of user and item representations.
    pub width: usize,
    /// Items in a training session (OneRec: 5).
    pub session_items: usize,
    /// Most recent items that describe the user.
    pub history_items: usize,
    /// Sampled sessions per observed one where the log has no feedback.
    pub negatives: usize,
    /// Passes over the sessions.
    pub epochs: usize,
    /// Sessions per step.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay: much for hundreds of users, little for tens of thousands.
    #[serde(skip_serializing_if = "is_usual_decay")]
    pub weight_decay: f64,
    /// Share of users kept for judging the judges; the rest is halved between them.
    pub evaluation_share: f64,
    /// How heads become one score. With `p-score`, the weights of the heads in the loss of the learned score.
    pub fusion: reward::fusion::Fusion,
    /// Which reward model: `session`, `towers`, `retrieval`, `p-score` or `metric`.
    #[serde(skip_serializing_if = "is_default")]
    pub architecture: reward::model::Kind,
    /// Another one for the held-out judge; absent: the same.
    #[serde(skip_serializing_if = "is_default")]
    pub held_out_architecture: Option<reward::model::Kind>,
    /// Further judges of other seeds on the proxy's users, whose mean and disagreement are a judge of its own; 0: none.
    #[serde(skip_serializing_if = "is_default")]
    pub ensemble: usize,
    /// When a watch time counts as long (`swt`): `median`, or `duration-aware` (OneRec-V2).
    #[serde(skip_serializing_if = "is_default")]
    pub watch_label: reward::labels::WatchLabel,
    /// How watch time is predicted as a number, beside the heads: `regression`, `ordinal` or `generative`; absent: not. For
    /// all but `session`.
    #[serde(skip_serializing_if = "is_default")]
    pub watch_time: Option<reward::watch::Kind>,
    /// Another head that the proxy is also trained with, from the same weights on the same users in the same order: what
    /// `watch_time` gains over it is told by paired intervals over users. Absent: not.
    #[serde(skip_serializing_if = "is_default")]
    pub watch_baseline: Option<reward::watch::Kind>,
    /// The feedback column with the probability that the interaction was shown: training counts every interaction as often
    /// as its inverse says, at most 20 times the mean. For heads alone: not with `p-score` or `watch_time`.
    #[serde(skip_serializing_if = "is_default")]
    pub propensity: Option<String>,
    /// Bootstrap resamples of users behind the intervals of the judges' quality; 0: no intervals, pair accuracy, NDCG or
    /// drift.
    #[serde(skip_serializing_if = "is_default")]
    pub resamples: usize,
    /// Whether the judges are also compared with the Bayes-optimal prediction; for the built-in world, whose truth is known, and
    /// `watch_label = "median"`.
    #[serde(skip_serializing_if = "is_default")]
    pub attainable: Attainable,
    /// Of this many evaluation users, at most 10,000, what the log tells of them at best is inferred too, and the proxy held against
    /// it; with `attainable = "measured"`, in worlds without a feed. One to two CPU seconds per user with twenty interactions.
    #[serde(skip_serializing_if = "is_default")]
    pub inferred_users: usize,
    /// The proxy is also trained on these shares of its users, to see what more data would give.
    #[serde(skip_serializing_if = "is_default")]
    pub learning_curve: Vec<f64>,
    /// The proxy is also trained with these shares of its labels turned over, to see how much noise it endures.
    #[serde(skip_serializing_if = "is_default")]
    pub label_noise: Vec<f64>,
}

impl Default for Reward {
    fn default() -> Self {
        Self {
            item_features: reward::features::ItemFeatures::Embeddings,
            item_identity: reward::features::ItemIdentity::Hidden,
            width: 64,
            session_items: 5,
            history_items: 20,
            negatives: 1,
            epochs: 3,
            batch_size: 128,
            learning_rate: 1e-3,
            weight_decay: WEIGHT_DECAY,
            evaluation_share: 0.2,
            fusion: reward::fusion::Fusion::default(),
            architecture: reward::model::Kind::default(),
            held_out_architecture: None,
            ensemble: 0,
            watch_label: reward::labels::WatchLabel::default(),
            watch_time: None,
            watch_baseline: None,
            propensity: None,
            resamples: 0,
            attainable: Attainable::Unknown,
            inferred_users: 0,
            learning_curve: Vec::new(),
            label_noise: Vec::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_usual_decay(value: &f64) -> bool {
    value.to_bits() == WEIGHT_DECAY.to_bits()
}

/// Whether the judges are compared with what could be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attainable {
    /// They are not.
    #[default]
    Unknown,
    /// They are: the Bayes-optimal AUC of every head, and how far below it the judges are.
    Measured,
}
