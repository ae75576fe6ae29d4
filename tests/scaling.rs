//! Test-time scaling through the program: what is measured, what is shown, and that nothing changes without it.

use crate::support::{MINIMAL, experiment, outcome};
use reports::schema::scaling::{Scaling, ScalingPoint, Way};
use std::fs;
use std::path::{Path, PathBuf};

const ASKED: [&str; 4] = ["--set", "evaluate.scaling=[1, 2, 8]", "--set", "evaluate.scaling_users=40"];

/// A smoke run of the built-in world.
fn run(name: &str, more: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let (dir, config) = experiment(MINIMAL);
    let run = dir.path().join(name);
    let place = ["run", config.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    let (code, _, stderr) = outcome(&[&place[..], &["--set", "run.budget=smoke"], more].concat());
    assert_eq!(code, 0, "{stderr}");
    (dir, run)
}

/// The directory of the evaluation.
fn evaluation(run: &Path) -> PathBuf {
    let mut stages = fs::read_dir(run.join("stages")).unwrap().map(|entry| entry.unwrap().path());
    stages.find(|path| path.to_str().unwrap().ends_with("-evaluate")).unwrap()
}

fn scaling(run: &Path) -> Scaling {
    serde_json::from_slice(&fs::read(evaluation(run).join("scaling.json")).unwrap()).unwrap()
}

fn point<'a>(scaling: &'a Scaling, system: &str, (way, candidates): (Way, u64)) -> &'a ScalingPoint {
    let is_wanted =
        |point: &&ScalingPoint| point.system == system && point.way == way && point.candidates == candidates;
    scaling.points.iter().find(is_wanted).unwrap()
}

#[test]
fn every_policy_is_measured_and_compared_at_equal_cost() {
    let (_dir, run) = run("scaled", &ASKED);
    let found = scaling(&run);
    assert_eq!((found.users, found.draws, found.shown), (40, 16, 10));
    assert_eq!(found.selector.as_deref(), Some("judge/proxy"));
    let aligned = found.comparisons[0].system.clone();
    for system in ["pretrained", &aligned] {
        let value =
            |way, candidates: u64, key: &str| point(&found, system, (way, candidates)).metrics[key].value;
        for [few, many] in [[1, 2], [2, 8]] {
            assert!(
                value(Way::Draws, few, &format!("pass@{few}"))
                    <= value(Way::Draws, many, &format!("pass@{many}"))
            );
            assert!(
                value(Way::Draws, few, &format!("distinct@{few}"))
                    < value(Way::Draws, many, &format!("distinct@{many}"))
            );
        }
        // Of one candidate the judge has no choice.
        let (beam, chosen) =
            (point(&found, system, (Way::Beam, 1)), point(&found, system, (Way::SelectedBeam, 1)));
        assert_eq!((beam.cost(), chosen.cost()), (1, 2));
        assert!(chosen.metrics.iter().all(|(key, estimate)| beam.metrics[key] == *estimate), "{system}");
    }
    let widths: Vec<(u64, u64)> =
        found.comparisons.iter().map(|compared| (compared.candidates, compared.width)).collect();
    assert!(widths.contains(&(8, 8)) && widths.contains(&(8, 16)), "{widths:?}");
    assert!(found.comparisons.iter().all(|compared| compared.metric != "judge/proxy"), "graded by who chose");
    let keys = found.points.iter().flat_map(|point| point.metrics.keys());
    let unknown: Vec<_> = keys.filter(|key| reports::glossary::lookup(key).is_none()).collect();
    assert!(unknown.is_empty(), "not in the glossary: {unknown:?}");

    let report = fs::read_to_string(run.join("report/report.md")).unwrap();
    for part in [
        "## Test-time scaling",
        "judge/proxy (chose)",
        "if the judge's scores cost nothing |",
        "| `pass@K` |",
    ] {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    for figure in ["scaling", "equal-cost"] {
        let rows = fs::read_to_string(run.join(format!("report/figures/{figure}.csv"))).unwrap();
        assert!(rows.contains("pretrained") && rows.contains(&aligned), "{figure}: {rows}");
    }
    assert_eq!(outcome(&["verify", run.to_str().unwrap()]).0, 0);
}

#[test]
fn without_judges_draws_and_beams_are_measured_and_the_rest_is_said_to_be_missing() {
    let (_dir, run) = run("alone", &[&ASKED[..], &["--set", "run.stages=pretraining"]].concat());
    let found = scaling(&run);
    assert!(found.selector.is_none() && found.comparisons.is_empty());
    let ways: Vec<Way> = found.points.iter().map(|point| point.way).collect();
    assert!(ways.contains(&Way::Draws) && ways.contains(&Way::Beam) && !ways.contains(&Way::SelectedBeam));
    let report = fs::read_to_string(run.join("report/report.md")).unwrap();
    for part in
        ["This run has no judge", "best-of-n against aligned policies are missing", "choices of a judge in"]
    {
        assert!(report.contains(part), "{part}:\n{report}");
    }
    assert!(
        run.join("report/figures/scaling.svg").is_file()
            && !run.join("report/figures/equal-cost.svg").exists()
    );
}

#[test]
fn the_rest_of_the_evaluation_is_the_same_with_it_and_without_it() {
    let stages = ["--set", "run.stages=pretraining"];
    let (_one, plain) = run("plain", &stages);
    let (_other, scaled) = run("plain", &[&ASKED[..], &stages].concat());
    for file in ["evaluation.json", "per_user.parquet"] {
        let read = |run: &Path| fs::read(evaluation(run).join(file)).unwrap();
        assert_eq!(read(&plain), read(&scaled), "{file}");
    }
    assert!(!evaluation(&plain).join("scaling.json").exists());
    assert!(!fs::read_to_string(plain.join("config.toml")).unwrap().contains("scaling"));
    let report = fs::read_to_string(plain.join("report/report.md")).unwrap();
    assert!(!report.contains("Test-time scaling") && !report.contains("pass@K"));
}
