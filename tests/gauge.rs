//! The Goodhart gauge: a flaw planted in the log fires it, a clean control does not, and the proxy chooses no checkpoint.

use crate::support::{metrics, outcome, project};
use recalign::config::Keep;
use recalign::stages::align::kept;
use std::fs;
use std::path::Path;

/// The first round of the example; what it says on the way.
fn click_bait(run: &Path, lift: &str) -> String {
    let config = project("experiments/configs/click-bait.toml").display().to_string();
    let lift = format!("data.source.click_bait.lift={lift}");
    let shorter = ["align.rounds=1", "evaluate.users=100", "evaluate.resamples=100"];
    let sets = shorter.into_iter().chain([lift.as_str()]).flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> =
        ["run", &config, "--run-dir", run.to_str().unwrap()].into_iter().chain(sets).collect();
    let (code, _, log) = outcome(&arguments);
    assert_eq!(code, 0, "{log}");
    log
}

/// Last less first value of a metric over the rounds.
fn change(run: &Path, key: &str) -> f64 {
    let rows = metrics(run).into_iter().filter(|row| row.stage.starts_with("align-") && row.key == key);
    let values: Vec<f64> = rows.map(|row| row.value).collect();
    values.last().unwrap() - values.first().unwrap()
}

#[test]
fn planted_click_bait_parts_truth_from_judges_and_a_clean_control_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (flawed, clean) = (dir.path().join("flawed"), dir.path().join("clean"));
    let log = click_bait(&flawed, "10");
    assert!(change(&flawed, "judge/proxy") > 0.0 && change(&flawed, "judge/oracle") < 0.0, "{log}");
    assert!(log.contains("alarm truth at step") && log.contains("the judges are fooled together"), "{log}");
    let page = fs::read_to_string(flawed.join("report/report.md")).unwrap();
    assert!(page.contains("Proxy and oracle judge part at step"), "{page}");

    let log = click_bait(&clean, "0");
    assert!(change(&clean, "judge/proxy") > 0.0 && change(&clean, "judge/oracle") > 0.0, "{log}");
    assert!(!log.contains("alarm "), "{log}");
    let page = fs::read_to_string(clean.join("report/report.md")).unwrap();
    assert!(page.contains("Proxy and oracle judge do not part beyond noise"), "{page}");
}

#[test]
fn the_held_out_judge_chooses_the_round_and_older_rounds_without_its_word_end_with_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let round = |name: &str, progress: &str| {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("progress.json"), progress).unwrap();
        path
    };
    let first = round("1", r#"{"step": 10, "held_out": 0.4}"#);
    let second = round("2", r#"{"step": 20, "held_out": 0.6}"#);
    let third = round("3", r#"{"step": 30, "held_out": 0.6}"#);
    let older = round("4", r#"{"step": 40}"#);
    let all = [first, second, third];
    assert_eq!(kept(Keep::HeldOut, &all).unwrap(), 1, "the earlier of the best");
    assert_eq!(kept(Keep::Last, &all).unwrap(), 2);
    let all = [all[0].clone(), older];
    assert_eq!(kept(Keep::HeldOut, &all).unwrap(), 1);
}
