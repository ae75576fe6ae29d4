//! Who is evaluated, and the table of per-user results.

use super::systems::System;
use crate::config::Evaluate;
use crate::stages::bench::Bench;
use crate::stages::table;
use polars::prelude::Column;
use policy::history::Split;
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use rand::seq::SliceRandom as _;
use std::path::Path;

/// Test users with what is known of them and what they did next.
pub(super) struct TestUsers<'a> {
    pub(super) users: Vec<UserId>,
    pub(super) contexts: Vec<&'a [ItemId]>,
    pub(super) targets: Vec<ItemId>,
}

impl<'a> TestUsers<'a> {
    /// All users, or a random sample when the configuration limits them.
    pub(super) fn new(section: &Evaluate, bench: &'a Bench, key: Key) -> Self {
        let log = &bench.dataset.log;
        let mut users: Vec<UserId> = log.users().collect();
        if section.users > 0 && section.users < users.len() {
            users.shuffle(&mut key.named("users").rng());
            users.truncate(section.users);
            users.sort_unstable();
        }
        let contexts = users.iter().map(|&user| log.context(user, Split::Test)).collect();
        let targets = users.iter().map(|&user| log.target(user, Split::Test)).collect();
        Self { users, contexts, targets }
    }
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }
}

/// Writes one row per user and one column per system and metric.
pub(super) fn write(path: &Path, users: &TestUsers<'_>, systems: &[System]) -> anyhow::Result<()> {
    let ids: Vec<u32> = users.users.iter().map(|user| user.index() as u32).collect();
    let mut columns = vec![Column::new("user".into(), ids)];
    for system in systems {
        for (metric, values) in &system.per_user {
            columns.push(Column::new(format!("{}/{metric}", system.name).into(), values.clone()));
        }
    }
    table::write(path, columns)
}
