//! Training examples: which (context, target) pairs an epoch holds and in which batches.

use super::sessions::Rule;
use crate::config::{Encoding, Pretrain, Targets, Ties};
use policy::history::{Context, Log};
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use std::borrow::Cow;
use std::ops::Range;

/// Batches sorted together by length: padding is small within a batch, and epochs still differ.
const BATCHES_PER_BUCKET: usize = 64;

/// Targets of one history that are learnt from one reading of it. Positions count the user's training items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The user.
    pub user: UserId,
    /// Items that are read.
    pub read: Range<usize>,
    /// Where targets start, ascending; each sees the items that are read before it.
    pub targets: Vec<usize>,
}

impl Reading {
    /// One target, read by itself.
    fn of(example: Example, history_items: usize) -> Self {
        let Example { user, target } = example;
        Self { user, read: target.saturating_sub(history_items)..target, targets: vec![target] }
    }
}

/// All targets of every history, each history read once: up to `history_items` items at a time, in windows that overlap
/// by half, so that a target sees at least half of that many items where there are as many.
fn shared_readings((log, rule): (&Log, &Rule), history_items: usize) -> Vec<Reading> {
    let fresh = history_items.div_ceil(2);
    let mut readings = Vec::new();
    for user in log.users() {
        let starts = rule.starts(log, user);
        let last = starts.last().map_or(0, |last| last + 1);
        let mut target = 1;
        while target < last {
            // The first window has no earlier items to see and so as many targets as it has items.
            let end = (if target == 1 { 1 + history_items } else { target + fresh }).min(last);
            let read = (end - 1).saturating_sub(history_items)..end - 1;
            let targets: Vec<usize> =
                starts.iter().copied().filter(|start| (target..end).contains(start)).collect();
            if !targets.is_empty() {
                readings.push(Reading { user, read, targets });
            }
            target = end;
        }
    }
    readings
}

/// Shuffled batches of `per_batch` readings; the last may be smaller.
fn reading_batches(mut readings: Vec<Reading>, per_batch: usize, epoch: Key) -> Vec<Vec<Reading>> {
    readings.shuffle(&mut epoch.named("readings").rng());
    readings.chunks(per_batch).map(<[Reading]>::to_vec).collect()
}

/// The log as an epoch reads it.
pub fn log_of<'a>(section: &Pretrain, log: &'a Log, epoch: Key) -> Cow<'a, Log> {
    match section.ties {
        Ties::AsStored => Cow::Borrowed(log),
        Ties::Shuffled => Cow::Owned(log.with_training_ties_shuffled(epoch.named("ties"))),
    }
}

/// The batches of an epoch, of about `batch_size` targets each.
pub fn epoch(section: &Pretrain, (log, rule): (&Log, &Rule), epoch: Key) -> Vec<Vec<Reading>> {
    match section.encoding {
        Encoding::PerTarget => {
            let examples = examples((log, rule), section.targets, epoch);
            batches(examples, section.batch_size, section.history_items, epoch)
        }
        Encoding::Shared => {
            let readings = shared_readings((log, rule), section.history_items);
            let targets: usize = readings.iter().map(|reading| reading.targets.len()).sum();
            let per_batch = (section.batch_size * readings.len()).div_ceil(targets.max(1)).max(1);
            reading_batches(readings, per_batch, epoch)
        }
    }
}

/// Predict what starts at `target` of the user's training items from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// The user.
    pub user: UserId,
    /// Position of the target, at least 1.
    pub target: usize,
}

impl Example {
    /// What is known before the target.
    pub fn context<'a>(&self, log: &'a Log) -> Context<'a> {
        log.read(self.user, 0..self.target)
    }
    /// The target.
    pub fn item(&self, log: &Log) -> ItemId {
        log.train_items(self.user)[self.target]
    }
}

/// The examples of one epoch, in user order.
pub fn examples((log, rule): (&Log, &Rule), targets: Targets, epoch: Key) -> Vec<Example> {
    let mut examples = Vec::new();
    for user in log.users() {
        let starts = rule.starts(log, user);
        let chosen = match targets {
            Targets::AllPrefixes => starts.as_slice(),
            Targets::Last => &starts[starts.len().saturating_sub(1)..],
            Targets::RandomPrefix if starts.is_empty() => &[],
            Targets::RandomPrefix => {
                let mut rng = epoch.named("prefix").at(user.index() as u64).rng();
                let at = rng.random_range(0..starts.len());
                &starts[at..=at]
            }
        };
        examples.extend(chosen.iter().map(|&target| Example { user, target }));
    }
    examples
}

/// Shuffled batches whose contexts are of like length, each target with a reading of its own. The last batch may be
/// smaller.
fn batches(
    mut examples: Vec<Example>,
    batch_size: usize,
    history_items: usize,
    epoch: Key,
) -> Vec<Vec<Reading>> {
    examples.shuffle(&mut epoch.named("examples").rng());
    for bucket in examples.chunks_mut(BATCHES_PER_BUCKET * batch_size) {
        bucket.sort_by_key(|example| example.target.min(history_items));
    }
    let readings = |batch: &[Example]| batch.iter().map(|&e| Reading::of(e, history_items)).collect();
    let mut batches: Vec<Vec<Reading>> = examples.chunks(batch_size).map(readings).collect();
    batches.shuffle(&mut epoch.named("batches").rng());
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::history::History;

    fn log(lengths: &[usize]) -> Log {
        let history = |&n: &usize| History {
            items: (0..n).map(ItemId::new).collect(),
            timestamps: (0..n as i64).collect(),
            feedback: Vec::new(),
        };
        Log { histories: lengths.iter().map(history).collect(), num_items: 50, signals: Vec::new() }
    }

    #[test]
    fn no_example_touches_held_out_items() {
        let log = log(&[3, 4, 7]);
        for targets in [Targets::AllPrefixes, Targets::RandomPrefix, Targets::Last] {
            for example in examples((&log, &Rule::point_wise()), targets, Key::new(1)) {
                let length = log.history(example.user).items.len();
                assert!(example.target >= 1 && example.item(&log).index() < length - 2);
            }
        }
        let all = examples((&log, &Rule::point_wise()), Targets::AllPrefixes, Key::new(1));
        assert_eq!(all.len(), 1 + 4);
    }

    #[test]
    fn an_epoch_holds_every_example_once_in_batches_of_like_length() {
        let log = log(&[40; 30]);
        let all = examples((&log, &Rule::point_wise()), Targets::AllPrefixes, Key::new(1));
        let batches = batches(all.clone(), 16, 100, Key::new(1));
        let target = |reading: &Reading| Example { user: reading.user, target: reading.targets[0] };
        let mut seen: Vec<_> = batches.concat().iter().map(target).collect();
        seen.sort_unstable();
        assert_eq!(seen, all);
        let spread: usize = batches
            .iter()
            .map(|b| {
                let lengths = || b.iter().map(|reading| reading.read.len());
                lengths().max().unwrap() - lengths().min().unwrap()
            })
            .sum();
        assert!(spread < batches.len() * 8, "mean spread of lengths {}", spread / batches.len());
    }

    #[test]
    fn shared_readings_hold_every_target_once_behind_enough_items() {
        let log = log(&[3, 4, 5, 12, 13, 14, 23, 60]);
        for history_items in [1, 2, 5, 10] {
            let readings = shared_readings((&log, &Rule::point_wise()), history_items);
            let targets: Vec<Example> = readings
                .iter()
                .flat_map(|r| r.targets.iter().map(|&target| Example { user: r.user, target }))
                .collect();
            assert_eq!(targets, examples((&log, &Rule::point_wise()), Targets::AllPrefixes, Key::new(1)));
            for reading in readings {
                assert!(
                    reading.read.len() <= history_items && Some(&reading.read.end) == reading.targets.last()
                );
                for target in reading.targets {
                    let seen = target - reading.read.start;
                    assert!(seen >= target.min(history_items.div_ceil(2)), "{seen} items before {target}");
                }
            }
        }
    }
}
