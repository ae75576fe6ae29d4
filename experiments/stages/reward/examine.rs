//! How far a judge can be trusted, on users that no judge was trained on.

use super::attainable::Attainable;
use super::training::School;
use policy::ids::UserId;
use policy::random::Key;
use rayon::prelude::*;
use reports::schema::{Estimate, HeadQuality, JudgeQuality, WatchQuality};
use reports::statistics::interval;
use reward::judge::Judge as _;
use reward::model_judge::ModelJudge;
use reward::quality::{Examination, ExaminationResult, HeadResult};
use reward::statistics::{HeadStatistics, Rows, draws};
use std::collections::BTreeMap;

/// The questions, and how answers are judged.
pub(super) struct Examiner<'a> {
    pub(super) examination: &'a Examination,
    pub(super) school: &'a School<'a>,
    /// Evaluation users.
    pub(super) users: usize,
    /// What could be known, where it is asked for.
    pub(super) attainable: Option<&'a Attainable>,
}

impl Examiner<'_> {
    /// A judge's quality and its fused scores.
    pub(super) fn examine(
        &self,
        judge: &ModelJudge,
        users: &[UserId],
    ) -> anyhow::Result<(JudgeQuality, Vec<f64>)> {
        let result = self.examination.examine(judge);
        let heads = judge.heads().iter().enumerate();
        let heads = heads.map(|(index, head)| self.head(judge.name(), (index, head), &result));
        let quality = JudgeQuality {
            name: judge.name().into(),
            train_users: users.len() as u64,
            eval_users: self.users as u64,
            heads: heads.collect::<anyhow::Result<_>>()?,
            fusion: judge.fusion(),
            watch_time: self.watch_time(judge)?,
        };
        Ok((quality, result.fused))
    }

    fn head(
        &self,
        judge: &str,
        (index, head): (usize, &String),
        result: &ExaminationResult,
    ) -> anyhow::Result<HeadQuality> {
        let HeadResult { base_rate, auc, user_auc, ece, log_loss, reliability } = result.heads[index].clone();
        let share = |auc: Option<f64>| auc.map_or_else(|| "undefined".to_string(), |auc| format!("{auc:.3}"));
        let (shown, within) = (share(auc), share(user_auc));
        tracing::info!("{judge} judge, {head}: AUC {shown}, within users {within}, ECE {ece:.3}");
        let mut intervals = self.intervals(index, &result.predictions[index])?;
        if let Some(attainable) = self.attainable {
            let truth = self.examination.truth(index);
            let found = attainable.intervals((index, &truth), &result.predictions[index], self);
            intervals.extend(found);
        }
        for (key, estimate) in &intervals {
            self.school.stage.metric(0, &format!("{judge}/{head}/{key}"), estimate.value)?;
        }
        let head = head.clone();
        Ok(HeadQuality { head, base_rate, auc, user_auc, ece, log_loss, reliability, intervals })
    }

    fn intervals(&self, head: usize, predictions: &[f64]) -> anyhow::Result<BTreeMap<String, Estimate>> {
        let truth = self.examination.truth(head);
        let head = HeadStatistics::new(truth.rows(predictions));
        let statistics: [(&str, &Statistic<'_>); 5] = [
            ("auc", &|draws| head.auc(draws)),
            ("user_auc", &|draws| head.user_auc(draws)),
            ("pair_accuracy", &|draws| head.pair_accuracy(draws)),
            ("ndcg", &|draws| head.ndcg(draws)),
            ("ece", &|draws| head.ece(draws)),
        ];
        let mut found = BTreeMap::new();
        for (key, statistic) in statistics {
            self.school.stage.check_stop()?;
            if let Some(estimate) = self.bootstrap(head.num_users(), statistic) {
                found.insert(key.to_string(), estimate);
            }
        }
        Ok(found)
    }

    fn watch_time(&self, judge: &ModelJudge) -> anyhow::Result<Option<WatchQuality>> {
        let Some((times, truth)) = self.examination.watch_times(judge, self.school.context) else {
            return Ok(None);
        };
        let Some(quality) = self.watch_quality(judge, truth.rows(&times)) else { return Ok(None) };
        let stage = self.school.stage;
        stage.metric(0, &format!("{}/watch_time/mae", judge.name()), quality.mae.value)?;
        if let Some(xauc) = quality.xauc {
            stage.metric(0, &format!("{}/watch_time/xauc", judge.name()), xauc.value)?;
        }
        Ok(Some(quality))
    }

    /// How well these watch times are predicted by a judge.
    pub(super) fn watch_quality(&self, judge: &ModelJudge, rows: Rows<'_>) -> Option<WatchQuality> {
        let mae = self.estimate(rows.num_users(), &|draws| rows.mae(draws))?;
        let xauc = self.estimate(rows.num_users(), &|draws| rows.xauc(draws));
        let kind = judge.context().config().watch.as_ref()?.kind();
        let kind = serde_json::to_value(kind).ok()?.as_str()?.to_owned();
        tracing::info!("{} judge, watch time by {kind}: MAE {:.4}", judge.name(), mae.value);
        Some(WatchQuality { kind, mae, xauc })
    }

    /// A statistic with its interval; without resamples it is its own.
    pub(super) fn estimate(&self, users: usize, statistic: &Statistic<'_>) -> Option<Estimate> {
        let value = statistic(&vec![1.0; users])?;
        Some(self.bootstrap(users, statistic).unwrap_or(Estimate { value, low: value, high: value }))
    }

    pub(super) fn bootstrap(&self, users: usize, statistic: &Statistic<'_>) -> Option<Estimate> {
        bootstrap(users, self.school.section.resamples, statistic)
    }
}

/// A statistic with its interval over resamples of users; `None` where it is undefined or there are no resamples. Resamples
/// are always the same ones, so that intervals of judges can be compared.
pub(crate) fn bootstrap(users: usize, resamples: usize, statistic: &Statistic<'_>) -> Option<Estimate> {
    let key = Key::new(0).named("judges");
    let value = statistic(&vec![1.0; users])?;
    let drawn = (0..resamples as u64).into_par_iter();
    let drawn: Vec<f64> = drawn.filter_map(|at| statistic(&draws(users, key.at(at)))).collect();
    (!drawn.is_empty()).then(|| interval(value, drawn))
}

/// A number, given how often each user is drawn.
pub(crate) type Statistic<'a> = dyn Fn(&[f64]) -> Option<f64> + Sync + 'a;
