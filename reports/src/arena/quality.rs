//! What is wrong with votes: sides, voters, cycles, contradictions.

use super::bradley_terry::Tally;
use super::{Outcome, Vote};
use std::collections::BTreeMap;

/// Findings are reported where chance would bring them once in a hundred times.
const CHANCE: f64 = 0.01;
/// A voter with fewer votes is not judged.
const LEAST_VOTES: usize = 10;

/// A reason to trust the standings less.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// One side is preferred whoever stands there.
    SideBias {
        /// Share of decided votes for the left.
        left_share: f64,
        /// Decided votes.
        votes: usize,
        /// Probability of a share so far from one half by chance.
        p: f64,
    },
    /// A voter always takes one side.
    OneSided {
        /// The unit.
        voter: usize,
        /// Its decided votes.
        votes: usize,
    },
    /// A voter votes against the others.
    Contrarian {
        /// The unit.
        voter: usize,
        /// Share of its decided votes that agree with the majority of the others.
        agreement: f64,
        /// Votes that could be compared.
        votes: usize,
    },
    /// Majorities go in circles.
    Cycles {
        /// Triples of players whose majorities are a cycle.
        cyclic: usize,
        /// Triples with a majority in every pair.
        triples: usize,
    },
}

/// Checks votes; units are taken for voters.
pub fn findings(players: usize, votes: &[Vote]) -> Vec<Finding> {
    let mut found: Vec<Finding> = side_bias(votes).into_iter().collect();
    let all = Tally::of(players, votes);
    let mut voters: BTreeMap<usize, Vec<&Vote>> = BTreeMap::new();
    for vote in votes.iter().filter(|vote| vote.outcome != Outcome::Tie) {
        voters.entry(vote.unit).or_default().push(vote);
    }
    for (voter, votes) in voters.into_iter().filter(|(_, votes)| votes.len() >= LEAST_VOTES) {
        found.extend(one_sided(voter, &votes));
        found.extend(contrarian(voter, &votes, &all));
    }
    found.extend(cycles(&all));
    found
}

fn side_bias(votes: &[Vote]) -> Option<Finding> {
    let left = votes.iter().filter(|vote| vote.outcome == Outcome::Left).count();
    let right = votes.iter().filter(|vote| vote.outcome == Outcome::Right).count();
    let votes = left + right;
    let p = two_sided(left, votes);
    (p < CHANCE).then(|| Finding::SideBias { left_share: left as f64 / votes as f64, votes, p })
}

fn one_sided(voter: usize, votes: &[&Vote]) -> Option<Finding> {
    let same = votes.iter().all(|vote| vote.outcome == votes[0].outcome);
    // A voter may have seen the same player on one side all the time.
    let varied = votes.iter().any(|vote| winner(vote) != winner(votes[0]));
    (same && varied).then_some(Finding::OneSided { voter, votes: votes.len() })
}

fn contrarian(voter: usize, votes: &[&Vote], all: &Tally) -> Option<Finding> {
    let own = Tally::of(all.players(), votes.iter().copied());
    let others = |i, j| all.wins(i, j) - own.wins(i, j);
    let agrees = |vote: &&&Vote| {
        let (winner, loser) = winner(vote);
        let difference = others(winner, loser) - others(loser, winner);
        (difference != 0.0).then_some(difference > 0.0)
    };
    let compared: Vec<bool> = votes.iter().filter_map(|vote| agrees(&vote)).collect();
    let agreed = compared.iter().filter(|agrees| **agrees).count();
    let against = 2 * agreed < compared.len() && two_sided(agreed, compared.len()) < CHANCE;
    let agreement = agreed as f64 / compared.len().max(1) as f64;
    against.then_some(Finding::Contrarian { voter, agreement, votes: compared.len() })
}

/// Winner and loser of a decided vote.
fn winner(vote: &Vote) -> (usize, usize) {
    match vote.outcome {
        Outcome::Right => (vote.right, vote.left),
        _ => (vote.left, vote.right),
    }
}

fn cycles(tally: &Tally) -> Option<Finding> {
    let beats = |i, j| tally.wins(i, j) > tally.wins(j, i);
    let decided = |i, j| beats(i, j) || beats(j, i);
    let (mut cyclic, mut triples) = (0, 0);
    for i in 0..tally.players() {
        for j in 0..i {
            for k in (0..j).filter(|&k| decided(i, j) && decided(j, k) && decided(i, k)) {
                triples += 1;
                // A cycle is where each of the three beats one of the others.
                cyclic += usize::from(beats(i, j) == beats(j, k) && beats(j, k) == beats(k, i));
            }
        }
    }
    (cyclic > 0).then_some(Finding::Cycles { cyclic, triples })
}

/// Exact two-sided binomial test of one half: the probability of a count at least as far from the middle.
fn two_sided(count: usize, of: usize) -> f64 {
    let tail = count.min(of - count);
    // ln C(of, k) - of ln 2, summed upward from k = 0.
    let mut log_term = -(of as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..=tail {
        sum += log_term.exp();
        log_term += ((of - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(left: usize, right: usize, outcome: Outcome, unit: usize) -> Vote {
        Vote { left, right, outcome, unit }
    }

    #[test]
    fn the_binomial_test_equals_scipy() {
        // scipy.stats.binomtest(k, n).pvalue
        for (k, n, expected) in [
            (3, 20, 0.002_576_828_002_929_687_5),
            (10, 20, 1.0),
            (480, 1000, 0.217_448_293_204_134_1),
            (0, 0, 1.0),
        ] {
            assert!((two_sided(k, n) - expected).abs() < 1e-9, "{k} of {n}: {}", two_sided(k, n));
        }
    }

    #[test]
    fn balanced_votes_have_no_finding() {
        let votes: Vec<Vote> = (0..200)
            .map(|at| {
                // Player 0 wins three of four, on either side.
                let wins = at % 4 != 0;
                let left = at / 4 % 2 == 0;
                let outcome = if wins == left { Outcome::Left } else { Outcome::Right };
                if left { vote(0, 1, outcome, at % 7) } else { vote(1, 0, outcome, at % 7) }
            })
            .collect();
        assert_eq!(findings(2, &votes), []);
    }

    #[test]
    fn a_preferred_side_a_lazy_voter_and_a_contrarian_are_named() {
        let mut votes = Vec::new();
        for at in 0..30 {
            // Voters 0 and 1 prefer player 0 on either side, 2 always clicks left, 3 prefers player 1.
            for voter in 0..4 {
                let zero_left = at % 2 == 0;
                let outcome = match (voter, zero_left) {
                    (2, _) | (0 | 1, true) | (3, false) => Outcome::Left,
                    _ => Outcome::Right,
                };
                let (left, right) = if zero_left { (0, 1) } else { (1, 0) };
                votes.push(vote(left, right, outcome, voter));
            }
        }
        let found = findings(2, &votes);
        assert!(found.contains(&Finding::OneSided { voter: 2, votes: 30 }), "{found:?}");
        let contrarian = |finding: &Finding| matches!(finding, Finding::Contrarian { voter: 3, .. });
        assert!(found.iter().any(contrarian), "{found:?}");
        let lazy: Vec<Vote> = votes.iter().copied().filter(|vote| vote.unit == 2).collect();
        assert!(matches!(findings(2, &lazy)[0], Finding::SideBias { left_share: 1.0, votes: 30, .. }));
    }

    #[test]
    fn majorities_in_a_circle_are_counted() {
        let circle =
            [vote(0, 1, Outcome::Left, 0), vote(1, 2, Outcome::Left, 0), vote(2, 0, Outcome::Left, 0)];
        assert_eq!(findings(3, &circle), [Finding::Cycles { cyclic: 1, triples: 1 }]);
        let line =
            [vote(0, 1, Outcome::Left, 0), vote(1, 2, Outcome::Left, 0), vote(2, 0, Outcome::Right, 0)];
        assert_eq!(findings(3, &line), []);
    }
}
