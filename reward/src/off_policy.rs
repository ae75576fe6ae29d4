//! What another policy would have earned, from the log of this one: inverse propensity scoring (IPS), its self-normalised
//! form (SNIPS), and the doubly robust estimator (DR; Dudik et al., 1103.4601), with 95 % intervals.
//!
//! A round is one decision: what was shown, with which propensity, what it earned. `w = pi_e / pi_0`.
//!
//! | estimator | value | error |
//! |---|---|---|
//! | IPS | `mean(w r)` | standard error of `w r` |
//! | SNIPS | `sum(w r) / sum(w)` | delta method: standard error of `w (r - V)` over `mean(w)` |
//! | DR | `mean(q_e + w (r - q))` | standard error of the summand |
//!
//! Intervals are normal: they hold when no few rounds carry the weight, which [`Estimates::effective_rounds`] shows.

use thiserror::Error;

/// Standard errors on either side of a 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// One logged decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// What it earned.
    pub reward: f64,
    /// Probability with which the logging policy showed what was shown; above 0.
    pub propensity: f64,
    /// Probability with which the evaluated policy would have.
    pub target: f64,
    /// The reward a model predicts for what was shown (DR; 0 without a model).
    pub predicted: f64,
    /// The mean prediction over what the evaluated policy would have shown (DR; 0 without a model).
    pub predicted_of_target: f64,
}

/// A log that supports no estimate.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum OffPolicyError {
    /// A variance needs two.
    #[error("off-policy estimates need at least 2 rounds, the log has {0}")]
    TooFew(usize),
    /// A number that cannot be a probability, or is not finite.
    #[error("round {round}: {what} is {value}, expected {expected}")]
    Value {
        /// Which, from 0.
        round: usize,
        /// `propensity`, `target probability`, `reward`, `prediction`.
        what: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// The evaluated policy never does what was logged.
    #[error(
        "the evaluated policy would have shown nothing of what was logged: the log says nothing about it"
    )]
    NoOverlap,
}

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    fn around(value: f64, error: f64) -> Self {
        Self { value, low: value - Z * error, high: value + Z * error }
    }
    /// Whether the interval covers a number.
    pub fn covers(&self, truth: f64) -> bool {
        (self.low..=self.high).contains(&truth)
    }
}

/// The estimators on one log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimates {
    /// Inverse propensity scoring: unbiased, and as wild as the weights.
    pub ips: Interval,
    /// Self-normalised: a little biased, much calmer.
    pub snips: Interval,
    /// Doubly robust: unbiased if the propensities or the predictions are right.
    pub dr: Interval,
    /// `(sum w)^2 / sum w^2` (Kish): how many rounds of the evaluated policy the log is worth.
    pub effective_rounds: f64,
    /// Largest weight.
    pub largest_weight: f64,
}

/// Estimates the mean reward of the evaluated policy. Weights above `most` are cut to it (infinity for none): less
/// variance, some bias towards the log.
///
/// # Errors
/// If there are too few rounds, a number is out of range, or the policies have nothing in common.
pub fn estimate(rounds: &[Round], most: f64) -> Result<Estimates, OffPolicyError> {
    if rounds.len() < 2 {
        return Err(OffPolicyError::TooFew(rounds.len()));
    }
    rounds.iter().enumerate().try_for_each(|(index, round)| check(index, round))?;
    let weights: Vec<f64> = rounds.iter().map(|round| (round.target / round.propensity).min(most)).collect();
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return Err(OffPolicyError::NoOverlap);
    }
    let pairs = || weights.iter().zip(rounds);
    let value = pairs().map(|(w, round)| w * round.reward).sum::<f64>() / total;
    let mean_weight = total / rounds.len() as f64;
    let weighted: Vec<f64> = pairs().map(|(w, round)| w * round.reward).collect();
    let residuals: Vec<f64> = pairs().map(|(w, round)| w * (round.reward - value) / mean_weight).collect();
    let summand =
        |(w, round): (&f64, &Round)| round.predicted_of_target + w * (round.reward - round.predicted);
    let robust: Vec<f64> = pairs().map(summand).collect();
    Ok(Estimates {
        ips: of_mean(&weighted),
        snips: Interval::around(value, standard_error(&residuals)),
        dr: of_mean(&robust),
        effective_rounds: total * total / weights.iter().map(|w| w * w).sum::<f64>(),
        largest_weight: weights.iter().copied().fold(0.0, f64::max),
    })
}

fn check(index: usize, round: &Round) -> Result<(), OffPolicyError> {
    let Round { reward, propensity, target, predicted, predicted_of_target } = *round;
    let probability = "a probability in [0, 1]";
    for (what, value, holds, expected) in [
        ("propensity", propensity, propensity > 0.0 && propensity <= 1.0, "a probability above 0"),
        ("target probability", target, (0.0..=1.0).contains(&target), probability),
        ("reward", reward, reward.is_finite(), "a finite number"),
        ("prediction", predicted, predicted.is_finite(), "a finite number"),
        ("prediction", predicted_of_target, predicted_of_target.is_finite(), "a finite number"),
    ] {
        if !holds {
            return Err(OffPolicyError::Value { round: index, what, value, expected });
        }
    }
    Ok(())
}

fn of_mean(values: &[f64]) -> Interval {
    Interval::around(mean(values), standard_error(values))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the mean, from the sample variance.
fn standard_error(values: &[f64]) -> f64 {
    let (mean, count) = (mean(values), values.len() as f64);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0) / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::random::Key;

    const ACTIONS: usize = 5;
    const LOGGING: [f64; ACTIONS] = [0.4, 0.25, 0.15, 0.1, 0.1];
    const EVALUATED: [f64; ACTIONS] = [0.1, 0.1, 0.2, 0.3, 0.3];
    const RATES: [f64; ACTIONS] = [0.2, 0.3, 0.4, 0.5, 0.7];
    /// A model that is wrong about every action.
    const PREDICTED: [f64; ACTIONS] = [0.3, 0.3, 0.3, 0.6, 0.6];

    fn draw(probabilities: &[f64], unit: f64) -> usize {
        let mut sum = 0.0;
        probabilities
            .iter()
            .position(|p| {
                sum += p;
                unit < sum
            })
            .unwrap_or(probabilities.len() - 1)
    }
    fn log(rounds: u64, key: Key) -> Vec<Round> {
        let predicted_of_target = EVALUATED.iter().zip(PREDICTED).map(|(p, q)| p * q).sum();
        (0..rounds)
            .map(|round| {
                let action = draw(&LOGGING, key.at(round).named("action").unit());
                let reward = f64::from(key.at(round).named("reward").unit() < RATES[action]);
                let (propensity, target) = (LOGGING[action], EVALUATED[action]);
                Round { reward, propensity, target, predicted: PREDICTED[action], predicted_of_target }
            })
            .collect()
    }

    #[test]
    fn intervals_cover_the_truth_in_93_to_97_percent_of_a_thousand_draws() {
        let truth: f64 = EVALUATED.iter().zip(RATES).map(|(p, rate)| p * rate).sum();
        let mut covered = [0; 3];
        let mut widths = [0.0; 3];
        for draw in 0..1000 {
            let estimates = estimate(&log(400, Key::new(5).at(draw)), f64::INFINITY).unwrap();
            for (index, interval) in [estimates.ips, estimates.snips, estimates.dr].into_iter().enumerate() {
                covered[index] += u32::from(interval.covers(truth));
                widths[index] += interval.high - interval.low;
            }
        }
        assert!(covered.iter().all(|&count| (930..=970).contains(&count)), "{covered:?}");
        assert!(widths[1] < widths[0] && widths[2] < widths[0], "{widths:?}");
    }

    #[test]
    fn a_policy_evaluated_on_its_own_log_has_the_mean_reward_and_every_round_counts() {
        let rounds: Vec<Round> = log(100, Key::new(1))
            .into_iter()
            .map(|round| Round { target: round.propensity, ..round })
            .collect();
        let estimates = estimate(&rounds, f64::INFINITY).unwrap();
        let mean = rounds.iter().map(|round| round.reward).sum::<f64>() / 100.0;
        assert!((estimates.ips.value - mean).abs() < 1e-12 && (estimates.snips.value - mean).abs() < 1e-12);
        assert!((estimates.effective_rounds - 100.0).abs() < 1e-9);
        assert!((estimates.largest_weight - 1.0).abs() < 1e-12);
    }

    #[test]
    fn each_estimator_equals_its_hand_value() {
        let round = |reward, propensity, target| Round {
            reward,
            propensity,
            target,
            predicted: 0.5,
            predicted_of_target: 0.25,
        };
        let rounds = [round(1.0, 0.5, 0.25), round(0.0, 0.25, 0.5)];
        let estimates = estimate(&rounds, f64::INFINITY).unwrap();
        // Weights .5 and 2.
        assert!((estimates.ips.value - 0.25).abs() < 1e-12);
        assert!((estimates.snips.value - 0.2).abs() < 1e-12);
        assert!((estimates.dr.value - f64::midpoint(0.25 + 0.25, 0.25 - 1.0)).abs() < 1e-12);
        assert!((estimates.effective_rounds - 6.25 / 4.25).abs() < 1e-12);
        assert!((estimate(&rounds, 1.0).unwrap().snips.value - 0.5 / 1.5).abs() < 1e-12);
    }

    #[test]
    fn numbers_that_are_no_probabilities_are_named() {
        let good = log(3, Key::new(1));
        let problem = |change: fn(&mut Round)| {
            let mut rounds = good.clone();
            change(&mut rounds[1]);
            estimate(&rounds, f64::INFINITY).unwrap_err().to_string()
        };
        assert!(problem(|round| round.propensity = 0.0).contains("round 1: propensity is 0"));
        assert!(problem(|round| round.target = 1.5).contains("target probability is 1.5"));
        assert!(problem(|round| round.reward = f64::NAN).contains("reward is NaN"));
        assert_eq!(estimate(&good[..1], 1.0), Err(OffPolicyError::TooFew(1)));
        let apart: Vec<Round> = good.iter().map(|&round| Round { target: 0.0, ..round }).collect();
        assert_eq!(estimate(&apart, 1.0), Err(OffPolicyError::NoOverlap));
    }
}
