//! Answers a batch of tasks with one bundle.

use super::api::{Answer, Found, ItemRef, RankBy, Recommend, Score, SeenItems, Shown};
use super::task::Task;
use crate::export::bundle::Bundle;
use policy::history::{Context, History, Log};
use policy::ids::{ItemId, UserId};
use reward::judge::{Judge as _, Request};
use reward::model_judge::ModelJudge;
use sampler::beam::Search;
use std::collections::BTreeMap;

/// A history in the bundle's items.
struct Known {
    items: Vec<ItemId>,
    skipped: Vec<usize>,
}

/// An item with its log-probability.
type Ranked = (ItemId, f64);

/// The answers, in order. Searches of one width run as one batch.
pub fn answer(bundle: &Bundle, tasks: &[&Task]) -> Vec<Answer> {
    let known: Vec<Known> = tasks.iter().map(|task| Known::of(bundle, task)).collect();
    let mut found: Vec<Vec<Ranked>> = vec![Vec::new(); tasks.len()];
    for (width, positions) in by_width(bundle, tasks) {
        search(bundle, (tasks, &known), (width, &positions), &mut found);
    }
    let mut answers = Vec::with_capacity(tasks.len());
    for ((task, known), found) in tasks.iter().zip(known).zip(found) {
        let found = match task {
            Task::Recommend(wish) => Found::Items(shown(bundle, wish, &known, found)),
            Task::Score(wish) => Found::LogProbs(scores(bundle, wish, &known)),
        };
        answers.push(Answer { skipped: known.skipped, found });
    }
    answers
}

impl Known {
    fn of(bundle: &Bundle, task: &Task) -> Self {
        let (Task::Recommend(Recommend { history, .. }) | Task::Score(Score { history, .. })) = task;
        let mut known = Self { items: Vec::new(), skipped: Vec::new() };
        for (position, item) in history.iter().enumerate() {
            match resolve(bundle, item) {
                Some(item) => known.items.push(item),
                None => known.skipped.push(position),
            }
        }
        known
    }
}

/// The item of an id; what is left of codes was read before and is unknown.
fn resolve(bundle: &Bundle, item: &ItemRef) -> Option<ItemId> {
    match item {
        ItemRef::Id(id) => bundle.item(id),
        ItemRef::Codes(_) => None,
    }
}

fn resolved(bundle: &Bundle, items: &[ItemRef]) -> Vec<ItemId> {
    items.iter().filter_map(|item| resolve(bundle, item)).collect()
}

/// Beam searches by their width; lists of allowed items need none.
fn by_width(bundle: &Bundle, tasks: &[&Task]) -> BTreeMap<usize, Vec<usize>> {
    let mut widths = BTreeMap::<usize, Vec<usize>>::new();
    for (position, task) in tasks.iter().enumerate() {
        if let Task::Recommend(wish) = task
            && wish.allow.is_none()
        {
            let width = wish.beam.map_or(bundle.description.beam_width, |beam| beam.get() as usize);
            let width = width.max(wish.k.get() as usize);
            widths.entry(width).or_default().push(position);
        }
    }
    widths
}

fn search(
    bundle: &Bundle,
    (tasks, known): (&[&Task], &[Known]),
    (width, positions): (usize, &[usize]),
    found: &mut [Vec<Ranked>],
) {
    let excluded: Vec<Vec<ItemId>> = positions
        .iter()
        .map(|&at| match tasks[at] {
            Task::Recommend(wish) => excluded(bundle, wish, &known[at]),
            Task::Score(_) => Vec::new(),
        })
        .collect();
    let exclude: Vec<&[ItemId]> = excluded.iter().map(Vec::as_slice).collect();
    let contexts: Vec<Context<'_>> = positions.iter().map(|&at| known[at].items.as_slice().into()).collect();
    let ranked = bundle.recommender().ranked(&contexts, &Search { width, exclude: &exclude });
    for (&at, candidates) in positions.iter().zip(ranked) {
        found[at] = candidates.iter().map(|candidate| (candidate.item, candidate.log_prob())).collect();
    }
}

fn excluded(bundle: &Bundle, wish: &Recommend, known: &Known) -> Vec<ItemId> {
    let mut items = resolved(bundle, &wish.block);
    if wish.seen == SeenItems::Exclude {
        items.extend_from_slice(&known.items);
    }
    items.sort_unstable();
    items.dedup();
    items
}

/// What is shown of the candidates, or of the allowed items.
fn shown(bundle: &Bundle, wish: &Recommend, known: &Known, found: Vec<Ranked>) -> Vec<Shown> {
    let ranked = match &wish.allow {
        Some(allow) => allowed(bundle, wish, (known, allow)),
        None => found,
    };
    let mut shown: Vec<(Ranked, Option<f64>)> = match (wish.rank_by, &bundle.judge) {
        (RankBy::Judge, Some(_)) => judged(bundle, known, &ranked),
        _ => ranked.into_iter().map(|ranked| (ranked, None)).collect(),
    };
    shown.truncate(wish.k.get() as usize);
    let item = |((item, log_prob), judge)| Shown { id: bundle.raw_id(item).to_owned(), log_prob, judge };
    shown.into_iter().map(item).collect()
}

/// Allowed items, best first.
fn allowed(bundle: &Bundle, wish: &Recommend, (known, allow): (&Known, &[ItemRef])) -> Vec<Ranked> {
    let excluded = excluded(bundle, wish, known);
    let mut items = resolved(bundle, allow);
    items.sort_unstable();
    items.dedup();
    items.retain(|item| excluded.binary_search(item).is_err());
    let log_probs = bundle.log_probs(&known.items, &items);
    let mut ranked: Vec<Ranked> = items.into_iter().zip(log_probs).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}

/// The candidates in the judge's order, with its scores. Those that came after it was trained have none and follow, in the policy's
/// order; it does not read them in histories either.
fn judged(bundle: &Bundle, known: &Known, ranked: &[Ranked]) -> Vec<(Ranked, Option<f64>)> {
    let Some(judge) = &bundle.judge else { return Vec::new() };
    let num_items = judge.log().num_items;
    let (rated, later): (Vec<Ranked>, Vec<Ranked>) =
        ranked.iter().partition(|(item, _)| item.index() < num_items);
    let scores = judge_scores(judge, known, &rated);
    let mut judged: Vec<(Ranked, f64)> = rated.into_iter().zip(scores).collect();
    judged.sort_by(|a, b| b.1.total_cmp(&a.1));
    let judged = judged.into_iter().map(|(ranked, score)| (ranked, Some(score)));
    judged.chain(later.into_iter().map(|ranked| (ranked, None))).collect()
}

fn judge_scores(judge: &ModelJudge, known: &Known, rated: &[Ranked]) -> Vec<f64> {
    let Log { num_items, signals, .. } = judge.log();
    let read: Vec<ItemId> = known.items.iter().copied().filter(|item| item.index() < *num_items).collect();
    let history = History {
        timestamps: (0..read.len() as i64).collect(),
        // Requests say what was used, not how it was liked.
        feedback: vec![0.0; read.len() * signals.len()],
        items: read.clone(),
    };
    let log = Log { histories: vec![history], num_items: *num_items, signals: signals.clone() };
    let candidates: Vec<ItemId> = rated.iter().map(|(item, _)| *item).collect();
    let request = Request { user: UserId::new(0), known: read.len(), candidates: &candidates };
    let scores = judge.over(log).score(&[request]).pop().unwrap_or_default();
    scores.iter().map(|score| f64::from(score.fused)).collect()
}

fn scores(bundle: &Bundle, wish: &Score, known: &Known) -> Vec<Option<f64>> {
    let candidates: Vec<Option<ItemId>> = wish.candidates.iter().map(|item| resolve(bundle, item)).collect();
    let items: Vec<ItemId> = candidates.iter().flatten().copied().collect();
    let mut log_probs = bundle.log_probs(&known.items, &items).into_iter();
    candidates.into_iter().map(|candidate| candidate.and_then(|_| log_probs.next())).collect()
}
