//! Re-computes every hash of a run directory and follows the lineage from stage to stage.

use super::hash::{self, Hashes};
use super::layout::{Committed, FINGERPRINT, Layout, MANIFEST, METRICS, read_manifest};
use super::stage::concatenated_metrics;
use super::tensorboard;
use crate::config;
use crate::stages::sample::rollouts;
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

    /// The verdict on a part that cannot even be read.
    fn broken(part: impl Into<String>, error: &anyhow::Error) -> Self {
        Self { problems: vec![format!("{error:#}")], ..Self::new(part, &Hashes::new()) }
    }
}

/// Verifies a run directory, part by part.
///
/// # Errors
/// It is not a run directory or cannot be read. What does not match is no error but a verdict.
pub fn verify(run_dir: &Path) -> anyhow::Result<Vec<Verdict>> {
    let layout = Layout::existing(run_dir)?;
    let (stages, damaged) = stages(&layout)?;
    let mut verdicts = vec![verify_record(&layout)?];
    for stage in &stages {
        verdicts.push(verify_stage(stage, &stages)?);
    }
    verdicts.extend(damaged);
    verdicts.push(verify_metrics(&layout, &stages)?);
    if layout.tensorboard().is_dir() {
        verdicts.push(verify_tensorboard(&layout, &stages)?);
    }
    if layout.report().is_dir() {
        verdicts.push(verify_report(&layout)?);
    }
    Ok(verdicts)
}

/// The stages whose manifests can be believed, and a verdict on each of the others.
fn stages(layout: &Layout) -> anyhow::Result<(Vec<Committed>, Vec<Verdict>)> {
    let (mut stages, mut damaged) = (Vec::new(), Vec::new());
    for (number, directory) in layout.numbered()? {
        let path = layout.stage(&directory);
        match read_manifest(&path) {
            Ok(manifest) => stages.push(Committed { number, directory, path, manifest }),
            Err(error) => damaged.push(Verdict::broken(format!("stages/{directory}"), &error)),
        }
    }
    Ok((stages, damaged))
}

fn verify_record(layout: &Layout) -> anyhow::Result<Verdict> {
    let text = fs::read(layout.record()).context("cannot read run.json")?;
    let record: RunRecord = match serde_json::from_slice(&text) {
        Ok(record) => record,
        Err(error) => {
            let error = anyhow::Error::new(error).context("it is no run record");
            return Ok(Verdict::broken("run.json", &error));
        }
    };
    let config = hash::of_file(&layout.config())?;
    let mut verdict = Verdict::new("config.toml", &Hashes::from([("config.toml".into(), config.clone())]));
    if config.sha256 != record.config_sha256 {
        verdict.problems.push("config.toml is not the configuration that run.json names".into());
    } else if !agrees(&record, layout) {
        verdict.problems.push("run.json says something else than config.toml".into());
    }
    Ok(verdict)
}

/// Whether the record is that of the configuration beside it, as far as this program still reads it.
fn agrees(record: &RunRecord, layout: &Layout) -> bool {
    let Ok(config) = config::load(&layout.config(), &[]) else { return true };
    record.device.parse().is_ok_and(|device| {
        let RunRecord { version, config_sha256, .. } = record.clone();
        *record == RunRecord { version, config_sha256, ..super::record(&config, device) }
    })
}

fn verify_stage(stage: &Committed, stages: &[Committed]) -> anyhow::Result<Verdict> {
    let part = format!("stages/{}", stage.directory);
    let found = match hash::of_tree(&stage.path) {
        Ok(found) => found,
        Err(error) => return Ok(Verdict::broken(part, &error)),
    };
    let mut verdict = Verdict::new(part, &found);
    verdict.problems = hash::differences(&stage.manifest.outputs, &found);
    let recorded = found.get(FINGERPRINT).map(|file| &file.sha256);
    if recorded != Some(&stage.manifest.fingerprint) {
        verdict.problems.push(format!("{MANIFEST} names another fingerprint than {FINGERPRINT} has"));
    }
    for (input, sha256) in &stage.manifest.inputs {
        verify_input((input, sha256), stages, &mut verdict)?;
    }
    if stage.path.join(rollouts::FILE).is_file() && verdict.problems.is_empty() {
        verdict.problems.extend(verify_rollouts(stage)?);
    }
    verdict
        .notes
        .extend(stage.manifest.drift.as_ref().map(|drift| format!("replaced one that differed: {drift}")));
    Ok(verdict)
}

/// Rollouts name the policy that sampled them by the hash of its weights.
fn verify_rollouts(stage: &Committed) -> anyhow::Result<Option<String>> {
    let sampled_by = rollouts::policy(&stage.path)?;
    let weights = |input: &&String| input.ends_with(&format!("/{}", policy::checkpoint::WEIGHTS));
    let recorded = stage.manifest.inputs.iter().find(|(input, _)| weights(input));
    Ok(recorded
        .filter(|(_, sha256)| **sha256 != sampled_by)
        .map(|(input, _)| format!("{} was sampled by another policy than {input}", rollouts::FILE)))
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
    if concatenated_metrics(stages) != found {
        verdict.problems.push(format!("{METRICS} is not the concatenation of the stages' {METRICS}"));
    }
    Ok(verdict)
}

/// Event files are a function of the stages' rows and times.
fn verify_tensorboard(layout: &Layout, stages: &[Committed]) -> anyhow::Result<Verdict> {
    let found = hash::of_tree(&layout.tensorboard())?;
    Ok(match tensorboard::expected(stages) {
        Ok(expected) => {
            let problems = hash::differences(&expected, &found);
            Verdict { problems, ..Verdict::new("tensorboard", &found) }
        }
        Err(error) => Verdict::broken("tensorboard", &error),
    })
}

fn verify_report(layout: &Layout) -> anyhow::Result<Verdict> {
    let dir = layout.report();
    let (manifest, found) =
        match read_manifest(&dir).and_then(|manifest| Ok((manifest, hash::of_tree(&dir)?))) {
            Ok(read) => read,
            Err(error) => return Ok(Verdict::broken("report", &error)),
        };
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
