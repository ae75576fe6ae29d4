//! `report/`: rendered from the committed stages, replaced as a whole.

use super::layout::{Layout, MANIFEST};
use super::lock::Lock;
use super::seal::seal;
use super::{Run, clock::Stopwatch, commit, hash, to_json};
use anyhow::Context as _;
use reports::schema::Manifest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tracing::{info, info_span};

impl Run {
    /// Ends a complete pipeline: drops stages that the configuration no longer has, then renders `report/`.
    ///
    /// # Errors
    /// The run cannot be read, rendered or written.
    pub fn publish_report(&self) -> anyhow::Result<PathBuf> {
        let _span = info_span!("stage", name = %"report").entered();
        self.describe()?;
        self.drop_unvisited()?;
        publish(&self.layout)
    }

    fn drop_unvisited(&self) -> anyhow::Result<()> {
        let visited = self.visited.lock().expect("no stage panics while holding the lock");
        for stage in self.layout.committed()?.iter().filter(|stage| !visited.contains(&stage.directory)) {
            info!("removes {}: this configuration has no such stage", stage.directory);
            commit::discard_directory(&stage.path)?;
        }
        for attempt in self.layout.attempts()?.iter().filter(|attempt| !visited.contains(attempt)) {
            commit::discard_directory(&self.layout.work(attempt))?;
        }
        drop(visited);
        self.collect_metrics()
    }
}

/// Renders the report of a run directory again.
///
/// # Errors
/// It is not a run directory, someone writes to it, or it cannot be read, rendered or written.
pub fn republish(run_dir: &Path) -> anyhow::Result<PathBuf> {
    let layout = Layout::existing(run_dir)?;
    let _lock = Lock::acquire(&layout)?;
    publish(&layout)
}

fn publish(layout: &Layout) -> anyhow::Result<PathBuf> {
    let watch = Stopwatch::start();
    let (partial, target) = (layout.report_partial(), layout.report());
    let files = crate::stages::report::files(layout.root())
        .with_context(|| format!("cannot render the report of {}", layout.root().display()))?;
    commit::fresh_directory(&partial)?;
    for (name, bytes) in files {
        let path = partial.join(name);
        commit::create_directory(path.parent().unwrap_or(&partial))?;
        // Committing flushes them all.
        std::fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let manifest = manifest(layout, &partial, watch)?;
    commit::write_file(&partial.join(MANIFEST), &seal(&manifest)?)?;
    commit::commit_directory(&partial, &target)?;
    Ok(target.join("index.html"))
}

/// A report is a function of the run's record and its stages' manifests, which hash everything else.
fn manifest(layout: &Layout, partial: &Path, watch: Stopwatch) -> anyhow::Result<Manifest> {
    let mut inputs = BTreeMap::new();
    for path in [layout.record(), layout.config()] {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.insert(name, hash::of_file(&path)?.sha256);
    }
    for stage in layout.committed()? {
        let name = format!("stages/{}/{MANIFEST}", stage.directory);
        inputs.insert(name, hash::of_file(&stage.path.join(MANIFEST))?.sha256);
    }
    Ok(Manifest {
        stage: "report".into(),
        fingerprint: hash::of_bytes(&to_json(&inputs)?),
        inputs,
        outputs: hash::of_tree(partial)?,
        seconds: watch.seconds(),
        cpu_seconds: watch.cpu_seconds(),
        peak_memory: None,
        marks: Vec::new(),
        drift: None,
    })
}
