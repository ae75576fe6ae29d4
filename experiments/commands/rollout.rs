//! `recalign rollout`: one shard of a stage's rollouts, for whatever starts processes on many machines.

use super::{output::print, signals};
use crate::cli::RolloutArgs;
use crate::config::{self, Config};
use crate::pipeline::{self, SampleStage};
use crate::progress::Progress;
use crate::run::layout::{Committed, Layout};
use crate::run::stop::StopFlag;
use crate::stages::sample::shards::{self, Request};
use crate::stages::{ingest, pretrain, tokenize};
use crate::threads::in_pool;
use anyhow::Context as _;
use policy::random::Key;
use sampler::recommend::Codebook;
use std::path::PathBuf;
use tracing::info;

pub(super) fn rollout(arguments: &RolloutArgs) -> anyhow::Result<()> {
    let layout = Layout::existing(&arguments.run)?;
    let config = config::load(&layout.config(), &[])?;
    let stop = StopFlag::default();
    let (worker, flag) = (arguments.clone(), stop.clone());
    let path = signals::supervise(&stop, move || in_pool(|| shard(&worker, (&layout, &config), &flag)))?;
    print(&format!("{}\n", path.display()))
}

/// Computes the shard. The run directory is only read: other shards may be computed at the same time.
fn shard(
    arguments: &RolloutArgs,
    (layout, config): (&Layout, &Config),
    stop: &StopFlag,
) -> anyhow::Result<PathBuf> {
    let finished = layout.committed()?;
    let wanted = wanted(config, &finished, arguments.stage.as_deref())?;
    info!("stage {}, shard {} of {}", wanted.name, arguments.shard.index, arguments.shard.count);
    let dataset = ingest::load(&stage(&finished, "ingest")?.path)?;
    let codebook = tokenize::load(&stage(&finished, "tokenize")?.path)?;
    let codebook = Codebook::new(codebook.ordered_by(&dataset.log.train_counts()));
    let bench = pipeline::surroundings(config, dataset, codebook);
    let device = arguments.device.open()?;
    let model = pretrain::load(&stage(&finished, &wanted.policy)?.path, &device)?;
    let key = Key::new(config.run.seed).named(&wanted.name);
    let request = Request { section: &config.sample, key, model: &model };
    let directory = layout.root().join(shards::DIRECTORY).join(&wanted.name);
    let progress = Progress::new("users", config.sample.users as u64);
    shards::shard(&request, (&directory, arguments.shard), &bench, |done| {
        progress.inc(done);
        Ok(stop.check()?)
    })
}

/// The named stage, or the first that could start.
fn wanted(config: &Config, finished: &[Committed], name: Option<&str>) -> anyhow::Result<SampleStage> {
    let stages = pipeline::sample_stages(config);
    let done = |name: &str| finished.iter().any(|stage| stage.manifest.stage == name);
    match name {
        Some(name) => {
            let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
            let message =
                || format!("--stage {name}: no such stage; the run samples in {}", names.join(", "));
            stages.iter().find(|stage| stage.name == name).cloned().with_context(message)
        }
        None => stages
            .into_iter()
            .find(|stage| !done(&stage.name) && done(&stage.policy))
            .context("no stage waits for rollouts; name one with --stage"),
    }
}

fn stage<'a>(finished: &'a [Committed], name: &str) -> anyhow::Result<&'a Committed> {
    let found = finished.iter().find(|stage| stage.manifest.stage == name);
    found.with_context(|| {
        format!("the run has no finished {name} stage; `recalign run` with --until {name} makes one")
    })
}
