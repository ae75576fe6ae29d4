//! What users did: histories in time order, and the leave-one-out split every stage shares.

use crate::ids::{ItemId, UserId};
use crate::random::Key;
use rand::seq::SliceRandom as _;
use std::ops::Range;

/// What is known when an item is predicted: some interactions of a user in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context<'a> {
    /// Whose they are; `None` of somebody who is not in the log.
    pub user: Option<UserId>,
    /// The items, oldest first.
    pub items: &'a [ItemId],
    /// When, as in [`History::timestamps`]; as long as `items`, or empty where nobody knows: then all count as simultaneous.
    pub times: &'a [i64],
}

impl<'a> From<&'a [ItemId]> for Context<'a> {
    /// Items of nobody at no time.
    fn from(items: &'a [ItemId]) -> Self {
        Self { user: None, items, times: &[] }
    }
}

impl Context<'_> {
    /// The last `most` interactions.
    #[must_use]
    pub fn last(self, most: usize) -> Self {
        let from = |len: usize| len.saturating_sub(most);
        Self {
            items: &self.items[from(self.items.len())..],
            times: &self.times[from(self.times.len())..],
            ..self
        }
    }
    /// When the interaction at a position was; 0 where nobody knows.
    pub fn time(&self, position: usize) -> i64 {
        self.times.get(position).copied().unwrap_or_default()
    }
}

/// One user's interactions, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The items.
    pub items: Vec<ItemId>,
    /// Seconds since the epoch, or the position where the log has no clock. As long as `items`.
    pub timestamps: Vec<i64>,
    /// Feedback signals, row-major `[items.len(), log.signals.len()]`; empty when the log has none.
    pub feedback: Vec<f32>,
}

impl History {
    /// Shuffles interactions of equal timestamps among the first `count`.
    fn shuffle_ties(&mut self, count: usize, signals: usize, key: Key) {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        let mut rng = key.rng();
        for tie in order[..count].chunk_by_mut(|&a, &b| self.timestamps[a] == self.timestamps[b]) {
            tie.shuffle(&mut rng);
        }
        self.items = order.iter().map(|&from| self.items[from]).collect();
        if !self.feedback.is_empty() {
            let row = |&from: &usize| self.feedback[from * signals..(from + 1) * signals].to_vec();
            self.feedback = order.iter().flat_map(row).collect();
        }
    }
}

/// Every user's history over one catalog.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Indexed by [`UserId`]. Every history has at least three items (checked at ingest).
    pub histories: Vec<History>,
    /// Size of the catalog; every item id is below it.
    pub num_items: usize,
    /// Names of the feedback columns, for example `like`, `follow`, `long_view`, `watch_ratio`.
    pub signals: Vec<String>,
}

/// Which held-out interaction is predicted. Leave-one-out: the last is the test target, the last but one
/// the validation target, everything before is training data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The last but one interaction, predicted from those before it.
    Validation,
    /// The last interaction, predicted from all those before it (the validation item included).
    Test,
}

impl Split {
    const fn held_out(self) -> usize {
        match self {
            Self::Validation => 2,
            Self::Test => 1,
        }
    }
}

impl Log {
    /// All users, in order.
    pub fn users(&self) -> impl ExactSizeIterator<Item = UserId> + use<> {
        (0..self.histories.len()).map(UserId::new)
    }
    /// This user's whole history.
    pub fn history(&self, user: UserId) -> &History {
        &self.histories[user.index()]
    }
    /// The items that training may see: all but the last two.
    pub fn train_items(&self, user: UserId) -> &[ItemId] {
        self.context(user, Split::Validation).items
    }
    /// What is known before the held-out item of `split`.
    pub fn context(&self, user: UserId, split: Split) -> Context<'_> {
        self.read(user, 0..self.history(user).items.len() - split.held_out())
    }
    /// A user's interactions at these positions.
    ///
    /// # Panics
    /// If the user has fewer.
    pub fn read(&self, user: UserId, positions: Range<usize>) -> Context<'_> {
        let history = self.history(user);
        // Ingest gives every interaction a time; a log that was made otherwise may have none.
        let times = history.timestamps.get(positions.clone()).unwrap_or_default();
        Context { user: Some(user), items: &history.items[positions], times }
    }
    /// The held-out item of `split`.
    pub fn target(&self, user: UserId, split: Split) -> ItemId {
        let items = &self.history(user).items;
        items[items.len() - split.held_out()]
    }
    /// The log with training interactions of equal timestamps in another order, one for every `key`: what happened within
    /// the resolution of the clock has no order, and a file's is often the catalog's.
    #[must_use]
    pub fn with_training_ties_shuffled(&self, key: Key) -> Self {
        let mut log = self.clone();
        for (user, history) in log.histories.iter_mut().enumerate() {
            let training = history.items.len() - Split::Validation.held_out();
            history.shuffle_ties(training, self.signals.len(), key.at(user as u64));
        }
        log
    }
    /// Whether training interactions of any user share a timestamp.
    pub fn has_training_ties(&self) -> bool {
        let held_out = Split::Validation.held_out();
        self.histories.iter().any(|history| {
            let times = &history.timestamps[..history.items.len() - held_out];
            times.windows(2).any(|pair| pair[0] == pair[1])
        })
    }
    /// How often each item occurs in the training part.
    pub fn train_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.num_items];
        for user in self.users() {
            for item in self.train_items(user) {
                counts[item.index()] += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_training_interactions_of_equal_time_change_places_and_keep_their_feedback() {
        let timestamps = vec![1, 1, 1, 1, 2, 3, 3, 3, 3];
        let history = History {
            items: (0..9).map(ItemId::new).collect(),
            feedback: (0..9).flat_map(|item| [item as f32, -(item as f32)]).collect(),
            timestamps,
        };
        let signals = vec!["like".into(), "hate".into()];
        let log = Log { histories: vec![history; 40], num_items: 9, signals };
        let shuffled = log.with_training_ties_shuffled(Key::new(1));
        assert_eq!(shuffled, log.with_training_ties_shuffled(Key::new(1)));
        assert!(log.has_training_ties());
        let mut orders = std::collections::BTreeSet::new();
        for history in &shuffled.histories {
            let items: Vec<usize> = history.items.iter().map(|item| item.index()).collect();
            let feedback: Vec<f32> = items.iter().flat_map(|&item| [item as f32, -(item as f32)]).collect();
            assert_eq!(history.feedback, feedback);
            let set = |range: std::ops::Range<usize>| {
                items[range].iter().copied().collect::<std::collections::BTreeSet<_>>()
            };
            assert_eq!((set(0..4), items[4], set(5..7)), ((0..4).collect(), 4, (5..7).collect()));
            assert_eq!(items[7..], [7, 8], "held-out items stay");
            orders.insert(items);
        }
        assert!(orders.len() > 20, "{} orders of 48", orders.len());
    }
}
