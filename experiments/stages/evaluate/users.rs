//! Who is evaluated, and the table of per-user results.

use super::attainable::attainable;
use super::groups::{self, Popularity, Slice};
use super::systems::System;
use crate::config::Evaluate;
use crate::stages::bench::{Bench, Shown};
use crate::stages::table;
use polars::prelude::Column;
use policy::history::{Context, Split};
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use rand::seq::SliceRandom as _;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

/// The file of per-user results.
pub(super) const FILE: &str = "per_user.parquet";
/// Its first column.
const USER: &str = "user";

/// Test users with what is known of them and what they did next.
pub(super) struct TestUsers<'a> {
    pub(super) users: Vec<UserId>,
    pub(super) contexts: Vec<Context<'a>>,
    pub(super) targets: Vec<ItemId>,
    pub(super) popularity: Popularity,
    /// Groups of them.
    pub(super) slices: Vec<Slice>,
    /// Computed when it is first asked for.
    attainable: OnceCell<Option<Vec<f64>>>,
}

impl<'a> TestUsers<'a> {
    /// All users, or a random sample when the configuration limits them.
    pub(super) fn new(section: &Evaluate, bench: &'a Bench, key: Key) -> Self {
        Self::these(drawn(bench.dataset.log.users().collect(), section.users, key), bench)
    }
    /// As many of them at random; 0 stands for all.
    pub(super) fn some(&self, most: usize, (bench, key): (&'a Bench, Key)) -> Self {
        Self::these(drawn(self.users.clone(), most, key), bench)
    }
    /// These users, in this order.
    pub(super) fn these(users: Vec<UserId>, bench: &'a Bench) -> Self {
        let log = &bench.dataset.log;
        let contexts: Vec<_> = users.iter().map(|&user| log.context(user, Split::Test)).collect();
        let targets: Vec<_> = users.iter().map(|&user| log.target(user, Split::Test)).collect();
        let popularity = Popularity::new(log);
        let lengths: Vec<usize> = contexts.iter().map(|context| context.items.len()).collect();
        let slices = groups::slices(&popularity, &targets, &lengths);
        Self { users, contexts, targets, popularity, slices, attainable: OnceCell::new() }
    }
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }
    /// What the best `most` items would be worth to each of them; see [`attainable()`].
    pub(super) fn attainable(&self, bench: &Bench, most: usize) -> Option<&[f64]> {
        self.attainable.get_or_init(|| attainable(self, bench, most)).as_deref()
    }
    /// The first `most` items of each user's list, as the judges are asked about them.
    pub(super) fn shown(&self, lists: &[Vec<ItemId>], most: usize) -> Vec<Shown> {
        let known = self.users.iter().zip(&self.contexts).map(|(&user, context)| (user, context.items.len()));
        let ask = |((user, known), list): ((UserId, usize), &Vec<ItemId>)| Shown {
            user,
            known,
            items: list.iter().copied().take(most).collect(),
        };
        known.zip(lists).map(ask).collect()
    }
}

/// At most this many of the users, in their order; 0 stands for all.
fn drawn(mut users: Vec<UserId>, most: usize, key: Key) -> Vec<UserId> {
    if most > 0 && most < users.len() {
        users.shuffle(&mut key.named("users").rng());
        users.truncate(most);
        users.sort_unstable();
    }
    users
}

/// The table, read back.
#[derive(Clone, Debug)]
pub struct PerUser {
    users: Vec<u32>,
    /// By `<system>/<metric>`.
    columns: BTreeMap<String, Vec<f64>>,
}

impl PerUser {
    /// Reads the table of a stage directory.
    ///
    /// # Errors
    /// It is missing or is not what this stage writes.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let table = table::read(&dir.join(FILE))?;
        let users = table.integers(USER)?.into_iter().map(|user| user as u32).collect();
        let names = table.columns().into_iter().filter(|name| name != USER);
        let columns = names.map(|name| Ok((name.clone(), table.numbers(&name)?)));
        Ok(Self { users, columns: columns.collect::<anyhow::Result<_>>()? })
    }

    /// A metric of a system by user; `None` if it was not measured per user.
    pub fn metric(&self, system: &str, metric: &str) -> Option<BTreeMap<u32, f64>> {
        let values = self.columns.get(&format!("{system}/{metric}"))?;
        Some(self.users.iter().copied().zip(values.iter().copied()).collect())
    }
}

/// Writes one row per user and one column per system and metric.
pub(super) fn write(path: &Path, users: &TestUsers<'_>, systems: &[System]) -> anyhow::Result<()> {
    let ids: Vec<u32> = users.users.iter().map(|user| user.index() as u32).collect();
    let mut columns = vec![Column::new(USER.into(), ids)];
    for system in systems {
        for (metric, values) in &system.per_user {
            columns.push(Column::new(format!("{}/{metric}", system.name).into(), values.clone()));
        }
    }
    table::write(path, columns)
}
