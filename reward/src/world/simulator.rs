//! A world of any size, user by user: nothing is kept but the items.

use super::config::WorldConfig;
use super::feedback::{Feedback, Likes};
use super::items::Items;
use super::logger::{self, Impression};
use super::person::Person;
use super::users::User;
use super::words;
use policy::embeddings::Embeddings;
use policy::history::History;
use policy::ids::{ItemId, UserId};
use policy::random::Key;

/// The items of a world and everything that its users are computed from.
#[derive(Clone, Debug)]
pub struct Simulator {
    pub(super) config: WorldConfig,
    pub(super) items: Items,
    pub(super) key: Key,
}

/// What can be known of a logged impression before it happens, by somebody who knows everything but the dice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foreseen {
    /// The probability that the user looks at it.
    pub examination: f64,
    /// The expectation of every logged signal, given that the item is shown: no predictor has a better log loss or AUC.
    pub logged: Feedback,
    /// The expectation of what it is worth; differs from `logged` in the likes of click-bait.
    pub meant: Feedback,
}

impl Simulator {
    /// The items of this configuration.
    ///
    /// # Panics
    /// If [`WorldConfig::check`] refuses the configuration.
    pub fn new(config: &WorldConfig) -> Self {
        config.check().expect("the configuration was checked");
        let key = Key::new(config.seed).named("world");
        Self { config: config.clone(), items: Items::generate(config, key.named("items")), key }
    }

    /// Names of the feedback columns of its log.
    pub fn signal_names(&self) -> Vec<String> {
        self.config.signals.names().iter().map(ToString::to_string).collect()
    }
    /// What this user did, as a log has it.
    pub fn history(&self, user: UserId) -> History {
        logger::history(&self.impressions(user), self.config.signals.names().len())
    }
    /// What this user was shown and did, oldest first.
    pub fn impressions(&self, id: UserId) -> Vec<Impression> {
        let user = self.user(id);
        logger::impressions(Person { simulator: self, user: &user, id })
    }
    /// The Bayes-optimal prediction of each of a user's impressions.
    pub fn foreseen(&self, id: UserId, impressions: &[Impression]) -> Vec<Foreseen> {
        let user = self.user(id);
        let person = Person { simulator: self, user: &user, id };
        let mut state = person.start();
        let foresee = |shown: &Impression| {
            let expected = |likes| person.expected(&state, (shown.item, shown.place), likes);
            let logged = expected(Likes::Logged);
            let foreseen = Foreseen {
                examination: self.config.examination(shown.place),
                logged,
                meant: if self.is_bait(shown.item) { expected(Likes::Meant) } else { logged },
            };
            person.advance(&mut state, shown.item);
            foreseen
        };
        impressions.iter().map(foresee).collect()
    }
    /// Whether an item is click-bait.
    ///
    /// # Panics
    /// If the item is out of range.
    pub fn is_bait(&self, item: ItemId) -> bool {
        self.items.get(item).lift > 0.0
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
    /// Numeric attributes per item, in the order of [`Simulator::attribute_names`].
    pub fn attributes(&self) -> Embeddings {
        Embeddings::new(1, self.items.iter().map(|item| item.log_duration).collect())
    }
    /// Names of the columns of [`Simulator::attributes`].
    pub fn attribute_names(&self) -> Vec<String> {
        vec!["log_duration".into()]
    }

    pub(super) fn user(&self, user: UserId) -> User {
        self.user_of(self.key.named("users").at(user.index() as u64))
    }
    /// Any user, as this key draws them.
    pub(super) fn user_of(&self, key: Key) -> User {
        User::generate(&self.items, &self.config, key)
    }
}
