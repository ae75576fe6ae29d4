//! What can be typed. Settings belong into the experiment file; a flag is about this invocation only.

use crate::console::Verbosity;
use crate::device::DeviceChoice;
use crate::run::Resume;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use policy::ids::Code;
use sampler::rollout::Shard;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Shown below `--help`.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a check failed: a hash differs (verify), a loss or metric is not finite; or runs of a sweep failed
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
    },
    /// Look inside a run directory
    Inspect(InspectArgs),
    /// Find the candidates of one shard of a stage's users
    Rollout(RolloutArgs),
    /// Time a canonical workload on the CPU
    Bench(BenchArgs),
    /// Check what this machine and this build can do
    Doctor {
        /// Device to check: cpu, cuda:N or webgpu
        #[arg(long, default_value_t, value_name = "DEVICE")]
        device: DeviceChoice,
    },
}

/// `recalign run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Experiment file (TOML); see experiments/configs
    pub config: PathBuf,
    /// Change a key of the experiment file, for example data.path=../data or align.arms.0.name=mine; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Run directory [default: runs/<run.name>]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// What to do with stages that an earlier session finished
    #[arg(long, value_enum, default_value_t)]
    pub resume: Resume,
    /// Stop after this stage
    #[arg(long, value_name = "STAGE")]
    pub until: Option<String>,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Check everything, print the resolved configuration, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `recalign rollout`.
#[derive(Args, Clone, Debug)]
pub struct RolloutArgs {
    /// Run directory; it is not locked, shards may be computed side by side
    pub run: PathBuf,
    /// Which part of how many, from 0: 0/4, 1/4, 2/4, 3/4
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Shard,
    /// Sampling stage, for example sample-grpo-1 [default: the first that waits]
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Where tensors live: cpu, cuda:N or webgpu; all shards need the same
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((index, count)) if index < count => Ok(Shard { index, count }),
        _ => Err("write it as I/N with I from 0 to N - 1, for example 0/4".into()),
    }
}

/// `recalign inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// What to look at
    pub what: Inspected,
    /// Run directory
    pub run: PathBuf,
    /// Most rows to print
    #[arg(short = 'n', long, default_value_t = 20, value_name = "ROWS")]
    pub rows: usize,
    /// List the items whose semantic ID starts with these codes, for example 12,7 (sids)
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    pub prefix: Option<Vec<Code>>,
    /// Print one JSON object (sids) or one per pair, all of them (pairs), instead of text
    #[arg(long)]
    pub json: bool,
}

/// `recalign sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    /// Sweep file (TOML): rows, each an experiment file with changes and seeds
    pub file: PathBuf,
    /// Change a key of every row's experiment file, for example run.budget=smoke; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Directory of the run directories and of the comparison [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do with stages that an earlier session finished
    #[arg(long, value_enum, default_value_t)]
    pub resume: Resume,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Check every row, print the runs, write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the result as one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `recalign bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to time
    #[arg(value_name = "NAME")]
    pub workload: Workload,
    /// Dropout probability (train)
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    pub dropout: f64,
    /// Where the reference's log-probabilities come from (dpo)
    #[arg(long, default_value = "recomputed")]
    pub reference: Reference,
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Timed steps [default: 8; scaling: 3; epoch: --batches]
    #[arg(long, value_name = "R")]
    pub runs: Option<NonZeroUsize>,
    /// Steps before the timed ones [default: 3; scaling: 1]
    #[arg(long, value_name = "W")]
    pub warmup: Option<usize>,
    /// Experiment file whose epoch is timed (epoch)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change a key of the experiment file, for example data.path=../data; repeatable (epoch)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Batches of the epoch to time, a random sample [default: all] (epoch)
    #[arg(long, value_name = "N")]
    pub batches: Option<NonZeroUsize>,
    /// Write weights, inputs and results into this directory, for experiments/bench/*.py (train, beam, epoch), or the
    /// page of curves (scaling)
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
    /// Print one JSON object per case instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Where a reference's log-probabilities come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reference {
    /// A pass of the reference in every step, as trainers do by default
    Recomputed,
    /// Stored once, as rounds of alignment have them from sampling
    Stored,
}

/// What `bench` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Matrix products alone
    Gemm,
    /// Next-token training of the encoder-decoder
    Train,
    /// Next-token training of a decoder alone
    Dec,
    /// Beam search under the trie
    Beam,
    /// Preference optimisation with a reference
    Dpo,
    /// Sampling of completions and a policy-gradient update
    Grpo,
    /// Residual k-means
    Kmeans,
    /// Reading and splitting a log
    Ingest,
    /// Building the prefix trie of a million items
    Trie,
    /// An epoch of pretraining on the log of an experiment file
    Epoch,
    /// Curves of training, beam search, trie and k-means over their sizes; minutes
    Scaling,
}

/// What `inspect` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Inspected {
    /// Stages: state, time, files, size
    Run,
    /// Semantic IDs: use of the codes, collisions, what prefixes have in common
    Sids,
    /// Preference pairs
    Pairs,
}
