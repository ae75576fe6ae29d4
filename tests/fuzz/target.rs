//! Whatever a file holds, it is accepted or refused: what is fuzzed is that nothing else happens.

#[path = "../hostile/formats.rs"]
mod formats;

use std::fs;
use std::sync::LazyLock;

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

/// Reads `bytes` as the file of a format, with others beside it.
pub fn read(format: &str, (file, bytes): (&str, &[u8]), beside: &[(&str, &[u8])]) {
    for (name, content) in [(file, bytes)].iter().chain(beside) {
        fs::write(DIRECTORY.path().join(name), content).expect("the directory can be written");
    }
    formats::accepts(DIRECTORY.path(), format);
}
