//! What a policy would show.

use policy::ids::ItemId;
use std::cmp::Ordering;

/// The first `most` of `found` in the order of `better`, sorted.
pub(crate) fn keep_best<T>(found: &mut Vec<T>, most: usize, better: impl Fn(&T, &T) -> Ordering) {
    if found.len() > most {
        found.select_nth_unstable_by(most - 1, &better);
        found.truncate(most);
    }
    found.sort_unstable_by(better);
}

/// An item a policy proposed, with the probability it proposed it with.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The item.
    pub item: ItemId,
    /// Log-probability of every code of the item's semantic ID under the policy that proposed it (the behaviour
    /// policy), in the space it was sampled in.
    pub token_log_probs: Vec<f32>,
}

impl Candidate {
    /// Log-probability of the semantic ID.
    pub fn log_prob(&self) -> f64 {
        self.token_log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum()
    }
}
