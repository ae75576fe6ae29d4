//! Reads a run directory. What a run that stopped early has not written yet is `None`; what is there must be right.

use crate::arm::ArmStage;
use crate::error::ReportError;
use crate::schema::scaling::Scaling;
use crate::schema::{
    Cases, DataCard, Evaluation, JudgeReport, Manifest, MetricRow, PairMargins, RunRecord, TokenizerQuality,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};

/// The stage that writes reports; a report does not report on itself, or rendering twice would differ.
const OWN_STAGE: &str = "report";

/// Everything a report is made of.
#[derive(Clone, Debug)]
pub struct Run {
    /// `run.json`.
    pub record: RunRecord,
    /// `config.toml`, as text.
    pub config: String,
    /// `metrics.jsonl` in file order.
    pub metrics: Vec<MetricRow>,
    /// Rows whose value is no finite number; they are in no curve.
    pub not_finite: Vec<NotFinite>,
    /// Whether the last line of `metrics.jsonl` was cut off by a kill (it is left out).
    pub metrics_cut: bool,
    /// Committed stages by number, without the report itself.
    pub stages: Vec<Stage>,
    /// Stages that were started but not committed.
    pub unfinished: Vec<String>,
    /// From `ingest`.
    pub data_card: Option<DataCard>,
    /// From `tokenize`.
    pub tokenizer: Option<TokenizerQuality>,
    /// From `reward`.
    pub judges: Option<JudgeReport>,
    /// From `evaluate`.
    pub evaluation: Option<Evaluation>,
    /// Worst cases, from `evaluate`; older runs and runs without aligned policies have none.
    pub cases: Option<Cases>,
    /// Test-time scaling, from `evaluate`, where the configuration asks for it.
    pub scaling: Option<Scaling>,
    /// Margins of preference pairs per sampling stage. They are Parquet, which this crate does not read: the caller adds them.
    pub pairs: Vec<PairMargins>,
}

/// A measurement that is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFinite {
    /// The stage that measured it.
    pub stage: String,
    /// Optimizer step.
    pub step: u64,
    /// The key.
    pub key: String,
}

/// A row as it may be written by others: JSON has no word for what is not finite, so writers say `null` or `NaN`.
#[derive(Deserialize)]
struct RawRow {
    stage: String,
    step: u64,
    key: String,
    value: Option<f64>,
}

/// A committed stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// `NN` of its directory.
    pub number: u32,
    /// `NN-<stage>`.
    pub directory: String,
    /// What it read and wrote.
    pub manifest: Manifest,
}

/// The last part of a path: where a file lies outside the run is nobody's business who reads the report.
pub fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

impl Run {
    /// Names of the alignment arms in the order they first appear: committed stages, then metrics, then the evaluation.
    pub fn arms(&self) -> Vec<&str> {
        let committed = self.stages.iter().map(|stage| stage.manifest.stage.as_str());
        let measured = self.metrics.iter().map(|row| row.stage.as_str());
        let mut arms = Vec::new();
        for arm in committed.chain(measured).filter_map(ArmStage::parse).map(|stage| stage.arm) {
            if !arms.contains(&arm) {
                arms.push(arm);
            }
        }
        let evaluated = self.evaluation.iter().flat_map(|evaluation| &evaluation.systems);
        for system in evaluated.filter(|system| system.role == "aligned") {
            if !arms.contains(&system.name.as_str()) {
                arms.push(&system.name);
            }
        }
        arms
    }

    /// `(step, value)` of one key over the stages `keep` accepts, by step.
    pub fn series(&self, key: &str, keep: impl Fn(&str) -> bool) -> Vec<(f64, f64)> {
        let rows = self.metrics.iter().filter(|row| row.key == key && keep(&row.stage));
        let mut points: Vec<_> = rows.map(|row| (row.step as f64, row.value)).collect();
        points.sort_by(|left, right| left.0.total_cmp(&right.0));
        points
    }

    /// The stage that wrote the input `stage/file` of a manifest, and the file's name there; `None` for files from
    /// outside the run.
    pub fn producer<'a>(&self, input: &'a str) -> Option<(&Stage, &'a str)> {
        self.stages.iter().find_map(|stage| {
            let file = input.strip_prefix(stage.manifest.stage.as_str())?.strip_prefix('/')?;
            Some((stage, file))
        })
    }

    /// The last row of a key in a stage.
    pub fn last(&self, stage: &str, key: &str) -> Option<&MetricRow> {
        self.metrics.iter().rev().find(|row| row.stage == stage && row.key == key)
    }
}

/// Reads the run directory `dir`.
///
/// # Errors
/// `run.json` or `config.toml` is missing; a file cannot be read or does not follow its schema; a committed stage
/// lacks the artifact it is defined by.
pub fn load(dir: &Path) -> Result<Run, ReportError> {
    load_with(dir, metrics)
}

/// Reads the run directory `dir`, its curves by other means: `metrics` is given the path of `metrics.jsonl`.
///
/// # Errors
/// As [`load`], and those of `metrics`.
pub fn load_with(
    dir: &Path,
    metrics: impl FnOnce(&Path) -> Result<Metrics, ReportError>,
) -> Result<Run, ReportError> {
    let record_path = dir.join("run.json");
    if !record_path.is_file() {
        return Err(ReportError::NotARun(dir.to_owned()));
    }
    let (stages, unfinished) = stages(&dir.join("stages"))?;
    let Metrics { rows, not_finite, cut } = metrics(&dir.join("metrics.jsonl"))?;
    let artifacts = Artifacts { dir: dir.join("stages"), stages: &stages };
    Ok(Run {
        record: json(&record_path, "run record")?,
        config: read(&dir.join("config.toml"))?,
        data_card: artifacts.read("ingest", "data_card.json", "data card")?,
        tokenizer: artifacts.read("tokenize", "quality.json", "tokenizer quality")?,
        judges: artifacts.read("reward", "judges.json", "judge report")?,
        evaluation: artifacts.read("evaluate", "evaluation.json", "evaluation")?,
        cases: artifacts.read_listed("evaluate", "cases.json", "list of cases")?,
        scaling: artifacts.read_listed("evaluate", "scaling.json", "test-time scaling")?,
        pairs: Vec::new(),
        metrics: rows,
        not_finite,
        metrics_cut: cut,
        stages,
        unfinished,
    })
}

struct Artifacts<'a> {
    dir: PathBuf,
    stages: &'a [Stage],
}

impl Artifacts<'_> {
    fn read<T: DeserializeOwned>(
        &self,
        stage: &str,
        file: &str,
        what: &'static str,
    ) -> Result<Option<T>, ReportError> {
        let committed = self.stages.iter().find(|committed| committed.manifest.stage == stage);
        committed.map(|stage| json(&self.dir.join(&stage.directory).join(file), what)).transpose()
    }

    /// A file that a stage may have written: its manifest tells.
    fn read_listed<T: DeserializeOwned>(
        &self,
        stage: &str,
        file: &str,
        what: &'static str,
    ) -> Result<Option<T>, ReportError> {
        let found = self.stages.iter().find(|committed| committed.manifest.stage == stage);
        match found.filter(|stage| stage.manifest.outputs.contains_key(file)) {
            Some(_) => self.read(stage, file, what),
            None => Ok(None),
        }
    }
}

/// Committed stages and the names of those that were not finished.
fn stages(dir: &Path) -> Result<(Vec<Stage>, Vec<String>), ReportError> {
    let (mut stages, mut unfinished) = (Vec::new(), Vec::new());
    for directory in directories(dir)? {
        let Some((number, name)) = numbered(&directory) else {
            continue;
        };
        let manifest = dir.join(&directory).join("manifest.json");
        let open = [".partial", ".work"].iter().find_map(|suffix| name.strip_suffix(suffix));
        if name == OWN_STAGE || name.ends_with(".replaced") {
            continue;
        }
        if open.is_some() || !manifest.is_file() {
            unfinished.push(open.unwrap_or(name).to_owned());
        } else {
            let manifest = json(&manifest, "stage manifest")?;
            stages.push(Stage { number, directory, manifest });
        }
    }
    stages.sort_by(|left, right| (left.number, &left.directory).cmp(&(right.number, &right.directory)));
    unfinished.retain(|name| stages.iter().all(|stage| stage.manifest.stage != *name));
    unfinished.sort();
    unfinished.dedup();
    Ok((stages, unfinished))
}

/// Splits `NN-<stage>`.
fn numbered(directory: &str) -> Option<(u32, &str)> {
    let (number, name) = directory.split_once('-')?;
    Some((number.parse().ok()?, name))
}

/// Names of the sub-directories of `dir`; none if it does not exist yet.
fn directories(dir: &Path) -> Result<Vec<String>, ReportError> {
    let failed = |source| ReportError::Read { path: dir.to_owned(), source };
    let mut names = Vec::new();
    if !dir.is_dir() {
        return Ok(names);
    }
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// What `metrics.jsonl` holds.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Its rows.
    pub rows: Vec<MetricRow>,
    /// Those without a number.
    pub not_finite: Vec<NotFinite>,
    /// Whether a half-written last line was left out.
    pub cut: bool,
}

impl Metrics {
    /// Reads one line more.
    ///
    /// # Errors
    /// It is no metric row.
    pub fn add(&mut self, line: &str) -> Result<(), serde_json::Error> {
        row(line).map(|row| self.push(row))
    }

    fn push(&mut self, RawRow { stage, step, key, value }: RawRow) {
        match value.filter(|value| value.is_finite()) {
            Some(value) => self.rows.push(MetricRow { stage, step, key, value }),
            None => self.not_finite.push(NotFinite { stage, step, key }),
        }
    }
}

/// No file means nothing was measured yet.
fn metrics(path: &Path) -> Result<Metrics, ReportError> {
    let mut metrics = Metrics::default();
    if !path.is_file() {
        return Ok(metrics);
    }
    let text = read(path)?;
    let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()).peekable();
    while let Some((line, number)) = lines.next() {
        match metrics.add(line) {
            Ok(()) => {}
            Err(error) if error.is_eof() && !text.ends_with('\n') && lines.peek().is_none() => {
                metrics.cut = true;
            }
            Err(source) => {
                let (path, what) = (path.to_owned(), "metric row");
                return Err(ReportError::Malformed { path, line: number, what, source });
            }
        }
    }
    Ok(metrics)
}

/// A row; Python's `NaN` and `Infinity` count as `null`.
fn row(line: &str) -> Result<RawRow, serde_json::Error> {
    serde_json::from_str(line).or_else(|error| {
        let Some((head, value)) = line.rsplit_once("\"value\":") else { return Err(error) };
        let word = value.trim().trim_end_matches('}').trim();
        if ["NaN", "Infinity", "-Infinity"].contains(&word) {
            return serde_json::from_str(&format!("{head}\"value\":null}}"));
        }
        Err(error)
    })
}

fn json<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<T, ReportError> {
    serde_json::from_str(&read(path)?).map_err(|source| ReportError::Malformed {
        path: path.to_owned(),
        line: source.line(),
        what,
        source,
    })
}

fn read(path: &Path) -> Result<String, ReportError> {
    fs::read_to_string(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })
}
