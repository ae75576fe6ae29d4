//! What the integration tests share.

use policy::random::Key;
use reports::schema::MetricRow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The smallest experiment file that is complete.
pub(crate) const MINIMAL: &str = "\
version = 1
[run]
name = 'test'
[data]
source = { kind = 'world', users = 100, items = 300, seed = 1 }
";

/// A temporary directory with an experiment file in it.
pub(crate) fn experiment(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("experiment.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

/// Files of the project, wherever the tests run.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The program, with the environment that could change what it prints taken away.
pub(crate) fn recalign(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recalign"));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Runs the program to its end: exit code, stdout, stderr.
pub(crate) fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = recalign(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// The curves of a run.
pub(crate) fn metrics(run: &Path) -> Vec<MetricRow> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often a test that could go on for ever tries: `ci` times, or as many times more as the variable `TORTURE` says.
pub(crate) fn rounds(ci: usize) -> usize {
    let factor = std::env::var("TORTURE").map_or(1, |factor| factor.parse().expect("TORTURE is a number"));
    ci * factor
}

/// A Python with what other checks need, where there is one: torch, transformers, schemathesis.
pub(crate) fn python() -> Option<PathBuf> {
    let named = std::env::var_os("RECALIGN_PYTHON").map(PathBuf::from);
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/recalign-peers/bin/python"));
    named.or_else(usual).filter(|python| python.is_file())
}

/// Copies a directory with everything in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let source = entry.unwrap().path();
        let target = to.join(source.file_name().unwrap());
        if source.is_dir() {
            copy_tree(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}

/// Damages a file in a way that the key chooses; says how.
pub(crate) fn mutate(path: &Path, key: Key) -> String {
    let bytes = fs::read(path).unwrap();
    let (mutant, how) = mutant(&bytes, key);
    fs::write(path, mutant).unwrap();
    how
}

/// The bytes with a bit flipped, cut off, with a hole of zeros, doubled in part, or with a byte replaced, added or removed.
pub(crate) fn mutant(bytes: &[u8], key: Key) -> (Vec<u8>, String) {
    let place = |name: &str| (key.named(name).bits() % bytes.len().max(1) as u64) as usize;
    let (at, to) = (place("from").min(place("to")), place("from").max(place("to")));
    let byte = key.named("byte").bits() as u8;
    let mut mutant = bytes.to_vec();
    if bytes.is_empty() {
        return (vec![byte], "a byte in an empty file".into());
    }
    let how = match key.named("kind").bits() % 8 {
        0..=2 => {
            mutant[at] ^= 1 << (byte % 8);
            format!("bit {} of byte {at} flipped", byte % 8)
        }
        3 => {
            mutant.truncate(at);
            format!("cut off at byte {at}")
        }
        4 => {
            mutant[at..=to].fill(0);
            format!("zeros from {at} to {to}")
        }
        5 => {
            mutant.extend_from_slice(&bytes[at..=to]);
            format!("bytes {at} to {to} again at the end")
        }
        6 => {
            mutant.insert(at, byte);
            format!("a byte {byte} more at {at}")
        }
        _ => {
            mutant.remove(at);
            format!("byte {at} removed")
        }
    };
    (mutant, how)
}
