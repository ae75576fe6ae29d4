//! Tests of means: paired and Welch's, Holm's adjustment for many of them, and what a comparison could have seen at all.

use super::special::{normal_quantile, normal_two_sided, student_quantile, student_two_sided};
use super::{TAIL, mean};
use crate::schema::Estimate;
use serde::Serialize;

/// A difference of two means, tested.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tested {
    /// The difference with its 95 % interval.
    pub difference: Estimate,
    /// Student's t.
    pub t: f64,
    /// Its degrees of freedom.
    pub df: f64,
    /// Chance of a difference at least this large, in either direction, if there were none.
    pub p: f64,
}

/// Unbiased variance. `None` with fewer than two values.
pub fn variance(values: &[f64]) -> Option<f64> {
    let center = (values.len() > 1).then(|| mean(values))?;
    let squares: f64 = values.iter().map(|value| (value - center).powi(2)).sum();
    Some(squares / (values.len() - 1) as f64)
}

/// Welch's test of two independent groups of different variance (1947). `None` with fewer than two values on a side, or when
/// neither side varies.
pub fn welch(treated: &[f64], base: &[f64]) -> Option<Tested> {
    let share = |values: &[f64]| Some(variance(values)? / values.len() as f64);
    let (one, other) = (share(treated)?, share(base)?);
    let squares = |part: f64, values: &[f64]| part * part / (values.len() - 1) as f64;
    let df = (one + other).powi(2) / (squares(one, treated) + squares(other, base));
    tested(mean(treated) - mean(base), (one + other).sqrt(), df)
}

/// The paired t test of `treated - base`. `None` with fewer than two pairs, or when all differ by the same.
///
/// # Panics
/// The slices differ in length.
pub fn paired_t(treated: &[f64], base: &[f64]) -> Option<Tested> {
    assert_eq!(treated.len(), base.len(), "paired samples must list the same users in the same order");
    let differences: Vec<f64> = treated.iter().zip(base).map(|(treated, base)| treated - base).collect();
    let error = (variance(&differences)? / differences.len() as f64).sqrt();
    tested(mean(&differences), error, (differences.len() - 1) as f64)
}

fn tested(value: f64, error: f64, df: f64) -> Option<Tested> {
    (error > 0.0).then(|| {
        let (t, reach) = (value / error, error * student_quantile(1.0 - TAIL, df));
        let difference = Estimate { value, low: value - reach, high: value + reach };
        Tested { difference, t, df, p: student_two_sided(t, df) }
    })
}

/// Holm's step-down adjustment (1979): p-values of which those below 5 % hold together with 95 %. In the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        least = ((p.len() - rank) as f64 * p[index]).min(1.0).max(least);
        adjusted[index] = least;
    }
    adjusted
}

/// The smallest true mean difference that a two-sided 5 % test of `count` differences with this standard deviation finds with
/// chance `power`: `(z(.975) + z(power)) sd / sqrt(count)`, the normal approximation.
///
/// # Panics
/// `power` is outside `[1/2, 1)`, or `count` is 0.
pub fn minimum_detectable_effect(sd: f64, count: usize, power: f64) -> f64 {
    assert!((0.5..1.0).contains(&power) && count > 0, "a power in [1/2, 1) of at least one difference");
    (normal_quantile(1.0 - TAIL) + normal_quantile(power)) * sd / (count as f64).sqrt()
}

/// What the width of a 95 % interval of a mean difference implies, the mean being nearly normal: the p-value of no difference,
/// and the smallest true difference that is found with chance 80 %. `None` for an interval without width.
pub fn of_interval(difference: &Estimate) -> Option<(f64, f64)> {
    let reach = normal_quantile(1.0 - TAIL);
    let error = (difference.high - difference.low) / (2.0 * reach);
    (error > 0.0).then(|| {
        let p = normal_two_sided(difference.value / error);
        (p, (reach + normal_quantile(0.8)) * error)
    })
}
