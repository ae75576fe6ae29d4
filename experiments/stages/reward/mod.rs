//! Stage 4: judges trained on disjoint users, and how far each can be trusted.
//!
//! The *proxy* makes the training signal of alignment; the *held-out* judge - other users, another seed, another
//! architecture where asked for - is never trained against and shows when the proxy is being gamed; the *ensemble* are
//! further seeds of the proxy, whose disagreement shows where the log does not decide. All are examined on users that none
//! has seen.

mod attainable;
mod baseline;
mod course;
mod drift;
mod examine;
mod files;
mod inferred;
mod split;
mod training;
mod trials;

use crate::config::{self, Reward};
use crate::data::Dataset;
use crate::run::context::StageContext;
use anyhow::Context as _;
use attainable::Attainable;
use burn::prelude::Device;
pub(crate) use examine::{Statistic, bootstrap};
use files::{read_json, write, write_json};
use policy::ids::UserId;
use reports::schema::JudgeReport;
use reports::statistics::correlation::spearman;
use reward::context::{Context, ContextConfig, Sizes, Source};
use reward::ensemble::Ensemble;
use reward::features::ItemTables;
use reward::fusion::Fusion;
use reward::model::Kind;
use reward::model_judge::{ModelJudge, Trained};
use reward::quality::Examination;
use reward::training::model_config;
use reward::world::WorldConfig;
use serde::{Deserialize, Serialize};
pub use split::JudgeSplit;
use std::path::Path;
use std::sync::Arc;

/// Names of the judges in files, metrics and tables.
const PROXY: &str = "proxy";
const HELD_OUT: &str = "held-out";
const CONFIG: &str = "config.json";
const SPLIT: &str = "split.json";

/// The trained judges of a run.
#[derive(Clone, Debug)]
pub struct Judges {
    /// Its scores are the training signal.
    pub proxy: ModelJudge,
    /// Its scores are never trained against.
    pub held_out: ModelJudge,
    /// Other seeds of the proxy.
    pub ensemble: Option<Ensemble<ModelJudge>>,
    /// Who learnt from whom.
    pub split: JudgeSplit,
}

/// `config.json`: all that the weights do not say.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JudgeConfig {
    width: usize,
    fusion: Fusion,
    context: ContextConfig,
    #[serde(default, skip_serializing_if = "Models::are_plain")]
    models: Models,
}

/// Which models the judges are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Models {
    proxy: Kind,
    held_out: Kind,
    ensemble: usize,
}

impl Models {
    fn of(section: &Reward) -> Self {
        let held_out = section.held_out_architecture.unwrap_or(section.architecture);
        Self { proxy: section.architecture, held_out, ensemble: section.ensemble }
    }
    /// As they were before there was a choice.
    fn are_plain(&self) -> bool {
        *self == Self::default()
    }
    /// Names of the ensemble's members.
    fn members(self) -> impl Iterator<Item = String> {
        (1..=self.ensemble).map(|number| format!("ensemble-{number}"))
    }
}

/// Trains and examines the judges and writes
/// - `proxy.safetensors`, `held-out.safetensors`, `ensemble-N.safetensors`: the weights; `config.json`: sizes, scales,
///   thresholds, fusion;
/// - `split.json`: [`JudgeSplit`]; `judges.json`: [`JudgeReport`].
///
/// # Errors
/// If there are too few users, the features or the fusion do not fit the data, training breaks down, or the run is
/// stopped.
pub fn reward(
    section: &Reward,
    (dataset, world): (&Dataset, Option<&WorldConfig>),
    stage: &StageContext,
) -> anyhow::Result<()> {
    let split = JudgeSplit::draw(dataset.log.users().collect(), section.evaluation_share, stage.key())?;
    let shared = Arc::new(fit(section, dataset, &split)?);
    let models = Models::of(section);
    let school = training::School { section, context: &shared, stage };
    let mut course = course::Course::new(school)?;
    let mut train = |name: &str, kind: Kind, users: &[UserId]| {
        let (model, bytes) = course.train(name, kind, users)?;
        write(stage, &weights(name), &bytes)?;
        let trained = Trained { name: name.into(), model, fusion: section.fusion.clone() };
        Ok::<_, anyhow::Error>(ModelJudge::new(trained, shared.clone(), stage.device())?)
    };
    let judges = Judges {
        proxy: train(PROXY, models.proxy, &split.proxy)?,
        held_out: train(HELD_OUT, models.held_out, &split.held_out)?,
        ensemble: ensemble(models.members().map(|name| train(&name, models.proxy, &split.proxy)))?,
        split: split.clone(),
    };
    let examination =
        Examination::new(&shared, &split.evaluation, section.negatives, stage.key().named("examination"));
    let attainable = match section.attainable {
        config::Attainable::Unknown => None,
        config::Attainable::Measured => Some(Attainable::of(world, &shared, &examination)?),
    };
    let examiner = examine::Examiner {
        examination: &examination,
        school: &school,
        users: split.evaluation.len(),
        attainable: attainable.as_ref(),
    };
    write_json(stage, "judges.json", &report(&judges, &examiner)?)?;
    write_json(stage, SPLIT, &split)?;
    let (width, fusion, context) = (section.width, section.fusion.clone(), shared.config().clone());
    write_json(stage, CONFIG, &JudgeConfig { width, fusion, context, models })
}

fn report(judges: &Judges, examiner: &examine::Examiner<'_>) -> anyhow::Result<JudgeReport> {
    let examine::Examiner { examination, school, .. } = *examiner;
    let (proxy, proxy_scores) = examiner.examine(&judges.proxy, &judges.split.proxy)?;
    let (held_out, held_out_scores) = examiner.examine(&judges.held_out, &judges.split.held_out)?;
    let members = judges.ensemble.iter().flat_map(Ensemble::members);
    let members = members.map(|member| Ok(examiner.examine(member, &judges.split.proxy)?.0));
    let members = members.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(JudgeReport {
        problems: problems(school.context, &judges.split),
        agreement: spearman(&proxy_scores, &held_out_scores),
        disagreement: judges.ensemble.as_ref().map(|ensemble| examination.disagreement(ensemble)),
        attainable: examiner.attainable.map(Attainable::heads).unwrap_or_default(),
        inferred: inferred::inferred(judges, examiner)?,
        watch_baseline: baseline::compared(&judges.proxy, examiner, (&judges.split, &proxy))?,
        trials: trials::trials(examiner, &judges.split.proxy)?,
        drift: drift::drift(judges, school),
        judges: [vec![proxy, held_out], members].concat(),
    })
}

/// Reads what [`reward()`] wrote. Scores on `device`, without gradients.
///
/// # Errors
/// If a file is missing or damaged, or the judges were trained on other data.
pub fn load(dir: &Path, dataset: &Dataset, device: &Device) -> anyhow::Result<Judges> {
    let config: JudgeConfig = read_json(&dir.join(CONFIG))?;
    let models = config.models;
    let shared = Arc::new(context(&config, dataset)?);
    let judge = |name: &str, kind| load_one((dir, name), (&config, kind), &shared, device);
    Ok(Judges {
        proxy: judge(PROXY, models.proxy)?,
        held_out: judge(HELD_OUT, models.held_out)?,
        ensemble: ensemble(models.members().map(|name| judge(&name, models.proxy)))?,
        split: read_json(&dir.join(SPLIT))?,
    })
}

/// Files that [`load_proxy`] reads.
pub const PROXY_FILES: [&str; 2] = [CONFIG, "proxy.safetensors"];

/// The proxy alone, over items without anybody's history; [`ModelJudge::over`] gives it some.
///
/// # Errors
/// If a file is missing or damaged, or the judge was trained on other items.
pub fn load_proxy(dir: &Path, mut items: Dataset, device: &Device) -> anyhow::Result<ModelJudge> {
    let config: JudgeConfig = read_json(&dir.join(CONFIG))?;
    items.log.signals.clone_from(&config.context.signals);
    let shared = Arc::new(context(&config, &items)?);
    load_one((dir, PROXY), (&config, config.models.proxy), &shared, device)
}

fn context(config: &JudgeConfig, dataset: &Dataset) -> anyhow::Result<Context> {
    Context::restore(source(dataset), config.context.clone()).context("the judges do not fit this data")
}

fn load_one(
    (dir, name): (&Path, &str),
    (config, kind): (&JudgeConfig, Kind),
    context: &Arc<Context>,
    device: &Device,
) -> anyhow::Result<ModelJudge> {
    let path = dir.join(weights(name));
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let model = reward::checkpoint::from_bytes(&bytes, &model_config(context, kind, config.width), device)
        .with_context(|| format!("cannot load {}", path.display()))?;
    let trained = Trained { name: name.into(), model, fusion: config.fusion.clone() };
    Ok(ModelJudge::new(trained, context.clone(), device)?)
}

fn weights(judge: &str) -> String {
    format!("{judge}.safetensors")
}

fn ensemble(
    members: impl Iterator<Item = anyhow::Result<ModelJudge>>,
) -> anyhow::Result<Option<Ensemble<ModelJudge>>> {
    let members = members.collect::<anyhow::Result<Vec<_>>>()?;
    Ok((!members.is_empty()).then(|| Ensemble::new(members)))
}

/// Scales, heads and thresholds come from the training users of both judges. The fusion is checked before hours are
/// spent on training.
fn fit(section: &Reward, dataset: &Dataset, split: &JudgeSplit) -> anyhow::Result<Context> {
    let sizes = Sizes {
        item_features: section.item_features,
        item_identity: section.item_identity,
        history_items: section.history_items,
        session_items: section.session_items,
        watch_label: section.watch_label,
        watch: section.watch_time,
        propensity: section.propensity.clone(),
    };
    let users = split.taught();
    let context = Context::fit(source(dataset), sizes, &users)?;
    section.fusion.check(&context.head_names())?;
    for problem in problems(&context, split) {
        tracing::warn!("the log of the judges: {problem}");
    }
    tracing::info!(heads = context.head_names().join(" "), "judges predict");
    Ok(context)
}

/// What is wrong with the log that the judges learn from.
fn problems(context: &Context, split: &JudgeSplit) -> Vec<String> {
    context.problems(&split.taught()).iter().map(ToString::to_string).collect()
}

fn source(dataset: &Dataset) -> Source<'_> {
    Source {
        log: &dataset.log,
        items: ItemTables { embeddings: &dataset.embeddings, attributes: dataset.attributes.as_ref() },
        attribute_names: &dataset.attribute_names,
    }
}

#[cfg(test)]
mod tests;
