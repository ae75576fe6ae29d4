//! Finished stages that this program would not take over.

use super::execute::directories;
use super::plan::Plan;
use crate::run::drift::older_program;
use crate::run::layout::Layout;
use std::path::PathBuf;

/// Stages of the plan's runs that an older program made, and which.
pub(crate) fn outdated(plan: &Plan) -> Vec<(PathBuf, String)> {
    let runs = plan.runs.iter().flat_map(|run| {
        let wanted = directories(run, plan.until.as_deref());
        let committed = Layout::new(&run.dir).committed().unwrap_or_default();
        committed.into_iter().filter(move |stage| wanted.contains(&stage.directory))
    });
    runs.filter_map(|stage| Some((stage.path.clone(), older_program(&stage)?))).collect()
}
