//! Logs show what a policy chose to show. Where the log says with which probability, training and examination can count
//! every interaction as often as it would stand in a log of uniform choice: inverse propensity weighting.

use crate::features::Behaviour;
use policy::history::Log;
use policy::ids::UserId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// No interaction counts for more than this many average ones: an estimate that hangs on one row is no estimate.
pub const MOST_WEIGHT: f64 = 20.0;

/// A column of propensities, and what its inverses are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Propensity {
    column: usize,
    /// Mean inverse over the training interactions.
    mean_inverse: f64,
}

/// A column that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PropensityError {
    /// The log has no such column.
    #[error(
        "`{name}` is no feedback column of this log ({found}), so it tells no propensities; add it to the source's feedback columns"
    )]
    NoColumn {
        /// The name asked for.
        name: String,
        /// The columns there are.
        found: String,
    },
    /// A value that is no probability above 0.
    #[error("`{name}` is {value} at interaction {position} of user {user}, expected a probability above 0")]
    Value {
        /// The column.
        name: String,
        /// The value, as text.
        value: String,
        /// Dense user id.
        user: usize,
        /// Position in the history.
        position: usize,
    },
}

impl Propensity {
    /// The column `name`, checked over the whole log and measured over the training interactions of `users`.
    ///
    /// # Errors
    /// If there is no such column, or a value is no probability above 0.
    pub fn fit(name: &str, log: &Log, users: &[UserId]) -> Result<Self, PropensityError> {
        let column =
            log.signals.iter().position(|signal| signal == name).ok_or_else(|| {
                PropensityError::NoColumn { name: name.into(), found: log.signals.join(", ") }
            })?;
        let unit = Self { column, mean_inverse: 1.0 };
        for user in log.users() {
            for position in 0..log.history(user).items.len() {
                let value = unit.value(log, user, position);
                if !(value > 0.0 && value <= 1.0) {
                    let (name, value) = (name.to_string(), value.to_string());
                    return Err(PropensityError::Value { name, value, user: user.index(), position });
                }
            }
        }
        let rows = users.iter().flat_map(|&user| (0..log.train_items(user).len()).map(move |at| (user, at)));
        let inverses: Vec<f64> = rows.map(|(user, at)| unit.value(log, user, at).recip()).collect();
        let mean_inverse = inverses.iter().sum::<f64>() / inverses.len().max(1) as f64;
        Ok(Self { mean_inverse, ..unit })
    }
    /// How many average interactions this one counts for, at most [`MOST_WEIGHT`].
    pub fn weight(&self, log: &Log, user: UserId, position: usize) -> f64 {
        (self.value(log, user, position).recip() / self.mean_inverse).min(MOST_WEIGHT)
    }
    /// The behaviour without this column, which says what the log's policy thought and nothing about the user.
    pub(crate) fn hide_from(&self, behaviour: Behaviour) -> Behaviour {
        behaviour.without(self.column)
    }
    /// The probability with which an interaction was shown.
    pub fn value(&self, log: &Log, user: UserId, position: usize) -> f64 {
        f64::from(log.history(user).feedback[position * log.signals.len() + self.column])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::history::History;
    use policy::ids::ItemId;

    fn log(propensities: [f32; 5]) -> Log {
        let history = History {
            items: (0..5).map(ItemId::new).collect(),
            timestamps: (0..5).collect(),
            feedback: propensities.iter().flat_map(|&p| [1.0, p]).collect(),
        };
        Log { histories: vec![history], num_items: 5, signals: vec!["like".into(), "shown".into()] }
    }

    #[test]
    fn rare_interactions_count_for_more_up_to_a_bound() {
        // The last two are held out: the mean inverse is (1 + 2 + 3) / 3 = 2.
        let log = log([1.0, 0.5, 1.0 / 3.0, 1e-6, 0.25]);
        let users = [UserId::new(0)];
        let propensity = Propensity::fit("shown", &log, &users).unwrap();
        for (position, expected) in [(0, 0.5), (1, 1.0), (2, 1.5), (3, MOST_WEIGHT), (4, 2.0)] {
            let weight = propensity.weight(&log, users[0], position);
            assert!((weight - expected).abs() < 1e-6, "{position}: {weight}");
        }
    }

    #[test]
    fn what_is_no_probability_is_named() {
        let users = [UserId::new(0)];
        let problem = |name: &str, log: &Log| Propensity::fit(name, log, &users).unwrap_err().to_string();
        assert!(problem("show", &log([1.0; 5])).contains("`show` is no feedback column"));
        for bad in [0.0, -0.5, 1.5, f32::NAN] {
            let found = problem("shown", &log([1.0, 1.0, bad, 1.0, 1.0]));
            assert!(found.contains("at interaction 2 of user 0, expected a probability above 0"), "{found}");
        }
    }
}
