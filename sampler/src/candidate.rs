//! What a policy would show.

use policy::ids::ItemId;

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
