//! Taking over a stage that another run directory has already computed.
//!
//! A fingerprint names everything a stage's output is a function of, so an output with the same one is the output. Files
//! of a committed stage are replaced, never changed, which is why a hard link is as good as a copy.

use super::fingerprint::Fingerprinted;
use super::hash;
use super::layout::{Committed, Layout};
use super::{Run, StageOutput, commit};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

impl Run {
    /// Lets stages be taken over from these run directories where they have the same fingerprint.
    #[must_use]
    pub fn sharing_with(self, others: Vec<PathBuf>) -> Self {
        Self { others, ..self }
    }

    /// The stage as another run directory holds it, committed here; `None` if none has it intact.
    pub(super) fn adopt(
        &self,
        directory: &str,
        wanted: &Fingerprinted,
    ) -> anyhow::Result<Option<StageOutput>> {
        if self.only.as_ref() == Some(&wanted.fingerprint.stage) {
            return Ok(None);
        }
        let fingerprint = hash::of_bytes(&wanted.fingerprint.to_bytes()?);
        let partial = self.layout.partial(directory);
        for other in &self.others {
            let Some(found) = committed(other, &fingerprint) else { continue };
            commit::fresh_directory(&partial)?;
            link_tree(&found.path, &partial)?;
            let files = hash::of_tree(&partial)?;
            if let Some(difference) = hash::differences(&found.manifest.outputs, &files).first() {
                warn!("not taken over from {}: {difference}", found.path.display());
                commit::remove_directory(&partial)?;
                continue;
            }
            let dir = self.layout.stage(directory);
            commit::commit_directory(&partial, &dir)?;
            commit::discard_directory(&self.layout.work(directory))?;
            self.collect_metrics()?;
            info!("taken over from {}", found.path.display());
            let name = found.manifest.stage;
            return Ok(Some(StageOutput { name, dir, reused: true, files }));
        }
        Ok(None)
    }
}

/// A committed stage of the run directory `root` with this fingerprint. What cannot be read is no offer.
fn committed(root: &Path, fingerprint: &str) -> Option<Committed> {
    let stages = Layout::new(root).committed().ok()?;
    stages.into_iter().find(|stage| stage.manifest.fingerprint == fingerprint)
}

/// Links or, across file systems, copies every file below `from`; the manifest is copied with them.
fn link_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let source = entry.with_context(|| format!("cannot list {}", from.display()))?.path();
        let target = to.join(source.file_name().unwrap_or_default());
        if source.is_dir() {
            commit::create_directory(&target)?;
            link_tree(&source, &target)?;
        } else {
            commit::link_file(&source, &target)?;
        }
    }
    Ok(())
}
