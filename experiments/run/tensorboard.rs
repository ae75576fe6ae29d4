//! `tensorboard/<stage>/`: the curves once more, as event files that `TensorBoard` reads.

use super::commit;
use super::hash::{self, Hashes};
use super::layout::{Committed, Layout, METRICS};
use anyhow::Context as _;
use reports::schema::{FileRecord, Manifest, MetricRow};
use reports::tensorboard::{FILE, events};
use std::fs;

/// Writes the event files of the committed stages and removes those of stages that are no more. A stage whose rows cannot be
/// read keeps the file it has: it is damaged, which is found when it is verified or used.
pub(super) fn write(layout: &Layout, stages: &[Committed]) -> anyhow::Result<()> {
    let root = layout.tensorboard();
    for (stage, bytes) in files(stages) {
        let Ok(bytes) = bytes else { continue };
        let target = root.join(&stage).join(FILE);
        if fs::read(&target).ok().as_ref() != Some(&bytes) {
            commit::create_directory(&root.join(&stage))?;
            commit::write_file(&target, &bytes)?;
        }
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

/// What the event files should be.
///
/// # Errors
/// The rows of a stage cannot be read.
pub(super) fn expected(stages: &[Committed]) -> anyhow::Result<Hashes> {
    let record = |(stage, bytes): (String, anyhow::Result<Vec<u8>>)| {
        let bytes = bytes?;
        Ok((
            format!("{stage}/{FILE}"),
            FileRecord { bytes: bytes.len() as u64, sha256: hash::of_bytes(&bytes) },
        ))
    };
    files(stages).map(record).collect()
}

/// The event file of each stage that measured something.
fn files(stages: &[Committed]) -> impl Iterator<Item = (String, anyhow::Result<Vec<u8>>)> {
    let mut before = 0.0;
    stages.iter().filter_map(move |stage| {
        let began = before;
        before += stage.manifest.seconds;
        let rows = rows(stage);
        let measured = !matches!(rows.as_deref(), Ok([]));
        let file = |rows: Vec<MetricRow>| events(&rows, |step| began + seconds(&stage.manifest, &rows, step));
        measured.then(|| (stage.manifest.stage.clone(), rows.map(file)))
    })
}

fn rows(stage: &Committed) -> anyhow::Result<Vec<MetricRow>> {
    let path = stage.path.join(METRICS);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    rows.with_context(|| format!("{} holds something that is no metric row", path.display()))
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
