//! Training examples: which (context, target) pairs an epoch holds and in which batches.

use crate::config::Targets;
use policy::history::Log;
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

/// Batches sorted together by length: padding is small within a batch, and epochs still differ.
const BATCHES_PER_BUCKET: usize = 64;

/// Predict the item at `target` of the user's training items from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// The user.
    pub user: UserId,
    /// Position of the target, at least 1.
    pub target: usize,
}

impl Example {
    /// What is known before the target.
    pub fn context<'a>(&self, log: &'a Log) -> &'a [ItemId] {
        &log.train_items(self.user)[..self.target]
    }
    /// The target.
    pub fn item(&self, log: &Log) -> ItemId {
        log.train_items(self.user)[self.target]
    }
}

/// The examples of one epoch, in user order.
pub fn examples(log: &Log, targets: Targets, epoch: Key) -> Vec<Example> {
    let mut examples = Vec::new();
    for user in log.users() {
        let positions = 1..log.train_items(user).len();
        match targets {
            Targets::AllPrefixes => examples.extend(positions.map(|target| Example { user, target })),
            Targets::Last => examples.extend(positions.last().map(|target| Example { user, target })),
            Targets::RandomPrefix if positions.is_empty() => {}
            Targets::RandomPrefix => {
                let target = epoch.named("prefix").at(user.index() as u64).rng().random_range(positions);
                examples.push(Example { user, target });
            }
        }
    }
    examples
}

/// Shuffled batches whose contexts are of like length. The last batch may be smaller.
pub fn batches(
    mut examples: Vec<Example>,
    batch_size: usize,
    history_items: usize,
    epoch: Key,
) -> Vec<Vec<Example>> {
    examples.shuffle(&mut epoch.named("examples").rng());
    for bucket in examples.chunks_mut(BATCHES_PER_BUCKET * batch_size) {
        bucket.sort_by_key(|example| example.target.min(history_items));
    }
    let mut batches: Vec<_> = examples.chunks(batch_size).map(<[Example]>::to_vec).collect();
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
            for example in examples(&log, targets, Key::new(1)) {
                let length = log.history(example.user).items.len();
                assert!(example.target >= 1 && example.item(&log).index() < length - 2);
            }
        }
        assert_eq!(examples(&log, Targets::AllPrefixes, Key::new(1)).len(), 1 + 4);
    }

    #[test]
    fn an_epoch_holds_every_example_once_in_batches_of_like_length() {
        let log = log(&[40; 30]);
        let all = examples(&log, Targets::AllPrefixes, Key::new(1));
        let batches = batches(all.clone(), 16, 100, Key::new(1));
        let mut seen: Vec<_> = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, all);
        let spread: usize = batches
            .iter()
            .map(|b| b.iter().map(|e| e.target).max().unwrap() - b.iter().map(|e| e.target).min().unwrap())
            .sum();
        assert!(spread < batches.len() * 8, "mean spread of lengths {}", spread / batches.len());
    }
}
