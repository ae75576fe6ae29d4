//! From rows in file order to histories: duplicates, k-core, order of ties, dense ids.

use super::error::DataError;
use super::histories::Histories;
use super::names::sort_by_id;
use super::problems::Problems;
use super::raw::{Clock, Duplicates, RawLog};
use crate::config::{Data, TieOrder};
use policy::history::{History, Log};
use policy::ids::ItemId;
use policy::random::Key;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Leave-one-out needs a training item, a validation item and a test item.
const LEAST_INTERACTIONS: usize = 3;

/// A log over dense ids, and what was done to get it.
#[derive(Debug)]
pub(super) struct Arranged {
    pub(super) log: Log,
    /// Raw user id by dense user.
    pub(super) users: Vec<String>,
    /// Raw item number by dense item.
    pub(super) items: Vec<u32>,
    /// Rows that repeat an earlier row's user, item and time.
    pub(super) duplicate_rows: u64,
    /// Share of neighbouring interactions at the same time; absent without a clock.
    pub(super) tie_share: Option<f64>,
    /// What the filters removed, by reason.
    pub(super) removed: BTreeMap<String, u64>,
}

/// Applies the filters of `[data]`, orders every history and makes ids dense.
///
/// Dense ids follow the raw ids (numerically when all are numbers): their order says nothing about who saw what when,
/// as order of appearance in the file would.
///
/// # Errors
/// If users are left with too few interactions, or nobody is left.
pub(super) fn arrange(raw: &RawLog, data: &Data) -> Result<Arranged, DataError> {
    check_ties(raw, data)?;
    let mut removed = BTreeMap::new();
    let mut histories = Histories::of(raw);
    let duplicate_rows = drop_duplicates(raw, &mut histories, &mut removed);
    k_core(raw, &mut histories, data.k_core, &mut removed);
    shuffle_ties(raw, &mut histories, data.tie_order);
    let mut users: Vec<u32> =
        (0..raw.users.len() as u32).filter(|user| !histories.of_user(*user).is_empty()).collect();
    check_lengths(raw, data, &users, &histories)?;
    sort_by_id(&mut users, &raw.users);
    let most = data.max_users.unwrap_or(users.len());
    if users.len() > most {
        removed.insert("users over data.max_users".into(), (users.len() - most) as u64);
        users.truncate(most);
    }
    let (items, dense) = dense_items(raw, users.iter().flat_map(|user| histories.of_user(*user)));
    let tie_share = (raw.clock == Clock::Timestamps).then(|| tie_share(raw, &users, &histories));
    let log = Log {
        histories: users.par_iter().map(|user| history(raw, histories.of_user(*user), &dense)).collect(),
        num_items: items.len(),
        signals: raw.signals.clone(),
    };
    let users = users.iter().map(|user| raw.users.name(*user).to_owned()).collect();
    Ok(Arranged { log, users, items, duplicate_rows, tie_share, removed })
}

fn check_ties(raw: &RawLog, data: &Data) -> Result<(), DataError> {
    match data.tie_order {
        TieOrder::Shuffled(seed) if raw.clock == Clock::None => Err(DataError::Setting {
            key: "data.tie_order",
            value: format!("{{ shuffled = {seed} }}"),
            problem: "needs times, and this log has none".into(),
            remedy: "use `original`, or a file with timestamps or time gaps".into(),
        }),
        _ => Ok(()),
    }
}

/// Drops the rows that repeat an earlier row's user, item and time, where that is asked for; returns how many do.
fn drop_duplicates(raw: &RawLog, histories: &mut Histories, removed: &mut BTreeMap<String, u64>) -> u64 {
    if raw.clock == Clock::None {
        return 0;
    }
    let repeated = repeated_rows(raw, histories);
    let duplicates = repeated.iter().filter(|repeated| **repeated).count() as u64;
    if duplicates > 0 && raw.duplicates == Duplicates::Drop {
        removed.insert("duplicate rows".into(), duplicates);
        histories.retain(|row| !repeated[row as usize]);
    }
    duplicates
}

/// For every row, whether it repeats an earlier one; repeats stand among the rows of the same user and moment.
fn repeated_rows(raw: &RawLog, histories: &Histories) -> Vec<bool> {
    let mut repeated = vec![false; raw.rows.len()];
    let row = |row: u32| &raw.rows[row as usize];
    let same_time = |a: &u32, b: &u32| (row(*a).user, row(*a).moment) == (row(*b).user, row(*b).moment);
    for rows in histories.rows.chunk_by(same_time).filter(|rows| rows.len() > 1) {
        let mut items: Vec<_> = rows.iter().map(|at| (row(*at).item, *at)).collect();
        items.sort_unstable();
        for pair in items.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            repeated[pair[1].1 as usize] = true;
        }
    }
    repeated
}

/// Drops users and items with fewer than `k` interactions until none is left that has fewer.
fn k_core(raw: &RawLog, histories: &mut Histories, k: u32, removed: &mut BTreeMap<String, u64>) {
    let before = Counts::of(raw, &histories.rows);
    let mut counts = before.clone();
    loop {
        let size = histories.rows.len();
        histories.retain(|row| {
            let row = &raw.rows[row as usize];
            counts.users[row.user as usize] >= k && counts.items[row.item as usize] >= k
        });
        if histories.rows.len() == size {
            break;
        }
        counts = Counts::of(raw, &histories.rows);
    }
    let mut note = |what: &str, before: usize, after: usize| {
        if after < before {
            removed.insert(format!("{what} under data.k_core"), (before - after) as u64);
        }
    };
    note("users", present(&before.users), present(&counts.users));
    note("items", present(&before.items), present(&counts.items));
    note("interactions", before.users.iter().sum::<u32>() as usize, histories.rows.len());
}

#[derive(Clone)]
struct Counts {
    users: Vec<u32>,
    items: Vec<u32>,
}

impl Counts {
    fn of(raw: &RawLog, rows: &[u32]) -> Self {
        let mut counts = Self { users: vec![0; raw.users.len()], items: vec![0; raw.items.len()] };
        for row in rows {
            let row = &raw.rows[*row as usize];
            counts.users[row.user as usize] += 1;
            counts.items[row.item as usize] += 1;
        }
        counts
    }
}

fn present(counts: &[u32]) -> usize {
    counts.iter().filter(|count| **count > 0).count()
}

/// Shuffles rows of equal time, where that is asked for.
fn shuffle_ties(raw: &RawLog, histories: &mut Histories, order: TieOrder) {
    let TieOrder::Shuffled(seed) = order else {
        return;
    };
    let moment = |row: u32| raw.rows[row as usize].moment;
    for user in 0..raw.users.len() as u32 {
        // Keyed by the raw id: the shuffle of a user does not depend on who else is in the log.
        let key = Key::new(seed).named("ties").named(raw.users.name(user));
        let rows = histories.of_user_mut(user);
        let mut drawn: Vec<_> =
            (0u64..).zip(&*rows).map(|(at, row)| (moment(*row), key.at(at).bits(), *row)).collect();
        drawn.sort_unstable();
        rows.iter_mut().zip(drawn).for_each(|(row, (_, _, drawn))| *row = drawn);
    }
}

fn check_lengths(raw: &RawLog, data: &Data, users: &[u32], histories: &Histories) -> Result<(), DataError> {
    if users.is_empty() || data.max_users == Some(0) {
        let (key, value, remedy) = match data.max_users {
            Some(0) => ("data.max_users", 0, "leave it out to keep all users"),
            _ => ("data.k_core", data.k_core, "lower it"),
        };
        let problem = "leaves no user".into();
        return Err(DataError::Setting { key, value: value.to_string(), problem, remedy: remedy.into() });
    }
    let mut problems = Problems::default();
    for user in users {
        let history = histories.of_user(*user);
        if history.len() < LEAST_INTERACTIONS {
            let first = *history.iter().min().expect("absent users were left out");
            problems.add(|| DataError::TooFew {
                place: raw.place(first as usize),
                user: raw.users.name(*user).into(),
                found: history.len() as u64,
            });
        }
    }
    problems.or(())
}

/// Raw items by dense id, and dense ids by raw item (of items in these rows).
fn dense_items<'a>(raw: &RawLog, rows: impl Iterator<Item = &'a u32>) -> (Vec<u32>, Vec<usize>) {
    let mut present = vec![false; raw.items.len()];
    rows.for_each(|row| present[raw.rows[*row as usize].item as usize] = true);
    let mut items: Vec<u32> = (0..raw.items.len() as u32).filter(|item| present[*item as usize]).collect();
    sort_by_id(&mut items, &raw.items);
    let mut dense = vec![usize::MAX; raw.items.len()];
    items.iter().enumerate().for_each(|(row, item)| dense[*item as usize] = row);
    (items, dense)
}

fn history(raw: &RawLog, rows: &[u32], dense: &[usize]) -> History {
    let signals = raw.signals.len();
    let time = |(position, row): (i64, &u32)| match raw.clock {
        Clock::None => position,
        Clock::Timestamps => raw.rows[*row as usize].moment.whole,
    };
    History {
        items: rows.iter().map(|row| ItemId::new(dense[raw.rows[*row as usize].item as usize])).collect(),
        timestamps: (0i64..).zip(rows).map(time).collect(),
        feedback: rows
            .iter()
            .flat_map(|row| &raw.feedback[*row as usize * signals..][..signals])
            .copied()
            .collect(),
    }
}

fn tie_share(raw: &RawLog, users: &[u32], histories: &Histories) -> f64 {
    let (mut ties, mut pairs) = (0u64, 0u64);
    for user in users {
        for pair in histories.of_user(*user).windows(2) {
            pairs += 1;
            ties += u64::from(raw.rows[pair[0] as usize].moment == raw.rows[pair[1] as usize].moment);
        }
    }
    ties as f64 / pairs.max(1) as f64
}
