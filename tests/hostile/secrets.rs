//! What is in the environment stays there.

use crate::support::{project, recalign};
use std::fs;
use std::path::Path;

const PLANTED: &str = "hf_PlAnTeDsEcReT0123456789";

fn holds(dir: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holds(&path, needle));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn tokens_of_the_environment_are_in_no_log_manifest_or_report() {
    let dir = tempfile::tempdir().unwrap();
    let config = project("experiments/configs/quickstart.toml");
    let set = ["--set", "run.budget=smoke", "--set", "run.stages=pretraining"];
    let mut command =
        recalign(&["-v", "run", config.to_str().unwrap(), "--run-dir", dir.path().to_str().unwrap()]);
    for name in [
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "CARGO_REGISTRY_TOKEN",
        "GITHUB_TOKEN",
    ] {
        command.env(name, PLANTED);
    }
    let output = command.args(set).output().unwrap();
    assert!(output.status.success());
    for text in [output.stdout, output.stderr] {
        assert!(!String::from_utf8_lossy(&text).contains(PLANTED));
    }
    assert_eq!(holds(dir.path(), PLANTED.as_bytes()), [""; 0]);
}
