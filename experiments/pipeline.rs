//! The whole method, top to bottom.

use crate::config::{Arm, Config, Source};
use crate::data::{self, Dataset};
use crate::run::{Input, Run, StageContext, StageOutput};
use crate::stages::align::Round;
use crate::stages::bench::Bench;
use crate::stages::evaluate::{NamedPolicy, Policies};
use crate::stages::{align, evaluate, ingest, pretrain, report, reward, sample, tokenize};
use ::reward::world::{OracleJudge, World, WorldConfig};
use anyhow::Context as _;
use reports::schema::Stages;
use sampler::recommend::Codebook;
use serde::Serialize;
use tracing::info;

/// Runs every stage that is not finished, up to and including `until`.
///
/// # Errors
/// A stage fails or the run is interrupted; `until` names no stage of this configuration.
pub fn run(run: &Run, config: &Config, until: Option<&str>) -> anyhow::Result<()> {
    check_until(config, until)?;
    match stages(&Until { run, last: until }, config) {
        Err(error) if error.is::<Reached>() => Ok(()),
        outcome => outcome,
    }
}

fn stages(run: &Until<'_>, config: &Config) -> anyhow::Result<()> {
    let files: Vec<_> = ingest::input_files(&config.data).into_iter().map(Input::File).collect();
    let data = run.stage("ingest", &config.data, &files, |ctx| ingest::ingest(&config.data, ctx))?;
    let dataset = ingest::load(&data.dir)?;
    let flooding = data::flooding(config, &dataset)?;

    let ids = run.stage("tokenize", &config.tokenize, &[(&data).into()], |ctx| {
        tokenize::tokenize(&config.tokenize, &dataset, ctx)
    })?;
    let codebook = Codebook::new(tokenize::load(&ids.dir)?.ordered_by(&dataset.log.train_counts()));

    let section = (&config.model, &config.pretrain);
    let base = run.stage("pretrain", &section, &[(&data).into(), (&ids).into()], |ctx| {
        pretrain::pretrain(section, &dataset, &codebook, ctx)
    })?;

    let judges = match config.run.stages {
        Stages::Pretraining => None,
        Stages::Alignment => Some(run.stage("reward", &config.reward, &[(&data).into()], |ctx| {
            reward::reward(&config.reward, (&dataset, world(config)), ctx)
        })?),
    };
    let loaded = judges.as_ref().map(|output| reward::load(&output.dir, &dataset, run.device()));
    let loaded = loaded.transpose()?;
    let surroundings = surroundings(config, dataset, codebook);
    let bench = Bench { judges: loaded, oracle: oracle(config), flooding, ..surroundings };

    let upstream: Vec<Input> = [&data, &ids].into_iter().chain(&judges).map(Input::from).collect();
    let mut aligned = Vec::new();
    for arm in config.arms() {
        let (mut policy, mut rounds) = (base.clone(), Vec::new());
        let mut rollouts = None;
        for round in 1..=config.align.rounds {
            if samples(config, round) {
                rollouts = Some(sample_round(run, config, (arm, round), (&policy, &upstream), &bench)?);
            }
            let rollouts = rollouts.as_ref().expect("the first round samples");
            let before = Before { base: &base, policy: &policy, rollouts };
            policy = align_round(run, config, (arm, round), (&before, &upstream), &bench)?;
            rounds.push(policy.clone());
        }
        aligned.push((arm.name.as_str(), kept(config, arm, rounds)?));
    }

    evaluate_all(run, config, (&base, &aligned, &upstream), &bench)?;
    report::report(run).map(drop)
}

/// What a policy works in, without anybody who judges it.
pub fn surroundings(config: &Config, dataset: Dataset, codebook: Codebook) -> Bench {
    Bench {
        judges: None,
        oracle: None,
        dataset,
        codebook,
        history_items: config.pretrain.history_items,
        session_items: config.pretrain.session_items(),
        space: config.sample.log_prob_space,
        min_margin: config.sample.min_margin,
        later: config.sample.later,
        flooding: None,
    }
}

/// The run, left after its last wanted stage.
struct Until<'a> {
    run: &'a Run,
    last: Option<&'a str>,
}

/// The last wanted stage is done.
#[derive(Debug, thiserror::Error)]
#[error("the last wanted stage is done")]
struct Reached;

impl std::ops::Deref for Until<'_> {
    type Target = Run;
    fn deref(&self) -> &Run {
        self.run
    }
}

impl Until<'_> {
    /// [`Run::stage`], then out if this was the last one.
    fn stage(
        &self,
        name: &str,
        section: &impl Serialize,
        inputs: &[Input],
        work: impl FnOnce(&StageContext) -> anyhow::Result<()>,
    ) -> anyhow::Result<StageOutput> {
        let output = self.run.stage(name, section, inputs, work)?;
        anyhow::ensure!(self.last != Some(name), Reached);
        Ok(output)
    }
}

/// Candidates and pairs of the policy that enters the round.
fn sample_round(
    run: &Until<'_>,
    config: &Config,
    (arm, round): (&Arm, usize),
    (policy, upstream): (&StageOutput, &[Input]),
    bench: &Bench,
) -> anyhow::Result<StageOutput> {
    let inputs = [upstream, &[policy.into()]].concat();
    let section = (&config.sample, bench.history_items);
    let name = stage_name("sample", arm, round);
    let shards = run.dir().join(sample::shards::DIRECTORY).join(&name);
    run.stage(&name, &section, &inputs, |ctx| {
        let model = pretrain::load(&policy.dir, run.device())?;
        let step = align::arm_progress(&policy.dir)?.step;
        sample::sample(&config.sample, (&model, step, &shards), bench, ctx)
    })
}

/// Whether a round starts with new candidates.
fn samples(config: &Config, round: usize) -> bool {
    (round - 1).is_multiple_of(config.align.sample_every)
}

/// What a round starts from.
struct Before<'a> {
    base: &'a StageOutput,
    policy: &'a StageOutput,
    rollouts: &'a StageOutput,
}

/// The policy that leaves the round.
fn align_round(
    run: &Until<'_>,
    config: &Config,
    (arm, round): (&Arm, usize),
    (before, upstream): (&Before<'_>, &[Input]),
    bench: &Bench,
) -> anyhow::Result<StageOutput> {
    let Before { base, policy, rollouts } = before;
    let mut inputs = [upstream, &[(*policy).into(), (*rollouts).into()]].concat();
    if base.name != policy.name {
        inputs.push((*base).into());
    }
    inputs.extend(arm.imported.clone().map(Input::File));
    inputs.extend(arm.scenario.and_then(|_| data::flooding_file(config)).map(Input::File));
    let section = (&config.align, arm, &config.sample, &config.pretrain);
    run.stage(&stage_name("align", arm, round), &section, &inputs, |ctx| {
        let round = Round {
            section: &config.align,
            arm,
            pretrain: &config.pretrain,
            pretrained: &base.dir,
            policy: &policy.dir,
            rollouts: &rollouts.dir,
        };
        align::align(&round, bench, ctx)
    })
}

/// The policy an arm ends with.
fn kept(config: &Config, arm: &Arm, mut rounds: Vec<StageOutput>) -> anyhow::Result<StageOutput> {
    let directories: Vec<_> = rounds.iter().map(|output| output.dir.clone()).collect();
    let kept = align::kept(config.align.keep, &directories)?;
    if kept + 1 < rounds.len() {
        info!(
            "arm {}: keeps the policy of round {}, which the held-out judge prefers to later ones",
            arm.name,
            kept + 1
        );
    }
    Ok(rounds.swap_remove(kept))
}

/// The base policy and every aligned one, on the test split.
fn evaluate_all(
    run: &Until<'_>,
    config: &Config,
    (base, aligned, upstream): (&StageOutput, &[(&str, StageOutput)], &[Input]),
    bench: &Bench,
) -> anyhow::Result<StageOutput> {
    let policies = std::iter::once(base).chain(aligned.iter().map(|(_, output)| output));
    let mut inputs: Vec<Input> = upstream.iter().cloned().chain(policies.map(Input::from)).collect();
    inputs.extend(data::flooding_file(config).map(Input::File));
    let section = (&config.evaluate, &config.sample.log_prob_space, bench.history_items);
    run.stage("evaluate", &section, &inputs, |ctx| {
        let load = |name: &str, output: &StageOutput| {
            let (name, checkpoint) = (name.into(), output.name.clone());
            Ok(NamedPolicy {
                name,
                checkpoint: Some(checkpoint),
                model: pretrain::load(&output.dir, run.device())?,
            })
        };
        let aligned = aligned.iter().map(|(name, output)| load(name, output));
        let policies =
            Policies { base: load("pretrained", base)?, aligned: aligned.collect::<anyhow::Result<_>>()? };
        evaluate::evaluate(&config.evaluate, &policies, bench, ctx)
    })
}

pub(crate) fn stage_name(phase: &str, arm: &Arm, round: usize) -> String {
    format!("{phase}-{}-{round}", arm.name)
}

/// A stage that samples.
#[derive(Clone, Debug)]
pub struct SampleStage {
    /// Its name.
    pub name: String,
    /// The stage that made the policy it samples from.
    pub policy: String,
}

/// The stages of a configuration that sample, in order.
pub fn sample_stages(config: &Config) -> Vec<SampleStage> {
    let stage = |arm: &Arm, round: usize| SampleStage {
        name: stage_name("sample", arm, round),
        policy: if round == 1 { "pretrain".into() } else { stage_name("align", arm, round - 1) },
    };
    let rounds = || (1..=config.align.rounds).filter(|&round| samples(config, round));
    config.arms().iter().flat_map(|arm| rounds().map(move |round| stage(arm, round))).collect()
}

/// The truth, where it is known and anybody is judged.
pub(crate) fn oracle(config: &Config) -> Option<OracleJudge> {
    let judged = config.run.stages == Stages::Alignment;
    world(config).filter(|_| judged).map(|world| OracleJudge::new(World::generate(world)))
}

fn world(config: &Config) -> Option<&WorldConfig> {
    match &config.data.source {
        Source::World(world) => Some(world),
        _ => None,
    }
}

/// The stages of a configuration, in order.
pub fn stage_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = ["ingest", "tokenize", "pretrain"].map(String::from).to_vec();
    names.extend((config.run.stages == Stages::Alignment).then(|| "reward".into()));
    for arm in config.arms() {
        for round in 1..=config.align.rounds {
            names.extend(samples(config, round).then(|| stage_name("sample", arm, round)));
            names.push(stage_name("align", arm, round));
        }
    }
    names.push("evaluate".into());
    names
}

/// Refuses a last stage that this configuration does not have.
///
/// # Errors
/// With the names of the stages.
pub fn check_until(config: &Config, until: Option<&str>) -> anyhow::Result<()> {
    let Some(until) = until else { return Ok(()) };
    let names = stage_names(config);
    let known = names.iter().any(|name| name == until).then_some(());
    known.with_context(|| format!("--until {until}: no such stage; the stages are {}", names.join(", ")))
}
