//! Searches that prune inconsistent paths: CORP of `REG4Rec` (2508.15308), consistency-oriented self-reflection pruning.
//!
//! **A reconstruction**: the paper's full text and code are not public. What is known: paths of reasoning that contradict themselves are
//! dropped at inference. Here a step of the path is a code of the semantic ID, and the policy's own reflection on a step is how probable
//! it holds the code beside the best one it could have written there:
//!
//! `consistency = min_m p(code m | codes before it) / max_c p(c | codes before it)`, in `(0, 1]`,
//!
//! over the legal codes `c`; of codes that are written all at once every one of the level is legal. It is 1 on the greedy path, exists
//! for every architecture and probability space (normalisation cancels), and does not fall because a level has many codes, as a
//! probability does. It can only fall with every further code: a prefix is pruned as soon as it is inconsistent.
//!
//! Pruned paths come after all others instead of vanishing: the beam is refilled from the next best, and a list is never shorter than the
//! beam is wide while there are items to show.

use crate::candidate::{Candidate, keep_best};
use std::cmp::Ordering;

/// What a search with pruning found for a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pruned {
    /// Consistent ones first, then as many inconsistent ones as there was room for; each part most probable first.
    pub candidates: Vec<Candidate>,
    /// Paths that lost their place in the beam to less probable ones, over all levels.
    pub pruned: usize,
}

/// Which paths are consistent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    log_least: f64,
}

impl Rule {
    /// Those whose consistency is at least `least`; 0 for all.
    pub(crate) fn at_least(least: f64) -> Self {
        Self { log_least: least.ln() }
    }

    /// Whether any path could be pruned.
    pub(crate) fn is_on(self) -> bool {
        self.log_least > f64::NEG_INFINITY
    }

    /// Whether a path with this logarithm of its consistency makes room for others.
    pub(crate) fn prunes(self, log_consistency: f64) -> bool {
        log_consistency < self.log_least
    }

    /// The first `most` paths: consistent ones before others, each part in the order of `better`. Returns how many of the first by
    /// `better` alone are not among them.
    pub(crate) fn keep<T: Clone>(
        self,
        paths: &mut Vec<T>,
        most: usize,
        (better, log_consistency): (impl Fn(&T, &T) -> Ordering, impl Fn(&T) -> f64),
    ) -> usize {
        if !self.is_on() {
            keep_best(paths, most, better);
            return 0;
        }
        let doubted = |path: &T| self.prunes(log_consistency(path));
        let count = |paths: &[T]| paths.iter().filter(|path| doubted(path)).count();
        let mut first = paths.clone();
        keep_best(&mut first, most, &better);
        keep_best(paths, most, |a, b| doubted(a).cmp(&doubted(b)).then_with(|| better(a, b)));
        // The doubted ones that are kept are the best of them, which are first by `better` too.
        count(&first) - count(paths)
    }
}

#[cfg(test)]
mod tests;
