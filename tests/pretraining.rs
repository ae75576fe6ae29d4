//! Policies that read more than items or write more than one, through the program: trained, evaluated, explained when they
//! cannot be.

use crate::support::{outcome, project};
use reports::schema::{Evaluation, MetricRow};
use std::collections::BTreeSet;
use std::path::Path;

/// A short pretraining in the built-in world, and an evaluation.
fn pretrain(run: &Path, sets: &[&str]) -> (i32, String) {
    let config = project("experiments/configs/quickstart.toml");
    let mut arguments = vec!["run", config.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    for set in ["run.budget=smoke", "run.stages=pretraining"].iter().chain(sets) {
        arguments.extend(["--set", set]);
    }
    let (code, _, stderr) = outcome(&arguments);
    (code, stderr)
}

/// The recall of the pretrained policy at the largest cut-off, and the keys of its metrics.
fn results(run: &Path) -> (f64, BTreeSet<String>) {
    let evaluation = std::fs::read(run.join("stages/04-evaluate/evaluation.json")).unwrap();
    let evaluation: Evaluation = serde_json::from_slice(&evaluation).unwrap();
    let system = evaluation.systems.iter().find(|system| system.name == "pretrained").unwrap();
    let rows = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let keys = rows.lines().map(|line| serde_json::from_str::<MetricRow>(line).unwrap().key);
    (system.metrics["recall@10"].value, keys.collect())
}

#[test]
fn sessions_are_learnt_written_and_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let (code, log) = pretrain(
        &run,
        &[
            "pretrain.sessions.items=3",
            "pretrain.sessions.min_length=4",
            "pretrain.sessions.positive=['like']",
        ],
    );
    assert_eq!(code, 0, "{log}");
    let (recall, keys) = results(&run);
    assert!((0.0..=1.0).contains(&recall) && keys.contains("validation/ndcg@10"));
    let other = dir.path().join("other");
    let (code, log) = pretrain(&other, &["pretrain.sessions.positive=['applause']"]);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("\"applause\"; the log's signals are: "), "{log}");
    let (code, log) = pretrain(&other, &["pretrain.sessions.min_length=100000"]);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("no training history has a session of 5 different items"), "{log}");
}

#[test]
fn a_policy_that_reads_users_or_times_is_trained_but_not_exported() {
    let dir = tempfile::tempdir().unwrap();
    let hstu = [
        "model.architecture=item-context",
        "model.context_block=hstu",
        "model.attention_bias=position-and-time",
    ];
    for (name, sets, refusal) in [
        ("users", ["model.user_buckets=16"].as_slice(), "knows the users of its log"),
        ("times", hstu.as_slice(), "reads when items were consumed"),
    ] {
        let run = dir.path().join(name);
        let (code, log) = pretrain(&run, sets);
        assert_eq!(code, 0, "{log}");
        let to = dir.path().join("export");
        let (code, _, log) = outcome(&["export", run.to_str().unwrap(), "--to", to.to_str().unwrap()]);
        assert_eq!(code, 2, "{log}");
        assert!(log.contains(refusal) && !to.exists(), "{log}");
    }
}

#[test]
fn the_loads_of_experts_are_measured_and_documented() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let sets = ["model.architecture=onerec-moe", "model.experts=4", "model.encoder_input=two-branches"];
    let (code, log) = pretrain(&run, &sets);
    assert_eq!(code, 0, "{log}");
    let (_, keys) = results(&run);
    let measured: Vec<&String> = keys.iter().filter(|key| key.starts_with("experts/")).collect();
    assert_eq!(measured.len(), 4 + 1, "one block in the smoke budget: {measured:?}");
    assert!(measured.iter().all(|key| reports::glossary::lookup(key).is_some()), "{measured:?}");
}
