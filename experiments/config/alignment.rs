//! `[reward]`, `[sample]`, `[align]` and `[evaluate]`: judges, rollouts, updates and what is measured.

use super::is_default;
use align::pair_rule::PairRule;
use reward::training::WEIGHT_DECAY;
use sampler::method::Method;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[reward]`: two judges of one architecture, trained on disjoint users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reward {
    /// What a judge knows of an item.
    pub item_features: reward::features::ItemFeatures,
    /// Whether it also learns how much every item is worth to everybody: `hidden` or `learned`. Not for logs whose choice of items gives labels
    /// away, as KuaiRand's.
    #[serde(skip_serializing_if = "super::is_default")]
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
    #[serde(skip_serializing_if = "super::is_default")]
    pub architecture: reward::model::Kind,
    /// Another one for the held-out judge; absent: the same.
    #[serde(skip_serializing_if = "super::is_default")]
    pub held_out_architecture: Option<reward::model::Kind>,
    /// Further judges of other seeds on the proxy's users, whose mean and disagreement are a judge of its own; 0: none.
    #[serde(skip_serializing_if = "super::is_default")]
    pub ensemble: usize,
    /// When a watch time counts as long (`swt`): `median`, or `duration-aware` (OneRec-V2).
    #[serde(skip_serializing_if = "super::is_default")]
    pub watch_label: reward::labels::WatchLabel,
    /// How watch time is predicted as a number, beside the heads: `regression`, `ordinal` or `generative`; absent: not. For
    /// all but `session`.
    #[serde(skip_serializing_if = "super::is_default")]
    pub watch_time: Option<reward::watch::Kind>,
    /// Another head that the proxy is also trained with, from the same weights on the same users in the same order: what
    /// `watch_time` gains over it is told by paired intervals over users. Absent: not.
    #[serde(skip_serializing_if = "super::is_default")]
    pub watch_baseline: Option<reward::watch::Kind>,
    /// The feedback column with the probability that the interaction was shown: training counts every interaction as often
    /// as its inverse says, at most 20 times the mean. For heads alone: not with `p-score` or `watch_time`.
    #[serde(skip_serializing_if = "super::is_default")]
    pub propensity: Option<String>,
    /// Bootstrap resamples of users behind the intervals of the judges' quality; 0: no intervals, pair accuracy, NDCG or
    /// drift.
    #[serde(skip_serializing_if = "super::is_default")]
    pub resamples: usize,
    /// Whether the judges are also compared with the Bayes-optimal prediction; for the built-in world, whose truth is known, and
    /// `watch_label = "median"`.
    #[serde(skip_serializing_if = "super::is_default")]
    pub attainable: Attainable,
    /// Of this many evaluation users, at most 10,000, what the log tells of them at best is inferred too, and the proxy held against
    /// it; with `attainable = "measured"`, in worlds without a feed. One to two CPU seconds per user with twenty interactions.
    #[serde(skip_serializing_if = "super::is_default")]
    pub inferred_users: usize,
    /// The proxy is also trained on these shares of its users, to see what more data would give.
    #[serde(skip_serializing_if = "super::is_default")]
    pub learning_curve: Vec<f64>,
    /// The proxy is also trained with these shares of its labels turned over, to see how much noise it endures.
    #[serde(skip_serializing_if = "super::is_default")]
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

/// `[sample]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// Users whose candidates are sampled, per round and arm.
    pub users: usize,
    /// Candidates per user: the beam width.
    pub beam_width: usize,
    /// Over which continuations probabilities are normalised, everywhere.
    pub log_prob_space: policy::log_prob::LogProbSpace,
    /// Least difference of judge scores within a pair.
    pub min_margin: f64,
    /// How candidates are found; always under the trie.
    #[serde(skip_serializing_if = "is_default")]
    pub method: Method,
    /// Training interactions of every user that are left after the one to be predicted, for rewards that look further ahead (`reward` =
    /// `msra`); fewer where the history has fewer.
    #[serde(skip_serializing_if = "is_default")]
    pub later: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            users: 1000,
            beam_width: 16,
            log_prob_space: policy::log_prob::LogProbSpace::Trie,
            min_margin: 0.0,
            method: Method::Beam,
            later: 0,
        }
    }
}

/// `[align]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Align {
    /// Rounds of sample and update.
    pub rounds: usize,
    /// Users per step.
    pub batch_size: usize,
    /// Passes over a round's rollouts.
    pub epochs: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Largest global gradient norm.
    pub max_grad_norm: f64,
    /// Arms: each starts from the pretrained policy and is aligned with its own objective on its own rollouts.
    pub arms: Vec<Arm>,
    /// Candidates are sampled anew every so many rounds; more than 1 needs `stale = "weights"`.
    #[serde(skip_serializing_if = "is_one")]
    pub sample_every: usize,
    /// What to do with rollouts of another policy than the one that enters the round.
    #[serde(skip_serializing_if = "is_default")]
    pub stale: Stale,
    /// What is watched during a round.
    #[serde(skip_serializing_if = "is_default")]
    pub alarms: Alarms,
    /// Which round's policy of an arm is evaluated and exported.
    #[serde(skip_serializing_if = "is_default")]
    pub keep: Keep,
}

/// Which round's policy an arm ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// That of the round after which the held-out judge scored the probed users' lists highest; the proxy has no say, or a policy
    /// that games it would be the one to be kept.
    #[default]
    HeldOut,
    /// That of the last round, whatever it has become.
    Last,
}

/// `[align.alarms]`; absent ones are silent, but for `goodhart` and `truth`, which warn. What is not finite always stops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alarms {
    /// The proxy gains and the held-out judge loses, each by so many standard errors of the paired difference over probed users, since
    /// the pretrained policy or since the round began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodhart: Option<Alarm>,
    /// The same of the truth in place of the held-out judge, in the built-in world: what a flaw of the log itself does, which every judge
    /// trained on it shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truth: Option<Alarm>,
    /// Divergence from the pretrained policy, in nats per item: the policy is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Alarm>,
    /// Fall of the policy's entropy since the round began, in nats per item: exploration ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entropy: Option<Alarm>,
    /// Least share of draws without the trie that are items: probability squeezed out of the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legality: Option<Alarm>,
    /// Least share of different items among all that probed users are shown: everybody gets the same list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Alarm>,
    /// Rise of the share of head items since the round began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_share: Option<Alarm>,
    /// Distance of the rollouts' mean importance weight from 1: they are of another policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<Alarm>,
    /// Fall of the rank correlation of proxy and held-out judge over drawn items since the round began: the judges no longer know what
    /// they are asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Alarm>,
    /// Estimated divergence from the reference, in nats per token: the policy ran away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<Alarm>,
    /// Fall of the mean log-probability of chosen items since the round's first step, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen_decline: Option<Alarm>,
    /// Norm of the gradient before clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grad_norm: Option<Alarm>,
    /// Share of the round's groups whose candidates all score the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero_variance: Option<Alarm>,
}

/// Kinds of alarms.
pub const KINDS: usize = 13;

impl Alarms {
    /// Every alarm by its name.
    pub const fn all(&self) -> [(&'static str, Option<Alarm>); KINDS] {
        [
            ("goodhart", self.goodhart),
            ("truth", self.truth),
            ("divergence", self.divergence),
            ("entropy", self.entropy),
            ("legality", self.legality),
            ("distinct", self.distinct),
            ("head_share", self.head_share),
            ("stale", self.stale),
            ("agreement", self.agreement),
            ("kl", self.kl),
            ("chosen_decline", self.chosen_decline),
            ("grad_norm", self.grad_norm),
            ("zero_variance", self.zero_variance),
        ]
    }
}

impl Default for Alarms {
    fn default() -> Self {
        Self {
            goodhart: Some(Alarm { limit: 1.96, then: Then::Warn }),
            truth: Some(Alarm { limit: 1.96, then: Then::Warn }),
            divergence: None,
            entropy: None,
            legality: None,
            distinct: None,
            head_share: None,
            stale: None,
            agreement: None,
            kl: None,
            chosen_decline: None,
            grad_norm: None,
            zero_variance: None,
        }
    }
}

/// One alarm: `{ limit = 2.0, then = "stop" }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// Beyond it the alarm is raised; above 0.
    pub limit: f64,
    /// What happens then.
    #[serde(default)]
    pub then: Then,
}

/// What happens when an alarm is raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// A warning, once per round.
    #[default]
    Warn,
    /// The run ends with an exit code of its own; the policy that entered the round is kept.
    Stop,
    /// The learning rate is halved for the rest of the round, at every step at which the alarm is raised.
    LowerTheStep,
}

/// What to do with rollouts of an older policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// Refuse them.
    #[default]
    Refuse,
    /// Take them. Ratios and references are those of the policy that enters the round; a candidate's advantage is multiplied by the
    /// truncated importance weight `min(entering / sampling, 2)` of its whole ID (TRL's truncated importance sampling).
    Weights,
}

/// What anchors an arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reference {
    /// The policy at the start of the round: the anchor moves (`OneRec`, Alg. 2).
    #[default]
    Round,
    /// The pretrained policy, throughout (DPO).
    Pretrained,
    /// An exponential moving average of the policy's weights over all steps of the arm, from the pretrained policy on (TR-DPO's soft
    /// update, 2404.09656, at every step).
    Ema {
        /// Share of the average that stays at each step, in `[0, 1)`.
        decay: f64,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_one(value: &usize) -> bool {
    *value == 1
}

/// One `[[align.arms]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Name in files, curves and tables.
    pub name: String,
    /// What is optimised.
    pub objective: align::objective::Objective,
    /// Which candidates preference objectives compare.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pairs: PairRule,
    /// A file of preferences to learn from instead of the rollouts: Parquet or JSON lines with `prompt`, `chosen` and `rejected`,
    /// as in `pairs.parquet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<PathBuf>,
    /// What the policy is kept close to, where the objective has a reference.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reference: Reference,
}

impl Default for Align {
    fn default() -> Self {
        let arm = |name: &str, objective| Arm {
            name: name.into(),
            objective,
            pairs: PairRule::default(),
            imported: None,
            reference: Reference::Round,
        };
        Self {
            rounds: 2,
            batch_size: 32,
            epochs: 1,
            learning_rate: 1e-4,
            max_grad_norm: 1.0,
            arms: vec![
                arm("ipa", align::objective::Objective::Ipa(align::ipa::Ipa::default())),
                arm("grpo", align::objective::Objective::Grpo(align::grpo::Grpo::default())),
            ],
            sample_every: 1,
            stale: Stale::Refuse,
            alarms: Alarms::default(),
            keep: Keep::HeldOut,
        }
    }
}

/// `[evaluate]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluate {
    /// Test users; 0 = all.
    pub users: usize,
    /// Beam width; at least the largest cut-off.
    pub beam_width: usize,
    /// Cut-offs of Recall and NDCG.
    pub cutoffs: Vec<usize>,
    /// Recommended items that the judges score.
    pub judged_items: usize,
    /// Bootstrap resamples behind every interval.
    pub resamples: usize,
    /// Whether policies also search without the trie.
    #[serde(skip_serializing_if = "is_default")]
    pub free_beams: FreeBeams,
    /// Policies also search with pruning (CORP, a reconstruction): paths whose consistency, in `(0, 1]`, is below it make room for others, and
    /// what that changes is measured ([`sampler::consistency`]). 0: not measured.
    #[serde(skip_serializing_if = "is_default")]
    pub min_consistency: f64,
    /// Numbers of candidates per request, rising, at which test-time scaling is measured: pass@K, beams of this width, and the
    /// proxy judge's choice among as many draws and beams. Empty: not measured. Per policy it takes about as long as one beam
    /// three times as wide as these together.
    #[serde(skip_serializing_if = "is_default")]
    pub scaling: Vec<usize>,
    /// Test users it is measured on, drawn at random; 0 = all that are evaluated.
    #[serde(skip_serializing_if = "is_default")]
    pub scaling_users: usize,
}

/// Whether policies also search without the trie: as many beams, of which those that are no item count as misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreeBeams {
    /// They do not.
    #[default]
    Off,
    /// They do: Recall, NDCG and the share of beams that are items.
    Measured,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            users: 0,
            beam_width: 50,
            cutoffs: vec![5, 10, 50],
            judged_items: 10,
            resamples: 1000,
            free_beams: FreeBeams::Off,
            min_consistency: 0.0,
            scaling: Vec::new(),
            scaling_users: 0,
        }
    }
}
