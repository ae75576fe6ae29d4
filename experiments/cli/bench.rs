//! Timing.

use clap::{Args, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

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
    /// Scores of the point-wise judge
    Judge,
    /// Building the prefix trie of a million items
    Trie,
    /// An epoch of pretraining on the log of an experiment file
    Epoch,
    /// Curves of training, beam search, trie and k-means over their sizes; minutes
    Scaling,
}
