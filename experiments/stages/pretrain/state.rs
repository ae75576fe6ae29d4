//! The part of training that is not tensors.

use serde::{Deserialize, Serialize};

/// Where training is. The order of examples and the dropout masks are functions of `step`, so there is no loader
/// position or generator state beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Steps done.
    pub(super) step: u64,
    /// The step at which the policy was last validated.
    pub(super) validated: Option<u64>,
    /// Returns to a checkpoint so far; each has halved the learning rate.
    pub(super) rollbacks: u64,
    best: Option<f64>,
    validations_since_best: usize,
}

impl State {
    /// Notes the validation score of the step; says whether it is the best so far.
    pub(super) fn observe(&mut self, score: f64) -> bool {
        self.validated = Some(self.step);
        let better = self.best.is_none_or(|best| score > best);
        if better {
            self.best = Some(score);
            self.validations_since_best = 0;
        } else {
            self.validations_since_best += 1;
        }
        better
    }
    /// Whether `patience` validations in a row brought nothing.
    pub(super) fn exhausted(&self, patience: usize) -> bool {
        self.validations_since_best >= patience
    }
    /// Whether the policy of this step has been validated.
    pub(super) fn is_validated(&self) -> bool {
        self.validated == Some(self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_validations_since_the_best() {
        let mut state = State::default();
        let better: Vec<bool> = [0.1, 0.2, 0.2, 0.15].map(|score| state.observe(score)).to_vec();
        assert_eq!(better, [true, true, false, false]);
        assert!(state.exhausted(2) && !state.exhausted(3));
    }
}
