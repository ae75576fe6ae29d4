//! Our numbers against scipy's and rliable's (`tests/golden/make_statistics.py`), and intervals against simulated truths.

use super::aggregate::{
    iqm, iqm_of_strata, percentile_interval, performance_profile, probability_of_improvement,
    probability_of_improvement_bootstrap, stratified_bootstrap,
};
use super::means::{Tested, holm, minimum_detectable_effect, of_interval, paired_t, variance, welch};
use super::tests::{coverage, normal};
use crate::schema::Estimate;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    aggregates: Aggregates,
    means: Vec<Means>,
    holm: Vec<Adjusted>,
    effects: Vec<Effect>,
}

/// Scores by task and run; draws by resample, task and run.
#[derive(Deserialize)]
struct Aggregates {
    treated: Vec<Vec<f64>>,
    base: Vec<Vec<f64>>,
    draws: Vec<Vec<Vec<usize>>>,
    others: Vec<Vec<Vec<usize>>>,
    iqm: f64,
    iqm_interval: [f64; 2],
    improvement: f64,
    improvement_interval: [f64; 2],
    thresholds: Vec<f64>,
    profile: Vec<f64>,
}

#[derive(Deserialize)]
struct Means {
    name: String,
    treated: Vec<f64>,
    base: Vec<f64>,
    welch: Expected,
    paired: Option<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    t: f64,
    df: f64,
    p: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Adjusted {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

#[derive(Deserialize)]
struct Effect {
    sd: f64,
    count: usize,
    power: f64,
    detectable: f64,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/statistics.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Within 1e-9 of what is expected, relative to anything above one.
#[track_caller]
fn assert_near(what: &str, found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
        "{what}: {found}, expected {expected}"
    );
}

fn resampled(strata: &[Vec<f64>], draw: &[Vec<usize>]) -> Vec<Vec<f64>> {
    let rows = strata.iter().zip(draw);
    rows.map(|(values, draw)| draw.iter().map(|index| values[*index]).collect()).collect()
}

#[test]
fn aggregates_and_their_intervals_equal_rliables_given_its_resamples() {
    let Aggregates { treated, base, draws, others, .. } = &golden().aggregates;
    let expected = golden().aggregates;
    assert_near("iqm", iqm_of_strata(treated), expected.iqm);
    let found = draws.iter().map(|draw| iqm_of_strata(&resampled(treated, draw))).collect();
    let interval = percentile_interval(expected.iqm, found);
    assert_near("iqm, low", interval.low, expected.iqm_interval[0]);
    assert_near("iqm, high", interval.high, expected.iqm_interval[1]);
    assert_near("improvement", probability_of_improvement(treated, base), expected.improvement);
    let improved =
        |(x, y): (&Vec<_>, &Vec<_>)| probability_of_improvement(&resampled(treated, x), &resampled(base, y));
    let found = draws.iter().zip(others).map(improved).collect();
    let interval = percentile_interval(expected.improvement, found);
    assert_near("improvement, low", interval.low, expected.improvement_interval[0]);
    assert_near("improvement, high", interval.high, expected.improvement_interval[1]);
    for (found, expected) in performance_profile(treated, &expected.thresholds).iter().zip(&expected.profile)
    {
        assert_near("profile", *found, *expected);
    }
}

#[track_caller]
fn assert_test(what: &str, found: Option<Tested>, expected: &Expected) {
    let Tested { difference, t, df, p } = found.unwrap();
    assert_near(&format!("{what}: t"), t, expected.t);
    assert_near(&format!("{what}: df"), df, expected.df);
    assert_near(&format!("{what}: p"), p, expected.p);
    assert!((p / expected.p - 1.0).abs() < 1e-9, "{what}: p {p}, expected {}", expected.p);
    assert_near(&format!("{what}: low"), difference.low, expected.low);
    assert_near(&format!("{what}: high"), difference.high, expected.high);
}

#[test]
fn tests_of_means_equal_scipys() {
    for case in golden().means {
        assert_test(&case.name, welch(&case.treated, &case.base), &case.welch);
        if let Some(expected) = &case.paired {
            assert_test(&case.name, paired_t(&case.treated, &case.base), expected);
        }
    }
}

#[test]
fn adjusted_p_values_and_detectable_effects_equal_golden_values() {
    for case in golden().holm {
        let found = holm(&case.p);
        assert_eq!(found.len(), case.adjusted.len());
        found.iter().zip(&case.adjusted).for_each(|(found, expected)| assert_near("holm", *found, *expected));
    }
    for Effect { sd, count, power, detectable } in golden().effects {
        assert_near("effect", minimum_detectable_effect(sd, count, power), detectable);
    }
}

#[test]
fn an_interval_that_just_touches_zero_has_a_p_value_of_five_percent() {
    let (p, detectable) = of_interval(&Estimate { value: 2.0, low: 0.0, high: 4.0 }).unwrap();
    assert_near("p", p, 0.05);
    // 2 is 1.96 standard errors; 1.96 + .8416 of them are found with chance 80 %.
    assert_near("detectable", detectable, 2.0 * (1.0 + 0.841_621_233_572_914_3 / 1.959_963_984_540_054));
    assert_eq!(of_interval(&Estimate { value: 1.0, low: 1.0, high: 1.0 }), None);
}

#[test]
fn what_does_not_vary_or_is_alone_has_no_test() {
    assert_eq!(welch(&[1.0], &[2.0, 3.0]), None);
    assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), None);
    assert_eq!(paired_t(&[1.0, 2.0], &[0.0, 1.0]), None);
    assert_eq!((variance(&[]), variance(&[3.0])), (None, None));
}

#[test]
fn the_interquartile_mean_ignores_a_quarter_at_either_end() {
    assert_near("iqm", iqm(&[1e9, 2.0, 4.0, -1e9]), 3.0);
    assert_near("iqm", iqm(&[5.0]), 5.0);
}

#[test]
fn stratified_intervals_cover_the_interquartile_mean_in_93_to_97_percent() {
    // Three tasks of 40 normal runs around 0, 1 and 2: symmetric, so the true interquartile mean is 1.
    let covered = coverage(|seed| {
        let task = |task: u64| (0..40).map(|run| task as f64 + normal(seed, 1000 * task + run)).collect();
        let strata: Vec<Vec<f64>> = (0..3).map(task).collect();
        (stratified_bootstrap(&strata, iqm_of_strata, (300, seed)), 1.0)
    });
    assert!((0.93..=0.97).contains(&covered), "coverage {covered}");
}

#[test]
fn intervals_of_the_probability_of_improvement_cover_it_in_93_to_97_percent() {
    // Normals half a standard deviation of their difference apart: P(x > y) = Phi(1/2).
    const TRUTH: f64 = 0.691_462_461_274_013_1;
    let covered = coverage(|seed| {
        let group =
            |from: u64, shift: f64| vec![(from..from + 60).map(|run| shift + normal(seed, run)).collect()];
        let (treated, base) = (group(0, 0.5 * 2f64.sqrt()), group(100, 0.0));
        (probability_of_improvement_bootstrap(&treated, &base, (400, seed)), TRUTH)
    });
    assert!((0.93..=0.97).contains(&covered), "coverage {covered}");
}

#[test]
fn welchs_interval_covers_a_difference_of_few_seeds_in_93_to_97_percent() {
    let covered = coverage(|seed| {
        let treated: Vec<f64> = (0..5).map(|run| 0.3 + normal(seed, run)).collect();
        let base: Vec<f64> = (50..55).map(|run| 0.5 * normal(seed, run)).collect();
        (welch(&treated, &base).unwrap().difference, 0.3)
    });
    assert!((0.93..=0.97).contains(&covered), "coverage {covered}");
}

#[test]
fn a_true_effect_of_the_detectable_size_is_found_with_the_promised_power() {
    let effect = minimum_detectable_effect(1.0, 100, 0.8);
    let found = |seed: &u64| {
        let treated: Vec<f64> = (0..100).map(|user| effect + normal(*seed, user)).collect();
        paired_t(&treated, &[0.0; 100]).unwrap().p < 0.05
    };
    let power = (0..1000).filter(found).count() as f64 / 1000.0;
    // Standard error 0.013; the t test needs a little more than the normal approximation.
    assert!((0.75..=0.84).contains(&power), "power {power}");
}
