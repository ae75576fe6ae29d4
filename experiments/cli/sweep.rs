//! Many runs, and runs side by side.

use crate::device::DeviceChoice;
use crate::run::Resume;
use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// `recalign sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    /// Sweep file (TOML): rows, each an experiment file with changes and seeds
    pub file: PathBuf,
    /// Change a key of every row's experiment file, for example run.budget=smoke; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Run and compare these rows alone; comma-separated
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub rows: Vec<String>,
    /// Directory of the run directories and of the comparison [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do with stages that an earlier session finished
    #[arg(long, value_enum, default_value_t)]
    pub resume: Resume,
    /// Replace stages whose configuration, data or program has changed; their manifests record what. Refused otherwise
    #[arg(long)]
    pub allow_drift: bool,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Runs at a time, each in a process with its share of the cores; results do not depend on it
    #[arg(long, default_value = "1", value_name = "N")]
    pub jobs: NonZeroUsize,
    /// Start at most this many runs that are not finished; the same command goes on
    #[arg(long, value_name = "N")]
    pub max_runs: Option<usize>,
    /// Start no run after this many hours; the same command goes on
    #[arg(long, value_name = "HOURS")]
    pub max_hours: Option<f64>,
    /// Check every row, print the runs and what they will cost, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `recalign compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// Run directories, or directories of sweeps
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The row that the others are compared with; the first run's if left out
    #[arg(long, value_name = "ROW")]
    pub baseline: Option<String>,
    /// Where the page goes
    #[arg(long, default_value = "comparison", value_name = "DIR")]
    pub to: PathBuf,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
