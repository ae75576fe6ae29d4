//! From rows in file order to histories: duplicates, k-core, order of ties, dense ids.

use super::error::DataError;
use super::histories::{Histories, Step};
use super::names::sort_by_id;
use super::problems::Problems;
use super::raw::{Clock, Duplicates, Mended, RawLog};
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
    /// What was not as it should be, by what it counts as.
    pub(super) mended: Mended,
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
    let mended = mended(raw, &histories);
    let duplicate_rows = drop_duplicates(raw, &mut histories, &mut removed);
    k_core(raw.items.len(), &mut histories, data.k_core, &mut removed);
    shuffle_ties(raw, &mut histories, data.tie_order);
    let mut users: Vec<u32> =
        (0..histories.users()).filter(|user| !histories.of_user(*user).is_empty()).collect();
    check_lengths(raw, data, &users, &histories)?;
    sort_by_id(&mut users, &raw.users);
    let most = data.max_users.unwrap_or(users.len());
    if users.len() > most {
        removed.insert("users over data.max_users".into(), (users.len() - most) as u64);
        users.truncate(most);
    }
    let (items, dense) = dense_items(raw, users.iter().flat_map(|user| histories.of_user(*user)));
    let tie_share = (raw.clock == Clock::Timestamps).then(|| tie_share(&users, &histories));
    let log = Log {
        histories: users.par_iter().map(|user| history(raw, histories.of_user(*user), &dense)).collect(),
        num_items: items.len(),
        signals: raw.signals.clone(),
    };
    let users = users.iter().map(|user| raw.users.name(*user).to_owned()).collect();
    Ok(Arranged { log, users, items, duplicate_rows, tie_share, removed, mended })
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

/// What the source mended, and how often time goes backwards from a user's row in the file to the next.
fn mended(raw: &RawLog, histories: &Histories) -> Mended {
    let mut mended = raw.mended.clone();
    let goes_back = |steps: &[Step]| steps.windows(2).filter(|pair| pair[1].row < pair[0].row).count();
    let backwards: usize = (0..histories.users()).map(|user| goes_back(histories.of_user(user))).sum();
    if backwards > 0 {
        mended.insert("time goes backwards in the file, put in order".into(), backwards as u64);
    }
    mended
}

/// Drops the rows that repeat an earlier row's user, item and time, where that is asked for; returns how many do.
fn drop_duplicates(raw: &RawLog, histories: &mut Histories, removed: &mut BTreeMap<String, u64>) -> u64 {
    if raw.clock == Clock::None {
        return 0;
    }
    let repeated = repeated_rows(histories);
    let duplicates = repeated.iter().filter(|repeated| **repeated).count() as u64;
    if duplicates > 0 && raw.duplicates == Duplicates::Drop {
        removed.insert("duplicate rows".into(), duplicates);
        histories.retain(|_, step| !repeated[step.row as usize]);
    }
    duplicates
}

/// For every row, whether it repeats an earlier one: repeats stand among the steps of one user and moment.
fn repeated_rows(histories: &Histories) -> Vec<bool> {
    let mut repeated = vec![false; histories.steps().len()];
    for user in 0..histories.users() {
        let moments = histories.of_user(user).chunk_by(|a, b| a.moment == b.moment);
        for steps in moments.filter(|steps| steps.len() > 1) {
            let mut items: Vec<_> = steps.iter().map(|step| (step.item, step.row)).collect();
            items.sort_unstable();
            for pair in items.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                repeated[pair[1].1 as usize] = true;
            }
        }
    }
    repeated
}

/// Drops users and items with fewer than `k` interactions until none is left that has fewer.
fn k_core(items: usize, histories: &mut Histories, k: u32, removed: &mut BTreeMap<String, u64>) {
    let before = Counts::of(histories, items);
    let mut counts = before.clone();
    while counts.any_under(k) {
        histories
            .retain(|user, step| counts.users[user as usize] >= k && counts.items[step.item as usize] >= k);
        counts = Counts::of(histories, items);
    }
    let mut note = |what: &str, before: usize, after: usize| {
        if after < before {
            removed.insert(format!("{what} under data.k_core"), (before - after) as u64);
        }
    };
    note("users", present(&before.users), present(&counts.users));
    note("items", present(&before.items), present(&counts.items));
    note("interactions", before.users.iter().sum::<u32>() as usize, histories.steps().len());
}

#[derive(Clone)]
struct Counts {
    users: Vec<u32>,
    items: Vec<u32>,
}

impl Counts {
    fn of(histories: &Histories, items: usize) -> Self {
        let users = (0..histories.users()).map(|user| histories.of_user(user).len() as u32);
        let mut counts = Self { users: users.collect(), items: vec![0; items] };
        for step in histories.steps() {
            counts.items[step.item as usize] += 1;
        }
        counts
    }
    fn any_under(&self, k: u32) -> bool {
        self.users.iter().chain(&self.items).any(|count| (1..k).contains(count))
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
    histories.each_mut().for_each(|(user, steps)| {
        // Keyed by the raw id: the shuffle of a user does not depend on who else is in the log.
        let key = Key::new(seed).named("ties").named(raw.users.name(user));
        let mut drawn: Vec<_> = (0u64..).zip(&*steps).map(|(at, step)| (key.at(at).bits(), *step)).collect();
        drawn.sort_unstable_by_key(|(drawn, step)| (step.moment, *drawn, step.row));
        steps.iter_mut().zip(drawn).for_each(|(step, (_, drawn))| *step = drawn);
    });
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
            let first = history.iter().map(|step| step.row).min().expect("absent users were left out");
            problems.add(|| DataError::TooFew {
                place: raw.place(first as usize),
                user: raw.users.name(*user).into(),
                found: history.len() as u64,
            });
        }
    }
    problems.or(())
}

/// Raw items by dense id, and dense ids by raw item (of items in these steps).
fn dense_items<'a>(raw: &RawLog, steps: impl Iterator<Item = &'a Step>) -> (Vec<u32>, Vec<usize>) {
    let mut present = vec![false; raw.items.len()];
    steps.for_each(|step| present[step.item as usize] = true);
    let mut items: Vec<u32> = (0..raw.items.len() as u32).filter(|item| present[*item as usize]).collect();
    sort_by_id(&mut items, &raw.items);
    let mut dense = vec![usize::MAX; raw.items.len()];
    items.iter().enumerate().for_each(|(row, item)| dense[*item as usize] = row);
    (items, dense)
}

fn history(raw: &RawLog, steps: &[Step], dense: &[usize]) -> History {
    let signals = raw.signals.len();
    let time = |(position, step): (i64, &Step)| match raw.clock {
        Clock::None => position,
        Clock::Timestamps => step.moment.whole,
    };
    let feedback = |step: &Step| &raw.feedback[step.row as usize * signals..][..signals];
    History {
        items: steps.iter().map(|step| ItemId::new(dense[step.item as usize])).collect(),
        timestamps: (0i64..).zip(steps).map(time).collect(),
        feedback: steps.iter().flat_map(feedback).copied().collect(),
    }
}

fn tie_share(users: &[u32], histories: &Histories) -> f64 {
    let (mut ties, mut pairs) = (0u64, 0u64);
    for user in users {
        for pair in histories.of_user(*user).windows(2) {
            pairs += 1;
            ties += u64::from(pair[0].moment == pair[1].moment);
        }
    }
    ties as f64 / pairs.max(1) as f64
}
