//! Running an experiment, whole or a shard of a stage.

use crate::device::DeviceChoice;
use crate::run::Resume;
use clap::Args;
use sampler::rollout::Shard;
use std::path::PathBuf;

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
    /// Replace stages whose configuration, data or program has changed; their manifests record what. Refused otherwise
    #[arg(long)]
    pub allow_drift: bool,
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
    /// The sweep that this run belongs to: its runs share stages
    #[arg(long, value_name = "DIR", hide = true)]
    pub sweep: Option<PathBuf>,
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
