//! Results of several seeds on the same users.
//!
//! A user is the unit of resampling: all seeds of a user are drawn together, because users who are hard for one seed are
//! hard for the next. The interval covers the choice of users for these very seeds; how much seeds differ is told apart,
//! by their range.

use super::Pooled;
use crate::schema::Estimate;
use crate::statistics::{bootstrap_mean, mean, paired_bootstrap};
use std::collections::BTreeMap;

/// A metric by user.
pub type ByUser = BTreeMap<u32, f64>;

/// How intervals are made.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap {
    /// Resamples behind an interval.
    pub resamples: usize,
    /// Key of the draws.
    pub seed: u64,
}

/// Each user's mean over the seeds that evaluated them.
pub fn over_seeds(seeds: &[ByUser]) -> ByUser {
    let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (&user, &value) in seeds.iter().flatten() {
        let (sum, count) = sums.entry(user).or_default();
        *sum += value;
        *count += 1.0;
    }
    sums.into_iter().map(|(user, (sum, count))| (user, sum / count)).collect()
}

/// The metric of all seeds, the mean of their means, with its interval; `None` without a user.
pub fn pooled(seeds: &[ByUser], bootstrap: Bootstrap) -> Option<Pooled> {
    let seeds: Vec<&ByUser> = seeds.iter().filter(|seed| !seed.is_empty()).collect();
    let by_seed: Vec<f64> = seeds.iter().map(|seed| mean(&values_of(seed))).collect();
    (!by_seed.is_empty()).then(|| Pooled {
        estimate: bootstrap_mean(&shares(&seeds, &by_seed), bootstrap.resamples, bootstrap.seed),
        by_seed,
    })
}

/// What each user is to the mean of the means. Of users that all seeds evaluated, it is their mean over seeds; otherwise
/// the overall mean with their deviations in the seeds that evaluated them, the linearised ratio estimator.
fn shares(seeds: &[&ByUser], means: &[f64]) -> Vec<f64> {
    let mut deviations: BTreeMap<u32, f64> = BTreeMap::new();
    for (seed, center) in seeds.iter().zip(means) {
        for (user, value) in *seed {
            *deviations.entry(*user).or_default() += (value - center) / seed.len() as f64;
        }
    }
    let (scale, value) = (deviations.len() as f64 / means.len() as f64, mean(means));
    deviations.into_values().map(|deviation| value + scale * deviation).collect()
}

/// `treated - base`, both pooled over their seeds, paired over the users that both evaluated.
pub fn difference(treated: &[ByUser], base: &[ByUser], bootstrap: Bootstrap) -> Option<Estimate> {
    let (treated, base) = (over_seeds(treated), over_seeds(base));
    let pairs = treated.iter().filter_map(|(user, value)| Some((*value, *base.get(user)?)));
    let (treated, base): (Vec<f64>, Vec<f64>) = pairs.unzip();
    (!treated.is_empty()).then(|| paired_bootstrap(&treated, &base, bootstrap.resamples, bootstrap.seed))
}

/// A number that has no value per user, over seeds.
pub fn flat(by_seed: Vec<f64>) -> Option<Pooled> {
    (!by_seed.is_empty()).then(|| {
        let value = mean(&by_seed);
        Pooled { estimate: Estimate { value, low: value, high: value }, by_seed }
    })
}

fn values_of(seed: &ByUser) -> Vec<f64> {
    seed.values().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 2000, seed: 7 };

    /// Half of the users are hits; `flip` inverts them.
    fn seed(flip: u32) -> ByUser {
        (0..400).map(|user| (user, f64::from((user + flip) % 2))).collect()
    }

    #[test]
    fn seeds_of_a_user_are_resampled_together() {
        let width = |seeds: &[ByUser]| {
            let Estimate { low, high, .. } = pooled(seeds, BOOTSTRAP).unwrap().estimate;
            high - low
        };
        // The same users hit in both seeds: a second seed says nothing new of users.
        assert!((width(&[seed(0), seed(0)]) - width(&[seed(0)])).abs() < 1e-12);
        // Opposite seeds cancel for every user: nothing is left to the choice of users.
        assert!(width(&[seed(0), seed(1)]) < 1e-12);
    }

    #[test]
    fn the_mean_of_equal_users_is_the_mean_of_the_seeds() {
        let other: ByUser = (0..400).map(|user| (user, 0.9)).collect();
        let found = pooled(&[seed(0), other], BOOTSTRAP).unwrap();
        assert!((found.estimate.value - 0.7).abs() < 1e-12);
        assert_eq!(found.by_seed.len(), 2);
        assert!((found.by_seed[0] - 0.5).abs() < 1e-12 && (found.by_seed[1] - 0.9).abs() < 1e-12);
    }

    #[test]
    fn seeds_of_different_users_count_alike() {
        let (hits, misses) = ((0..300).map(|user| (user, 1.0)).collect(), [(500, 0.0), (501, 0.0)].into());
        let Pooled { estimate, by_seed } = pooled(&[hits, misses], BOOTSTRAP).unwrap();
        assert_eq!(by_seed, [1.0, 0.0]);
        assert!((estimate.value - 0.5).abs() < 1e-12 && estimate.high - estimate.low < 1e-12, "{estimate:?}");
    }

    #[test]
    fn differences_are_paired_over_common_users() {
        let better: ByUser = (200..600).map(|user| (user, f64::from(user % 2) + 0.1)).collect();
        let found = difference(&[better], &[seed(0)], BOOTSTRAP).unwrap();
        assert!((found.value - 0.1).abs() < 1e-12 && found.high - found.low < 1e-12, "{found:?}");
        let strangers: ByUser = [(1000, 1.0)].into();
        assert_eq!(difference(&[strangers], &[seed(0)], BOOTSTRAP), None);
        assert_eq!(pooled(&[ByUser::new()], BOOTSTRAP), None);
    }
}
