//! Aggregates over runs and tasks (Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice"): the interquartile
//! mean, the probability of improvement, performance profiles, with intervals from a bootstrap stratified by task.
//!
//! A stratum is a task (a data set, a metric, an environment) with one score per run. Resampling draws runs within every
//! stratum, so that tasks keep their weight.

use super::{GOLDEN, TAIL, mean, mix, quantile};
use crate::schema::Estimate;

/// The mean of the middle half: a quarter of the values is cut from either end, rounded down (scipy's `trim_mean(x, .25)`).
///
/// # Panics
/// `values` is empty.
pub fn iqm(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = values.len() / 4;
    mean(&sorted[cut..values.len() - cut])
}

/// A statistic of all scores with its 95 % percentile interval; every stratum is resampled by itself.
///
/// # Panics
/// A stratum is empty, there is none, or `resamples` is 0.
pub fn stratified_bootstrap(
    strata: &[Vec<f64>],
    statistic: impl Fn(&[Vec<f64>]) -> f64,
    (resamples, seed): (usize, u64),
) -> Estimate {
    assert!(resamples > 0, "an interval needs at least one resample");
    let drawn = |resample: u64| statistic(&resampled(strata, mix(seed ^ mix(resample))));
    percentile_interval(statistic(strata), (0..resamples as u64).map(drawn).collect())
}

/// A value with the 95 % percentile interval of what resamples gave.
///
/// # Panics
/// `found` is empty.
pub fn percentile_interval(value: f64, mut found: Vec<f64>) -> Estimate {
    found.sort_unstable_by(f64::total_cmp);
    Estimate { value, low: quantile(&found, TAIL).min(value), high: quantile(&found, 1.0 - TAIL).max(value) }
}

fn resampled(strata: &[Vec<f64>], key: u64) -> Vec<Vec<f64>> {
    let draw = |(stratum, values): (usize, &Vec<f64>)| {
        let key = mix(key.wrapping_add(stratum as u64));
        let pick = |at: u64| {
            let word = mix(key.wrapping_add(at.wrapping_mul(GOLDEN))) >> 32;
            values[((word * values.len() as u64) >> 32) as usize]
        };
        (0..values.len() as u64).map(pick).collect()
    };
    strata.iter().enumerate().map(draw).collect()
}

/// [`iqm`] over the scores of all strata together.
pub fn iqm_of_strata(strata: &[Vec<f64>]) -> f64 {
    iqm(&strata.concat())
}

/// The chance that a run of `treated` beats one of `base` on the same task, ties counting half, averaged over tasks
/// (Mann and Whitney's U over the pairs).
///
/// # Panics
/// The numbers of strata differ, or one is empty.
pub fn probability_of_improvement(treated: &[Vec<f64>], base: &[Vec<f64>]) -> f64 {
    assert_eq!(treated.len(), base.len(), "both sides must have the same tasks");
    let of = |(treated, base): (&Vec<f64>, &Vec<f64>)| {
        let mut sorted = base.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        // Twice the points of a run: values below it count two, equal ones one.
        let below = |x: f64| sorted.partition_point(|y| *y < x) + sorted.partition_point(|y| *y <= x);
        let points: usize = treated.iter().map(|x| below(*x)).sum();
        points as f64 / (2 * treated.len() * base.len()) as f64
    };
    mean(&treated.iter().zip(base).map(of).collect::<Vec<_>>())
}

/// [`probability_of_improvement`] with its interval; both sides are resampled.
pub fn probability_of_improvement_bootstrap(
    treated: &[Vec<f64>],
    base: &[Vec<f64>],
    (resamples, seed): (usize, u64),
) -> Estimate {
    let both = [treated, base].concat();
    let statistic = |strata: &[Vec<f64>]| {
        let (treated, base) = strata.split_at(treated.len());
        probability_of_improvement(treated, base)
    };
    stratified_bootstrap(&both, statistic, (resamples, seed))
}

/// For every threshold, the share of runs whose score exceeds it, averaged over tasks.
///
/// # Panics
/// A stratum is empty, or there is none.
pub fn performance_profile(strata: &[Vec<f64>], thresholds: &[f64]) -> Vec<f64> {
    let above = |values: &Vec<f64>, threshold: f64| {
        values.iter().filter(|value| **value > threshold).count() as f64 / values.len() as f64
    };
    let share =
        |threshold: &f64| mean(&strata.iter().map(|values| above(values, *threshold)).collect::<Vec<_>>());
    thresholds.iter().map(share).collect()
}
