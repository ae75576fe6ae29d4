use super::*;

/// Uniform in (0, 1) for test data, from another stream than the bootstrap's.
fn uniform(seed: u64, index: u64) -> f64 {
    ((mix(mix(seed ^ 0x00da_7a00).wrapping_add(index)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// Standard normal by Box-Muller.
pub(super) fn normal(seed: u64, index: u64) -> f64 {
    let radius = (-2.0 * uniform(seed, 2 * index).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(seed, 2 * index + 1)).cos()
}

#[test]
fn mean_and_quantiles_equal_hand_values() {
    assert!((mean(&[1.0, 2.0, 6.0]) - 3.0).abs() < 1e-15);
    let sorted = [10.0, 20.0, 30.0, 40.0];
    // numpy.quantile([10, 20, 30, 40], [0, 0.25, 0.5, 1]) = 10, 17.5, 25, 40.
    for (q, expected) in [(0.0, 10.0), (0.25, 17.5), (0.5, 25.0), (1.0, 40.0)] {
        assert!((quantile(&sorted, q) - expected).abs() < 1e-12, "quantile {q}");
    }
}

#[test]
fn splitmix_matches_its_published_first_outputs() {
    // SplitMix64 seeded with 0: the first outputs of the reference implementation.
    assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    assert_eq!(mix(GOLDEN), 0x6e78_9e6a_a1b9_65f4);
}

#[test]
fn a_constant_sample_has_no_interval() {
    let estimate = bootstrap_mean(&[0.1; 7], 200, 3);
    assert_eq!(estimate, Estimate { value: estimate.value, low: estimate.value, high: estimate.value });
    assert!((estimate.value - 0.1).abs() < 1e-15);
}

#[test]
fn two_users_give_the_three_possible_means_in_their_shares() {
    let means = resample_means(&[0.0, 1.0], 40_000, 9);
    for (expected, share) in [(0.0, 0.25), (0.5, 0.5), (1.0, 0.25)] {
        let seen = means.iter().filter(|mean| (**mean - expected).abs() < 1e-12).count() as f64 / 40_000.0;
        // Standard error 0.0025: six of them.
        assert!((seen - share).abs() < 0.015, "mean {expected} seen in {seen}");
    }
}

#[test]
fn the_interval_width_follows_the_standard_error() {
    let values: Vec<f64> = (0..2000).map(|index| normal(1, index)).collect();
    let estimate = bootstrap_mean(&values, 2000, 5);
    let expected = 2.0 * 1.96 / (2000f64).sqrt();
    assert!(((estimate.high - estimate.low) / expected - 1.0).abs() < 0.12);
}

#[test]
fn intervals_of_a_normal_mean_cover_the_truth_in_93_to_97_percent() {
    let covered = coverage(|seed| {
        let values: Vec<f64> = (0..200).map(|index| 3.0 + normal(seed, index)).collect();
        (bootstrap_mean(&values, 400, seed), 3.0)
    });
    assert!((0.93..=0.97).contains(&covered), "coverage {covered}");
}

#[test]
fn intervals_of_a_sparse_ranking_metric_cover_the_truth_in_93_to_97_percent() {
    // Nine users in ten miss, the others gain 1/log2(rank + 1) for ranks 1..=4: the shape of NDCG.
    let gain = |seed, index| {
        let gains = [1.0, 0.630_929_753_571_457_4, 0.5, 0.430_676_558_073_393_2];
        let draw = uniform(seed, index) * 40.0;
        if draw < 4.0 { gains[draw as usize] } else { 0.0 }
    };
    let truth = (1.0 + 0.630_929_753_571_457_4 + 0.5 + 0.430_676_558_073_393_2) / 40.0;
    let covered = coverage(|seed| {
        let values: Vec<f64> = (0..600).map(|index| gain(seed, index)).collect();
        (bootstrap_mean(&values, 300, seed), truth)
    });
    assert!((0.93..=0.97).contains(&covered), "coverage {covered}");
}

#[test]
fn paired_intervals_cover_and_are_narrower_than_unpaired_ones() {
    let mut narrower = 0;
    let covered = coverage(|seed| {
        let base: Vec<f64> = (0..200).map(|index| normal(seed, index)).collect();
        let treated: Vec<f64> =
            base.iter().zip(1000..).map(|(base, index)| base + 0.1 + 0.2 * normal(seed, index)).collect();
        let paired = paired_bootstrap(&treated, &base, 300, seed);
        let unpaired = unpaired_bootstrap(&treated, &base, 300, seed);
        narrower += u32::from(paired.high - paired.low < unpaired.high - unpaired.low);
        (paired, 0.1)
    });
    assert!((0.93..=0.97).contains(&covered), "coverage {covered}");
    assert_eq!(narrower, 1000, "pairing must remove the spread between users");
}

#[test]
fn unpaired_intervals_cover_the_difference_in_93_to_97_percent() {
    let covered = coverage(|seed| {
        let treated: Vec<f64> = (0..150).map(|index| 0.5 + normal(seed, index)).collect();
        let base: Vec<f64> = (500..800).map(|index| 2.0 * normal(seed, index)).collect();
        (unpaired_bootstrap(&treated, &base, 300, seed), 0.5)
    });
    assert!((0.93..=0.97).contains(&covered), "coverage {covered}");
}

#[test]
fn seeds_reproduce_and_differ() {
    let values: Vec<f64> = (0..501).map(|index| normal(7, index)).collect();
    assert_eq!(bootstrap_mean(&values, 100, 1), bootstrap_mean(&values, 100, 1));
    assert_ne!(bootstrap_mean(&values, 100, 1), bootstrap_mean(&values, 100, 2));
}

/// Share of 1000 simulated data sets whose interval contains the truth (standard error 0.007).
pub(super) fn coverage(mut simulate: impl FnMut(u64) -> (Estimate, f64)) -> f64 {
    let covers = |seed| {
        let (estimate, truth) = simulate(seed);
        f64::from(u8::from(estimate.low <= truth && truth <= estimate.high))
    };
    mean(&(0..1000).map(covers).collect::<Vec<_>>())
}
