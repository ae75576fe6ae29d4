//! Every objective an arm can have, chosen by `kind`.

use crate::dpo::Dpo;
use crate::duration::DurationAware;
use crate::format::Format;
use crate::grpo::Grpo;
use crate::ipa::Ipa;
use crate::ntp::Ntp;
use crate::reference_free::{Cpo, Orpo, Simpo};
use crate::softmax_dpo::SoftmaxDpo;
use serde::{Deserialize, Serialize};

/// What an arm optimises. A key of another objective is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Objective {
    /// Next-token prediction with DPO on best and worst candidates.
    Ipa(Ipa),
    /// Policy gradient on group-relative advantages.
    Grpo(Grpo),
    /// DPO and its variants on pairs.
    Dpo(Dpo),
    /// DPO with several rejected candidates.
    SDpo(SoftmaxDpo),
    /// CPO, without a reference.
    Cpo(Cpo),
    /// `SimPO`, without a reference.
    Simpo(Simpo),
    /// ORPO, without a reference.
    Orpo(Orpo),
    /// Next-token prediction of what users really did.
    Ntp(Ntp),
    /// Policy gradient on what users were shown, by how long they played it.
    DurationAware(DurationAware),
    /// Reward for completions that name an item.
    Format(Format),
    /// Several of these, weighted.
    Sum(Sum),
}

/// `kind = "sum"`: `sum_i weight_i objective_i`. MPO (2411.10442) is DPO's `sigmoid`, `bco-pair` and `sft`; the `OneRec` report's
/// (2506.13695) is `ntp`, `grpo` with `ecpo`, and `format`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// What is added up; at least one.
    pub terms: Vec<Term>,
}

/// One term of a [`Sum`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Its weight; at least 0.
    #[serde(default = "one")]
    pub weight: f64,
    /// What it optimises.
    pub objective: Objective,
}

const fn one() -> f64 {
    1.0
}

/// What an objective learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// One preferred and one other candidate.
    Pairs,
    /// One preferred and one or more other candidates.
    Sets,
    /// All candidates of a user, with their scores.
    Groups,
    /// What users did.
    Log,
    /// Completions drawn over the whole vocabulary.
    Completions,
}

impl Objective {
    /// This objective, or the terms it is a sum of (of sums), with their weights.
    pub fn terms(&self) -> Vec<(f64, &Self)> {
        match self {
            Self::Sum(Sum { terms }) => terms
                .iter()
                .flat_map(|term| {
                    let inner = term.objective.terms().into_iter();
                    inner.map(|(weight, objective)| (term.weight * weight, objective))
                })
                .collect(),
            _ => vec![(1.0, self)],
        }
    }

    /// What it learns from; of a sum, ask its terms.
    pub const fn source(&self) -> Option<Source> {
        match self {
            Self::Ipa(_) | Self::Dpo(_) | Self::Cpo(_) | Self::Simpo(_) | Self::Orpo(_) => {
                Some(Source::Pairs)
            }
            Self::SDpo(_) => Some(Source::Sets),
            Self::Grpo(_) => Some(Source::Groups),
            Self::Ntp(_) | Self::DurationAware(_) => Some(Source::Log),
            Self::Format(_) => Some(Source::Completions),
            Self::Sum(_) => None,
        }
    }

    /// Whether any part of it learns from this.
    pub fn learns_from(&self, source: Source) -> bool {
        self.terms().iter().any(|(_, term)| term.source() == Some(source))
    }

    /// Its `kind`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ipa(_) => "ipa",
            Self::Grpo(_) => "grpo",
            Self::Dpo(_) => "dpo",
            Self::SDpo(_) => "s-dpo",
            Self::Cpo(_) => "cpo",
            Self::Simpo(_) => "simpo",
            Self::Orpo(_) => "orpo",
            Self::Ntp(_) => "ntp",
            Self::DurationAware(_) => "duration-aware",
            Self::Format(_) => "format",
            Self::Sum(_) => "sum",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Objective {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_kind_chooses_the_keys() {
        let objective = parsed(r#"{"kind": "ipa", "beta": 0.5}"#);
        assert_eq!(objective, Objective::Ipa(Ipa { beta: 0.5, ..Ipa::default() }));
        let foreign = serde_json::from_str::<Objective>(r#"{"kind": "grpo", "beta": 0.5}"#).unwrap_err();
        assert!(foreign.to_string().contains("unknown field `beta`"), "{foreign}");
        let foreign = r#"{"kind": "grpo", "surrogate": {"kind": "ecpo", "bound": 0.5}}"#;
        assert!(serde_json::from_str::<Objective>(foreign).is_err());
    }

    #[test]
    fn defaults_survive_a_round_trip() {
        let sum = Sum { terms: vec![Term { weight: 0.5, objective: Objective::Ntp(Ntp::default()) }] };
        for objective in [
            Objective::Ipa(Ipa::default()),
            Objective::Grpo(Grpo::default()),
            Objective::Dpo(Dpo::default()),
            Objective::SDpo(SoftmaxDpo::default()),
            Objective::Cpo(Cpo::default()),
            Objective::Simpo(Simpo::default()),
            Objective::Orpo(Orpo::default()),
            Objective::Ntp(Ntp::default()),
            Objective::DurationAware(DurationAware::default()),
            Objective::Format(Format::default()),
            Objective::Sum(sum),
        ] {
            let text = serde_json::to_string(&objective).unwrap();
            assert!(text.starts_with(&format!(r#"{{"kind":"{}""#, objective.name())), "{text}");
            assert_eq!(parsed(&text), objective);
        }
    }

    /// Fingerprints of stages hash the resolved configuration: a new key must not change what an old file resolves to.
    #[test]
    fn defaults_of_newer_keys_are_not_written() {
        let text = serde_json::to_string(&Objective::Grpo(Grpo::default())).unwrap();
        let expected = r#"{"kind":"grpo","clip_low":0.2,"clip_high":0.2,"kl_weight":0.001,"advantage":"standardized","aggregation":"per-sequence"}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn weights_of_nested_sums_multiply() {
        let objective = parsed(
            r#"{"kind": "sum", "terms": [
                {"weight": 2, "objective": {"kind": "sum", "terms": [{"weight": 3, "objective": {"kind": "ntp"}}]}},
                {"objective": {"kind": "grpo"}}]}"#,
        );
        let terms: Vec<_> = objective.terms().iter().map(|(weight, term)| (*weight, term.name())).collect();
        assert_eq!(terms, [(6.0, "ntp"), (1.0, "grpo")]);
        assert!(objective.learns_from(Source::Groups) && !objective.learns_from(Source::Pairs));
    }
}
