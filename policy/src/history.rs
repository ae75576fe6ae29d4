//! What users did: histories in time order, and the leave-one-out split every stage shares.

use crate::ids::{ItemId, UserId};

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
        self.context(user, Split::Validation)
    }
    /// What is known before the held-out item of `split`.
    pub fn context(&self, user: UserId, split: Split) -> &[ItemId] {
        let items = &self.history(user).items;
        &items[..items.len() - split.held_out()]
    }
    /// The held-out item of `split`.
    pub fn target(&self, user: UserId, split: Split) -> ItemId {
        let items = &self.history(user).items;
        items[items.len() - split.held_out()]
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
