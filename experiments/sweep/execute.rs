//! Running the runs of a sweep: one after the other in this process, or several at a time in processes of their own.

use super::child;
use super::plan::{Plan, PlannedRun, Rung};
use super::search;
use crate::commands::exit;
use crate::device::DeviceChoice;
use crate::pipeline;
use crate::progress::duration;
use crate::run::clock::Stopwatch;
use crate::run::layout::Layout;
use crate::run::stop::StopFlag;
use crate::run::{Drift, Resume, Run};
use reports::sweep::State;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use tracing::{error, info, info_span};

/// How one run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Finished, failed with its error, or not reached.
    pub state: State,
    /// Its stages: what else a run directory holds is of an earlier configuration.
    pub stages: Vec<String>,
}

/// How much may run, and how much at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Runs at a time; their threads share the cores.
    pub jobs: NonZeroUsize,
    /// Runs to start that are not finished yet.
    pub runs: Option<usize>,
    /// Hours after which no further run starts.
    pub hours: Option<f64>,
}

/// Where runs compute, and what may happen to results of other configurations.
pub(super) type Where = (DeviceChoice, Drift);
/// How runs compute, and what stops them.
pub(super) type Setting<'a> = (Where, Limits, &'a StopFlag);

/// Runs everything that is not finished. A run that fails is recorded and the others go on; after a request to stop, or when the
/// budget is spent, the rest is left unfinished. With rungs, rows that fall behind are dropped.
pub fn execute(plan: &Plan, setting: Setting<'_>) -> Vec<Outcome> {
    let budget = Budget::new(setting.1);
    let mut dropped = search::Dropped::default();
    for (number, rung) in plan.rungs.iter().enumerate() {
        let runs: Vec<&PlannedRun> = rung.runs.iter().filter(|run| !dropped.contains(&run.row)).collect();
        info!("rung {} of {}: {} runs with {}", number + 1, plan.rungs.len(), runs.len(), rung.name);
        let outcomes = batch(plan, &runs, (setting, &budget, rung.until.as_deref()));
        let complete = outcomes.iter().all(|outcome| !matches!(outcome.state, State::Unfinished));
        if !complete {
            return unfinished(plan.runs.len());
        }
        search::drop_behind(rung, (&runs, &outcomes), &mut dropped);
    }
    let alive: Vec<&PlannedRun> = plan.runs.iter().filter(|run| !dropped.contains(&run.row)).collect();
    let mut done = batch(plan, &alive, (setting, &budget, plan.until.as_deref())).into_iter();
    let outcome = |run: &PlannedRun| match dropped.reason(&run.row) {
        Some(reason) => Outcome { state: State::Dropped { reason: reason.to_owned() }, stages: Vec::new() },
        None => done.next().unwrap_or_else(Outcome::unfinished),
    };
    plan.runs.iter().map(outcome).collect()
}

fn unfinished(count: usize) -> Vec<Outcome> {
    (0..count).map(|_| Outcome::unfinished()).collect()
}

impl Outcome {
    /// Not reached, or not to its end.
    pub(super) fn unfinished() -> Self {
        Self { state: State::Unfinished, stages: Vec::new() }
    }

    /// All stages there.
    pub(super) fn finished(stages: Vec<String>) -> Self {
        Self { state: State::Finished, stages }
    }

    /// Failed; `code` as the process would have ended with.
    pub(super) fn failed(error: String, code: u8) -> Self {
        error!("failed: {error}");
        let diverged = code == exit::CHECK_FAILED;
        let state = if diverged { State::Diverged { error } } else { State::Failed { error } };
        Self { state, stages: Vec::new() }
    }
}

/// What is left of the budget, shared by all jobs.
struct Budget {
    limits: Limits,
    watch: Stopwatch,
    started: Mutex<usize>,
}

impl Budget {
    fn new(limits: Limits) -> Self {
        Self { limits, watch: Stopwatch::start(), started: Mutex::new(0) }
    }

    /// Whether a run that is not finished may start; counts it.
    fn admits(&self) -> bool {
        let mut started = self.started.lock().expect("no job panics while holding the lock");
        let in_time = self.limits.hours.is_none_or(|hours| self.watch.seconds() < 3600.0 * hours);
        let admitted = in_time && self.limits.runs.is_none_or(|runs| *started < runs);
        *started += usize::from(admitted);
        admitted
    }
}

/// A run of a batch: its place and the runs.
type Batch<'a> = (Setting<'a>, &'a Budget, Option<&'a str>);

/// Runs a list of runs, `jobs` at a time.
fn batch(plan: &Plan, runs: &[&PlannedRun], batch: Batch<'_>) -> Vec<Outcome> {
    let jobs = batch.0.1.jobs.get().min(runs.len().max(1));
    let progress = Progress { watch: Stopwatch::start(), total: runs.len(), done: Mutex::new((0, 0)) };
    let outcomes: Vec<Mutex<Option<Outcome>>> = runs.iter().map(|_| Mutex::new(None)).collect();
    let next = Mutex::new(0..runs.len());
    let work = || {
        loop {
            let Some(index) = next.lock().expect("no job panics while holding the lock").next() else {
                return;
            };
            let outcome = one(plan, runs[index], (batch, jobs));
            progress.tell(runs[index], &outcome);
            *outcomes[index].lock().expect("no job panics while holding the lock") = Some(outcome);
        }
    };
    if jobs == 1 {
        work();
    } else {
        std::thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    }
    let take =
        |slot: Mutex<Option<Outcome>>| slot.into_inner().ok().flatten().unwrap_or_else(Outcome::unfinished);
    outcomes.into_iter().map(take).collect()
}

fn one(plan: &Plan, planned: &PlannedRun, ((setting, budget, until), jobs): (Batch<'_>, usize)) -> Outcome {
    let _span = info_span!("run", name = %planned.name()).entered();
    let (how, _, stop) = setting;
    if stop.check().is_err() || !is_done(planned, until) && !budget.admits() {
        return Outcome::unfinished();
    }
    if jobs > 1 {
        return child::run(plan, planned, (until, jobs), (how, stop));
    }
    match in_process(plan, planned, until, (how, stop)) {
        Ok(stages) => Outcome::finished(stages),
        Err(_) if stop.check().is_err() => Outcome::unfinished(),
        Err(error) => Outcome::failed(format!("{error:#}"), exit::code(&error)),
    }
}

/// Whether all its stages are committed; whether they are still right is the run's business.
fn is_done(planned: &PlannedRun, until: Option<&str>) -> bool {
    let committed = Layout::new(&planned.dir).committed().unwrap_or_default();
    let wanted = directories(planned, until);
    wanted.iter().all(|name| committed.iter().any(|stage| stage.directory == *name))
}

/// The stage directories of a run, up to `until`.
pub(super) fn directories(planned: &PlannedRun, until: Option<&str>) -> Vec<String> {
    let names = pipeline::stage_names(&planned.config);
    let count = until.map_or(names.len(), |until| names.iter().take_while(|name| *name != until).count() + 1);
    names.into_iter().take(count).zip(1..).map(|(name, number)| format!("{number:02}-{name}")).collect()
}

/// The names of the stages of the run.
fn in_process(
    plan: &Plan,
    planned: &PlannedRun,
    until: Option<&str>,
    ((device, drift), stop): (Where, &StopFlag),
) -> anyhow::Result<Vec<String>> {
    let run = Run::open(&planned.dir, &planned.config, device, Resume::Auto)?
        .with_drift(drift)
        .stopped_by(stop.clone())
        .sharing_with(others(plan, planned));
    pipeline::run(&run, &planned.config, until)?;
    Ok(run.visited())
}

/// All other run directories of the sweep.
fn others(plan: &Plan, planned: &PlannedRun) -> Vec<PathBuf> {
    let rungs = plan.rungs.iter().flat_map(|rung: &Rung| &rung.runs);
    let all = plan.runs.iter().chain(rungs).map(|other| other.dir.clone());
    all.filter(|dir| *dir != planned.dir).collect()
}

/// How far a batch is.
struct Progress {
    watch: Stopwatch,
    total: usize,
    /// Runs that ended, and those of them that took time.
    done: Mutex<(usize, usize)>,
}

/// Seconds of a run that had something to do.
const WORKED: f64 = 1.0;

impl Progress {
    fn tell(&self, run: &PlannedRun, outcome: &Outcome) {
        let mut done = self.done.lock().expect("no job panics while holding the lock");
        let seconds = self.watch.seconds();
        *done = (done.0 + 1, done.1 + usize::from(seconds > WORKED));
        let left = seconds / done.1.max(1) as f64 * (self.total - done.0) as f64;
        let state = match &outcome.state {
            State::Finished => "finished",
            State::Failed { .. } => "failed",
            State::Diverged { .. } => "diverged",
            State::Dropped { .. } => "dropped",
            State::Unfinished => "unfinished",
        };
        info!("{}: {state}; {} of {} runs, about {} left", run.name(), done.0, self.total, duration(left));
    }
}
