//! What every stage after the judges works with: data, codebook, judges, and how the policy reads and is read.

use super::reward::Judges;
use crate::data::Dataset;
use policy::history::Split;
use policy::ids::{ItemId, UserId};
use policy::log_prob::LogProbSpace;
use policy::model::Policy;
use reward::judge::{Judge, Request};
use reward::world::OracleJudge;
use sampler::recommend::{Codebook, Recommender};

/// The fixed surroundings of a policy.
pub struct Bench {
    /// Users and items.
    pub dataset: Dataset,
    /// Semantic IDs, trie, tokens.
    pub codebook: Codebook,
    /// The proxy and the held-out judge; a run that ends with pretraining has none.
    pub judges: Option<Judges>,
    /// The truth, where the data is the built-in world.
    pub oracle: Option<OracleJudge>,
    /// Most recent items the encoder sees.
    pub history_items: usize,
    /// Items that one decoding of the pretrained policy writes.
    pub session_items: usize,
    /// The normalisation of probabilities in rollouts, losses and evaluation.
    pub space: LogProbSpace,
    /// Least difference of proxy scores within a pair.
    pub min_margin: f64,
    /// Training interactions left after the one that candidates are sampled for.
    pub later: usize,
    /// For every item whether it is from an account that floods the platform, where the configuration names them.
    pub flooding: Option<Vec<bool>>,
}

/// Items shown to a user whose first `known` interactions are known.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The user.
    pub user: UserId,
    /// Known interactions.
    pub known: usize,
    /// The items, best first.
    pub items: Vec<ItemId>,
}

impl Bench {
    /// `model` as a recommender in these surroundings.
    pub fn recommender<'a>(&'a self, model: &'a Policy) -> Recommender<'a> {
        let Self { ref codebook, history_items, session_items, space, .. } = *self;
        Recommender { model, codebook, history_items, space, session_items }
    }
    /// Every judge with the metric key of its score: the proxy first.
    pub fn judges(&self) -> Vec<(&'static str, &dyn Judge)> {
        let mut judges: Vec<(&'static str, &dyn Judge)> = Vec::new();
        if let Some(Judges { proxy, held_out, ensemble, .. }) = &self.judges {
            judges.extend([("judge/proxy", proxy as &dyn Judge), ("judge/held-out", held_out)]);
            judges.extend(ensemble.iter().map(|ensemble| ("judge/ensemble", ensemble as &dyn Judge)));
        }
        if let Some(oracle) = &self.oracle {
            judges.push(("judge/oracle", oracle));
        }
        judges
    }
    /// Mean score of each user's list, in the order of `shown`; an empty list scores 0.
    pub fn list_scores(judge: &dyn Judge, shown: &[Shown]) -> Vec<f64> {
        let requests: Vec<_> = shown.iter().map(Shown::request).collect();
        judge
            .score(&requests)
            .iter()
            .map(|scores| mean(scores.iter().map(|score| f64::from(score.fused))))
            .collect()
    }
    /// Mean disagreement of the ensemble over each user's list; `None` without an ensemble.
    pub fn disagreement(&self, shown: &[Shown]) -> Option<Vec<f64>> {
        let ensemble = self.judges.as_ref()?.ensemble.as_ref()?;
        let requests: Vec<_> = shown.iter().map(Shown::request).collect();
        Some(ensemble.disagreement(&requests).into_iter().map(|spreads| mean(spreads.into_iter())).collect())
    }
    /// What is known of a user when candidates are sampled, as a number of interactions: all training items but the observed next one and
    /// those left for rewards. `None` if nothing would be known.
    pub fn known_to_sample(&self, user: UserId) -> Option<usize> {
        let before = self.dataset.log.train_items(user).len().checked_sub(1)?;
        (before > 0).then(|| before.saturating_sub(self.later).max(1))
    }
    /// What is known of a user before the held-out item of `split`, as a number of interactions.
    pub fn known(&self, user: UserId, split: Split) -> usize {
        self.dataset.log.context(user, split).items.len()
    }
}

impl Shown {
    /// The question to a judge.
    pub fn request(&self) -> Request<'_> {
        Request { user: self.user, known: self.known, candidates: &self.items }
    }
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    values.sum::<f64>() / n
}
