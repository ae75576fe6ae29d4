//! `[align]`: rounds, and the arms that go through them.

use super::alarms::Alarms;
use super::is_default;
use align::pair_rule::PairRule;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
    /// A file of the ids of items from accounts that flood the platform, one per line, in the directory of the data: what arms with a
    /// `scenario` are to show less of, and what every evaluation counts.
    #[serde(skip_serializing_if = "is_default")]
    pub flooding: Option<PathBuf>,
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
    /// When and how much the judge's score of flooding items falls (`OneRec`'s industrial scenario reward); absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<reward::scenario::Scenario>,
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
            scenario: None,
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
            flooding: None,
            keep: Keep::HeldOut,
        }
    }
}
