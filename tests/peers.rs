//! What we write for other programs, read by them: `TensorBoard` and `mlcroissant`, where a Python has them.

use crate::support::{outcome, project};
use reports::schema::MetricRow;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The Python that may have them: `RECALIGN_PYTHON`, else `python3`.
fn python(module: &str) -> Option<String> {
    let python = std::env::var("RECALIGN_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    let has = found.is_ok_and(|output| output.status.success());
    if !has {
        let skipped = format!("skipped: {python} has no {module}; set RECALIGN_PYTHON to one that has\n");
        drop(std::io::Write::write_all(&mut std::io::stderr(), skipped.as_bytes()));
    }
    has.then_some(python)
}

/// A run up to pretraining.
fn run(dir: &Path) {
    let config = project("experiments/configs/quickstart.toml");
    let (config, dir) = (config.to_str().unwrap(), dir.to_str().unwrap());
    let (code, _, log) =
        outcome(&["run", config, "--set", "run.budget=smoke", "--run-dir", dir, "--until", "pretrain"]);
    assert_eq!(code, 0, "{log}");
}

#[test]
fn other_programs_read_the_curves_and_the_data_card() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path());
    let events = dir.path().join("tensorboard/pretrain/events.out.tfevents.0.recalign");
    assert!(fs::metadata(events).unwrap().len() > 100);
    assert!(!dir.path().join("tensorboard/ingest").exists(), "a stage that measured nothing has no events");
    if let Some(python) = python("tensorboard") {
        curves_are_read(&python, dir.path());
    }
    if let Some(python) = python("mlcroissant") {
        data_card_is_valid(&python, dir.path());
    }
}

fn curves_are_read(python: &str, run: &Path) {
    let script = project("tests/golden/read_events.py");
    let read = Command::new(python).arg(script).arg(run.join("tensorboard")).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let found: BTreeMap<String, BTreeMap<String, Vec<(u64, f64)>>> =
        serde_json::from_slice(&read.stdout).unwrap();
    let mut expected: BTreeMap<String, BTreeMap<String, Vec<(u64, f64)>>> = BTreeMap::new();
    for line in fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines() {
        let MetricRow { stage, step, key, value } = serde_json::from_str(line).unwrap();
        // Event files hold 32 bits.
        expected.entry(stage).or_default().entry(key).or_default().push((step, f64::from(value as f32)));
    }
    assert_eq!(found, expected);
}

fn data_card_is_valid(python: &str, run: &Path) {
    let (code, _, log) = outcome(&["report", run.to_str().unwrap()]);
    assert_eq!(code, 0, "{log}");
    let card = run.join("report/cards/croissant.json");
    let read = "import json, sys, mlcroissant\n\
        data = mlcroissant.Dataset(sys.argv[1])\n\
        rows = [next(iter(data.records(name))) for name in ('interactions', 'items', 'users')]\n\
        print(json.dumps([sorted(row) for row in rows]))\n";
    let read = Command::new(python).args(["-c", read]).arg(&card).output().unwrap();
    let errors = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{errors}");
    let columns: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(columns[2], serde_json::json!(["users/raw_id", "users/user"]));
}
