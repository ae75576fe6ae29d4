//! The last step: everything the run knows, as `report/`.

use crate::run::Run;
use std::path::PathBuf;

/// Renders `report/` from the committed stages; [`reports::render`] makes the files, the run commits them as a whole.
/// Returns the path of the page.
///
/// # Errors
/// The run cannot be read, rendered or written.
pub fn report(run: &Run) -> anyhow::Result<PathBuf> {
    run.publish_report()
}
