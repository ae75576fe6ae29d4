//! `manifest.json`: where the directory comes from, and the hash of every file in it; `SHA256SUMS`: the same hashes and that of
//! the manifest itself, for `sha256sum -c`.

use super::source::Source;
use crate::run::hash::{self, Hashes};
use crate::run::layout::MANIFEST;
use crate::run::{commit, to_json};
use anyhow::Context as _;
use reports::schema::{FileRecord, RunRecord};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The list of hashes.
pub const SUMS: &str = "SHA256SUMS";

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The run.
    pub run: RunRecord,
    /// `pretrained` or an arm's name.
    pub policy: String,
    /// The stages that the policy depends on, and its evaluation, in order.
    pub lineage: Vec<Ancestor>,
    /// Where items were added, the directory before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Version of the program that exported.
    pub version: String,
    /// All files but this one and [`SUMS`].
    pub files: Hashes,
}

/// A stage of the run. Its manifest has the hashes of what it read and wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ancestor {
    /// `NN-<stage>`.
    pub directory: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
}

/// The directory that items were added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// The files of the added items.
    pub added: Vec<FileRecord>,
}

impl Manifest {
    /// That of a run's policy; its files are listed when it is written.
    pub(super) fn of(source: &Source) -> anyhow::Result<Self> {
        let ancestor = |stage: &crate::run::layout::Committed| {
            let manifest_sha256 = hash::of_file(&stage.path.join(MANIFEST))?.sha256;
            let fingerprint = stage.manifest.fingerprint.clone();
            Ok(Ancestor { directory: stage.directory.clone(), fingerprint, manifest_sha256 })
        };
        Ok(Self {
            run: source.record.clone(),
            policy: source.policy.clone(),
            lineage: source.lineage.iter().map(ancestor).collect::<anyhow::Result<_>>()?,
            parent: None,
            version: env!("CARGO_PKG_VERSION").into(),
            files: Hashes::new(),
        })
    }
}

/// Writes both files, with the hashes of what is in the directory; everything else is written.
pub(super) fn write(dir: &Path, manifest: Manifest) -> anyhow::Result<()> {
    let manifest = Manifest { files: hash::of_tree(dir)?, ..manifest };
    let json = to_json(&manifest)?;
    commit::write_file(&dir.join(MANIFEST), &json)?;
    commit::write_file(&dir.join(SUMS), sums(&manifest, &json).as_bytes())
}

/// Reads the manifest of an exported directory.
///
/// # Errors
/// It is missing or damaged.
pub fn read(dir: &Path) -> anyhow::Result<Manifest> {
    let path = dir.join(MANIFEST);
    let text = std::fs::read(&path)
        .with_context(|| format!("{} is not an exported directory: cannot read {MANIFEST}", dir.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not the manifest of an export", path.display()))
}

/// What differs between the directory and its hashes, one line per file.
///
/// # Errors
/// A file cannot be read. A manifest that cannot be parsed is a difference, not an error.
pub fn differences(dir: &Path) -> anyhow::Result<Vec<String>> {
    let json = std::fs::read(dir.join(MANIFEST))
        .with_context(|| format!("{} is not an exported directory: cannot read {MANIFEST}", dir.display()))?;
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&json) else {
        return Ok(vec![format!("{MANIFEST} is damaged: it is not the manifest of an export")]);
    };
    let mut found = hash::of_tree(dir)?;
    let listed = found.remove(SUMS).map(|_| std::fs::read(dir.join(SUMS))).transpose()?;
    let mut differences = hash::differences(&manifest.files, &found);
    match listed {
        None => differences.push(format!("{SUMS} is missing")),
        Some(listed) if listed != sums(&manifest, &json).as_bytes() => {
            let which = if lists(&listed, &json) { SUMS } else { MANIFEST };
            differences.push(format!("{which} has changed: {SUMS} and {MANIFEST} do not agree"));
        }
        Some(_) => {}
    }
    Ok(differences)
}

/// Lines of `sha256sum`.
fn sums(manifest: &Manifest, json: &[u8]) -> String {
    let own = (MANIFEST, hash::of_bytes(json));
    let files = manifest.files.iter().map(|(name, file)| (name.as_str(), file.sha256.clone()));
    files.chain([own]).fold(String::new(), |sums, (name, sha256)| sums + &sha256 + "  " + name + "\n")
}

/// Whether the list has the hash of this manifest.
fn lists(listed: &[u8], json: &[u8]) -> bool {
    String::from_utf8_lossy(listed).contains(&format!("{}  {MANIFEST}", hash::of_bytes(json)))
}
