//! How far judges are below what could be known: the Bayes-optimal prediction of the built-in world.
//!
//! The chance of every label is known, so that AUCs are also given as expectations over the dice: with few follows, the noise
//! of the labels would hide a difference of a hundredth.

use super::examine::Examiner;
use anyhow::Context as _;
use reports::schema::{Estimate, TrialHead};
use reward::context::Context;
use reward::quality::{Examination, ExaminationResult, HeadResult, Truth};
use reward::statistics::{HeadStatistics, Rows};
use reward::world::{BayesJudge, World, WorldConfig};
use std::sync::Arc;

/// The Bayes-optimal answers to an examination.
pub(super) struct Attainable {
    world: Arc<World>,
    judge: BayesJudge,
    heads: Vec<String>,
    results: Vec<HeadResult>,
    /// Per head, the chance of every label.
    chances: Vec<Vec<f64>>,
}

impl Attainable {
    pub(super) fn of(
        world: Option<&WorldConfig>,
        context: &Context,
        examination: &Examination,
    ) -> anyhow::Result<Self> {
        let world = world.context("reward.attainable needs the built-in world")?;
        let world = Arc::new(World::generate(world));
        let judge = BayesJudge::new(world.clone(), &context.config().labels);
        let judge = judge.context("reward.attainable needs feedback and reward.watch_label = \"median\"")?;
        let ExaminationResult { heads: results, predictions: chances, .. } = examination.examine(&judge);
        let found = Self { world, judge, heads: context.head_names(), results, chances };
        for TrialHead { head, auc, .. } in found.heads() {
            tracing::info!("attainable, {head}: AUC {:.3}", auc.unwrap_or(f64::NAN));
        }
        Ok(found)
    }

    pub(super) fn world(&self) -> &Arc<World> {
        &self.world
    }
    pub(super) fn judge(&self) -> &BayesJudge {
        &self.judge
    }

    /// What no judge exceeds.
    pub(super) fn heads(&self) -> Vec<TrialHead> {
        let expected = self.expected_aucs(&self.chances);
        let heads = self.heads.iter().zip(&self.results).zip(expected);
        let head = |((head, result), expected_auc): ((&String, &HeadResult), Option<f64>)| TrialHead {
            head: head.clone(),
            auc: result.auc,
            log_loss: result.log_loss,
            expected_auc,
        };
        heads.map(head).collect()
    }

    /// The AUC of each head's predictions, expected over the dice.
    pub(super) fn expected_aucs(&self, predictions: &[Vec<f64>]) -> Vec<Option<f64>> {
        let once = [1.0];
        let expected = |(scores, labels): (&Vec<f64>, &Vec<f64>)| {
            HeadStatistics::new(Rows { scores, labels, users: &vec![0; labels.len()] }).auc(&once)
        };
        predictions.iter().zip(&self.chances).map(expected).collect()
    }

    /// `expected_auc` of a head's predictions and its `auc_gap`, with intervals where the examiner makes some.
    pub(super) fn intervals(
        &self,
        (head, truth): (usize, &Truth),
        predictions: &[f64],
        examiner: &Examiner<'_>,
    ) -> Vec<(String, Estimate)> {
        let labels = &self.chances[head];
        let rows = |scores| HeadStatistics::new(Rows { labels, ..truth.rows(scores) });
        let (own, best) = (rows(predictions), rows(labels));
        let gap = |draws: &[f64]| Some(best.auc(draws)? - own.auc(draws)?);
        let estimates = [
            ("expected_auc", examiner.bootstrap(own.num_users(), &|draws| own.auc(draws))),
            ("auc_gap", examiner.bootstrap(own.num_users(), &gap)),
        ];
        estimates.into_iter().filter_map(|(key, estimate)| Some((key.to_string(), estimate?))).collect()
    }
}
