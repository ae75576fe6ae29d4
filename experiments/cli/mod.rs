//! What can be typed. Settings belong into the experiment file; a flag is about this invocation only.

mod bench;
mod evaluate;
mod export;
mod logs;
mod look;
mod run;
mod serve;
mod sweep;
mod trackers;

pub use bench::{BenchArgs, Reference, Workload};
pub use evaluate::{ArenaArgs, ArenaJudge, EvaluateArgs};
pub use export::{ExportArgs, Exported};
pub use logs::{LabelArgs, LogFormat, SimulateArgs};
pub use look::{InspectArgs, Inspected, UiArgs, WatchArgs};
pub use run::{RolloutArgs, RunArgs};
pub use serve::ServeArgs;
pub use sweep::{CompareArgs, SweepArgs};
pub use trackers::{ImportArgs, ImportTool, PublishArgs, PublishTool};

use crate::console::Verbosity;
use crate::device::DeviceChoice;
use clap::{ArgAction, Parser, Subcommand};
use std::path::PathBuf;

/// Shown below `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a check failed: a hash differs (verify, export verify, serve), a loss or metric is not finite; or runs of a sweep failed
  2    could not run: wrong configuration or arguments, bad or missing data, device not available
  3    an alarm of [align.alarms] stopped a round; what was finished before is kept
  130  interrupted by Ctrl-C; the same command continues
  143  interrupted by SIGTERM; the same command continues

Environment: NO_COLOR=1 for plain text, RUST_LOG=debug (or a tracing filter) for more of the log on stderr.";

/// Aligns generative recommenders with what users value: from an interaction log to an aligned policy and a report.
#[derive(Debug, Parser)]
#[command(name = "recalign", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Only warnings and errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More of the log on stderr
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// How much is told on stderr.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an experiment, or continue it: finished stages with unchanged inputs are skipped
    Run(RunArgs),
    /// Run rows of experiments over their seeds and compare them on one page
    Sweep(SweepArgs),
    /// Put runs or sweeps side by side: configurations, paired differences, curves, on one page
    Compare(CompareArgs),
    /// Follow a run in the terminal: stages, curves, judges, alarms
    Watch(WatchArgs),
    /// Look at all runs below a directory in the browser, while they run too
    Ui(UiArgs),
    /// Render the reports of run directories again
    Report {
        /// Run directories
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<PathBuf>,
    },
    /// Recompute every hash of a run directory and follow the lineage from data to report
    Verify {
        /// Run directory
        run: PathBuf,
        /// Also compute this stage once more, in a temporary directory, and compare bytes; `report` renders it
        #[arg(long, value_name = "STAGE")]
        recompute: Option<String>,
    },
    /// Score a run's policies, or a table of recommendations, with every judge of the run
    Evaluate(EvaluateArgs),
    /// Look inside a run directory
    Inspect(InspectArgs),
    /// Rank policies by pairwise comparison: of a judge, or of people
    Arena(ArenaArgs),
    /// Hand a policy over: a directory that serving stacks load, check and run
    Export(ExportArgs),
    /// Read the curves of another tracker's run, as a run directory to compare with
    Import(ImportArgs),
    /// Send a run to an experiment tracker
    Publish(PublishArgs),
    /// Serve an exported directory over HTTP
    Serve(ServeArgs),
    /// Find the candidates of one shard of a stage's users
    Rollout(RolloutArgs),
    /// Write a log of the built-in world with its truth, or compare it with a real log
    Simulate(SimulateArgs),
    /// Tell from behaviour what users did not rate, and examine that
    Label(LabelArgs),
    /// Time a canonical workload on the CPU
    Bench(BenchArgs),
    /// Check what this machine and this build can do
    Doctor {
        /// Device to check: cpu, cuda:N or webgpu
        #[arg(long, default_value_t, value_name = "DEVICE")]
        device: DeviceChoice,
    },
}
