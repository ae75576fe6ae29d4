//! What one policy shows at every number of candidates, user by user.

use crate::config::Evaluate;
use crate::run::StageContext;
use crate::stages::bench::Shown;
use crate::stages::evaluate::NamedPolicy;
use crate::stages::evaluate::systems::{Setting, judged, ranking, ranks};
use policy::ids::ItemId;
use policy::random::Key;
use reports::schema::scaling::Way;
use reward::judge::Judge;
use sampler::candidate::Candidate;
use sampler::pass::pass_at;
use sampler::recommend::Seen;
use std::collections::{BTreeMap, BTreeSet};

/// pass@K is estimated from this many times the most candidates.
const SPARE: usize = 2;

/// A policy's results for a number of candidates.
pub(super) struct Point {
    pub(super) way: Way,
    pub(super) candidates: usize,
    /// Most items shown of them.
    pub(super) shown: usize,
    /// Metric -> one value per user.
    pub(super) columns: BTreeMap<String, Vec<f64>>,
}

/// Draws per user.
pub(super) fn draws(section: &Evaluate) -> usize {
    SPARE * section.scaling.last().copied().unwrap_or(0)
}

/// One policy by all ways: draws, beams, and what the proxy chooses of either. Beams are also twice as wide, which costs as much as
/// the candidates and their scores.
///
/// # Errors
/// If the run is stopped.
pub(super) fn points(
    policy: &NamedPolicy,
    setting: Setting<'_>,
    ctx: &StageContext,
) -> anyhow::Result<Vec<Point>> {
    let mut found = of_draws(policy, setting, ctx)?;
    let mut chosen = Vec::new();
    let wanted = &setting.0.scaling;
    let widths: BTreeSet<usize> = wanted.iter().flat_map(|&width| [width, 2 * width]).collect();
    for width in widths {
        let beams = beams(policy, (setting, width), ctx)?;
        found.extend(of_beams(&beams, (width, setting)));
        if wanted.contains(&width) {
            chosen.extend(choice(&beams, (Way::SelectedBeam, width), setting));
        }
    }
    found.extend(chosen);
    Ok(found)
}

/// The first items of beams: as many as are shown, and as many as half of the beam where that is fewer, which is what a choice of
/// the same cost can show.
fn of_beams(beams: &[Vec<ItemId>], (width, setting): (usize, Setting<'_>)) -> Vec<Point> {
    let (section, users, _) = setting;
    let mut columns = shown_columns(beams, setting);
    columns.extend(ranking(&ranks(beams, users), &[width]).filter(|(key, _)| key.starts_with("recall")));
    columns.insert(format!("distinct@{width}"), lengths(beams));
    let most = section.judged_items;
    let mut found = vec![Point { way: Way::Beam, candidates: width, shown: most, columns }];
    let half = width / 2;
    if width.is_multiple_of(2) && half < most && section.scaling.contains(&half) {
        let cut: Vec<Vec<ItemId>> = beams.iter().map(|beam| beam[..half.min(beam.len())].to_vec()).collect();
        let columns = shown_columns(&cut, setting);
        found.push(Point { way: Way::Beam, candidates: width, shown: half, columns });
    }
    found
}

/// pass@K, and what the proxy chooses of the first K draws.
fn of_draws(policy: &NamedPolicy, setting: Setting<'_>, ctx: &StageContext) -> anyhow::Result<Vec<Point>> {
    let (section, users, _) = setting;
    let drawn = drawn(policy, setting, ctx)?;
    let is_seen = |user: usize, item: &ItemId| users.contexts[user].items.contains(item);
    // What a user has seen is not shown again, so it cannot be found again.
    let hits = |user: usize| {
        let right = drawn[user].iter().filter(|item| **item == users.targets[user] && !is_seen(user, item));
        right.count()
    };
    let hits: Vec<usize> = (0..users.len()).map(hits).collect();
    let (mut found, mut chosen) = (Vec::new(), Vec::new());
    for &k in &section.scaling {
        let unseen = |user: usize| different(drawn[user][..k].iter().filter(|item| !is_seen(user, item)));
        let lists: Vec<Vec<ItemId>> = (0..users.len()).map(unseen).collect();
        let passes = hits.iter().map(|&hits| pass_at(k, (draws(section), hits)));
        let columns =
            [(format!("pass@{k}"), passes.collect()), (format!("distinct@{k}"), lengths(&lists))].into();
        found.push(Point { way: Way::Draws, candidates: k, shown: section.judged_items, columns });
        chosen.extend(choice(&lists, (Way::SelectedDraws, k), setting));
    }
    found.extend(chosen);
    Ok(found)
}

/// Every user's draws.
fn drawn(
    policy: &NamedPolicy,
    (section, users, bench): Setting<'_>,
    ctx: &StageContext,
) -> anyhow::Result<Vec<Vec<ItemId>>> {
    // The same key for every policy: what differs between them is not luck.
    let key = ctx.key().named("scaling").named("draws");
    let keys: Vec<Key> = users.users.iter().map(|user| key.at(user.index() as u64)).collect();
    let progress = ctx.progress(&format!("{} draws", policy.name), users.len() as u64);
    bench.recommender(&policy.model).draws(&users.contexts, (draws(section), &keys), |done| {
        progress.inc(done);
        ctx.check_stop()
    })
}

fn lengths(lists: &[Vec<ItemId>]) -> Vec<f64> {
    lists.iter().map(|list| list.len() as f64).collect()
}

/// The items without repeats, in the order of their first appearance.
pub(super) fn different<'a>(items: impl Iterator<Item = &'a ItemId>) -> Vec<ItemId> {
    let mut seen = BTreeSet::new();
    items.copied().filter(|item| seen.insert(*item)).collect()
}

/// Up to `width` items of each user's beam of this width.
fn beams(
    policy: &NamedPolicy,
    ((_, users, bench), width): (Setting<'_>, usize),
    ctx: &StageContext,
) -> anyhow::Result<Vec<Vec<ItemId>>> {
    let progress = ctx.progress(&format!("{} beam {width}", policy.name), users.len() as u64);
    let found =
        bench.recommender(&policy.model).candidates(&users.contexts, width, Seen::Excluded, |done| {
            progress.inc(done);
            ctx.check_stop()
        })?;
    let items = |beam: Vec<Candidate>| beam.into_iter().take(width).map(|candidate| candidate.item).collect();
    Ok(found.into_iter().map(items).collect())
}

/// What the proxy chooses of the candidates; `None` without judges.
fn choice(candidates: &[Vec<ItemId>], (way, k): (Way, usize), setting: Setting<'_>) -> Option<Point> {
    let (section, users, bench) = setting;
    let judges = bench.judges.as_ref()?;
    let lists = by_score(&judges.proxy, &users.shown(candidates, usize::MAX));
    Some(Point { way, candidates: k, shown: section.judged_items, columns: shown_columns(&lists, setting) })
}

/// Each user's items by falling score of the judge, ties in the order they had.
pub(super) fn by_score(judge: &dyn Judge, candidates: &[Shown]) -> Vec<Vec<ItemId>> {
    let requests: Vec<_> = candidates.iter().map(Shown::request).collect();
    let scores = judge.score(&requests);
    let order = |(list, scores): (&Shown, Vec<reward::judge::Score>)| {
        let mut scored: Vec<_> = list.items.iter().copied().zip(scores).collect();
        scored.sort_by(|a, b| b.1.fused.total_cmp(&a.1.fused));
        scored.into_iter().map(|(item, _)| item).collect()
    };
    candidates.iter().zip(scores).map(order).collect()
}

/// Ranking and judges' scores of the items shown of each list.
fn shown_columns(lists: &[Vec<ItemId>], setting: Setting<'_>) -> BTreeMap<String, Vec<f64>> {
    let (section, users, _) = setting;
    let mut columns: BTreeMap<_, _> = ranking(&ranks(lists, users), &[section.judged_items]).collect();
    columns.extend(judged(lists, setting));
    columns
}
