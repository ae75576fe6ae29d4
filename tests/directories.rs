//! Runs and exported directories that several tests look at: each is made once per test binary, in a few seconds.

use crate::support::{copy_tree, outcome, project};
use polars::prelude::{ParquetReader, SerReader as _};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The directory that `made` remembers; the first who asks makes it.
fn once(made: &'static OnceLock<PathBuf>, name: &str, make: impl FnOnce(&Path)) -> &'static Path {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    made.get_or_init(|| {
        let path = ROOT.get_or_init(|| tempfile::tempdir().unwrap()).path().join(name);
        make(&path);
        path
    })
}

/// Runs the quickstart with the smoke budget and these settings.
fn run(to: &Path, settings: &[&str]) {
    let config = project("experiments/configs/quickstart.toml");
    let set = ["run.budget=smoke"].iter().chain(settings).flat_map(|pair| ["--set", pair]);
    let place = ["run", config.to_str().unwrap(), "--run-dir", to.to_str().unwrap()];
    let (code, _, log) = outcome(&place.into_iter().chain(set).collect::<Vec<_>>());
    assert_eq!(code, 0, "{log}");
}

/// A run with two aligned policies, `ipa` and `grpo`, and judges.
pub(crate) fn t5() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    once(&MADE, "t5", |to| run(to, &["model.architecture=t5"]))
}

pub(crate) fn qwen3() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    once(&MADE, "qwen3", |to| run(to, &["model.architecture=qwen3", "run.stages=pretraining"]))
}

/// A run whose policy Hugging Face's layouts cannot express.
pub(crate) fn item_context() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let settings = ["model.architecture=item-context", "run.stages=pretraining"];
    once(&MADE, "item-context", |to| run(to, &settings))
}

/// The aligned policy of [`t5`] with its judge, exported.
pub(crate) fn exported() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    once(&MADE, "exported", |to| drop(export(t5(), to, &["--policy", "ipa"])))
}

/// A copy of [`exported`] to damage.
pub(crate) fn copied() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("export");
    copy_tree(exported(), &to);
    (dir, to)
}

/// The items of [`exported`] under other codebooks, so few codes that a digit is needed, and a policy trained with them, exported.
pub(crate) fn refreshed() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let settings = ["run.stages=pretraining", "run.seed=43", "tokenize.levels=2", "tokenize.codes=16"];
    let trained = once(&RUN, "refreshed-run", |to| run(to, &settings));
    once(&MADE, "refreshed", |to| drop(export(trained, to, &[])))
}

/// Exports and returns what was printed.
pub(crate) fn export(run: &Path, to: &Path, more: &[&str]) -> String {
    let arguments = ["export", run.to_str().unwrap(), "--to", to.to_str().unwrap()];
    let (code, stdout, log) = outcome(&[arguments.as_slice(), more].concat());
    assert_eq!(code, 0, "{log}");
    stdout
}

/// The items of an exported directory: ids and codes.
pub(crate) fn semantic_ids(dir: &Path) -> Vec<(String, Vec<u32>)> {
    let table = ParquetReader::new(fs::File::open(dir.join("sid_map.parquet")).unwrap()).finish().unwrap();
    let ids = table.column("raw_id").unwrap().str().unwrap().iter().flatten().map(str::to_owned);
    let levels: Vec<Vec<u32>> = (0..)
        .map_while(|level| table.column(&format!("code_{level}")).ok())
        .map(|column| column.u32().unwrap().into_no_null_iter().collect())
        .collect();
    ids.enumerate().map(|(row, id)| (id, levels.iter().map(|codes| codes[row]).collect())).collect()
}

/// The policy of an exported directory, as answers name it.
pub(crate) fn policy(dir: &Path) -> String {
    json_of(&dir.join("serving.json"))["policy_sha256"].as_str().unwrap().to_owned()
}

/// A JSON file.
pub(crate) fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
