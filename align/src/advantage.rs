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
    /// `r - mean of the others` (RLOO, 2402.14740): `n / (n - 1)` times `centered`, unbiased.
    LeaveOneOut,
    /// `(r - mean) / (std + 1e-4)` over all groups together (REINFORCE++, 2501.03262).
    Batch,
    /// `r - mean of the group`, then divided by the deviation of these over all groups together (REINFORCE++-baseline,
    /// 2501.03262).
    BatchBaseline,
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
/// whose rewards are all equal has zero advantages exactly (except [`Advantage::Raw`]); an empty group has none. Alone, a
/// group is its own batch.
///
/// # Errors
/// If a reward is NaN or infinite.
pub fn advantages(rewards: &[f64], advantage: Advantage) -> Result<Vec<f32>, NonFiniteReward> {
    finite(rewards)?;
    let batch = Spread::of(&baselined(rewards, advantage));
    Ok(scaled(rewards, advantage, &batch))
}

/// The advantages of several groups, which [`Advantage::Batch`] and [`Advantage::BatchBaseline`] compare with each other; for the
/// others this is [`advantages`] of each.
///
/// # Errors
/// If a reward is NaN or infinite, with its position in its group.
pub fn batch_advantages(groups: &[&[f64]], advantage: Advantage) -> Result<Vec<Vec<f32>>, NonFiniteReward> {
    groups.iter().try_for_each(|group| finite(group))?;
    let all: Vec<f64> = groups.iter().flat_map(|group| baselined(group, advantage)).collect();
    let batch = Spread::of(&all);
    Ok(groups.iter().map(|group| scaled(group, advantage, &batch)).collect())
}

fn finite(rewards: &[f64]) -> Result<(), NonFiniteReward> {
    match rewards.iter().enumerate().find(|(_, reward)| !reward.is_finite()) {
        Some((candidate, &reward)) => Err(NonFiniteReward { candidate, reward }),
        None => Ok(()),
    }
}

/// What the spread of a batch is taken of.
fn baselined(rewards: &[f64], advantage: Advantage) -> Vec<f64> {
    match advantage {
        Advantage::BatchBaseline => {
            let Spread { mean, std } = Spread::of(rewards);
            rewards.iter().map(|reward| if std == 0.0 { 0.0 } else { reward - mean }).collect()
        }
        _ => rewards.to_vec(),
    }
}

fn scaled(rewards: &[f64], advantage: Advantage, batch: &Spread) -> Vec<f32> {
    let own = Spread::of(rewards);
    let (mean, std, others) = (own.mean, own.std, rewards.len() as f64 - 1.0);
    let of = |reward: f64| match advantage {
        Advantage::Raw => reward,
        Advantage::Batch if batch.std == 0.0 => 0.0,
        Advantage::Batch => (reward - batch.mean) / (batch.std + STD_EPSILON),
        // A group without a spread, a group of one among them, teaches nothing.
        _ if std == 0.0 => 0.0,
        Advantage::Centered => reward - mean,
        Advantage::Standardized => (reward - mean) / (std + STD_EPSILON),
        Advantage::LeaveOneOut => (reward - mean) * (others + 1.0) / others,
        Advantage::BatchBaseline => (reward - mean) / (batch.std + STD_EPSILON),
    };
    rewards.iter().map(|&reward| of(reward) as f32).collect()
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

    #[test]
    fn leave_one_out_compares_with_the_mean_of_the_others() {
        assert_eq!(advantages(&[1.0, 3.0, 8.0], Advantage::LeaveOneOut).unwrap(), [-4.5, -1.5, 6.0]);
    }

    #[test]
    fn batch_advantages_share_one_scale() {
        let groups: [&[f64]; 3] = [&[1.0, 3.0], &[5.0, 5.0], &[]];
        // Mean 3.5, deviation sqrt(11/3); centred: -1, 1, 0, 0, deviation sqrt(2/3).
        let whole = batch_advantages(&groups, Advantage::Batch).unwrap();
        let scale = (11.0f64 / 3.0).sqrt() + 1e-4;
        let expected = [-2.5, -0.5, 1.5, 1.5].map(|reward| (reward / scale) as f32);
        assert_eq!(whole.concat(), expected);
        let baseline = batch_advantages(&groups, Advantage::BatchBaseline).unwrap();
        let scale = (2.0f64 / 3.0).sqrt() + 1e-4;
        assert_eq!(baseline, [vec![(-1.0 / scale) as f32, (1.0 / scale) as f32], vec![0.0; 2], vec![]]);
        let error = batch_advantages(&[&[0.0], &[1.0, f64::NAN]], Advantage::Raw).unwrap_err();
        assert_eq!(error.candidate, 1);
    }

    #[test]
    fn group_advantages_do_not_depend_on_the_batch() {
        let groups: [&[f64]; 2] = [&[1.0, 3.0, 4.0], &[7.0, 5.0]];
        for advantage in
            [Advantage::Standardized, Advantage::Centered, Advantage::Raw, Advantage::LeaveOneOut]
        {
            let alone = groups.map(|group| advantages(group, advantage).unwrap());
            assert_eq!(batch_advantages(&groups, advantage).unwrap(), alone);
        }
    }

    /// The mean of three times 0.1 is not 0.1 in floating point.
    #[test]
    fn a_group_without_spread_has_zero_advantages_exactly() {
        for advantage in [
            Advantage::Standardized,
            Advantage::Centered,
            Advantage::LeaveOneOut,
            Advantage::Batch,
            Advantage::BatchBaseline,
        ] {
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
