//! `tensorboard/<stage>/`: the curves once more, as event files that `TensorBoard` reads.

use super::commit;
use super::layout::{Committed, Layout, METRICS};
use anyhow::Context as _;
use reports::schema::{Manifest, MetricRow};
use reports::tensorboard::{FILE, events};
use std::fs;

/// Writes the event files of the committed stages and removes those of stages that are no more.
pub(super) fn write(layout: &Layout, stages: &[Committed]) -> anyhow::Result<()> {
    let root = layout.tensorboard();
    let mut before = 0.0;
    for stage in stages {
        let path = stage.path.join(METRICS);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let rows = text.lines().map(serde_json::from_str).collect::<Result<Vec<MetricRow>, _>>();
        let rows =
            rows.with_context(|| format!("{} holds something that is no metric row", path.display()))?;
        let manifest = &stage.manifest;
        let target = root.join(&manifest.stage).join(FILE);
        let bytes = events(&rows, |step| before + seconds(manifest, &rows, step));
        if !rows.is_empty() && fs::read(&target).ok().as_ref() != Some(&bytes) {
            commit::create_directory(&root.join(&manifest.stage))?;
            commit::write_file(&target, &bytes)?;
        }
        before += manifest.seconds;
    }
    let Ok(known) = fs::read_dir(&root) else { return Ok(()) };
    for entry in known.flatten() {
        let is_stage = |stage: &Committed| entry.file_name().to_str() == Some(&stage.manifest.stage);
        if !stages.iter().any(is_stage) {
            commit::remove_directory(&entry.path())?;
        }
    }
    Ok(())
}

/// When a step was reached, since the stage began: as its marks say, else spread evenly.
fn seconds(manifest: &Manifest, rows: &[MetricRow], step: u64) -> f64 {
    if let Some(mark) = manifest.marks.iter().find(|mark| mark.step == step) {
        return mark.seconds;
    }
    let (first, last) = (rows.first().map_or(0, |row| row.step), rows.last().map_or(0, |row| row.step));
    let (done, all) = (step.saturating_sub(first), last.saturating_sub(first).max(1));
    manifest.seconds * (done as f64 / all as f64).min(1.0)
}
