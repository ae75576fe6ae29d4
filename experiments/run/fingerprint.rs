//! The fingerprint that decides whether a finished stage may be reused.

use super::layout::{FINGERPRINT, METRICS};
use super::{Input, StageOutput, hash};
use crate::config::join_key;
use anyhow::Context as _;
use reports::schema::RunRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The revision of what a stage writes: raised when a change of code changes that, so that results of the older code are not
/// reused. The other stages' are.
fn revision(stage: &str) -> u32 {
    match stage {
        "evaluate" => 6,
        "reward" => 7,
        "ingest" => 5,
        _ if stage.starts_with("align-") => 5,
        "pretrain" => 4,
        _ => 3,
    }
}

/// Program version and revision of what a stage writes.
pub(super) fn code(version: &str, stage: &str) -> String {
    format!("{version}+{}", revision(stage))
}

/// Everything a stage's output is a function of. Its JSON is stored beside the output and is what gets hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The stage's name.
    pub stage: String,
    /// Program version and revision of its artifacts.
    pub code: String,
    /// The run's seed.
    pub seed: u64,
    /// The run's budget.
    pub budget: String,
    /// The stage's section of the configuration.
    pub section: Value,
    /// Files it reads: `stage/file` or the name of an external file -> SHA-256.
    pub inputs: BTreeMap<String, String>,
}

/// A fingerprint with the inputs as the manifest lists them.
pub(super) struct Fingerprinted {
    pub(super) fingerprint: Fingerprint,
    /// As `fingerprint.inputs`, external files by absolute path.
    pub(super) inputs: BTreeMap<String, String>,
}

impl Fingerprinted {
    /// Hashes what the stage `name` depends on.
    pub(super) fn of(
        name: &str,
        record: &RunRecord,
        section: &impl Serialize,
        inputs: &[Input],
    ) -> anyhow::Result<Self> {
        let mut listed = BTreeMap::new();
        let mut hashed = BTreeMap::new();
        for input in inputs {
            match input {
                Input::Stage(output) => {
                    let files: BTreeMap<_, _> = stage_inputs(output).collect();
                    listed.extend(files.clone());
                    hashed.extend(files);
                }
                Input::File(path) => {
                    let sha256 = hash::of_file(path)?.sha256;
                    let absolute = std::path::absolute(path)
                        .with_context(|| format!("{} has no absolute path", path.display()))?;
                    // Moving the data does not change it: only its name and content count.
                    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    listed.insert(absolute.display().to_string(), sha256.clone());
                    hashed.insert(file_name, sha256);
                }
            }
        }
        let fingerprint = Fingerprint {
            stage: name.into(),
            code: code(&record.version, name),
            seed: record.seed,
            budget: record.budget.clone(),
            section: serde_json::to_value(section).context("cannot write the configuration as JSON")?,
            inputs: hashed,
        };
        Ok(Self { fingerprint, inputs: listed })
    }
}

/// What later stages depend on: the artifacts, not the curves and not the record of how they came about.
fn stage_inputs(output: &StageOutput) -> impl Iterator<Item = (String, String)> {
    let artifacts = output.files.iter().filter(|(file, _)| *file != FINGERPRINT && *file != METRICS);
    artifacts.map(|(file, record)| (format!("{}/{file}", output.name), record.sha256.clone()))
}

impl Fingerprint {
    /// The file stored with the stage.
    pub(super) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        super::to_json(self)
    }

    /// The first few differences to an older fingerprint, in words.
    pub(super) fn changes_since(&self, older: &Self) -> String {
        let mut changes = Vec::new();
        for (what, old, new) in [
            ("code", &older.code, &self.code),
            ("run.budget", &older.budget, &self.budget),
            ("run.seed", &older.seed.to_string(), &self.seed.to_string()),
        ] {
            if old != new {
                changes.push(format!("{what}: {old} -> {new}"));
            }
        }
        section_changes("", (&older.section, &self.section), &mut changes);
        let files = older.inputs.keys().chain(self.inputs.keys()).collect::<BTreeSet<_>>();
        let changed = files.into_iter().filter(|file| older.inputs.get(*file) != self.inputs.get(*file));
        changes.extend(changed.map(|file| format!("input {file} changed")));
        let more = changes.len().saturating_sub(3);
        changes.truncate(3);
        if more > 0 {
            changes.push(format!("and {more} more"));
        }
        changes.join(", ")
    }
}

fn section_changes(prefix: &str, (old, new): (&Value, &Value), changes: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                let pair = (old.get(key).unwrap_or(&Value::Null), new.get(key).unwrap_or(&Value::Null));
                section_changes(&join_key(prefix, key), pair, changes);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, pair) in old.iter().zip(new).enumerate() {
                // A section may be several sections side by side, which have no name of their own.
                let name =
                    if prefix.is_empty() { String::new() } else { join_key(prefix, &index.to_string()) };
                section_changes(&name, pair, changes);
            }
        }
        _ if old != new => changes.push(format!("{prefix}: {old} -> {new}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_the_key_and_both_values() {
        let old = Fingerprint {
            stage: "s".into(),
            code: "1".into(),
            seed: 1,
            budget: "full".into(),
            section: serde_json::json!([{ "a": { "b": 1, "c": 2 } }, { "d": 4 }]),
            inputs: BTreeMap::from([("ingest/x".into(), "00".into())]),
        };
        let mut new = old.clone();
        new.section[0]["a"]["b"] = 3.into();
        new.inputs.insert("ingest/x".into(), "01".into());
        assert_eq!(new.changes_since(&old), "a.b: 1 -> 3, input ingest/x changed");
    }
}
