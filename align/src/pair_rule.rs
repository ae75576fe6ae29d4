//! Which of a user's candidates a preference loss compares.

use crate::pairs::{NonFiniteScore, ScoredCandidates, check_scores};
use policy::ids::ItemId;
use serde::{Deserialize, Serialize};

/// `pairs` of an arm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairRule {
    /// Which candidates are preferred and which are not.
    pub contrast: Contrast,
    /// Candidates that each preferred one is compared with; at least 1. Only `s-dpo` takes more than one; S-DPO's own is 3.
    pub negatives: usize,
    /// Who says which candidate is better.
    pub label: Label,
    /// Largest share of the judge's heads that may order a pair the other way than their fused score does, in `[0, 1]`; 1 keeps all.
    pub max_disagreement: f64,
}

impl Default for PairRule {
    fn default() -> Self {
        Self { contrast: Contrast::BestWorst, negatives: 1, label: Label::Proxy, max_disagreement: 1.0 }
    }
}

/// Which candidates are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contrast {
    /// The best one against the worst ones (`OneRec`, 2502.18965, Alg. 2).
    #[default]
    BestWorst,
    /// The best one against the most probable ones that score less: what the policy is wrong about.
    Hard,
    /// What the user really took against the policy's own most probable candidates (`SPRec`, 2412.09243); no score is asked.
    SelfPlay,
}

/// Who says which candidate is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// The proxy judge.
    #[default]
    Proxy,
    /// The truth of the built-in world: the best labels there can be.
    Oracle,
    /// The pretrained policy's log-probability of what the user really took next, had the candidate been taken before: how
    /// much a candidate helps the downstream task, after `LettinGo`, which judges user profiles so. A reconstruction.
    Downstream,
}

/// A preferred candidate and those it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferenceSet {
    /// The preferred one.
    pub chosen: Position,
    /// Positions of the others in the user's list, the most telling first.
    pub rejected: Vec<usize>,
}

/// Where an item comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The user's list of candidates, at this position.
    Candidate(usize),
    /// What the user really took.
    Observed,
}

/// What else a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The item the user really took.
    pub observed: ItemId,
    /// Scores of the judge's heads, one list per head, one score per candidate; empty where nobody asks.
    pub heads: &'a [Vec<f64>],
    /// Least difference of scores within a pair.
    pub min_margin: f64,
}

impl PairRule {
    /// The set of one user; `None` if there are not enough candidates that satisfy the rule. An item is never compared with itself,
    /// and ties go to the more probable candidate.
    ///
    /// # Errors
    /// If a score that counts is NaN or infinite.
    ///
    /// # Panics
    /// If there are not as many scores as items.
    pub fn set(
        &self,
        candidates: ScoredCandidates<'_>,
        evidence: &Evidence<'_>,
    ) -> Result<Option<PreferenceSet>, NonFiniteScore> {
        let items = candidates.items;
        let (chosen, order) = if self.contrast == Contrast::SelfPlay {
            let others = (0..items.len()).filter(|&at| items[at] != evidence.observed);
            (Position::Observed, others.collect())
        } else {
            check_scores(candidates)?;
            let Some(best) = best(candidates.scores) else { return Ok(None) };
            (Position::Candidate(best), self.worse(best, candidates, evidence))
        };
        let rejected = distinct(order, items, self.negatives);
        Ok((rejected.len() == self.negatives).then_some(PreferenceSet { chosen, rejected }))
    }

    /// Candidates that `best` beats, in the order of the contrast.
    fn worse(&self, best: usize, candidates: ScoredCandidates<'_>, evidence: &Evidence<'_>) -> Vec<usize> {
        let ScoredCandidates { items, scores, .. } = candidates;
        let mut worse: Vec<usize> = (0..items.len())
            .filter(|&at| items[at] != items[best])
            .filter(|&at| {
                let margin = scores[best] - scores[at];
                margin > 0.0 && margin >= evidence.min_margin
            })
            .filter(|&at| disagreement(evidence.heads, best, at) <= self.max_disagreement)
            .collect();
        if self.contrast == Contrast::BestWorst {
            // Stable: the more probable one of equals stays first.
            worse.sort_by(|&a, &b| {
                scores[a].partial_cmp(&scores[b]).expect("scores are finite, checked before")
            });
        }
        worse
    }
}

/// The first of the highest.
fn best(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).reduce(|best, at| if scores[at] > scores[best] { at } else { best })
}

/// Share of the heads that prefer `worse`.
fn disagreement(heads: &[Vec<f64>], better: usize, worse: usize) -> f64 {
    let against = heads.iter().filter(|head| head[worse] > head[better]).count();
    against as f64 / heads.len().max(1) as f64
}

/// The first `most` positions of different items.
fn distinct(order: Vec<usize>, items: &[ItemId], most: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::with_capacity(most);
    for at in order {
        if kept.len() < most && kept.iter().all(|&other| items[other] != items[at]) {
            kept.push(at);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::best_and_worst;
    use policy::ids::UserId;
    use proptest::prelude::*;

    fn items(numbers: &[usize]) -> Vec<ItemId> {
        numbers.iter().copied().map(ItemId::new).collect()
    }

    fn set(rule: PairRule, scores: &[f64], evidence: &Evidence<'_>) -> Option<(Position, Vec<usize>)> {
        let items = items(&[10, 11, 12, 13, 14]);
        let candidates = ScoredCandidates { user: UserId::new(0), items: &items[..scores.len()], scores };
        rule.set(candidates, evidence).unwrap().map(|set| (set.chosen, set.rejected))
    }

    fn evidence(heads: &[Vec<f64>]) -> Evidence<'_> {
        Evidence { observed: ItemId::new(11), heads, min_margin: 0.0 }
    }

    const SCORES: [f64; 5] = [0.5, 0.9, 0.1, 0.4, 0.1];

    #[test]
    fn worst_and_hard_negatives_differ_in_their_order() {
        let rule = PairRule { negatives: 3, ..PairRule::default() };
        let best = Position::Candidate(1);
        assert_eq!(set(rule, &SCORES, &evidence(&[])), Some((best, vec![2, 4, 3])));
        let hard = PairRule { contrast: Contrast::Hard, ..rule };
        assert_eq!(set(hard, &SCORES, &evidence(&[])), Some((best, vec![0, 2, 3])));
        let narrow = Evidence { min_margin: 0.45, ..evidence(&[]) };
        assert_eq!(set(hard, &SCORES, &narrow), Some((best, vec![2, 3, 4])));
        assert_eq!(set(PairRule { negatives: 5, ..hard }, &SCORES, &evidence(&[])), None, "too few");
    }

    #[test]
    fn self_play_prefers_what_was_taken_to_what_the_policy_shows_first() {
        let rule = PairRule { contrast: Contrast::SelfPlay, negatives: 2, ..PairRule::default() };
        let found = set(rule, &[f64::NAN; 5], &evidence(&[]));
        assert_eq!(found, Some((Position::Observed, vec![0, 2])), "no score is asked");
    }

    #[test]
    fn pairs_that_the_heads_dispute_are_dropped() {
        let heads = [vec![0.0, 1.0, 0.5, 0.9, 0.0], vec![0.0, 0.0, 0.5, 0.9, 0.0]];
        let rule = PairRule { max_disagreement: 0.4, negatives: 2, ..PairRule::default() };
        let found = set(rule, &SCORES, &evidence(&heads));
        assert_eq!(found, Some((Position::Candidate(1), vec![4, 0])), "the second head prefers 2 and 3");
    }

    proptest! {
        #[test]
        fn the_default_rule_gives_the_best_and_the_worst(
            list in prop::collection::vec((0..6usize, -3i32..3), 0..12),
            min_margin in 0.0..3.0f64,
        ) {
            let items = items(&list.iter().map(|entry| entry.0).collect::<Vec<_>>());
            let scores: Vec<_> = list.iter().map(|entry| f64::from(entry.1)).collect();
            let candidates = ScoredCandidates { user: UserId::new(7), items: &items, scores: &scores };
            let evidence = Evidence { min_margin, ..evidence(&[]) };
            let set = PairRule::default().set(candidates, &evidence).unwrap();
            let pair = best_and_worst(candidates, min_margin).unwrap();
            let expected = pair.map(|pair| PreferenceSet {
                chosen: Position::Candidate(pair.chosen),
                rejected: vec![pair.rejected],
            });
            prop_assert_eq!(set, expected);
        }
    }
}
