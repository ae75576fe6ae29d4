//! The built-in world: a simulator whose truth is known, so that what a judge believes can be compared with what is.
//!
//! Everything is a function of [`WorldConfig`]; randomness is counter-based per item and per user, so the number of
//! threads changes nothing. In short:
//!
//! - **Items** (`items`): groups hold topics, topics hold items; an item has a latent vector, two attributes, a
//!   brand, a quality, a duration, a popularity and a release time. The last-released items are cold.
//! - **Users** (`users`): two to four interests whose weights drift (an Ornstein-Uhlenbeck process on the log
//!   weights), tastes for attributes and brands, a preferred duration (patience), activity.
//! - **Truth** (`feedback`): a utility of (user, state, item) that falls with fatigue from repeated topics and rises
//!   when an item continues the previous one; every feedback signal has a closed-form expectation given the utility.
//! - **Log** (`logger`): what users saw and did under a logging policy that favours popular items and continuations
//!   of the last one, so imitating the log is not the best that can be done.
//!
//! Left out for now: position bias (one item is shown at a time), session abandonment, planted click-bait.

mod blueprint;
mod feedback;
mod items;
mod logger;
mod math;
mod oracle;
mod users;
mod words;

pub use feedback::{Feedback, SIGNALS};
pub use oracle::OracleJudge;

use items::Items;
use policy::embeddings::Embeddings;
use policy::history::Log;
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use users::{State, User};

/// The size and seed of a world; nothing else determines it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldConfig {
    /// Users, at least 1.
    pub users: usize,
    /// Items, at least [`WorldConfig::MIN_ITEMS`].
    pub items: usize,
    /// Seed of the world; the seed of a run does not change the data.
    pub seed: u64,
}

/// A world that cannot be built.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WorldError {
    /// Nobody lives there.
    #[error("a world needs at least 1 user, got 0")]
    Users,
    /// Too few items for histories without repeats.
    #[error("a world needs at least {min} items, got {0}", min = WorldConfig::MIN_ITEMS)]
    Items(usize),
}

impl WorldConfig {
    /// With fewer items a history of five without repeats leaves little to recommend.
    pub const MIN_ITEMS: usize = 20;

    /// Whether a world of this size can be built.
    ///
    /// # Errors
    /// If there are too few users or items.
    pub fn check(&self) -> Result<(), WorldError> {
        match (self.users, self.items) {
            (0, _) => Err(WorldError::Users),
            (_, items) if items < Self::MIN_ITEMS => Err(WorldError::Items(items)),
            _ => Ok(()),
        }
    }
}

/// A generated world: its truth and the log its logging policy left behind.
#[derive(Clone, Debug)]
pub struct World {
    items: Items,
    users: Vec<User>,
    log: Log,
    key: Key,
}

impl World {
    /// The world of this configuration.
    ///
    /// # Panics
    /// If [`WorldConfig::check`] refuses the configuration.
    pub fn generate(config: &WorldConfig) -> Self {
        config.check().expect("the configuration was checked");
        let key = Key::new(config.seed).named("world");
        let items = Items::generate(config.items, key.named("items"));
        let users: Vec<User> = (0..config.users)
            .into_par_iter()
            .map(|user| User::generate(&items, key.named("users").at(user as u64)))
            .collect();
        let mut world = Self { items, users, log: Log::default(), key };
        world.log = Log {
            histories: (0..config.users)
                .into_par_iter()
                .map(|user| logger::history(&world, UserId::new(user)))
                .collect(),
            num_items: config.items,
            signals: SIGNALS.map(String::from).to_vec(),
        };
        world
    }

    /// What users did, with every feedback signal of [`SIGNALS`].
    pub fn log(&self) -> Log {
        self.log.clone()
    }
    /// One text per item, made of its attribute, group, topic and brand words.
    pub fn texts(&self) -> Vec<String> {
        self.items.iter().map(words::describe).collect()
    }
    /// One vector per item: a noisy random projection of latent, attributes and brand. Quality shows only through the
    /// attributes, popularity not at all.
    pub fn embeddings(&self) -> Embeddings {
        self.items.embeddings()
    }
    /// Numeric attributes per item, in the order of [`World::attribute_names`].
    pub fn attributes(&self) -> Embeddings {
        Embeddings::new(1, self.items.iter().map(|item| item.log_duration).collect())
    }
    /// Names of the columns of [`World::attributes`].
    pub fn attribute_names(&self) -> Vec<String> {
        vec!["log_duration".into()]
    }

    /// The exact expectation of every signal, were this user, after the first `known` interactions of their history,
    /// shown `slate` from first to last. Earlier items of the slate act on later ones (fatigue, continuation).
    ///
    /// # Panics
    /// If the user, an item or `known` is out of range.
    pub fn true_feedback(&self, user: UserId, known: usize, slate: &[ItemId]) -> Vec<Feedback> {
        let mut state = self.state(user, known);
        slate
            .iter()
            .map(|&item| {
                let feedback = self.expected(user, &state, item);
                self.advance(user, &mut state, item);
                feedback
            })
            .collect()
    }

    /// [`Feedback::reward`] of one item shown next.
    ///
    /// # Panics
    /// If the user, the item or `known` is out of range.
    pub fn true_reward(&self, user: UserId, known: usize, item: ItemId) -> f64 {
        self.expected(user, &self.state(user, known), item).reward()
    }

    fn user(&self, user: UserId) -> &User {
        &self.users[user.index()]
    }
    fn state(&self, user: UserId, known: usize) -> State {
        let mut state = State::start(self.user(user), self.drift_key(user));
        for &item in &self.log.history(user).items[..known] {
            self.advance(user, &mut state, item);
        }
        state
    }
    fn advance(&self, user: UserId, state: &mut State, item: ItemId) {
        state.advance(self.user(user), item, self.items.get(item).topic);
    }
    fn drift_key(&self, user: UserId) -> Key {
        self.key.named("drift").at(user.index() as u64)
    }
}

#[cfg(test)]
mod tests;
