//! Runs of a sweep in several processes: a stage that two of them need is computed by one, the other waits and takes it over.

use super::fingerprint::Fingerprinted;
use super::{Run, commit, hash};
use anyhow::Context as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// The right to compute an output; the operating system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Claim {
    _file: File,
}

impl Run {
    /// Computes a stage only while no other process with this directory of claims computes the same.
    #[must_use]
    pub fn claiming_in(self, dir: PathBuf) -> Self {
        Self { claims: Some(dir), ..self }
    }

    /// Waits for the claim; `None` for a run that shares with no other process.
    pub(super) fn claim(&self, wanted: &Fingerprinted) -> anyhow::Result<Option<Claim>> {
        let Some(dir) = &self.claims else { return Ok(None) };
        commit::create_directory(dir)?;
        let path = dir.join(hash::of_bytes(&wanted.fingerprint.to_bytes()?));
        let failed = || format!("cannot lock {}", path.display());
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).open(&path).with_context(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Claim { _file: file })),
                Err(TryLockError::WouldBlock) => self.stop.check()?,
                Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
            }
            std::thread::sleep(PAUSE);
        }
    }
}
