//! The part of training that is not tensors.

use crate::run::measured::Measured;
use serde::{Deserialize, Serialize};

/// Where training is. The order of examples and the dropout masks are functions of `step`, so there is no loader
/// position or generator state beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Steps done.
    pub(super) step: u64,
    best: Option<f64>,
    validations_since_best: usize,
    /// The curves so far, and the time they took.
    #[serde(flatten)]
    pub(super) measured: Measured,
}

impl State {
    /// This state with the curves so far.
    pub(super) fn with_metrics(&self, measured: Measured) -> Self {
        Self { measured, ..self.clone() }
    }
    /// Notes a validation score; says whether it is the best so far.
    pub(super) fn observe(&mut self, score: f64) -> bool {
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
