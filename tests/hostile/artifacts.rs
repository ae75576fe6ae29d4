//! No damaged artifact of a finished run verifies, and the next run repairs what it can.

use crate::kills::WHOLE;
use crate::support::{copy_tree, mutate, outcome, project, rounds};
use polars::prelude::{Column, ParquetReader, ParquetWriter, SerReader as _};
use policy::random::Key;
use recalign::run::hash;
use recalign::run::verify::verify;
use recalign::stages::sample::rollouts;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_none_or(|name| name != ".lock") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn verifies(run: &Path) -> bool {
    verify(run).is_ok_and(|verdicts| verdicts.iter().all(|verdict| verdict.problems.is_empty()))
}

/// Manifests are sealed as JSON, so that white space and the spelling of names may differ.
fn says_the_same(name: &Path, [old, new]: [&[u8]; 2]) -> bool {
    let value = |bytes: &[u8]| {
        let mut value: BTreeMap<String, serde_json::Value> = serde_json::from_slice(bytes).ok()?;
        value.retain(|key, _| !key.starts_with("sea") && !key.ends_with("eal"));
        Some(value)
    };
    name.ends_with("manifest.json") && value(old).is_some() && value(old) == value(new)
}

#[test]
fn no_damaged_artifact_verifies() {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(WHOLE.0.path(), copy.path());
    assert!(verifies(copy.path()));
    let files = files(copy.path());
    for round in 0..rounds(1000) as u64 {
        let key = Key::new(8).named("artifacts").at(round);
        let file = &files[(key.bits() % files.len() as u64) as usize];
        let original = fs::read(file).unwrap();
        let how = mutate(file, key.named("damage"));
        let mutant = fs::read(file).unwrap();
        let harmless = mutant == original || says_the_same(file, [&original, &mutant]);
        assert!(harmless || !verifies(copy.path()), "{}: {how}", file.display());
        fs::write(file, original).unwrap();
    }
    assert!(verifies(copy.path()));
}

#[test]
fn a_missing_or_additional_file_does_not_verify() {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(WHOLE.0.path(), copy.path());
    for file in files(copy.path()) {
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(!verifies(copy.path()), "{} is missing", file.display());
        fs::write(&file, bytes).unwrap();
    }
    fs::write(copy.path().join("stages/03-pretrain/more"), "").unwrap();
    assert!(!verifies(copy.path()));
}

#[test]
fn a_recomputed_stage_is_compared_byte_by_byte() {
    let run = WHOLE.0.path().to_str().unwrap();
    for stage in ["tokenize", "align-grpo-1", "report"] {
        let (code, stdout, log) = outcome(&["verify", run, "--recompute", stage]);
        assert_eq!(code, 0, "{stage}: {stdout}{log}");
        assert!(stdout.contains(&format!("recomputed: every byte of {stage} is the same")), "{stdout}");
    }
    let (code, _, log) = outcome(&["verify", run, "--recompute", "aling"]);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("has no finished stage aling; it has ingest, tokenize, pretrain"), "{log}");
}

/// Replaces a file and what the manifest beside it says of it, as nobody but a forger does.
fn forge(path: &Path, bytes: &[u8]) {
    let old = hash::of_file(path).unwrap();
    fs::write(path, bytes).unwrap();
    let new = hash::of_file(path).unwrap();
    let manifest = path.with_file_name("manifest.json");
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("seal");
    let text = value.to_string().replace(&old.sha256, &new.sha256);
    let text = text.replace(&format!("\"bytes\":{},", old.bytes), &format!("\"bytes\":{},", new.bytes));
    fs::write(&manifest, text).unwrap();
}

#[test]
fn recomputing_finds_what_hashes_cannot() {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(WHOLE.0.path(), copy.path());
    let page = copy.path().join("report/report.md");
    forge(&page, (fs::read_to_string(&page).unwrap() + "All is well.\n").as_bytes());
    let run = copy.path().to_str().unwrap();
    let (code, stdout, _) = outcome(&["verify", run]);
    assert_eq!(code, 0, "the forgery is good: {stdout}");
    let (code, _, log) = outcome(&["verify", run, "--recompute", "report"]);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("first: report.md"), "{log}");
}

#[test]
fn rollouts_that_another_policy_sampled_do_not_verify_and_are_not_trained_on() {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(WHOLE.0.path(), copy.path());
    let stage = |name: &str| copy.path().join("stages").join(name);
    let weights = |name: &str| hash::of_file(&stage(name).join("model.safetensors")).unwrap().sha256;
    assert_eq!(rollouts::policy(&stage("05-sample-ipa-1")).unwrap(), weights("03-pretrain"));

    let path = stage("05-sample-ipa-1").join(rollouts::FILE);
    let mut table = ParquetReader::new(fs::File::open(&path).unwrap()).finish().unwrap();
    let other = vec![weights("06-align-ipa-1"); table.height()];
    table.with_column(Column::new("policy".into(), other)).unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut table).unwrap();
    forge(&path, &bytes);
    let run = copy.path().to_str().unwrap();
    let (code, stdout, _) = outcome(&["verify", run]);
    assert_eq!(code, 1);
    let expected = "rollouts.parquet was sampled by another policy than pretrain/model.safetensors";
    assert!(stdout.contains(expected), "{stdout}");

    fs::remove_dir_all(stage("06-align-ipa-1")).unwrap();
    let config = project("experiments/configs/quickstart.toml");
    let arguments = ["run", config.to_str().unwrap(), "--run-dir", run, "--set", "run.budget=smoke"];
    let (code, _, log) = outcome(&arguments);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("were sampled by another policy"), "{log}");
}
