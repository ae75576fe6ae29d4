//! `[align.alarms]`: what may not go unnoticed.

use serde::{Deserialize, Serialize};

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
