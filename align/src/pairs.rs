//! Preference pairs: the best and the worst of a user's candidates by a judge's score.

use policy::ids::{ItemId, UserId};
use thiserror::Error;

/// Two of a user's candidates, one scored above the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The user.
    pub user: UserId,
    /// Position of the better candidate in the user's list.
    pub chosen: usize,
    /// Position of the worse candidate.
    pub rejected: usize,
    /// Score of the better one minus score of the worse one; above 0.
    pub margin: f64,
}

/// A score that cannot be compared.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("candidate {candidate} of user {} has the score {score}, which is not a finite number", user.index())]
pub struct NonFiniteScore {
    /// The user.
    pub user: UserId,
    /// Position in the user's list.
    pub candidate: usize,
    /// The score.
    pub score: f64,
}

/// A user's candidates in beam order, most probable first, with the score of each.
#[derive(Clone, Copy, Debug)]
pub struct ScoredCandidates<'a> {
    /// The user.
    pub user: UserId,
    /// The items.
    pub items: &'a [ItemId],
    /// One score per item.
    pub scores: &'a [f64],
}

/// The candidate of highest and the one of lowest score (`OneRec`, 2502.18965, Alg. 2). Among equal scores the more probable
/// candidate is taken, on both sides: it is the one whose probability matters most. There is no pair
/// when all scores are equal, when they differ by less than `min_margin`, or when there are fewer than two items.
///
/// # Errors
/// If a score is NaN or infinite.
///
/// # Panics
/// If there are not as many scores as items.
pub fn best_and_worst(
    candidates: ScoredCandidates<'_>,
    min_margin: f64,
) -> Result<Option<Pair>, NonFiniteScore> {
    check_scores(candidates)?;
    let ScoredCandidates { user, items, scores } = candidates;
    let Some(chosen) = first_least(0..items.len(), |i| -scores[i]) else {
        return Ok(None);
    };
    // A beam may list an item twice when it has two IDs; it is never preferred to itself.
    let others = (0..items.len()).filter(|&i| items[i] != items[chosen]);
    let pair = first_least(others, |i| scores[i]).map(|rejected| Pair {
        user,
        chosen,
        rejected,
        margin: scores[chosen] - scores[rejected],
    });
    Ok(pair.filter(|pair| pair.margin > 0.0 && pair.margin >= min_margin))
}

/// Refuses scores that cannot be compared.
pub(crate) fn check_scores(candidates: ScoredCandidates<'_>) -> Result<(), NonFiniteScore> {
    let ScoredCandidates { user, items, scores } = candidates;
    assert_eq!(items.len(), scores.len(), "one score per candidate");
    match scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
        Some((candidate, &score)) => Err(NonFiniteScore { user, candidate, score }),
        None => Ok(()),
    }
}

/// The first position with the least key.
fn first_least(positions: impl Iterator<Item = usize>, key: impl Fn(usize) -> f64) -> Option<usize> {
    // `min_by` keeps the first of equal elements.
    positions.min_by(|&a, &b| key(a).partial_cmp(&key(b)).expect("scores are finite, checked before"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair(items: &[usize], scores: &[f64], min_margin: f64) -> Option<(usize, usize, f64)> {
        let items: Vec<_> = items.iter().copied().map(ItemId::new).collect();
        let candidates = ScoredCandidates { user: UserId::new(7), items: &items, scores };
        best_and_worst(candidates, min_margin).unwrap().map(|pair| (pair.chosen, pair.rejected, pair.margin))
    }

    #[test]
    fn ties_go_to_the_more_probable_candidate() {
        assert_eq!(pair(&[0, 1, 2, 3, 4], &[1.0, 3.0, 0.0, 3.0, 0.0], 0.0), Some((1, 2, 3.0)));
    }

    #[test]
    fn zero_and_minus_zero_are_the_same_score() {
        assert_eq!(pair(&[0, 1], &[0.0, -0.0], 0.0), None);
        assert_eq!(pair(&[0, 1, 2], &[0.0, -0.0, 1.0], 0.0), Some((2, 0, 1.0)));
    }

    #[test]
    fn there_is_no_pair_without_a_difference() {
        assert_eq!(pair(&[], &[], 0.0), None);
        assert_eq!(pair(&[4], &[1.0], 0.0), None);
        assert_eq!(pair(&[4, 5], &[1.0, 1.0], 0.0), None);
        assert_eq!(pair(&[4, 4], &[1.0, 0.0], 0.0), None, "an item against itself");
    }

    #[test]
    fn the_margin_filter_keeps_equality() {
        assert_eq!(pair(&[0, 1], &[0.5, 0.0], 0.5), Some((0, 1, 0.5)));
        assert_eq!(pair(&[0, 1], &[0.5, 0.0], 0.6), None);
    }

    #[test]
    fn a_score_that_is_not_a_number_is_named() {
        let items = [ItemId::new(0), ItemId::new(1)];
        let candidates = ScoredCandidates { user: UserId::new(3), items: &items, scores: &[0.0, f64::NAN] };
        let message = best_and_worst(candidates, 0.0).unwrap_err().to_string();
        assert_eq!(message, "candidate 1 of user 3 has the score NaN, which is not a finite number");
    }

    proptest! {
        #[test]
        fn a_pair_spans_the_scores_of_different_items(
            list in prop::collection::vec((0..6usize, -3i32..3), 0..12),
            min_margin in 0.0..3.0f64,
        ) {
            let items: Vec<_> = list.iter().map(|entry| entry.0).collect();
            let scores: Vec<_> = list.iter().map(|entry| f64::from(entry.1)).collect();
            if let Some((chosen, rejected, margin)) = pair(&items, &scores, min_margin) {
                prop_assert_ne!(items[chosen], items[rejected]);
                prop_assert!(margin > 0.0 && margin >= min_margin);
                prop_assert!(scores.iter().all(|&score| score <= scores[chosen]));
                let others = (0..items.len()).filter(|&i| items[i] != items[chosen]);
                prop_assert!(others.into_iter().all(|i| scores[i] >= scores[rejected]));
            }
        }
    }
}
