//! `recalign run`.

use super::{output::print, signals};
use crate::cli::RunArgs;
use crate::config::{self, Config};
use crate::pipeline;
use crate::run::Run;
use crate::run::layout::Layout;
use crate::sweep::plan;
use crate::threads::in_pool;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tracing::{info, info_span};

/// Below a sweep's directory: what its processes are computing.
const CLAIMS: &str = ".claims";

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    run_dir: PathBuf,
    /// Absent if the run stopped before the report.
    report: Option<PathBuf>,
    stages: Vec<String>,
}

pub(super) fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    let config = config::load(&arguments.config, &arguments.overrides)?;
    let dir = arguments.run_dir.clone().unwrap_or_else(|| Path::new("runs").join(&config.run.name));
    if arguments.dry_run {
        arguments.device.open()?;
        pipeline::check_until(&config, arguments.until.as_deref())?;
        info!("dry run: the configuration is good, the run directory would be {}", dir.display());
        info!("stages: {}", pipeline::stage_names(&config).join(", "));
        return print(&config.to_toml());
    }
    execute(arguments, &config, &dir)?;
    summarize(arguments, &dir)
}

fn execute(arguments: &RunArgs, config: &Config, dir: &Path) -> anyhow::Result<()> {
    let drift = arguments.allow_drift.into();
    let run = Run::open(dir, config, arguments.device, arguments.resume)?.with_drift(drift);
    let run = match &arguments.sweep {
        Some(sweep) => run.sharing_with(plan::run_directories(sweep, dir)).claiming_in(sweep.join(CLAIMS)),
        None => run,
    };
    info!("run directory {}", dir.display());
    let (stop, config, until) = (run.stop_flag(), config.clone(), arguments.until.clone());
    signals::supervise(&stop, move || {
        let _span = info_span!("run", name = %config.run.name).entered();
        in_pool(|| pipeline::run(&run, &config, until.as_deref()))
    })
}

fn summarize(arguments: &RunArgs, dir: &Path) -> anyhow::Result<()> {
    let layout = Layout::existing(dir)?;
    // A partial run may leave the report of an earlier, complete one.
    let index = layout.report().join("index.html");
    let report = (arguments.until.is_none() && index.is_file()).then_some(index);
    let stages = layout.committed()?.into_iter().map(|stage| stage.directory).collect();
    let summary = Summary { run_dir: dir.to_owned(), report, stages };
    if arguments.json {
        return print(&format!("{}\n", serde_json::to_string(&summary)?));
    }
    match &summary.report {
        Some(report) => print(&format!("report: {}\n", report.display())),
        None => print(&format!("run directory: {}\n", dir.display())),
    }
}
