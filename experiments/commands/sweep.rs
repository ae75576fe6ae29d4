//! `recalign sweep`.

use super::{output::print, signals, table};
use crate::cli::SweepArgs;
use crate::pipeline;
use crate::run::layout::Layout;
use crate::run::lock::Lock;
use crate::run::stop::StopFlag;
use crate::run::{Resume, commit};
use crate::sweep::collect;
use crate::sweep::execute::{Outcome, execute};
use crate::sweep::plan::{self, Plan};
use crate::threads::in_pool;
use anyhow::Context as _;
use reports::sweep::State;
use serde::Serialize;
use std::path::PathBuf;
use tracing::info;

/// Runs of a sweep failed; the others are finished and compared.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{failed} of {total} runs failed, the first is {first}; the others are compared, the same command tries again"
)]
pub(super) struct RunsFailed {
    failed: usize,
    total: usize,
    /// The first with its error.
    first: String,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary<'a> {
    dir: PathBuf,
    report: PathBuf,
    runs: Vec<RunSummary<'a>>,
}

/// A run of [`Summary`].
#[derive(Serialize)]
struct RunSummary<'a> {
    row: &'a str,
    seed: u64,
    run_dir: PathBuf,
    #[serde(flatten)]
    state: &'a State,
}

pub(super) fn sweep(arguments: &SweepArgs) -> anyhow::Result<()> {
    let plan = plan::load(&arguments.file, &arguments.overrides, arguments.dir.as_deref())?;
    if arguments.dry_run {
        arguments.device.open()?;
        return print(&describe(&plan));
    }
    if arguments.resume == Resume::Never {
        refuse_finished_stages(&plan)?;
    }
    commit::create_directory(&plan.dir)?;
    let _lock = Lock::acquire(&Layout::new(&plan.dir))?;
    info!("sweep {}: {} runs in {}", plan.name, plan.runs.len(), plan.dir.display());
    let (stop, worker) = (StopFlag::default(), plan.clone());
    let how = (arguments.device, arguments.allow_drift.into());
    let flag = stop.clone();
    let (outcomes, report) = signals::supervise(&stop, move || {
        let outcomes = in_pool(|| execute(&worker, how, &flag));
        let report = publish(&worker, &outcomes)?;
        Ok((outcomes, report))
    })?;
    stop.check()?;
    summarize(arguments, (&plan, &outcomes), report)
}

/// The runs as a table.
fn describe(plan: &Plan) -> String {
    let row = |run: &plan::PlannedRun| {
        let stages = pipeline::stage_names(&run.config);
        let last = plan.until.as_ref().or(stages.last()).cloned().unwrap_or_default();
        let count = stages.iter().take_while(|name| **name != last).count() + 1;
        let (seed, dir) = (run.config.run.seed.to_string(), run.dir.display().to_string());
        vec![run.row.clone(), seed, count.to_string(), last, dir]
    };
    let rows: Vec<_> = plan.runs.iter().map(row).collect();
    table::render(&["row", "seed", "stages", "last", "run directory"], &rows)
}

fn refuse_finished_stages(plan: &Plan) -> anyhow::Result<()> {
    for run in plan.runs.iter().filter(|run| run.dir.join("stages").is_dir()) {
        let finished = Layout::new(&run.dir).committed()?.len();
        anyhow::ensure!(
            finished == 0,
            "{} already holds {finished} finished stage(s) and --resume never was given; use --resume auto to continue \
             the sweep or --dir DIR to start in another directory",
            run.dir.display(),
        );
    }
    Ok(())
}

/// Replaces `DIR/sweep/` as a whole; returns the page.
fn publish(plan: &Plan, outcomes: &[Outcome]) -> anyhow::Result<PathBuf> {
    let (partial, target) = (plan.dir.join("sweep.partial"), plan.dir.join("sweep"));
    let files = reports::sweep::render(&collect::collect(plan, outcomes)?)
        .with_context(|| format!("cannot render the comparison in {}", plan.dir.display()))?;
    commit::fresh_directory(&partial)?;
    for (name, bytes) in files {
        let path = partial.join(name);
        commit::create_directory(path.parent().unwrap_or(&partial))?;
        commit::write_file(&path, &bytes)?;
    }
    commit::commit_directory(&partial, &target)?;
    Ok(target.join("index.html"))
}

fn summarize(
    arguments: &SweepArgs,
    (plan, outcomes): (&Plan, &[Outcome]),
    report: PathBuf,
) -> anyhow::Result<()> {
    if arguments.json {
        let summary = Summary { dir: plan.dir.clone(), report, runs: runs(plan, outcomes) };
        print(&format!("{}\n", serde_json::to_string(&summary)?))?;
    } else {
        print(&format!("comparison: {}\n", report.display()))?;
    }
    let failed = plan.runs.iter().zip(outcomes).filter_map(|(run, outcome)| match &outcome.state {
        State::Failed { error } => Some(format!("{}: {error}", run.name())),
        State::Finished | State::Unfinished => None,
    });
    let failed: Vec<String> = failed.collect();
    let (count, total) = (failed.len(), outcomes.len());
    match failed.into_iter().next() {
        Some(first) => Err(RunsFailed { failed: count, total, first }.into()),
        None => Ok(()),
    }
}

fn runs<'a>(plan: &'a Plan, outcomes: &'a [Outcome]) -> Vec<RunSummary<'a>> {
    let summary = |(run, outcome): (&'a plan::PlannedRun, &'a Outcome)| RunSummary {
        row: &run.row,
        seed: run.config.run.seed,
        run_dir: run.dir.clone(),
        state: &outcome.state,
    };
    plan.runs.iter().zip(outcomes).map(summary).collect()
}
