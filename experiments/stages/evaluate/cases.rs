//! The users whom alignment cost most, with what they were shown before and after.

use super::systems::System;
use super::users::TestUsers;
use crate::stages::bench::Bench;
use policy::ids::ItemId;
use reports::schema::{Case, Cases, ShownItem, SystemCases};

/// The file of cases.
pub(super) const FILE: &str = "cases.json";
/// Users per aligned policy.
const WORST: usize = 5;
/// Items of a history and of a list.
const HISTORY: usize = 5;
const LISTED: usize = 3;
/// Characters kept of an item's text.
const TEXT: usize = 500;

/// What cases are chosen by: the judge that alignment never saw, else the ranking.
const METRICS: [&str; 2] = ["judge/held-out", "ndcg@10"];

/// The worst cases of every aligned policy.
pub(super) fn worst(base: &System, aligned: &[System], users: &TestUsers<'_>, bench: &Bench) -> Cases {
    let metric = METRICS.into_iter().find(|metric| base.per_user.contains_key(*metric)).unwrap_or(METRICS[1]);
    let of = |system: &System| {
        let (Some(before), Some(after)) = (base.per_user.get(metric), system.per_user.get(metric)) else {
            return SystemCases { system: system.name.clone(), cases: Vec::new() };
        };
        let mut order: Vec<usize> = (0..users.len()).filter(|user| after[*user] < before[*user]).collect();
        order.sort_by(|a, b| (after[*a] - before[*a]).total_cmp(&(after[*b] - before[*b])));
        let case = |user: usize| Case {
            user: users.users[user].index() as u64,
            before: before[user],
            after: after[user],
            history: items(users.contexts[user].items.iter().rev().take(HISTORY), bench),
            target: item(users.targets[user], bench),
            shown_before: items(base.shown[user].iter().take(LISTED), bench),
            shown_after: items(system.shown[user].iter().take(LISTED), bench),
        };
        SystemCases { system: system.name.clone(), cases: order.into_iter().take(WORST).map(case).collect() }
    };
    Cases { metric: metric.into(), systems: aligned.iter().map(of).collect() }
}

fn items<'a>(items: impl Iterator<Item = &'a ItemId>, bench: &Bench) -> Vec<ShownItem> {
    items.map(|found| item(*found, bench)).collect()
}

fn item(item: ItemId, bench: &Bench) -> ShownItem {
    let found = &bench.dataset.items[item.index()];
    ShownItem { id: found.raw_id.clone(), text: found.text.chars().take(TEXT).collect() }
}
