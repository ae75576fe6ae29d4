//! What a run directory has to give.

use crate::config::{self, Config};
use crate::data::Dataset;
use crate::run::hash;
use crate::run::layout::{Committed, Layout};
use crate::stages::{align, ingest, tokenize};
use anyhow::{Context as _, bail, ensure};
use policy::history::Split;
use policy::ids::ItemId;
use policy::random::Key;
use rand::RngExt as _;
use reports::schema::{Evaluation, RunRecord};
use sampler::recommend::Codebook;
use std::path::Path;

/// The name of the policy that no arm has touched.
pub const PRETRAINED: &str = "pretrained";

/// Whose histories the golden requests are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Requests {
    /// Nobody's: items drawn in proportion to how often they were used
    #[default]
    Drawn,
    /// Test users' of the run: what a policy meets, but then the directory holds what people did
    TestUsers,
}

/// A run with one of its policies.
pub(super) struct Source {
    pub(super) record: RunRecord,
    pub(super) config: Config,
    /// `pretrained` or an arm's name.
    pub(super) policy: String,
    /// The stage that wrote the policy.
    pub(super) weights: Committed,
    /// The stages that the policy depends on, its evaluation among them, in order.
    pub(super) lineage: Vec<Committed>,
    pub(super) dataset: Dataset,
    pub(super) codebook: Codebook,
    /// `None` before the run was evaluated.
    pub(super) evaluation: Option<Evaluation>,
}

impl Source {
    /// Reads the run and checks the hashes of what will be exported.
    pub(super) fn open(run: &Path, policy: Option<&str>) -> anyhow::Result<Self> {
        let layout = Layout::existing(run)?;
        let record = std::fs::read(layout.record()).context("cannot read run.json")?;
        let record = serde_json::from_slice(&record).context("run.json is not a run record")?;
        let config = config::load(&layout.config(), &[])?;
        let policy = chosen(&config, policy)?;
        let stages = layout.committed()?;
        let weights = weights(&stages, run, (&config, &policy))?;
        let lineage: Vec<Committed> =
            stages.iter().filter(|stage| belongs(&stage.manifest.stage, &policy)).cloned().collect();
        for stage in &lineage {
            intact(stage)?;
        }
        let dataset = ingest::load(&stage(&stages, run, "ingest")?.path)?;
        let catalog = tokenize::load(&stage(&stages, run, "tokenize")?.path)?;
        let codebook = Codebook::new(catalog.ordered_by(&dataset.log.train_counts()));
        let evaluation = lineage.iter().find(|stage| stage.manifest.stage == "evaluate");
        let evaluation = evaluation.map(|stage| read_evaluation(&stage.path)).transpose()?;
        Ok(Self { record, config, policy, weights, lineage, dataset, codebook, evaluation })
    }

    /// The directory of a stage, if the run has it.
    pub(super) fn stage(&self, name: &str) -> Option<&Path> {
        let found = self.lineage.iter().find(|stage| stage.manifest.stage == name);
        found.map(|stage| stage.path.as_path())
    }

    /// Histories of golden requests: the first is empty, lengths go beyond what the policy reads.
    pub(super) fn requests(&self, count: usize, whose: Requests) -> Vec<Vec<ItemId>> {
        let log = &self.dataset.log;
        match whose {
            Requests::TestUsers => {
                log.users().take(count).map(|user| log.context(user, Split::Test).items.to_vec()).collect()
            }
            Requests::Drawn => {
                let used: Vec<ItemId> =
                    log.users().flat_map(|user| log.train_items(user).iter().copied()).collect();
                let longest = self.config.pretrain.history_items + 2;
                let mut rng = Key::new(self.record.seed).named("golden-requests").rng();
                let mut draw = |_| used[rng.random_range(0..used.len())];
                (0..count).map(|request| (0..request % (longest + 1)).map(&mut draw).collect()).collect()
            }
        }
    }
}

/// The policy to export: the named one, or the only one.
fn chosen(config: &Config, policy: Option<&str>) -> anyhow::Result<String> {
    let arms: Vec<&str> = config.arms().iter().map(|arm| arm.name.as_str()).collect();
    let all = [&[PRETRAINED], arms.as_slice()].concat();
    match (policy, arms.as_slice()) {
        (Some(name), _) if all.contains(&name) => Ok(name.to_owned()),
        (Some(name), _) => bail!("the run has no policy {name}; --policy takes {}", all.join(", ")),
        (None, []) => Ok(PRETRAINED.into()),
        (None, [arm]) => Ok((*arm).to_owned()),
        (None, _) => {
            bail!("the run has {} policies; choose one with --policy: {}", all.len(), all.join(", "))
        }
    }
}

/// The stage whose output the policy is.
fn weights(stages: &[Committed], run: &Path, (config, policy): (&Config, &str)) -> anyhow::Result<Committed> {
    if policy == PRETRAINED {
        return Ok(stage(stages, run, "pretrain")?.clone());
    }
    let round = |round| stage(stages, run, &format!("align-{policy}-{round}"));
    let rounds = (1..=config.align.rounds).map(round).collect::<anyhow::Result<Vec<_>>>()?;
    let directories: Vec<_> = rounds.iter().map(|round| round.path.clone()).collect();
    Ok(rounds[align::kept(config.align.keep, &directories)?].clone())
}

/// Whether a stage is among what the policy depends on.
fn belongs(stage: &str, policy: &str) -> bool {
    let common = ["ingest", "tokenize", "pretrain", "reward", "evaluate"];
    let round = |phase: &str| {
        let rest = stage.strip_prefix(phase).and_then(|rest| rest.strip_prefix(policy));
        let number = rest.and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.parse::<usize>().is_ok())
    };
    common.contains(&stage) || round("sample-") || round("align-")
}

fn stage<'a>(stages: &'a [Committed], run: &Path, name: &str) -> anyhow::Result<&'a Committed> {
    stages.iter().find(|stage| stage.manifest.stage == name).with_context(|| {
        let run = run.display();
        format!("{run} has no finished stage {name}; finish the run (the same `recalign run` continues it)")
    })
}

fn intact(stage: &Committed) -> anyhow::Result<()> {
    let differences = hash::differences(&stage.manifest.outputs, &hash::of_tree(&stage.path)?);
    ensure!(
        differences.is_empty(),
        "{} is not what the run committed: {}; `recalign verify` tells more",
        stage.path.display(),
        differences.join("; ")
    );
    Ok(())
}

fn read_evaluation(dir: &Path) -> anyhow::Result<Evaluation> {
    let path = dir.join("evaluation.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not an evaluation", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lineage_of_an_arm_leaves_out_arms_whose_names_begin_alike() {
        for (stage, belongs_to) in [
            ("ingest", true),
            ("evaluate", true),
            ("align-ipa-2", true),
            ("sample-ipa-1", true),
            ("align-ipa-wide-1", false),
            ("align-grpo-1", false),
            ("align-ipa", false),
        ] {
            assert_eq!(belongs(stage, "ipa"), belongs_to, "{stage}");
        }
    }
}
