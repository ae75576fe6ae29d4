//! Where judges may be believed: what they say, and how far they agree, as items become less like what users chose.
//!
//! Alignment moves recommendations away from the log the judges learnt from. A judge that scores far items as surely as
//! near ones, while another judge disagrees, is extrapolating.

use super::Judges;
use super::training::School;
use policy::ids::{ItemId, UserId};
use reports::schema::DriftStep;
use reports::statistics::correlation::spearman;
use reports::statistics::mean;
use reward::features::FeatureTable;
use reward::judge::{Judge, Request};
use reward::similarity::cosine_of;
use std::collections::BTreeMap;

/// Evaluation users asked, at most.
const USERS: usize = 300;
/// Random items per user.
const ITEMS: u64 = 40;
/// Parts of equal size, by distance.
const STEPS: usize = 5;

/// The steps, nearest first; none unless intervals are asked for.
pub(super) fn drift(judges: &Judges, school: &School<'_>) -> Vec<DriftStep> {
    if school.section.resamples == 0 {
        return Vec::new();
    }
    let (context, key) = (school.context, school.stage.key().named("drift"));
    let log = context.log();
    let users = &judges.split.evaluation[..judges.split.evaluation.len().min(USERS)];
    let items = |user: &UserId| -> Vec<ItemId> {
        let key = key.at(user.index() as u64);
        (0..ITEMS).map(|at| ItemId::new((key.at(at).unit() * log.num_items as f64) as usize)).collect()
    };
    let candidates: Vec<Vec<ItemId>> = users.iter().map(items).collect();
    let request = |(&user, candidates)| Request { user, known: log.train_items(user).len(), candidates };
    let requests: Vec<_> = users.iter().zip(candidates.iter().map(Vec::as_slice)).map(request).collect();
    let distances = |request: &Request<'_>| {
        let liked = mean_features(context.features(), log.train_items(request.user));
        let distance = |item: &ItemId| 1.0 - cosine_of(&liked, context.features().row(*item));
        request.candidates.iter().map(distance).collect::<Vec<_>>()
    };
    let distances: Vec<f64> = requests.iter().flat_map(distances).collect();
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    let said = Said::by(judges, &requests);
    order.chunks(order.len().div_ceil(STEPS).max(1)).map(|rows| said.step(rows, &distances)).collect()
}

/// Fused scores of every judge.
struct Said {
    judges: Vec<(String, Vec<f64>)>,
    disagreement: Option<Vec<f64>>,
}

impl Said {
    fn by(judges: &Judges, requests: &[Request<'_>]) -> Self {
        let mut all: Vec<&dyn Judge> = vec![&judges.proxy, &judges.held_out];
        all.extend(judges.ensemble.iter().map(|ensemble| ensemble as &dyn Judge));
        let fused = |judge: &&dyn Judge| {
            let scores = judge.score(requests).concat();
            (judge.name().to_string(), scores.iter().map(|score| f64::from(score.fused)).collect())
        };
        let disagreement = judges.ensemble.as_ref().map(|ensemble| ensemble.disagreement(requests).concat());
        Self { judges: all.iter().map(fused).collect(), disagreement }
    }
    fn step(&self, rows: &[usize], distances: &[f64]) -> DriftStep {
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let (proxy, held_out) = (pick(&self.judges[0].1), pick(&self.judges[1].1));
        let gaps: Vec<f64> = proxy.iter().zip(&held_out).map(|(a, b)| (a - b).abs()).collect();
        DriftStep {
            distance: mean(&pick(distances)),
            scores: self
                .judges
                .iter()
                .map(|(name, fused)| (name.clone(), mean(&pick(fused))))
                .collect::<BTreeMap<_, _>>(),
            gap: mean(&gaps),
            agreement: spearman(&proxy, &held_out),
            disagreement: self.disagreement.as_ref().map(|spread| mean(&pick(spread))),
        }
    }
}

/// Up to its length, which no cosine depends on.
fn mean_features(features: &FeatureTable, items: &[ItemId]) -> Vec<f32> {
    let mut sum = vec![0.0; features.width()];
    for &item in items {
        sum.iter_mut().zip(features.row(item)).for_each(|(sum, value)| *sum += value);
    }
    sum
}
