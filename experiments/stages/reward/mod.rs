//! Stage 4: two judges of one architecture, trained on disjoint users, and how far each can be trusted.
//!
//! The *proxy* makes the training signal of alignment; the *held-out* judge is never trained against and shows when
//! the proxy is being gamed. Both are examined on users that neither has seen.

use crate::config::Reward;
use crate::data::Dataset;
use crate::run::context::StageContext;
use anyhow::Context as _;
use burn::prelude::Device;
use policy::ids::UserId;
use policy::random::Key;
use rand::seq::SliceRandom;
use reports::schema::{HeadQuality, JudgeQuality, JudgeReport};
use reports::statistics::correlation::spearman;
use reward::context::{Context, ContextConfig, Sizes, Source};
use reward::features::ItemTables;
use reward::fusion::Fusion;
use reward::judge::Judge;
use reward::quality::{Examination, ExaminationResult, HeadResult};
use reward::session::judge::{SessionJudge, Trained};
use reward::session::model::SessionModel;
use reward::training::{Apprentice, Trainer, TrainingConfig, TrainingStep, model_config};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Names of the judges in files, metrics and tables.
const PROXY: &str = "proxy";
const HELD_OUT: &str = "held-out";
const CONFIG: &str = "config.json";
const SPLIT: &str = "split.json";

/// Which users each judge learnt from; no user is in two lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeSplit {
    /// Training users of the proxy.
    pub proxy: Vec<UserId>,
    /// Training users of the held-out judge.
    pub held_out: Vec<UserId>,
    /// Users on whom both are examined.
    pub evaluation: Vec<UserId>,
}

/// The trained judges of a run.
#[derive(Clone, Debug)]
pub struct Judges {
    /// Its scores are the training signal.
    pub proxy: SessionJudge,
    /// Its scores are never trained against.
    pub held_out: SessionJudge,
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
}

/// Trains and examines both judges and writes
/// - `proxy.safetensors`, `held-out.safetensors`: the weights; `config.json`: sizes, scales, thresholds, fusion;
/// - `split.json`: [`JudgeSplit`]; `judges.json`: [`JudgeReport`].
///
/// # Errors
/// If there are too few users, the features or the fusion do not fit the data, training breaks down, or the run is
/// stopped.
pub fn reward(section: &Reward, dataset: &Dataset, stage: &StageContext) -> anyhow::Result<()> {
    let split = split_users(dataset.log.users().collect(), section.evaluation_share, stage.key())?;
    let shared = Arc::new(fit(section, dataset, &split)?);
    let train = |name: &str, users: &[UserId]| {
        let apprentice = Apprentice { users, key: stage.key().named(name), device: stage.device() };
        let model = train(&shared, training_config(section), &apprentice, &mut watch(stage, name))?;
        write(stage, &format!("{name}.safetensors"), &reward::checkpoint::to_bytes(&model)?)?;
        let trained = Trained { name: name.into(), model, fusion: section.fusion.clone() };
        Ok::<_, anyhow::Error>(SessionJudge::new(trained, shared.clone(), stage.device())?)
    };
    let judges = Judges {
        proxy: train(PROXY, &split.proxy)?,
        held_out: train(HELD_OUT, &split.held_out)?,
        split: split.clone(),
    };
    let examination =
        Examination::new(&shared, &split.evaluation, section.negatives, stage.key().named("examination"));
    write_json(stage, "judges.json", &examine(&judges, &examination))?;
    write_json(stage, SPLIT, &split)?;
    let config = JudgeConfig {
        width: section.width,
        fusion: section.fusion.clone(),
        context: shared.config().clone(),
    };
    write_json(stage, CONFIG, &config)
}

/// Reads what [`reward()`] wrote. Scores on `device`, without gradients.
///
/// # Errors
/// If a file is missing or damaged, or the judges were trained on other data.
pub fn load(dir: &Path, dataset: &Dataset, device: &Device) -> anyhow::Result<Judges> {
    let config: JudgeConfig = read_json(&dir.join(CONFIG))?;
    let context =
        Context::restore(source(dataset), config.context).context("the judges do not fit this data")?;
    let shared = Arc::new(context);
    let judge = |name: &str| {
        let path = dir.join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let sizes = model_config(&shared, config.width);
        let model = reward::checkpoint::from_bytes(&bytes, &sizes, device)
            .with_context(|| format!("cannot load {}", path.display()))?;
        let trained = Trained { name: name.into(), model, fusion: config.fusion.clone() };
        Ok::<_, anyhow::Error>(SessionJudge::new(trained, shared.clone(), device)?)
    };
    Ok(Judges { proxy: judge(PROXY)?, held_out: judge(HELD_OUT)?, split: read_json(&dir.join(SPLIT))? })
}

/// `evaluation_share` of the users for examination, the rest halved between the judges.
fn split_users(mut users: Vec<UserId>, evaluation_share: f64, key: Key) -> anyhow::Result<JudgeSplit> {
    let count = users.len();
    anyhow::ensure!(
        count >= 3,
        "two judges and their examination need at least 3 users, the data has {count}; use a larger log"
    );
    users.shuffle(&mut key.named("split").rng());
    let evaluated = ((count as f64 * evaluation_share).round() as usize).clamp(1, count - 2);
    let mut proxy = users.split_off(evaluated);
    let mut held_out = proxy.split_off(proxy.len().div_ceil(2));
    for list in [&mut users, &mut proxy, &mut held_out] {
        list.sort_unstable();
    }
    Ok(JudgeSplit { proxy, held_out, evaluation: users })
}

/// Scales, heads and thresholds come from the training users of both judges. The fusion is checked before hours are
/// spent on training.
fn fit(section: &Reward, dataset: &Dataset, split: &JudgeSplit) -> anyhow::Result<Context> {
    let sizes = Sizes {
        item_features: section.item_features,
        history_items: section.history_items,
        session_items: section.session_items,
    };
    let users = [split.proxy.as_slice(), &split.held_out].concat();
    let context = Context::fit(source(dataset), sizes, &users)?;
    section.fusion.check(&context.head_names())?;
    tracing::info!(heads = context.head_names().join(" "), "judges predict");
    Ok(context)
}

fn train(
    context: &Context,
    config: TrainingConfig,
    apprentice: &Apprentice<'_>,
    watch: &mut dyn FnMut(u64, &TrainingStep) -> anyhow::Result<()>,
) -> anyhow::Result<SessionModel> {
    let mut trainer = Trainer::new(context, config, apprentice)?;
    let total = trainer.total_steps();
    while let Some(step) = trainer.step()? {
        watch(total, &step)?;
    }
    Ok(trainer.into_model())
}

/// Metrics `<name>/loss`, `<name>/grad_norm`, `<name>/learning_rate`, a progress bar, and a stop between steps.
fn watch<'a>(
    stage: &'a StageContext,
    name: &'a str,
) -> impl FnMut(u64, &TrainingStep) -> anyhow::Result<()> + use<'a> {
    let mut progress = None;
    move |total, TrainingStep { step, learning_rate, report }| {
        progress.get_or_insert_with(|| stage.progress(&format!("{name} judge"), total)).inc(1);
        stage.metric(*step, &format!("{name}/loss"), report.loss)?;
        stage.metric(*step, &format!("{name}/grad_norm"), report.grad_norm)?;
        stage.metric(*step, &format!("{name}/learning_rate"), *learning_rate)?;
        stage.check_stop()
    }
}

fn examine(judges: &Judges, examination: &Examination) -> JudgeReport {
    let (proxy, held_out) = (examination.examine(&judges.proxy), examination.examine(&judges.held_out));
    let eval_users = judges.split.evaluation.len();
    let quality = |judge: &SessionJudge, users: &[UserId], result: &ExaminationResult| JudgeQuality {
        name: judge.name().into(),
        train_users: users.len() as u64,
        eval_users: eval_users as u64,
        heads: judge
            .heads()
            .iter()
            .zip(&result.heads)
            .map(|(head, result)| head_quality(judge.name(), head, result))
            .collect(),
        fusion: judge.fusion(),
    };
    JudgeReport {
        agreement: spearman(&proxy.fused, &held_out.fused),
        judges: vec![
            quality(&judges.proxy, &judges.split.proxy, &proxy),
            quality(&judges.held_out, &judges.split.held_out, &held_out),
        ],
    }
}

fn head_quality(judge: &str, head: &str, result: &HeadResult) -> HeadQuality {
    let share = |auc: Option<f64>| auc.map_or_else(|| "undefined".to_string(), |auc| format!("{auc:.3}"));
    let (auc, user_auc) = (share(result.auc), share(result.user_auc));
    tracing::info!("{judge} judge, {head}: AUC {auc}, within users {user_auc}, ECE {:.3}", result.ece);
    HeadQuality {
        head: head.into(),
        base_rate: result.base_rate,
        auc: result.auc,
        user_auc: result.user_auc,
        ece: result.ece,
        log_loss: result.log_loss,
        reliability: result.reliability.clone(),
    }
}

fn training_config(section: &Reward) -> TrainingConfig {
    TrainingConfig {
        width: section.width,
        negatives: section.negatives,
        epochs: section.epochs,
        batch_size: section.batch_size,
        learning_rate: section.learning_rate,
    }
}

fn source(dataset: &Dataset) -> Source<'_> {
    Source {
        log: &dataset.log,
        items: ItemTables { embeddings: &dataset.embeddings, attributes: dataset.attributes.as_ref() },
        attribute_names: &dataset.attribute_names,
    }
}

fn write(stage: &StageContext, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = stage.path(file);
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn write_json(stage: &StageContext, file: &str, value: &impl Serialize) -> anyhow::Result<()> {
    write(stage, file, &serde_json::to_vec_pretty(value)?)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not what this stage writes", path.display()))
}

#[cfg(test)]
mod tests;
