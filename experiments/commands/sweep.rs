//! `recalign sweep`.

use super::{output::print, page, signals, table};
use crate::cli::SweepArgs;
use crate::pipeline;
use crate::progress::duration;
use crate::run::layout::Layout;
use crate::run::lock::Lock;
use crate::run::stop::StopFlag;
use crate::run::{Resume, commit};
use crate::sweep::collect;
use crate::sweep::estimate;
use crate::sweep::execute::{Limits, Outcome, execute};
use crate::sweep::outdated::outdated;
use crate::sweep::plan::{self, Plan};
use crate::threads::in_pool;
use anyhow::Context as _;
use reports::sweep::State;
use serde::Serialize;
use std::fmt::Write as _;
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
    if let Some(hours) = arguments.max_hours {
        anyhow::ensure!(
            hours.is_finite() && hours > 0.0,
            "--max-hours {hours}: must be a number of hours above 0"
        );
    }
    let plan = plan::load(&arguments.file, &arguments.overrides, arguments.dir.as_deref())?;
    let plan = if arguments.rows.is_empty() { plan } else { plan.only(&arguments.rows)? };
    if arguments.dry_run {
        arguments.device.open()?;
        return print(&describe(&plan));
    }
    if arguments.resume == Resume::Never {
        refuse_finished_stages(&plan)?;
    }
    if !arguments.allow_drift {
        refuse_older_programs(&plan)?;
    }
    commit::create_directory(&plan.dir)?;
    let _lock = Lock::acquire(&Layout::new(&plan.dir))?;
    info!("sweep {}: {} runs in {}", plan.name, plan.runs.len(), plan.dir.display());
    let (stop, worker) = (StopFlag::default(), plan.clone());
    let how = (arguments.device, arguments.allow_drift.into());
    let flag = stop.clone();
    let limits = Limits { jobs: arguments.jobs, runs: arguments.max_runs, hours: arguments.max_hours };
    let (outcomes, report) = signals::supervise(&stop, move || {
        let outcomes = in_pool(|| execute(&worker, (how, limits, &flag)));
        let report = publish(&worker, &outcomes)?;
        Ok((outcomes, report))
    })?;
    stop.check()?;
    summarize(arguments, (&plan, &outcomes), report)
}

/// The runs as a table, with what they will cost.
fn describe(plan: &Plan) -> String {
    let estimates = estimate::estimate(plan);
    let row = |(run, estimate): (&plan::PlannedRun, &estimate::Estimate)| {
        let stages = pipeline::stage_names(&run.config);
        let last = plan.until.as_ref().or(stages.last()).cloned().unwrap_or_default();
        let count = stages.iter().take_while(|name| **name != last).count() + 1;
        let (seed, dir) = (run.config.run.seed.to_string(), run.dir.display().to_string());
        vec![run.row.clone(), seed, count.to_string(), last, cost(estimate), dir]
    };
    let rows: Vec<_> = plan.runs.iter().zip(&estimates).map(row).collect();
    let mut text = table::render(&["row", "seed", "stages", "last", "estimate", "run directory"], &rows);
    for rung in &plan.rungs {
        let count = rung.runs.len();
        let _ = writeln!(text, "before: {count} runs with {}, ranked by {}", rung.name, rung.metric);
    }
    let total = estimates.iter().fold(estimate::Estimate::default(), |sum, own| estimate::Estimate {
        seconds: sum.seconds + own.seconds,
        unknown: sum.unknown + own.unknown,
        shared: sum.shared + own.shared,
    });
    let _ = writeln!(
        text,
        "total: {}, from the manifests of finished stages; {} stages are done or shared, {} unknown",
        cost(&total),
        total.shared,
        total.unknown
    );
    let older = outdated(plan).len();
    if older > 0 {
        let _ = writeln!(text, "finished stages of an older program: {older}; --allow-drift replaces them");
    }
    text
}

/// `3m10s`; with `+?` where nothing is known of some stages.
fn cost(estimate: &estimate::Estimate) -> String {
    match (estimate.unknown, duration(estimate.seconds)) {
        (0, known) => known,
        _ if estimate.seconds == 0.0 => "unknown".to_owned(),
        (_, known) => format!("{known}+?"),
    }
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

/// A page without these runs would replace one with them.
fn refuse_older_programs(plan: &Plan) -> anyhow::Result<()> {
    let older = outdated(plan);
    let Some((first, program)) = older.first() else { return Ok(()) };
    anyhow::bail!(
        "finished stages of an older program: {}, the first is {} ({program}); --allow-drift replaces them, --dir DIR starts in \
         another directory",
        older.len(),
        first.display(),
    )
}

/// Replaces `DIR/sweep/` as a whole; returns the page.
fn publish(plan: &Plan, outcomes: &[Outcome]) -> anyhow::Result<PathBuf> {
    let files = reports::sweep::render(&collect::collect(&plan.into(), outcomes)?)
        .with_context(|| format!("cannot render the comparison in {}", plan.dir.display()))?;
    page::publish(files, &plan.dir.join("sweep"))
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
        State::Failed { error } | State::Diverged { error } => Some(format!("{}: {error}", run.name())),
        State::Finished | State::Dropped { .. } | State::Unfinished => None,
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
