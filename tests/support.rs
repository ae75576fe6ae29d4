//! What the integration tests share.

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
