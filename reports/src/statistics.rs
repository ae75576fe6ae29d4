//! Percentile bootstrap over users (Efron 1979): the uncertainty of a mean, or of a difference of means, over the
//! users that were evaluated. It says nothing about the spread over training seeds.
//!
//! Resampling draws users with replacement by a counter-based generator: draw `i` of resample `r` is a function of
//! `(seed, r, i)` only, so an interval is reproducible anywhere and independent of the order of computation.

pub mod aggregate;
pub mod correlation;
pub mod means;
mod special;

use crate::schema::Estimate;

/// Lower and upper tail left outside a 95 % interval.
const TAIL: f64 = 0.025;

/// Arithmetic mean.
///
/// # Panics
/// `values` is empty: a mean over no users is a caller's mistake.
pub fn mean(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "mean of no values; the caller must evaluate at least one user");
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean over users with its 95 % percentile-bootstrap interval.
///
/// # Panics
/// `values` is empty, or `resamples` is 0.
pub fn bootstrap_mean(values: &[f64], resamples: usize, seed: u64) -> Estimate {
    let value = mean(values);
    interval(value, resample_means(values, resamples, seed))
}

/// The mean of `treated - base`, paired over users (both slices in the same user order), with its 95 % interval.
/// The pairing removes the spread between users, which is what makes small differences visible.
///
/// # Panics
/// The slices differ in length or are empty, or `resamples` is 0.
pub fn paired_bootstrap(treated: &[f64], base: &[f64], resamples: usize, seed: u64) -> Estimate {
    assert_eq!(treated.len(), base.len(), "paired samples must list the same users in the same order");
    let differences: Vec<f64> = treated.iter().zip(base).map(|(treated, base)| treated - base).collect();
    bootstrap_mean(&differences, resamples, seed)
}

/// The difference of means `treated - base` of two independent groups of users, with its 95 % interval.
///
/// # Panics
/// A slice is empty, or `resamples` is 0.
pub fn unpaired_bootstrap(treated: &[f64], base: &[f64], resamples: usize, seed: u64) -> Estimate {
    let value = mean(treated) - mean(base);
    let treated = resample_means(treated, resamples, mix(seed ^ TREATED));
    let base = resample_means(base, resamples, mix(seed ^ BASE));
    interval(value, treated.iter().zip(&base).map(|(treated, base)| treated - base).collect())
}

/// The quantile `q` in `[0, 1]` of sorted values, linear between order statistics (type 7, numpy's default).
///
/// # Panics
/// `sorted` is empty.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    assert!(!sorted.is_empty(), "quantile of no values");
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor();
    let left = sorted[below as usize];
    let right = sorted[position.ceil() as usize];
    left + (position - below) * (right - left)
}

/// A value with the 95 % percentile interval of what resamples gave. Rounding of the resampled sums may put the point of a
/// constant sample a hair outside; the interval always contains it.
///
/// # Panics
/// There is no resample.
pub fn interval(value: f64, mut means: Vec<f64>) -> Estimate {
    assert!(!means.is_empty(), "an interval needs at least one resample");
    means.sort_unstable_by(f64::total_cmp);
    Estimate { value, low: quantile(&means, TAIL).min(value), high: quantile(&means, 1.0 - TAIL).max(value) }
}

/// Means of `resamples` samples drawn from `values` with replacement.
fn resample_means(values: &[f64], resamples: usize, seed: u64) -> Vec<f64> {
    if values.iter().all(|value| value.total_cmp(&values[0]).is_eq()) {
        // No spread, no interval: resampled sums would differ from the mean in the last bit and feign one.
        return vec![mean(values); resamples];
    }
    (0..resamples as u64).map(|resample| resample_mean(values, resample_key(seed, resample))).collect()
}

/// The mean of one resample. Each 64-bit word gives two indices by multiply-shift; the bias is below `n / 2^32`.
fn resample_mean(values: &[f64], key: u64) -> f64 {
    let count = values.len() as u64;
    let pick = |word: u64| values[((word * count) >> 32) as usize];
    let mut sum = 0.0;
    for pair in 0..count / 2 {
        let word = mix(key.wrapping_add(pair.wrapping_mul(GOLDEN)));
        sum += pick(word >> 32) + pick(word & 0xffff_ffff);
    }
    if count % 2 == 1 {
        sum += pick(mix(key.wrapping_add((count / 2).wrapping_mul(GOLDEN))) >> 32);
    }
    sum / count as f64
}

/// Odd constant near 2^64 / golden ratio: consecutive counters land far apart before mixing.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Separates the two groups of [`unpaired_bootstrap`].
const TREATED: u64 = 0x7472_6561;
/// See [`TREATED`].
const BASE: u64 = 0x6261_7365;

/// The key of a resample's draws.
pub(crate) const fn resample_key(seed: u64, resample: u64) -> u64 {
    mix(seed ^ mix(resample))
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014): a bijection whose output bits all depend on all input bits.
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(GOLDEN);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
