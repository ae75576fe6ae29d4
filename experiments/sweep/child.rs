//! A run in a process of its own: its memory, its time and its end are its own.

use super::execute::{Outcome, Where, directories};
use super::plan::{Plan, PlannedRun};
use crate::commands::exit;
use crate::run::stop::{Interrupted, StopFlag};
use crate::run::{Drift, commit};
use anyhow::Context as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Below the sweep's directory: configurations and logs of the processes.
const PLANS: &str = ".plans";
const LOGS: &str = ".logs";
/// Between two looks at a process.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs `planned` in a process that has its share of the cores.
pub(super) fn run(
    plan: &Plan,
    planned: &PlannedRun,
    (until, jobs): (Option<&str>, usize),
    (how, stop): (Where, &StopFlag),
) -> Outcome {
    let log = plan.dir.join(LOGS).join(format!("{}.log", label(plan, planned)));
    let ended = start(plan, planned, (until, jobs, &log), how).and_then(|child| wait(child, stop));
    match ended {
        Ok(status) if status.success() => Outcome::finished(directories(planned, until)),
        Ok(_) if stop.check().is_err() => Outcome::unfinished(),
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::COULD_NOT_RUN);
            Outcome::failed(last_words(&log, status), code)
        }
        Err(error) => Outcome::failed(format!("{error:#}"), exit::COULD_NOT_RUN),
    }
}

/// The run's path below the sweep's directory, as one word.
fn label(plan: &Plan, planned: &PlannedRun) -> String {
    let below = planned.dir.strip_prefix(&plan.dir).unwrap_or(&planned.dir);
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("-")
}

fn start(
    plan: &Plan,
    planned: &PlannedRun,
    (until, jobs, log): (Option<&str>, usize, &PathBuf),
    (device, drift): Where,
) -> anyhow::Result<Child> {
    let config = plan.dir.join(PLANS).join(format!("{}.toml", label(plan, planned)));
    for file in [&config, log] {
        commit::create_directory(file.parent().unwrap_or(&plan.dir))?;
    }
    commit::write_file(&config, planned.config.to_toml().as_bytes())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / jobs).max(1).to_string();
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.arg("run").arg(&config).arg("--run-dir").arg(&planned.dir).arg("--sweep").arg(&plan.dir);
    command.args(["--device", &device.to_string()]);
    command.args((drift == Drift::Allowed).then_some("--allow-drift"));
    command.args(until.iter().flat_map(|stage| ["--until", stage]));
    for variable in ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS"] {
        command.env(variable, &threads);
    }
    own_group(&mut command);
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    command.spawn().context("cannot start a process for the run")
}

/// A signal from the terminal reaches the sweep alone, which passes it on: two of them would end the run at once.
fn own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    drop(command);
}

/// Waits for the end; a request to stop is passed on once.
fn wait(mut child: Child, stop: &StopFlag) -> anyhow::Result<ExitStatus> {
    let mut asked = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot watch the process of the run")? {
            return Ok(status);
        }
        if let (Err(Interrupted { signal }), false) = (stop.check(), asked) {
            asked = true;
            let id = child.id().to_string();
            // Where there is no `kill`, the run goes on to its end, and the sweep with it.
            drop(Command::new("kill").args([&format!("-{signal}"), &id]).status());
        }
        std::thread::sleep(PAUSE);
    }
}

/// The error at the end of a log.
fn last_words(log: &PathBuf, status: ExitStatus) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let error: Vec<&str> =
        text.lines().skip_while(|line| !line.starts_with("error: ")).map(str::trim).collect();
    match error.join(" ").strip_prefix("error: ") {
        Some(words) => words.replace(" caused by: ", ": "),
        None => format!("its process ended with {status}; see {}", log.display()),
    }
}
