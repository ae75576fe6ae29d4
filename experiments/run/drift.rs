//! Results and attempts of another configuration, other data or another program: kept, unless replacing them is allowed.

use super::fingerprint::{Fingerprint, Fingerprinted, code};
use super::layout::{Committed, FINGERPRINT, SCRATCH};
use super::{Drift, Run, checkpoint, commit, hash};
use std::fs;
use std::path::Path;
use tracing::info;

impl Run {
    /// How what the directory holds of this stage differs from what is wanted.
    ///
    /// # Errors
    /// It differs, and that is refused.
    pub(super) fn drift(&self, directory: &str, wanted: &Fingerprint) -> anyhow::Result<Option<String>> {
        let Some((what, changes)) = self.changes(directory, wanted)? else { return Ok(None) };
        anyhow::ensure!(
            self.drift == Drift::Allowed,
            "{} holds {what} {} of another configuration, data or program: {changes}; --allow-drift replaces it, \
             --run-dir DIR starts another run",
            self.layout.root().display(),
            wanted.stage,
        );
        info!("runs again: {changes}");
        Ok(Some(changes))
    }

    fn changes(
        &self,
        directory: &str,
        wanted: &Fingerprint,
    ) -> anyhow::Result<Option<(&'static str, String)>> {
        if let Some(done) = self.find(directory)? {
            if done.manifest.fingerprint == hash::of_bytes(&wanted.to_bytes()?) {
                return Ok(None);
            }
            let older = recorded(&done.path.join(FINGERPRINT));
            let changes =
                older.map(|older| wanted.changes_since(&older)).filter(|changes| !changes.is_empty());
            return Ok(Some((
                "a finished stage",
                changes.unwrap_or_else(|| "its fingerprint differs".into()),
            )));
        }
        // An attempt without a checkpoint has nothing to lose: its mistake was mended, say.
        let work = self.layout.work(directory);
        let older = checkpoint::any(&work.join(SCRATCH)).then(|| recorded(&work.join(FINGERPRINT))).flatten();
        let older = older.filter(|older| older != wanted);
        Ok(older.map(|older| ("an unfinished stage", wanted.changes_since(&older))))
    }

    /// Removes the scratch space of an attempt whose stage was committed: a kill came before it could be.
    pub(super) fn forget_attempt(&self, directory: &str, wanted: &Fingerprint) -> anyhow::Result<()> {
        let work = self.layout.work(directory);
        match recorded(&work.join(FINGERPRINT)) {
            Some(attempt) if attempt == *wanted => commit::discard_directory(&work),
            _ => Ok(()),
        }
    }

    /// Refuses to compute any stage but the one that is to be computed.
    pub(super) fn check_only(&self, wanted: &Fingerprinted) -> anyhow::Result<()> {
        let stage = &wanted.fingerprint.stage;
        anyhow::ensure!(
            self.only.as_ref().is_none_or(|only| only == stage),
            "stage {stage} cannot be taken over: it is damaged, or this program, its data or its inputs differ from those \
             that made it; `recalign verify RUN` tells which",
        );
        Ok(())
    }
}

/// The program that made a finished stage, where this one would make it anew.
pub(crate) fn older_program(stage: &Committed) -> Option<String> {
    let made = recorded(&stage.path.join(FINGERPRINT))?.code;
    (made != code(env!("CARGO_PKG_VERSION"), &stage.manifest.stage)).then_some(made)
}

/// What cannot be read says nothing.
fn recorded(path: &Path) -> Option<Fingerprint> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
