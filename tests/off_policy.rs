//! Off-policy estimates on the Open Bandit Dataset's sample, where it is at hand: two policies logged side by side, so what
//! the estimators say of one from the log of the other can be compared with what happened.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use reward::off_policy::{Estimates, Round, estimate};
use std::path::{Path, PathBuf};

/// Items of the sample: the random policy shows each with this probability.
const ITEMS: f64 = 80.0;

fn log(policy: &str) -> Option<Vec<(f64, f64)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/obd");
    let path: PathBuf = root.join(policy).join("all.csv");
    if !path.is_file() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|found| found == name).unwrap();
    let (click, propensity) = (column("click"), column("propensity_score"));
    let row = |row: csv::StringRecord| (row[click].parse().unwrap(), row[propensity].parse().unwrap());
    Some(reader.records().map(|record| row(record.unwrap())).collect())
}

/// What uniform choice would have earned, from this log.
fn of_uniform(log: &[(f64, f64)], most: f64) -> Estimates {
    let round = |&(reward, propensity): &(f64, f64)| Round {
        reward,
        propensity,
        target: 1.0 / ITEMS,
        predicted: 0.0,
        predicted_of_target: 0.0,
    };
    estimate(&log.iter().map(round).collect::<Vec<_>>(), most).unwrap()
}

#[test]
fn the_click_rate_of_uniform_choice_is_covered_from_the_log_of_thompson_sampling() {
    let (Some(random), Some(sampled)) = (log("random"), log("bts")) else { return };
    let truth = random.iter().map(|row| row.0).sum::<f64>() / random.len() as f64;
    assert!((truth - 0.0038).abs() < 1e-12);
    let own = of_uniform(&random, f64::INFINITY);
    assert!((own.ips.value - truth).abs() < 1e-12 && (own.effective_rounds - 10_000.0).abs() < 1e-6);
    // Figures computed apart from this program: .00236, weight 277.8, 340.4 effective rounds, self-normalised .00233.
    let found = of_uniform(&sampled, f64::INFINITY);
    assert!((found.ips.value - 0.002_359_64).abs() < 1e-8, "{found:?}");
    assert!((found.snips.value - 0.002_333_71).abs() < 1e-8, "{found:?}");
    assert!(
        (found.largest_weight - 277.777_8).abs() < 1e-3 && (found.effective_rounds - 340.378).abs() < 1e-2
    );
    assert!(found.ips.covers(truth) && found.snips.covers(truth), "{found:?}");
    // Cut weights: calmer, and no longer honest about how little the log knows.
    let cut = of_uniform(&sampled, 10.0);
    assert!(cut.effective_rounds > 4.0 * found.effective_rounds, "{cut:?}");
}
