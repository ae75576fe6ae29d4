//! Computing a committed stage once more, elsewhere, and comparing bytes.

use super::layout::Layout;
use super::{Drift, Resume, Run, hash};
use crate::config::Config;
use crate::device::DeviceChoice;
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// A run directory of its own in which one stage is computed; those before it are taken over from the original.
pub struct Recomputation {
    run: Run,
    original: PathBuf,
    stage: String,
}

impl Recomputation {
    /// Prepares to compute `stage` of the run directory `original` in the directory `scratch`.
    ///
    /// # Errors
    /// `original` has no such stage; `scratch` cannot be written.
    pub fn open(
        (original, stage): (&Path, &str),
        (config, device): (&Config, DeviceChoice),
        scratch: &Path,
    ) -> anyhow::Result<Self> {
        recorded(original, stage)?;
        let run = Run::open(scratch, config, device, Resume::Never)?
            .with_drift(Drift::Refused)
            .sharing_with(vec![original.to_owned()]);
        let run = Run { only: Some(stage.into()), ..run };
        Ok(Self { run, original: original.to_owned(), stage: stage.into() })
    }

    /// The run in which the pipeline is to be run up to and including the stage.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// What differs between the files that were committed and those computed now, one line per file.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn differences(&self) -> anyhow::Result<Vec<String>> {
        let (old, new) = (recorded(&self.original, &self.stage)?, recorded(self.run.dir(), &self.stage)?);
        Ok(hash::differences(&old, &new))
    }
}

fn recorded(run: &Path, stage: &str) -> anyhow::Result<hash::Hashes> {
    let committed = Layout::existing(run)?.committed()?;
    let names: Vec<String> = committed.iter().map(|stage| stage.manifest.stage.clone()).collect();
    let found = committed.into_iter().find(|committed| committed.manifest.stage == stage);
    let found = found.with_context(|| {
        format!("{} has no finished stage {stage}; it has {}", run.display(), names.join(", "))
    })?;
    Ok(found.manifest.outputs)
}

/// What differs between `report/` and what is rendered from the stages now, one line per file.
///
/// # Errors
/// The run cannot be read or rendered.
pub fn report_differences(run: &Path) -> anyhow::Result<Vec<String>> {
    let rendered = crate::stages::report::files(run)
        .with_context(|| format!("cannot render the report of {}", run.display()))?;
    let record = |bytes: &[u8]| reports::schema::FileRecord {
        bytes: bytes.len() as u64,
        sha256: hash::of_bytes(bytes),
    };
    let rendered = rendered.into_iter().map(|(name, bytes)| (name, record(bytes.as_ref()))).collect();
    Ok(hash::differences(&hash::of_tree(&Layout::existing(run)?.report())?, &rendered))
}
