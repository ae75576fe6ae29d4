//! `recalign arena` through the program: votes of people, and judges over the policies of runs.

use crate::support::{MINIMAL, experiment, outcome};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn ballots(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("votes.csv");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn voted(text: &str, more: &[&str]) -> (i32, String, String) {
    let (_dir, path) = ballots(text);
    outcome(&[&["arena", "--votes", path.to_str().unwrap()], more].concat())
}

#[test]
fn votes_become_standings_with_a_verdict_against_the_baseline() {
    let mut votes = "voter,left,right,winner\n".to_owned();
    for voter in 0..20 {
        for (left, right, winner) in [("old", "new", "new"), ("new", "old", "left"), ("old", "odd", "tie")] {
            writeln!(votes, "v{voter},{left},{right},{winner}").unwrap();
        }
    }
    let (code, text, log) = voted(&votes, &[]);
    assert_eq!(code, 0, "{log}");
    assert!(text.contains("by 60 votes of 20 voters"), "{text}");
    let line = |player: &str| text.lines().find(|line| line.starts_with(player)).unwrap().to_owned();
    assert!(line("new ").ends_with("better") && line("odd ").ends_with("inside noise"), "{text}");
    assert!(line("old ").ends_with("baseline"), "{text}");
    let (_, text, _) = voted(&votes, &["--baseline", "new", "--json"]);
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["baseline"], "new");
    assert_eq!(summary["places"][0]["player"], "new");
    assert!(summary["places"][2]["against_baseline"]["high"].as_f64().unwrap() < 0.0, "{summary}");
}

#[test]
fn a_broken_file_of_votes_is_refused_with_line_and_remedy() {
    for (text, expected) in [
        ("voter,left,right\n", "no column `winner`; it needs voter, left, right, winner"),
        ("voter,left,right,winner\n", "needs at least two players, there are 0"),
        ("voter,left,right,winner\na,x,y,x\na,x,y,z\n", "line 3"),
        ("voter,left,right,winner\na,x,y,z\n", "`winner` is `z`, must be `x`, `y`, `left`, `right` or `tie`"),
        ("voter,left,right,winner\na,x,x,tie\n", "line 2: `x` is compared with itself"),
        ("voter,left,right,winner\na,x,y,x\nb,p,q,p\n", "no vote links x with p"),
        ("voter,left,right,winner\na,x\n", "found record with 2 fields"),
    ] {
        let (code, _, log) = voted(text, &[]);
        assert!(code == 2 && log.contains(expected), "{text}: {code} {log}");
    }
    let (code, _, log) = outcome(&["arena", "--votes", "nowhere.csv"]);
    assert!(code == 2 && log.contains("nowhere.csv"), "{log}");
    let (code, _, log) = voted("voter,left,right,winner\na,x,y,x\n", &["--baseline", "z"]);
    assert!(code == 2 && log.contains("the players are x, y"), "{log}");
}

/// A run of the built-in world, evaluated.
fn evaluated(dir: &Path, config: &Path, seed: &str) -> PathBuf {
    let run = dir.join(seed);
    let place = ["run", config.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    let seed = format!("run.seed={seed}");
    let (code, _, log) = outcome(&[&place[..], &["--set", "run.budget=smoke", "--set", &seed]].concat());
    assert_eq!(code, 0, "{log}");
    run
}

#[test]
fn a_judge_ranks_the_policies_of_a_run_and_different_judges_are_refused() {
    let (dir, config) = experiment(MINIMAL);
    let (one, other) = (evaluated(dir.path(), &config, "1"), evaluated(dir.path(), &config, "2"));
    for judge in ["proxy", "held-out", "oracle"] {
        let (code, text, log) = outcome(&["arena", one.to_str().unwrap(), "--judge", judge, "--json"]);
        assert_eq!(code, 0, "{log}");
        let summary: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(summary["baseline"], "pretrained");
        let sum: f64 =
            summary["places"].as_array().unwrap().iter().map(|p| p["elo"]["value"].as_f64().unwrap()).sum();
        assert!(sum.abs() < 1e-6, "{summary}");
    }
    let (code, _, log) = outcome(&["arena", one.to_str().unwrap(), other.to_str().unwrap()]);
    assert!(code == 2 && log.contains("have different judges"), "{log}");
}
