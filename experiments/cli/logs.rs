//! Logs: simulated ones, and verdicts told from behaviour.

use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// `recalign label`.
#[derive(Args, Clone, Debug)]
pub struct LabelArgs {
    /// Experiment file (TOML); only its `data` section counts
    pub config: PathBuf,
    /// Feedback column that is above 0 where the user approved
    #[arg(long, value_name = "COLUMN")]
    pub positive: String,
    /// Feedback column that is above 0 where the user disapproved [default: whatever was not approved of]
    #[arg(long, value_name = "COLUMN")]
    pub negative: Option<String>,
    /// Behaviour to be seen as a share of other behaviour or a length too, for example `play_time_ms/duration_ms`; repeatable
    #[arg(long = "share", value_name = "PART/WHOLE")]
    pub shares: Vec<String>,
    /// Change a key of the experiment file, for example data.path=../data; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Of the held-out pairs, the weights and the order of training
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Bootstrap resamples of users behind every interval
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub resamples: u64,
    /// Directory to make for labels.parquet and features.parquet; an empty one may be there
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// `recalign simulate`.
#[derive(Args, Clone, Debug)]
pub struct SimulateArgs {
    /// Directory to make; an empty one may be there
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Format of the log
    #[arg(long, value_enum, default_value = "parquet")]
    pub format: LogFormat,
    /// Experiment file whose [data.source] is the world [default: 1000 users, 1000 items, seed 7]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Users; short for --set data.source.users=N
    #[arg(long, value_name = "N")]
    pub users: Option<usize>,
    /// Items; short for --set data.source.items=M
    #[arg(long, value_name = "M")]
    pub items: Option<usize>,
    /// Seed of the world; short for --set data.source.seed=S
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Impressions of a user on average, never more than a quarter of the items; the longest history becomes at least
    /// four times as long
    #[arg(long, value_name = "L")]
    pub impressions: Option<NonZeroUsize>,
    /// Change a key of the experiment file, for example data.source.feed.slate=8; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Write no log: plots of the world's marginals beside those of the log that this experiment file reads
    #[arg(long, value_name = "CONFIG")]
    pub compare: Option<PathBuf>,
    /// data.path of the experiment file to compare with
    #[arg(long, value_name = "PATH", requires = "compare")]
    pub compare_path: Option<PathBuf>,
}

/// A format that ingest reads; not Open Bandit's, which wants the probability that each item was shown, and the world's users and
/// services pick from what nobody logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// S3-Rec text with time gaps: no feedback
    S3rec,
    /// KuaiRand's tab-separated table: whole milliseconds, its own signals
    Kuairand,
    /// `KuaiRec`'s table: whole milliseconds, watching alone
    Kuairec,
    /// JSON object of item lists: no times, no feedback
    Letter,
    /// Comma-separated
    Csv,
    /// One JSON object per line
    Jsonl,
    /// Parquet
    Parquet,
    /// RecBole atomic file
    Inter,
}
