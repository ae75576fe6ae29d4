//! Scoring and ranking policies.

use crate::device::DeviceChoice;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `recalign evaluate`.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    /// Run directory, with finished stages up to reward
    pub run: PathBuf,
    /// Experiment file whose data is judged instead of the run's: other users of the same catalog
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Change a key of that file, for example data.path=../data; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "data")]
    pub overrides: Vec<String>,
    /// Examine the judges themselves on the users they were not trained on: on the run's log, with and without correction for
    /// propensities, and on --data's
    #[arg(long, conflicts_with = "recommendations")]
    pub judges: bool,
    /// Another run over the same catalog, with a finished pretraining: its policies are judged instead of the run's
    #[arg(long, value_name = "RUN", conflicts_with_all = ["judges", "recommendations"])]
    pub policies: Option<PathBuf>,
    /// Parquet file with columns user, item (ids of the log's file) and rank, judged instead of the run's policies
    #[arg(long, value_name = "FILE")]
    pub recommendations: Option<PathBuf>,
    /// Estimate from logged chances what the lists would have earned of this head's labels (IPS, SNIPS, DR): from each user's last
    /// interaction, or from all of --data's
    #[arg(long, value_name = "HEAD", conflicts_with = "judges")]
    pub off_policy: Option<String>,
    /// Feedback column with the probability that the interaction was shown [default: the run's reward.propensity]
    #[arg(long, value_name = "COLUMN", requires = "off_policy")]
    pub propensity: Option<String>,
    /// Cut weights above this: less variance, some bias towards the log
    #[arg(long, value_name = "WEIGHT", requires = "off_policy")]
    pub most_weight: Option<f64>,
    /// Where tensors live: cpu, cuda:N or webgpu
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `recalign arena`.
#[derive(Args, Clone, Debug)]
pub struct ArenaArgs {
    /// Run directories with an evaluation: all their policies take part
    #[arg(value_name = "RUN", conflicts_with = "votes")]
    pub runs: Vec<PathBuf>,
    /// Who compares the lists of two policies for a user
    #[arg(long, value_enum, default_value_t)]
    pub judge: ArenaJudge,
    /// Votes of people instead: CSV with the columns voter, left, right, winner
    #[arg(long, value_name = "FILE")]
    pub votes: Option<PathBuf>,
    /// The player that others are compared with [default: the first]
    #[arg(long, value_name = "PLAYER")]
    pub baseline: Option<String>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Who compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ArenaJudge {
    /// The judge that made the training signal
    Proxy,
    /// The judge trained on other users
    #[default]
    HeldOut,
    /// The truth, in the built-in world
    Oracle,
}

impl ArenaJudge {
    /// Its metric in an evaluation.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Proxy => "judge/proxy",
            Self::HeldOut => "judge/held-out",
            Self::Oracle => "judge/oracle",
        }
    }
}
