//! `recalign simulate`: the built-in world as files.

mod compare;
mod formats;
mod marginals;
mod sinks;

use super::{output::print, signals};
use crate::cli::{LogFormat, SimulateArgs};
use crate::config::{self, Config, Source};
use crate::run::clock::Stopwatch;
use crate::run::commit;
use crate::run::memory;
use crate::run::stop::StopFlag;
use crate::threads::in_pool;
use anyhow::Context as _;
use policy::ids::UserId;
use rayon::prelude::*;
use reward::world::{Impression, Marginals, Simulator, WorldConfig};
use sinks::Sinks;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Impressions in memory at once, about: some 200 MB with their truth.
const IMPRESSIONS: f64 = 500_000.0;

/// The world when no experiment file is named. Nothing is trained, so that codes need not fit the items.
const DEFAULT: &str = "version = 1\n\
    run = { name = \"simulate\" }\n\
    data = { source = { kind = \"world\", users = 1000, items = 1000, seed = 7 } }\n\
    tokenize = { codes = 2 }\n";

pub(super) fn simulate(arguments: &SimulateArgs) -> anyhow::Result<()> {
    let (config, world) = resolved(arguments)?;
    refuse_used(&arguments.to)?;
    let stop = StopFlag::default();
    let (arguments, flag) = (arguments.clone(), stop.clone());
    let told = signals::supervise(&stop, move || {
        let plan = Plan { config: &config, world: &world, format: arguments.format, to: &arguments.to };
        in_pool(|| {
            into_directory(&arguments.to, |dir| match &arguments.compare {
                Some(other) => {
                    let other = compare::other(other, arguments.compare_path.as_deref())?;
                    compare::compare(&config.data, &other, dir)
                }
                None => write(&plan, dir, &flag),
            })
        })
    })?;
    print(&told)
}

/// The experiment file with the changes that flags stand for, and its world.
fn resolved(arguments: &SimulateArgs) -> anyhow::Result<(Config, WorldConfig)> {
    let key = |name: &str, value: String| format!("data.source.{name}={value}");
    let mut overrides: Vec<String> = [
        arguments.users.map(|users| key("users", users.to_string())),
        arguments.items.map(|items| key("items", items.to_string())),
        arguments.seed.map(|seed| key("seed", seed.to_string())),
    ]
    .into_iter()
    .flatten()
    .collect();
    overrides.extend(arguments.overrides.iter().cloned());
    let (config, world) = read(arguments, &overrides)?;
    let Some(mean) = arguments.impressions else { return Ok((config, world)) };
    // The mean of a log-normal distribution is exp(mean + variance / 2).
    let activity = (mean.get() as f64).ln() - world.marginals.activity_spread.powi(2) / 2.0;
    let longest = world.marginals.max_length.max(4 * mean.get());
    overrides.push(key("marginals.activity", format!("{:?}", activity.max(0.0))));
    overrides.push(key("marginals.max_length", longest.to_string()));
    read(arguments, &overrides)
}

fn read(arguments: &SimulateArgs, overrides: &[String]) -> anyhow::Result<(Config, WorldConfig)> {
    let config = match &arguments.config {
        Some(path) => config::load(path, overrides)?,
        None => config::parse("the default world", DEFAULT, overrides)?,
    };
    match config.data.source.clone() {
        Source::World(world) => Ok((config, world)),
        _ => anyhow::bail!("`data.source.kind` must be \"world\": only the built-in world can be simulated"),
    }
}

fn refuse_used(dir: &Path) -> anyhow::Result<()> {
    let used = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => {
            return Err(error)
                .with_context(|| format!("--to {}: not a directory to write to", dir.display()));
        }
    };
    anyhow::ensure!(!used, "--to {} is not empty; name another directory or empty it", dir.display());
    Ok(())
}

/// Fills a temporary directory beside `to` and gives it its name when everything is there. A temporary one that a killed
/// process left is replaced.
fn into_directory(to: &Path, fill: impl FnOnce(&Path) -> anyhow::Result<String>) -> anyhow::Result<String> {
    let name = to.file_name().with_context(|| format!("--to {} has no name", to.display()))?;
    let mut partial = name.to_owned();
    partial.push(".recalign-partial");
    let partial = to.with_file_name(partial);
    commit::fresh_directory(&partial)?;
    let told = fill(&partial).and_then(|told| commit::commit_directory(&partial, to).map(|()| told));
    if told.is_err() {
        // The first error is the one to report.
        drop(commit::remove_directory(&partial));
    }
    told
}

/// What is written.
struct Plan<'a> {
    config: &'a Config,
    world: &'a WorldConfig,
    format: LogFormat,
    /// The final name of the directory.
    to: &'a Path,
}

fn write(plan: &Plan<'_>, dir: &Path, stop: &StopFlag) -> anyhow::Result<String> {
    let watch = Stopwatch::start();
    let simulator = Simulator::new(plan.world);
    let mut sinks = Sinks::create(&simulator, plan.format, dir)?;
    let (mut seconds, mut cpu_seconds, mut impressions) = (0.0, 0.0, 0);
    let chunk = users_at_once(plan.world);
    for first in (0..plan.world.users).step_by(chunk) {
        stop.check()?;
        let generation = Stopwatch::start();
        let users = first..plan.world.users.min(first + chunk);
        let shown: Vec<Vec<Impression>> =
            users.into_par_iter().map(|user| simulator.impressions(UserId::new(user))).collect();
        seconds += generation.seconds();
        cpu_seconds += generation.cpu_seconds();
        impressions += shown.iter().map(Vec::len).sum::<usize>();
        sinks.append(first, &shown)?;
    }
    sinks.finish()?;
    write_items(&simulator, dir)?;
    commit::write_file(&dir.join("world.toml"), plan.config.to_toml().as_bytes())?;
    let told = Told { impressions, seconds, cpu_seconds, total: watch.seconds() };
    Ok(told.text(plan, &simulator))
}

/// So many users that their impressions fit; a function of the world, because a chunk is a row group.
fn users_at_once(world: &WorldConfig) -> usize {
    let Marginals { activity, activity_spread, min_length, max_length, .. } = world.marginals;
    let mean = (activity + activity_spread.powi(2) / 2.0).exp();
    (IMPRESSIONS / mean.clamp(min_length as f64, max_length as f64)).ceil() as usize
}

/// Texts by item id, and a vector per line of them.
fn write_items(simulator: &Simulator, dir: &Path) -> anyhow::Result<()> {
    let mut table = String::from("item\ttext\tlog_duration\n");
    let durations = simulator.attributes();
    for (item, text) in simulator.texts().iter().enumerate() {
        let _ = writeln!(table, "{item}\t{text}\t{}", durations.row(item)[0]);
    }
    commit::write_file(&dir.join("items.tsv"), table.as_bytes())?;
    let vectors: PathBuf = dir.join("embeddings.safetensors");
    Ok(crate::data::artifacts::write_embeddings(&vectors, &simulator.embeddings())?)
}

/// What was written, how fast.
struct Told {
    impressions: usize,
    /// Time taken by generation alone.
    seconds: f64,
    cpu_seconds: f64,
    /// Everything, files included.
    total: f64,
}

impl Told {
    fn text(&self, plan: &Plan<'_>, simulator: &Simulator) -> String {
        let Self { impressions, seconds, cpu_seconds, total } = self;
        let log = formats::file_name(plan.format);
        let rate = |seconds: f64| *impressions as f64 / seconds.max(1e-9) / 1e6;
        let peak =
            memory::of_process().map_or_else(|| "unknown".into(), |bytes| format!("{} MB", bytes >> 20));
        format!(
            "{to}: {impressions} impressions of {users} users and {items} items\n\
             \x20 {log}  the log\n\
             \x20 truth.parquet  per impression: examination, the Bayes-optimal prediction of every signal, the true reward\n\
             \x20 items.tsv embeddings.safetensors  texts and vectors, row by row\n\
             \x20 world.toml  what made it: an experiment file for --config\n\
             generated in {seconds:.2} s, {rate:.2} M impressions/s with {threads} threads ({busy:.2} M per CPU second); \
             with all files {total:.2} s; peak memory {peak}\n\n\
             # To read it:\n{snippet}",
            to = plan.to.display(),
            users = plan.world.users,
            items = plan.world.items,
            rate = rate(*seconds),
            busy = rate(*cpu_seconds),
            threads = rayon::current_num_threads(),
            snippet = formats::snippet(plan.format, plan.to, &simulator.signal_names()),
        )
    }
}
