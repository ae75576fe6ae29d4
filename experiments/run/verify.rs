//! Re-computes every hash of a run directory and follows the lineage from stage to stage.

use super::hash::{self, Hashes};
use super::layout::{Committed, FINGERPRINT, Layout, MANIFEST, METRICS, read_manifest};
use super::stage::concatenated_metrics;
use anyhow::Context as _;
use reports::schema::RunRecord;
use std::fs;
use std::path::Path;

/// What was found in one part of a run directory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// `stages/NN-<stage>`, `report` or a file.
    pub part: String,
    /// Files that were hashed again.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// What does not match; empty if the part is intact.
    pub problems: Vec<String>,
    /// What could not be checked here, for example input data that is not on this machine.
    pub notes: Vec<String>,
}

impl Verdict {
    fn new(part: impl Into<String>, files: &Hashes) -> Self {
        let bytes = files.values().map(|file| file.bytes).sum();
        Self { part: part.into(), files: files.len(), bytes, problems: Vec::new(), notes: Vec::new() }
    }
}

/// Verifies a run directory, part by part.
///
/// # Errors
/// It is not a run directory or cannot be read. What does not match is no error but a verdict.
pub fn verify(run_dir: &Path) -> anyhow::Result<Vec<Verdict>> {
    let layout = Layout::existing(run_dir)?;
    let stages = layout.committed()?;
    let mut verdicts = vec![verify_record(&layout)?];
    for stage in &stages {
        verdicts.push(verify_stage(stage, &stages)?);
    }
    verdicts.push(verify_metrics(&layout, &stages)?);
    if layout.report().is_dir() {
        verdicts.push(verify_report(&layout)?);
    }
    Ok(verdicts)
}

fn verify_record(layout: &Layout) -> anyhow::Result<Verdict> {
    let text = fs::read(layout.record()).context("cannot read run.json")?;
    let record: RunRecord = serde_json::from_slice(&text).context("run.json is not a run record")?;
    let config = hash::of_file(&layout.config())?;
    let mut verdict = Verdict::new("config.toml", &Hashes::from([("config.toml".into(), config.clone())]));
    if config.sha256 != record.config_sha256 {
        verdict.problems.push("config.toml is not the configuration that run.json names".into());
    }
    Ok(verdict)
}

fn verify_stage(stage: &Committed, stages: &[Committed]) -> anyhow::Result<Verdict> {
    let found = hash::of_tree(&stage.path)?;
    let mut verdict = Verdict::new(format!("stages/{}", stage.directory), &found);
    verdict.problems = hash::differences(&stage.manifest.outputs, &found);
    let recorded = found.get(FINGERPRINT).map(|file| &file.sha256);
    if recorded != Some(&stage.manifest.fingerprint) {
        verdict.problems.push(format!("{MANIFEST} names another fingerprint than {FINGERPRINT} has"));
    }
    for (input, sha256) in &stage.manifest.inputs {
        verify_input((input, sha256), stages, &mut verdict)?;
    }
    Ok(verdict)
}

/// Inputs are external files by absolute path, or `stage/file`.
fn verify_input(
    (input, sha256): (&str, &str),
    stages: &[Committed],
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    if Path::new(input).is_absolute() {
        if !Path::new(input).is_file() {
            verdict.notes.push(format!("input {input} is not on this machine"));
        } else if hash::of_file(Path::new(input))?.sha256 != sha256 {
            verdict.problems.push(format!("input {input} has changed since it was read"));
        }
        return Ok(());
    }
    let producer = input.split_once('/').and_then(|(name, file)| {
        let stage = stages.iter().find(|stage| stage.manifest.stage == name)?;
        Some((stage, stage.manifest.outputs.get(file)?))
    });
    match producer {
        None => verdict.problems.push(format!("no stage wrote the input {input}")),
        Some((stage, output)) if output.sha256 != sha256 => {
            let message = format!("was made from another {input} than stages/{} holds", stage.directory);
            verdict.problems.push(message);
        }
        Some(_) => {}
    }
    Ok(())
}

fn verify_metrics(layout: &Layout, stages: &[Committed]) -> anyhow::Result<Verdict> {
    let path = layout.metrics();
    if !path.is_file() && stages.is_empty() {
        return Ok(Verdict::new(METRICS, &Hashes::new()));
    }
    let found = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut verdict = Verdict::new(METRICS, &Hashes::from([(METRICS.into(), hash::of_file(&path)?)]));
    // A stage that lacks its metrics has been reported as such.
    if concatenated_metrics(stages).is_ok_and(|expected| expected != found) {
        verdict.problems.push(format!("{METRICS} is not the concatenation of the stages' {METRICS}"));
    }
    Ok(verdict)
}

fn verify_report(layout: &Layout) -> anyhow::Result<Verdict> {
    let (dir, found) = (layout.report(), hash::of_tree(&layout.report())?);
    let manifest = read_manifest(&dir)?;
    let mut verdict = Verdict::new("report", &found);
    verdict.problems = hash::differences(&manifest.outputs, &found);
    for (input, sha256) in &manifest.inputs {
        let path = layout.root().join(input);
        if !path.is_file() || hash::of_file(&path)?.sha256 != *sha256 {
            verdict
                .problems
                .push(format!("was rendered from another {input}; render it again: recalign report RUN"));
        }
    }
    Ok(verdict)
}
