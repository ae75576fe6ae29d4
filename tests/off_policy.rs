//! Off-policy estimates on the Open Bandit Dataset's sample, where it is at hand: two policies logged side by side, so what
//! the estimators say of one from the log of the other can be compared with what happened; and `recalign evaluate --off-policy`,
//! which must say the same.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use crate::support::{outcome, project};
use reward::off_policy::{Estimates, Round, estimate};
use serde_json::Value;
use std::collections::BTreeMap;
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

/// Clicks and propensities of all rounds but a user's first, of users with three or more.
fn later_rounds(path: &Path) -> Vec<(f64, f64)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|found| found == name).unwrap();
    let features: Vec<usize> = (0..4).map(|feature| column(&format!("user_feature_{feature}"))).collect();
    let (time, click, propensity) = (column("timestamp"), column("click"), column("propensity_score"));
    let mut users: BTreeMap<Vec<String>, Vec<(String, f64, f64)>> = BTreeMap::new();
    for row in reader.records().map(Result::unwrap) {
        let user = features.iter().map(|&feature| row[feature].to_owned()).collect();
        let round = (row[time].to_owned(), row[click].parse().unwrap(), row[propensity].parse().unwrap());
        users.entry(user).or_default().push(round);
    }
    let later = |mut rounds: Vec<(String, f64, f64)>| {
        rounds.sort_by(|a, b| a.0.cmp(&b.0));
        rounds.into_iter().skip(1).map(|(_, click, propensity)| (click, propensity))
    };
    users.into_values().filter(|rounds| rounds.len() >= 3).flat_map(later).collect()
}

#[test]
fn the_command_estimates_what_the_estimators_do() {
    let data = project("../shared/data/obd");
    if !data.join("bts/all.csv").is_file() {
        eprintln!("skipped: {} is not there", data.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let config = project("experiments/configs/open-bandit.toml");
    let (run, config) = (run.to_str().unwrap(), config.to_str().unwrap());
    let path = format!("data.path={}", data.display());
    // Lists of the whole catalog: the policy is uniform choice, whatever it has learnt.
    let settings = ["--set", &path, "--set", "evaluate.judged_items=80", "--set", "pretrain.max_steps=5"];
    let (code, _, stderr) =
        outcome(&[&["run", config, "--until", "reward", "--run-dir", run][..], &settings].concat());
    assert_eq!(code, 0, "{stderr}");
    let other = ["--data", config, "--set", &path, "--set", "data.source.file=bts/all.csv"];
    let ask = |head: &str, more: &[&str]| {
        outcome(&[&["evaluate", run, "--off-policy", head, "--json"][..], &other, more].concat())
    };
    let (code, stdout, stderr) = ask("ctr", &[]);
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rounds = later_rounds(&data.join("bts/all.csv"));
    let close = |line: &Value, key: &str, expected: f64| {
        let found = line[key].as_f64().or(line[key]["value"].as_f64()).unwrap();
        assert!((found - expected).abs() < 1e-6 * expected, "{key}: {found}, expected {expected}");
    };
    close(&lines[0], "ips", rounds.iter().map(|round| round.0).sum::<f64>() / rounds.len() as f64);
    let expected = of_uniform(&rounds, f64::INFINITY);
    assert_eq!(lines[1]["rounds"], rounds.len());
    close(&lines[1], "ips", expected.ips.value);
    close(&lines[1], "snips", expected.snips.value);
    close(&lines[1], "effective_rounds", expected.effective_rounds);
    let (_, stdout, _) = ask("ctr", &["--most-weight", "10"]);
    let cut: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    close(&cut, "snips", of_uniform(&rounds, 10.0).snips.value);
    let same = ["evaluate", run, "--off-policy", "ctr", "--data", config, "--set", &path];
    let (code, _, stderr) = outcome(&same);
    assert!(code == 2 && stderr.contains("the log that the policies learnt from"), "{stderr}");
    let (code, _, stderr) = ask("ctr", &["--most-weight", "0"]);
    assert!(code == 2 && stderr.contains("expected a number above 0"), "{stderr}");
    for (head, column, problem) in [
        ("ltr", "propensity", "the log tells no such label; it tells [ctr]"),
        ("ctr", "place", "expected a probability above 0"),
        ("ctr", "chance", "`chance` is no feedback column of this log (click, propensity, place)"),
    ] {
        let (code, _, stderr) = ask(head, &["--propensity", column]);
        assert!(code == 2 && stderr.contains(problem), "{code} {stderr}");
    }
}
