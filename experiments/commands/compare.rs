//! `recalign compare`: runs of any origin on one page, those that differ in their seed alone as one row.

use super::output::print;
use super::page;
use crate::cli::CompareArgs;
use crate::run::layout::Layout;
use crate::sweep::collect::{self, Compared, Member};
use crate::sweep::execute::Outcome;
use crate::sweep::plan::run_directories;
use anyhow::Context as _;
use reports::config::flatten;
use reports::schema::RunRecord;
use reports::sweep::{State, Sweep};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Keys in which the runs of one row differ.
const OWN: [&str; 2] = ["run.name", "run.seed"];

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    report: PathBuf,
    rows: Vec<String>,
}

pub(super) fn compare(arguments: &CompareArgs) -> anyhow::Result<()> {
    // The page replaces its directory, which must not hold anything else.
    let foreign = arguments.to.is_dir() && !arguments.to.join("sweep.json").is_file();
    anyhow::ensure!(
        !foreign,
        "{} is no page of an earlier comparison; choose another --to",
        arguments.to.display()
    );
    let comparison = side_by_side(&found(&arguments.runs)?, arguments.baseline.as_deref())?;
    let rows: Vec<String> = comparison.rows().into_iter().map(str::to_owned).collect();
    let report = page::publish(reports::sweep::render(&comparison)?, &arguments.to)?;
    if arguments.json {
        return print(&format!("{}\n", serde_json::to_string(&Summary { report, rows })?));
    }
    print(&format!("comparison: {}\n", report.display()))
}

/// What these run directories measured; the row called `baseline`, else the first, is what the others are compared with.
///
/// # Errors
/// There are fewer than two, one of them cannot be read, or no row has that name.
pub(crate) fn side_by_side(runs: &[PathBuf], baseline: Option<&str>) -> anyhow::Result<Sweep> {
    anyhow::ensure!(runs.len() > 1, "there is one run, nothing to compare it with");
    let runs = runs.iter().map(|dir| read(dir)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut compared = compared(runs);
    if let Some(wanted) = baseline {
        let rows: BTreeSet<&str> = compared.members.iter().map(|member| member.row.as_str()).collect();
        let list = || rows.iter().copied().collect::<Vec<_>>().join(", ");
        anyhow::ensure!(rows.contains(wanted), "there is no row {wanted}; there are {}", list());
        compared.baseline = Some(wanted.to_owned());
    }
    let outcomes = compared.members.iter().map(outcome).collect::<anyhow::Result<Vec<_>>>()?;
    collect::collect(&compared, &outcomes)
}

/// The run directories that are meant: a directory without `run.json` stands for the runs in it.
fn found(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut runs: Vec<PathBuf> = Vec::new();
    for path in paths {
        let own =
            if path.join("run.json").is_file() { vec![path.clone()] } else { run_directories(path, path) };
        anyhow::ensure!(!own.is_empty(), "{} is no run directory and holds none", path.display());
        runs.extend(own);
    }
    let mut seen = BTreeSet::new();
    runs.retain(|run| seen.insert(std::path::absolute(run).unwrap_or_else(|_| run.clone())));
    Ok(runs)
}

/// A run and the configuration it shares with the other seeds of its row.
struct Read {
    member: Member,
    config: BTreeMap<String, String>,
}

fn read(dir: &Path) -> anyhow::Result<Read> {
    let layout = Layout::existing(dir)?;
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let record: RunRecord = serde_json::from_str(&read(layout.record())?)
        .with_context(|| format!("{} has no good run.json", dir.display()))?;
    let mut config = flatten(&read(layout.config())?);
    let resamples = config.get("evaluate.resamples").and_then(|value| value.parse().ok()).unwrap_or(1000);
    config.retain(|key, _| !OWN.contains(&key.as_str()));
    let row = record.name.trim_end_matches(&format!("-seed{}", record.seed)).to_owned();
    Ok(Read { member: Member { row, seed: record.seed, dir: dir.to_owned(), resamples }, config })
}

/// Rows in the order of their first run. Equal configurations are one row; equal names of others are told apart by number.
fn compared(runs: Vec<Read>) -> Compared {
    let mut rows: Vec<(String, BTreeMap<String, String>, Vec<Member>)> = Vec::new();
    for Read { member, config } in runs {
        let seeds = |members: &[Member]| members.iter().any(|other| other.seed == member.seed);
        if let Some(row) = rows.iter_mut().find(|row| row.1 == config && !seeds(&row.2)) {
            let named = Member { row: row.0.clone(), ..member };
            row.2.push(named);
            continue;
        }
        let alike = rows
            .iter()
            .filter(|row| row.0 == member.row || row.0.starts_with(&format!("{} (", member.row)))
            .count();
        let name = if alike == 0 { member.row.clone() } else { format!("{} ({})", member.row, alike + 1) };
        rows.push((name.clone(), config, vec![Member { row: name, ..member }]));
    }
    let baseline = rows.first().map(|row| row.0.clone());
    let members = rows.into_iter().flat_map(|row| row.2).collect();
    Compared { name: "comparison".into(), until: None, baseline, members, published: Vec::new() }
}

/// What is committed counts; a run without an evaluation has costs and curves.
fn outcome(member: &Member) -> anyhow::Result<Outcome> {
    let stages = Layout::new(&member.dir).committed()?;
    Ok(Outcome { state: State::Finished, stages: stages.into_iter().map(|stage| stage.directory).collect() })
}
