//! The last step: everything the run knows, as `report/`.

use super::sample;
use crate::run::Run;
use reports::schema::PairMargins;
use std::path::{Path, PathBuf};

/// Renders `report/` from the committed stages; [`files`] makes the files, the run commits them as a whole.
/// Returns the path of the page.
///
/// # Errors
/// The run cannot be read, rendered or written.
pub fn report(run: &Run) -> anyhow::Result<PathBuf> {
    run.publish_report()
}

/// The files of a run directory's report: `(relative path, content)`.
///
/// # Errors
/// The run directory cannot be read or rendered.
pub fn files(run_dir: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    Ok(reports::render_run(&load(run_dir)?)?)
}

/// Reads a run directory, with what is in its tables.
fn load(run_dir: &Path) -> anyhow::Result<reports::load::Run> {
    let mut run = reports::load::load(run_dir)?;
    for stage in run.stages.iter().filter(|stage| stage.manifest.outputs.contains_key(sample::PAIRS)) {
        let margins = sample::margins(&run_dir.join("stages").join(&stage.directory))?;
        run.pairs.push(PairMargins { stage: stage.manifest.stage.clone(), margins });
    }
    Ok(run)
}
