//! Running the runs of a sweep one after the other.

use super::plan::{Plan, PlannedRun};
use crate::device::DeviceChoice;
use crate::pipeline;
use crate::run::stop::StopFlag;
use crate::run::{Drift, Resume, Run};
use reports::sweep::State;
use tracing::{error, info, info_span};

/// How one run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Finished, failed with its error, or not reached.
    pub state: State,
    /// Its stages: what else a run directory holds is of an earlier configuration.
    pub stages: Vec<String>,
}

/// Runs everything that is not finished. A run that fails is recorded and the others go on; after a request to stop, the
/// rest is left unfinished.
pub fn execute(plan: &Plan, how: (DeviceChoice, Drift), stop: &StopFlag) -> Vec<Outcome> {
    let count = plan.runs.len();
    let mut outcomes = Vec::with_capacity(count);
    for (index, planned) in plan.runs.iter().enumerate() {
        let _span = info_span!("run", name = %planned.name()).entered();
        if stop.check().is_ok() {
            info!("run {} of {count}", index + 1);
        }
        outcomes.push(outcome(run(plan, planned, (how, stop)), stop));
    }
    outcomes
}

/// The names of the stages of the run.
fn run(
    plan: &Plan,
    planned: &PlannedRun,
    ((device, drift), stop): ((DeviceChoice, Drift), &StopFlag),
) -> anyhow::Result<Vec<String>> {
    stop.check()?;
    let others = plan.runs.iter().map(|other| other.dir.clone()).filter(|dir| *dir != planned.dir);
    let run = Run::open(&planned.dir, &planned.config, device, Resume::Auto)?
        .with_drift(drift)
        .stopped_by(stop.clone())
        .sharing_with(others.collect());
    pipeline::run(&run, &planned.config, plan.until.as_deref())?;
    Ok(run.visited())
}

fn outcome(result: anyhow::Result<Vec<String>>, stop: &StopFlag) -> Outcome {
    match result {
        Ok(stages) => Outcome { state: State::Finished, stages },
        Err(_) if stop.check().is_err() => Outcome { state: State::Unfinished, stages: Vec::new() },
        Err(error) => {
            let error = format!("{error:#}");
            error!("failed: {error}");
            Outcome { state: State::Failed { error }, stages: Vec::new() }
        }
    }
}
