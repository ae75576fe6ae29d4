//! How good a candidate is, compared with the other candidates of its user.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How the rewards of a group become advantages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advantage {
    /// `(r - mean) / (std + 1e-4)` (GRPO, 2402.03300, section 4.1.2; TRL `scale_rewards = "group"`).
    #[default]
    Standardized,
    /// `r - mean` (Dr. GRPO, 2503.20783): a group with a small spread counts for little.
    Centered,
    /// `r` itself: no baseline.
    Raw,
}

/// A reward that cannot be compared.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("candidate {candidate} has the reward {reward}, which is not a finite number")]
pub struct NonFiniteReward {
    /// Position in the group.
    pub candidate: usize,
    /// The reward.
    pub reward: f64,
}

/// TRL's and verl's: keeps a group whose rewards differ only by rounding from being blown up to unit variance.
const STD_EPSILON: f64 = 1e-4;

/// The advantages of one group, in order. The standard deviation is the sample's (`n - 1`), as in TRL. A group
/// whose rewards are all equal has zero advantages exactly (except [`Advantage::Raw`]); an empty group has none.
///
/// # Errors
/// If a reward is NaN or infinite.
pub fn advantages(rewards: &[f64], advantage: Advantage) -> Result<Vec<f32>, NonFiniteReward> {
    if let Some((candidate, &reward)) = rewards.iter().enumerate().find(|(_, reward)| !reward.is_finite()) {
        return Err(NonFiniteReward { candidate, reward });
    }
    let Spread { mean, std } = Spread::of(rewards);
    Ok(rewards
        .iter()
        .map(|reward| match advantage {
            Advantage::Raw => *reward,
            Advantage::Centered | Advantage::Standardized if std == 0.0 => 0.0,
            Advantage::Centered => reward - mean,
            Advantage::Standardized => (reward - mean) / (std + STD_EPSILON),
        })
        .map(|advantage| advantage as f32)
        .collect())
}

/// TRL's metrics over the groups of a step: `reward` (mean over groups of the group's mean), `reward_std` (mean
/// over groups), `frac_reward_zero_std` (share of groups without any spread, which teach nothing). Empty groups
/// are left out; without any other there is nothing to report.
pub fn reward_metrics<'a>(groups: impl IntoIterator<Item = &'a [f64]>) -> Vec<(&'static str, f64)> {
    let spreads: Vec<_> = groups.into_iter().filter(|group| !group.is_empty()).map(Spread::of).collect();
    if spreads.is_empty() {
        return Vec::new();
    }
    let mean = |value: fn(&Spread) -> f64| spreads.iter().map(value).sum::<f64>() / spreads.len() as f64;
    vec![
        ("reward", mean(|spread| spread.mean)),
        ("reward_std", mean(|spread| spread.std)),
        ("frac_reward_zero_std", mean(|spread| f64::from(u8::from(spread.std == 0.0)))),
    ]
}

struct Spread {
    mean: f64,
    std: f64,
}

impl Spread {
    /// Mean and sample standard deviation; the latter is exactly 0 when all values are equal, which the rounded
    /// mean would otherwise hide.
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count.max(1.0);
        if values.windows(2).all(|pair| pair[0] - pair[1] == 0.0) {
            return Self { mean, std: 0.0 };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, std: (squares / (count - 1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn standardized_advantages_divide_by_the_sample_deviation() {
        // Mean 2, deviation sqrt(2).
        let expected = 1.0 / (2f64.sqrt() + 1e-4);
        let found = advantages(&[1.0, 3.0], Advantage::Standardized).unwrap();
        assert_eq!(found, [-expected as f32, expected as f32]);
        assert_eq!(advantages(&[1.0, 3.0], Advantage::Centered).unwrap(), [-1.0, 1.0]);
        assert_eq!(advantages(&[1.0, 3.0], Advantage::Raw).unwrap(), [1.0, 3.0]);
    }

    /// The mean of three times 0.1 is not 0.1 in floating point.
    #[test]
    fn a_group_without_spread_has_zero_advantages_exactly() {
        for advantage in [Advantage::Standardized, Advantage::Centered] {
            assert_eq!(advantages(&[0.1; 3], advantage).unwrap(), [0.0; 3]);
            assert_eq!(advantages(&[7.0], advantage).unwrap(), [0.0]);
            assert!(advantages(&[], advantage).unwrap().is_empty());
        }
    }

    #[test]
    fn a_reward_that_is_not_finite_is_named() {
        let error = advantages(&[1.0, f64::INFINITY], Advantage::Centered).unwrap_err();
        assert_eq!(error, NonFiniteReward { candidate: 1, reward: f64::INFINITY });
    }

    #[test]
    fn metrics_are_means_over_groups_of_any_size() {
        let groups: [&[f64]; 4] = [&[1.0, 3.0], &[5.0, 5.0, 5.0], &[], &[0.0]];
        let metrics = reward_metrics(groups);
        assert_eq!(metrics[0], ("reward", 7.0 / 3.0));
        assert_eq!(metrics[1], ("reward_std", 2f64.sqrt() / 3.0));
        assert_eq!(metrics[2], ("frac_reward_zero_std", 2.0 / 3.0));
        assert!(reward_metrics([[].as_slice()]).is_empty());
    }

    proptest! {
        #[test]
        fn standardized_advantages_ignore_shift_and_keep_order(
            rewards in prop::collection::vec(-10.0..10.0f64, 2..20),
            shift in -100.0..100.0f64,
        ) {
            let shifted: Vec<f64> = rewards.iter().map(|reward| reward + shift).collect();
            let a = advantages(&rewards, Advantage::Standardized).unwrap();
            let b = advantages(&shifted, Advantage::Standardized).unwrap();
            for (i, (x, y)) in a.iter().zip(&b).enumerate() {
                prop_assert!((x - y).abs() < 1e-4);
                for j in 0..i {
                    prop_assert!(rewards[i] < rewards[j] || a[i] >= a[j]);
                }
            }
            prop_assert!(a.iter().sum::<f32>().abs() < 1e-4);
        }
    }
}
