//! `recalign evaluate`: the policies of a run, and lists from elsewhere, by every judge.

use crate::support::{MINIMAL, experiment, outcome};
use polars::prelude::{Column, DataFrame, ParquetWriter};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A run of the built-in world up to its judges, an ensemble among them.
fn judged() -> (tempfile::TempDir, PathBuf) {
    let (dir, path) = experiment(MINIMAL);
    let run = dir.path().join("run");
    let place = ["run", path.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    let settings = ["--set", "run.budget=smoke", "--set", "reward.architecture=towers"];
    let more = ["--set", "reward.ensemble=2", "--until", "reward"];
    let (code, _, stderr) = outcome(&[&place[..], &settings, &more].concat());
    assert_eq!(code, 0, "{stderr}");
    (dir, run)
}

fn evaluate(run: &Path, more: &[&str]) -> (i32, String, String) {
    outcome(&[&["evaluate", run.to_str().unwrap()], more].concat())
}

/// A table of recommendations; where it is.
fn table(dir: &Path, name: &str, columns: Vec<Column>) -> String {
    let path = dir.join(name);
    let mut frame = DataFrame::new(columns[0].len(), columns).unwrap();
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
    path.to_str().unwrap().to_owned()
}

fn lists(users: Vec<&str>, items: Vec<i64>, ranks: Vec<i64>) -> Vec<Column> {
    vec![
        Column::new("user".into(), users),
        Column::new("item".into(), items),
        Column::new("rank".into(), ranks),
    ]
}

#[test]
fn policies_and_foreign_lists_are_scored_by_every_judge_of_the_run() {
    let (dir, run) = judged();
    let (code, stdout, stderr) = evaluate(&run, &["--json"]);
    assert_eq!(code, 0, "{stderr}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    let system = &summary["systems"][0];
    assert_eq!((system["name"].as_str(), system["role"].as_str()), (Some("pretrained"), Some("policy")));
    for key in [
        "judge/proxy",
        "judge/held-out",
        "judge/ensemble",
        "ensemble/disagreement",
        "judge/oracle",
        "regret",
        "ndcg@10",
    ] {
        let estimate = &system["metrics"][key];
        assert!(estimate["low"].as_f64() <= estimate["value"].as_f64(), "{key}: {system}");
        assert!(estimate["value"].is_f64() && reports::glossary::lookup(key).is_some(), "{key}: {system}");
    }

    // Ranks need not be in the order of the rows, nor consecutive.
    let good = lists(vec!["3", "3", "5", "3"], vec![10, 11, 12, 13], vec![7, 1, 0, 2]);
    let file = table(dir.path(), "mine.parquet", good);
    let (code, stdout, stderr) = evaluate(&run, &["--recommendations", &file, "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((summary["users"].as_u64(), summary["systems"][0]["name"].as_str()), (Some(2), Some("mine")));
    let (code, stdout, _) = evaluate(&run, &["--recommendations", &file]);
    assert!(code == 0 && stdout.contains("2 users") && stdout.contains("judge/oracle"), "{stdout}");
}

#[test]
fn policies_of_another_run_are_judged_under_their_own_semantic_ids() {
    let (dir, run) = judged();
    let systems = |more: &[&str]| -> Vec<Value> {
        let (code, stdout, stderr) = evaluate(&run, &[more, &["--json"]].concat());
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()["systems"].as_array().unwrap().clone()
    };
    let (own, again) = (&systems(&[])[0], &systems(&["--policies", run.to_str().unwrap()])[0]);
    assert_eq!((&again["name"], &own["metrics"]), (&"test/pretrained".into(), &again["metrics"]));

    let other = dir.path().join("other");
    let config = dir.path().join("experiment.toml");
    let place =
        ["run", config.to_str().unwrap(), "--run-dir", other.to_str().unwrap(), "--until", "pretrain"];
    let settings = ["tokenize.levels=2", "tokenize.codes=20", "run.budget=smoke", "run.name=other"];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let (code, _, stderr) = outcome(&[&place[..], &settings].concat());
    assert_eq!(code, 0, "{stderr}");
    let theirs = &systems(&["--policies", other.to_str().unwrap()])[0];
    assert_eq!(theirs["name"], "other/pretrained");
    let judged = |system: &Value| system["metrics"]["judge/oracle"]["value"].as_f64().unwrap();
    assert!(judged(theirs).is_finite() && (judged(theirs) - judged(own)).abs() > 1e-9, "{theirs}");

    let (_elsewhere, config) = experiment(&MINIMAL.replace("items = 300", "items = 150"));
    let small = dir.path().join("small");
    let place =
        ["run", config.to_str().unwrap(), "--run-dir", small.to_str().unwrap(), "--until", "pretrain"];
    assert_eq!(
        outcome(&[&place[..], &["--set", "run.budget=smoke", "--set", "tokenize.codes=100"]].concat()).0,
        0
    );
    let (code, _, stderr) = evaluate(&run, &["--policies", small.to_str().unwrap()]);
    assert!(code == 2 && stderr.contains("--policies") && stderr.contains("its catalog is not"), "{stderr}");
}

#[test]
fn the_judges_themselves_are_examined_on_their_own_log_and_on_another() {
    let (dir, run) = judged();
    // The same users in the same world: another log only by name.
    let other = dir.path().join("other.toml");
    std::fs::write(&other, MINIMAL.replace("users = 100", "users = 90")).unwrap();
    let (code, stdout, stderr) = evaluate(&run, &["--judges", "--data", other.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for judge in ["proxy", "held-out", "ensemble-1", "ensemble-2"] {
        for log in ["own", "other"] {
            let own = lines.iter().filter(|line| line["judge"] == judge && line["log"] == log);
            let known =
                own.filter(|line| line["auc"]["low"].as_f64() <= line["auc"]["value"].as_f64()).count();
            assert!(known >= 1, "{judge}, {log}: {stdout}");
        }
    }
    let (code, stdout, _) = evaluate(&run, &["--judges"]);
    assert!(code == 0 && stdout.contains("base rate") && stdout.contains("held-out"), "{stdout}");
    let (code, _, stderr) = evaluate(&run, &["--judges", "--recommendations", "x.parquet"]);
    assert!(code == 2 && stderr.contains("cannot be used with"), "{stderr}");
}

#[test]
fn broken_lists_and_runs_are_named() {
    let (dir, run) = judged();
    let problem = |columns: Vec<Column>| {
        let file = table(dir.path(), "bad.parquet", columns);
        let (code, _, stderr) = evaluate(&run, &["--recommendations", &file]);
        assert_eq!(code, 2, "{stderr}");
        stderr
    };
    let all =
        problem(lists(vec!["3", "nobody", "3", "3", "4"], vec![1, 1, 9999, 1, 5], vec![1, 1, 2, 3, -1]));
    for part in [
        "4 problems",
        "row 2: column `user` is `nobody`, expected a user of this data",
        "row 3: column `item` is `9999`, expected an item of this data",
        "row 4: column `item` is `1`, expected an item that this user is recommended once",
        "row 5: column `rank` is `-1`, expected a whole number",
    ] {
        assert!(all.contains(part), "{part}:\n{all}");
    }
    let twice = problem(lists(vec!["3", "3"], vec![1, 2], vec![1, 1]));
    assert!(
        twice.contains("row 2: column `rank` is `1`, expected a rank that this user's list has once"),
        "{twice}"
    );
    let columns = lists(vec!["3"], vec![1], vec![1]).into_iter().take(2).collect();
    assert!(problem(columns).contains("no column `rank` (asked for by `--recommendations`)"));

    let (_other, config) = experiment(&MINIMAL.replace("items = 300", "items = 260"));
    let (code, _, stderr) = evaluate(&run, &["--data", config.to_str().unwrap()]);
    assert!(code == 2 && stderr.contains("its catalog is not the run's"), "{stderr}");
    let (code, _, stderr) = evaluate(dir.path(), &[]);
    assert!(code == 2 && stderr.contains("is not a run directory"), "{stderr}");
}
