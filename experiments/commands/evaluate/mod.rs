//! `recalign evaluate`: every policy of a run, or somebody else's recommendations, by every judge of the run.

mod judges;
mod off_policy;

use super::output::print;
use super::table;
use crate::cli::EvaluateArgs;
use crate::config::{self, Config};
use crate::data::{self, Dataset, recommendations};
use crate::pipeline;
use crate::run::layout::{Committed, Layout};
use crate::stages::bench::Bench;
use crate::stages::evaluate::{NamedPolicy, Outside};
use crate::stages::{align, ingest, pretrain, reward, tokenize};
use crate::threads::in_pool;
use anyhow::Context as _;
use burn::prelude::Device;
use reports::schema::{Estimate, Stages, SystemResult};
use sampler::recommend::Codebook;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    run: PathBuf,
    /// Test users, or the users of the recommendations.
    users: usize,
    /// Items of every list that the judges score.
    judged_items: usize,
    /// Absent where the run has no such judge.
    judges: Vec<&'static str>,
    systems: Vec<SystemResult>,
}

pub(super) fn evaluate(arguments: &EvaluateArgs) -> anyhow::Result<()> {
    if arguments.judges {
        return print(&in_pool(|| judges::examine(arguments))?);
    }
    if let Some(head) = &arguments.off_policy {
        return print(&in_pool(|| off_policy::examine(arguments, head))?);
    }
    let summary = in_pool(|| summarize(arguments))?;
    if arguments.json {
        return print(&format!("{}\n", serde_json::to_string(&summary)?));
    }
    print(&text(&summary))
}

fn summarize(arguments: &EvaluateArgs) -> anyhow::Result<Summary> {
    let device = arguments.device.open()?;
    let run = Finished::open(&arguments.run)?;
    let bench = run.bench(run.dataset(arguments)?, arguments, &device)?;
    let section = &run.config.evaluate;
    let (users, systems) = if let Some(file) = &arguments.recommendations {
        let lists = recommendations::read(file, &bench.dataset)?;
        let (users, lists): (Vec<_>, Vec<_>) = lists.into_iter().unzip();
        let outside = Outside::new(users, section, &bench);
        let name = file.file_stem().map_or("recommendations".into(), |stem| stem.to_string_lossy());
        (outside.users(), vec![outside.lists(&name, &lists)])
    } else {
        let outside = Outside::sample(section, &bench);
        let entrants = run.entrants(arguments, &bench, &device)?;
        let own = entrants.bench.as_ref().unwrap_or(&bench);
        let measured = entrants.policies.iter().map(|policy| outside.policy(policy, own));
        (outside.users(), measured.collect())
    };
    Ok(Summary {
        run: arguments.run.clone(),
        users,
        judged_items: section.judged_items,
        judges: bench.judges().into_iter().map(|(key, _)| key).collect(),
        systems,
    })
}

/// Policies, and what they work in where that is not the run's.
struct Entrants {
    policies: Vec<NamedPolicy>,
    bench: Option<Bench>,
}

/// A run directory with its configuration and stages.
struct Finished {
    layout: Layout,
    config: Config,
    stages: Vec<Committed>,
}

impl Finished {
    fn open(root: &std::path::Path) -> anyhow::Result<Self> {
        let layout = Layout::existing(root)?;
        let config = config::load(&layout.config(), &[])?;
        let stages = layout.committed()?;
        Ok(Self { layout, config, stages })
    }

    fn find(&self, name: &str) -> Option<&Committed> {
        self.stages.iter().find(|stage| stage.manifest.stage == name)
    }

    fn stage(&self, name: &str) -> anyhow::Result<&Committed> {
        self.find(name).with_context(|| {
            let root = self.layout.root().display();
            match self.config.run.stages {
                Stages::Pretraining if name == "reward" => format!(
                    "{root} has no judges: it was run with run.stages = \"pretraining\"; run it with \"alignment\""
                ),
                _ => format!("{root} has no finished {name} stage; `recalign run` continues it"),
            }
        })
    }

    /// The run's own data, or other users of the same catalog.
    fn dataset(&self, arguments: &EvaluateArgs) -> anyhow::Result<Dataset> {
        let own = ingest::load(&self.stage("ingest")?.path)?;
        let Some(path) = &arguments.data else { return Ok(own) };
        anyhow::ensure!(
            self.config.model.user_buckets == 0,
            "--data {}: the run's policies know the users of its own log (model.user_buckets = {}), not these",
            path.display(),
            self.config.model.user_buckets
        );
        let other = config::load(path, &arguments.overrides)?;
        let (dataset, _) = data::build(&other.data)?;
        same_catalog(&own, &dataset).with_context(|| format!("--data {}", path.display()))?;
        Ok(dataset)
    }

    fn codebook(&self) -> anyhow::Result<Codebook> {
        let counts = ingest::load(&self.stage("ingest")?.path)?.log.train_counts();
        Ok(Codebook::new(tokenize::load(&self.stage("tokenize")?.path)?.ordered_by(&counts)))
    }

    /// The policies that are judged: this run's, or those of `--policies` under their own semantic IDs.
    fn entrants(&self, arguments: &EvaluateArgs, bench: &Bench, device: &Device) -> anyhow::Result<Entrants> {
        let Some(path) = &arguments.policies else {
            return Ok(Entrants { policies: self.policies(device)?, bench: None });
        };
        let other = Self::open(path)?;
        let theirs = ingest::load(&other.stage("ingest")?.path)?;
        same_catalog(&bench.dataset, &theirs)
            .and_then(|()| other.knows_users_of(&theirs, &bench.dataset))
            .with_context(|| format!("--policies {}", path.display()))?;
        let mut policies = other.policies(device)?;
        for policy in &mut policies {
            policy.name = format!("{}/{}", other.config.run.name, policy.name);
        }
        let own = pipeline::surroundings(&other.config, bench.dataset.clone(), other.codebook()?);
        Ok(Entrants { policies, bench: Some(own) })
    }

    fn knows_users_of(&self, own: &Dataset, judged: &Dataset) -> anyhow::Result<()> {
        let buckets = self.config.model.user_buckets;
        anyhow::ensure!(
            buckets == 0 || own.users == judged.users,
            "its policies know the users of their own log (model.user_buckets = {buckets}), not these"
        );
        Ok(())
    }

    fn bench(&self, dataset: Dataset, arguments: &EvaluateArgs, device: &Device) -> anyhow::Result<Bench> {
        let codebook = self.codebook()?;
        let oracle = match &arguments.data {
            Some(path) => pipeline::oracle(&config::load(path, &arguments.overrides)?),
            None => pipeline::oracle(&self.config),
        };
        Ok(Bench {
            flooding: data::flooding(&self.config, &dataset)?,
            judges: Some(reward::load(&self.stage("reward")?.path, &dataset, device)?),
            oracle,
            dataset,
            codebook,
            history_items: self.config.pretrain.history_items,
            session_items: self.config.pretrain.session_items(),
            space: self.config.sample.log_prob_space,
            min_margin: self.config.sample.min_margin,
            later: self.config.sample.later,
        })
    }

    /// The pretrained policy, and of each arm's finished rounds the one that is kept.
    fn policies(&self, device: &Device) -> anyhow::Result<Vec<NamedPolicy>> {
        let load = |name: &str, stage: &Committed| {
            let (name, checkpoint) = (name.into(), Some(stage.manifest.stage.clone()));
            anyhow::Ok(NamedPolicy { name, checkpoint, model: pretrain::load(&stage.path, device)? })
        };
        let mut policies = vec![load("pretrained", self.stage("pretrain")?)?];
        for arm in self.config.arms() {
            let rounds = 1..=self.config.align.rounds;
            let finished: Vec<_> =
                rounds.filter_map(|round| self.find(&pipeline::stage_name("align", arm, round))).collect();
            let directories: Vec<_> = finished.iter().map(|stage| stage.path.clone()).collect();
            if !finished.is_empty() {
                policies.push(load(&arm.name, finished[align::kept(self.config.align.keep, &directories)?])?);
            }
        }
        Ok(policies)
    }
}

fn same_catalog(own: &Dataset, other: &Dataset) -> anyhow::Result<()> {
    let ids = |dataset: &Dataset| dataset.items.iter().map(|item| item.raw_id.clone()).collect::<Vec<_>>();
    let (trained, found) = (ids(own), ids(other));
    anyhow::ensure!(
        trained == found,
        "its catalog is not the run's: {}; policies and judges know only the items they were trained on",
        difference(&trained, &found)
    );
    Ok(())
}

fn difference(trained: &[String], found: &[String]) -> String {
    let known: BTreeSet<_> = trained.iter().collect();
    match found.iter().find(|id| !known.contains(id)) {
        Some(id) => format!("item `{id}` is not in it"),
        None => format!("it has {} items instead of {}", found.len(), trained.len()),
    }
}

/// One row per system; judges first, then what the held-out items say.
fn text(summary: &Summary) -> String {
    let mut keys: Vec<&String> = summary.systems.iter().flat_map(|system| system.metrics.keys()).collect();
    keys.sort_by_key(|key| (!key.starts_with("judge/"), !key.starts_with("ensemble/"), *key));
    keys.dedup();
    let header: Vec<&str> = std::iter::once("system").chain(keys.iter().map(|key| key.as_str())).collect();
    let cell = |estimate: Option<&Estimate>| {
        estimate.map_or_else(|| "-".into(), |e| format!("{:.4} [{:.4}, {:.4}]", e.value, e.low, e.high))
    };
    let row = |system: &SystemResult| {
        let cells = keys.iter().map(|key| cell(system.metrics.get(*key)));
        std::iter::once(system.name.clone()).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = summary.systems.iter().map(row).collect();
    let head = format!(
        "{}: {} users, 95 % bootstrap intervals over users; judges score the first {} items\n\n",
        summary.run.display(),
        summary.users,
        summary.judged_items
    );
    head + &table::render(&header, &rows)
}
