//! The whole method, top to bottom.

use crate::config::{Arm, Config, Source};
use crate::run::{Input, Run, StageOutput};
use crate::stages::align::Round;
use crate::stages::bench::Bench;
use crate::stages::evaluate::{NamedPolicy, Policies};
use crate::stages::{align, evaluate, ingest, pretrain, report, reward, sample, tokenize};
use ::reward::world::{OracleJudge, World, WorldConfig};
use anyhow::Context as _;
use sampler::recommend::Codebook;

/// Runs every stage that is not finished, up to and including `until`.
///
/// # Errors
/// A stage fails or the run is interrupted; `until` names no stage of this configuration.
pub fn run(run: &Run, config: &Config, until: Option<&str>) -> anyhow::Result<()> {
    check_until(config, until)?;
    let reached = |output: &StageOutput| until == Some(output.name.as_str());

    let files = ingest::input_files(&config.data).into_iter().map(Input::File).collect::<Vec<_>>();
    let data = run.stage("ingest", &config.data, &files, |ctx| ingest::ingest(&config.data, ctx))?;
    if reached(&data) {
        return Ok(());
    }
    let dataset = ingest::load(&data.dir)?;

    let ids = run.stage("tokenize", &config.tokenize, &[(&data).into()], |ctx| {
        tokenize::tokenize(&config.tokenize, &dataset, ctx)
    })?;
    if reached(&ids) {
        return Ok(());
    }
    let codebook = Codebook::new(tokenize::load(&ids.dir)?.ordered_by(&dataset.log.train_counts()));

    let section = (&config.model, &config.pretrain);
    let base = run.stage("pretrain", &section, &[(&data).into(), (&ids).into()], |ctx| {
        pretrain::pretrain(section, &dataset, &codebook, ctx)
    })?;
    if reached(&base) {
        return Ok(());
    }

    let judges = run.stage("reward", &config.reward, &[(&data).into()], |ctx| {
        reward::reward(&config.reward, &dataset, ctx)
    })?;
    if reached(&judges) {
        return Ok(());
    }
    let bench = Bench {
        judges: reward::load(&judges.dir, &dataset, run.device())?,
        oracle: oracle(config),
        dataset,
        codebook,
        history_items: config.pretrain.history_items,
        space: config.sample.log_prob_space,
        min_margin: config.sample.min_margin,
    };

    let upstream = [(&data).into(), (&ids).into(), (&judges).into()];
    let mut aligned = Vec::new();
    for arm in &config.align.arms {
        let mut policy = base.clone();
        for round in 1..=config.align.rounds {
            let rollouts = sample_round(run, config, (arm, round), (&policy, &upstream), &bench)?;
            if reached(&rollouts) {
                return Ok(());
            }
            policy = align_round(run, config, (arm, round), (&policy, &rollouts, &upstream), &bench)?;
            if reached(&policy) {
                return Ok(());
            }
        }
        aligned.push((arm.name.clone(), policy));
    }

    let policies: Vec<Input> =
        std::iter::once(&base).chain(aligned.iter().map(|(_, output)| output)).map(Input::from).collect();
    let inputs = [upstream.as_slice(), &policies].concat();
    let section = (&config.evaluate, &config.sample.log_prob_space, config.pretrain.history_items);
    let evaluated = run.stage("evaluate", &section, &inputs, |ctx| {
        let load = |name: &str, output: &StageOutput| {
            Ok::<_, anyhow::Error>(NamedPolicy {
                name: name.into(),
                model: pretrain::load(&output.dir, run.device())?,
            })
        };
        let policies = Policies {
            base: load("pretrained", &base)?,
            aligned: aligned
                .iter()
                .map(|(name, output)| load(name, output))
                .collect::<anyhow::Result<_>>()?,
        };
        evaluate::evaluate(&config.evaluate, &policies, &bench, ctx)
    })?;
    if reached(&evaluated) {
        return Ok(());
    }
    report::report(run).map(drop)
}

/// Candidates and pairs of the policy that enters the round.
fn sample_round(
    run: &Run,
    config: &Config,
    (arm, round): (&Arm, usize),
    (policy, upstream): (&StageOutput, &[Input]),
    bench: &Bench,
) -> anyhow::Result<StageOutput> {
    let inputs = [upstream, &[policy.into()]].concat();
    let section = (&config.sample, bench.history_items);
    run.stage(&stage_name("sample", arm, round), &section, &inputs, |ctx| {
        let model = pretrain::load(&policy.dir, run.device())?;
        sample::sample(&config.sample, &model, bench, ctx)
    })
}

/// The policy that leaves the round.
fn align_round(
    run: &Run,
    config: &Config,
    (arm, round): (&Arm, usize),
    (policy, rollouts, upstream): (&StageOutput, &StageOutput, &[Input]),
    bench: &Bench,
) -> anyhow::Result<StageOutput> {
    let inputs = [upstream, &[policy.into(), rollouts.into()]].concat();
    let section = (&config.align, arm, &config.sample, &config.pretrain);
    run.stage(&stage_name("align", arm, round), &section, &inputs, |ctx| {
        let round = Round {
            section: &config.align,
            arm,
            pretrain: &config.pretrain,
            policy: &policy.dir,
            rollouts: &rollouts.dir,
        };
        align::align(&round, bench, ctx)
    })
}

fn stage_name(phase: &str, arm: &Arm, round: usize) -> String {
    format!("{phase}-{}-{round}", arm.name)
}

/// The truth, where it is known.
fn oracle(config: &Config) -> Option<OracleJudge> {
    match config.data.source {
        Source::World { users, items, seed } => {
            Some(OracleJudge::new(World::generate(&WorldConfig { users, items, seed })))
        }
        _ => None,
    }
}

/// The stages of a configuration, in order.
pub fn stage_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> = ["ingest", "tokenize", "pretrain", "reward"].map(String::from).to_vec();
    for arm in &config.align.arms {
        for round in 1..=config.align.rounds {
            names.extend(["sample", "align"].map(|phase| stage_name(phase, arm, round)));
        }
    }
    names.push("evaluate".into());
    names
}

fn check_until(config: &Config, until: Option<&str>) -> anyhow::Result<()> {
    let Some(until) = until else { return Ok(()) };
    let names = stage_names(config);
    let known = names.iter().any(|name| name == until).then_some(());
    known.with_context(|| format!("--until {until}: no such stage; the stages are {}", names.join(", ")))
}
