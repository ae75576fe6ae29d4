//! One user of a world: utility, laws and state.

use super::Simulator;
use super::feedback::{Feedback, Given, Laws, Likes};
use super::items::Item;
use super::math::{dot, logistic};
use super::users::{Drifting, State, User};
use policy::ids::{ItemId, UserId};
use policy::random::Key;

/// How much likely leaving falls per unit of utility.
const STAYING: f64 = 0.8;

/// A user and the world around them.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    pub(super) simulator: &'a Simulator,
    pub(super) user: &'a User,
    pub(super) id: UserId,
}

impl<'a> Person<'a> {
    #[inline]
    pub(super) fn item(&self, item: ItemId) -> &'a Item {
        self.simulator.items.get(item)
    }
    /// The random stream of this user for a purpose.
    pub(super) fn key(&self, purpose: &str) -> Key {
        self.simulator.key.named(purpose).at(self.id.index() as u64)
    }
    /// Before the first interaction.
    pub(super) fn start(&self) -> Drifting {
        Drifting::start(self.user, self.key("drift"))
    }
    /// After this item too.
    pub(super) fn advance(&self, state: &mut Drifting, item: ItemId) {
        state.advance(self.user, &self.simulator.config.dynamics, (item, self.item(item)));
    }
    /// After these items.
    pub(super) fn after(&self, items: &[ItemId]) -> Drifting {
        let mut state = self.start();
        for &item in items {
            self.advance(&mut state, item);
        }
        state
    }

    /// How much this user, in this state, would value the item; about standard normal over logged items.
    #[inline]
    pub(super) fn utility(&self, state: &State, item: &Item) -> f32 {
        let user = self.user;
        3.0 * (state.affinity(user, &item.latent) - 0.35)
            + 0.6 * item.quality
            + 0.15 * dot(&user.taste, &item.taste)
            + 0.2 * dot(&user.brands, &item.brand_vector)
            + 0.6 * dot(&state.continuation, &item.latent)
            - 0.35 * (item.log_duration - user.patience).abs()
            - self.simulator.config.dynamics.fatigue as f32 * state.fatigue(item.topic)
    }

    /// The utility of an item and its log odds of being taken from a pool, with a bonus for how it came there.
    #[inline]
    pub(super) fn attraction(&self, state: &State, (item, bonus): (&Item, f64)) -> (f32, f64) {
        let exposure = &self.simulator.config.exposure;
        let utility = self.utility(state, item);
        let logit = exposure.relevance * f64::from(utility)
            + exposure.popularity_bias * item.log_popularity
            + bonus
            + item.lift;
        (utility, logit)
    }

    /// The utility and the laws that follow from it.
    pub(super) fn laws(&self, state: &State, item: ItemId, likes: Likes) -> (f64, Laws) {
        let utility = self.utility(state, self.item(item));
        (f64::from(utility), self.laws_at(utility, item, likes))
    }

    /// The laws at this utility.
    pub(super) fn laws_at(&self, utility: f32, item: ItemId, likes: Likes) -> Laws {
        let item = self.item(item);
        let brand = f64::from(dot(&self.user.brands, &item.brand_vector));
        let given = Given { utility: f64::from(utility), brand, item };
        Laws::of(&given, &self.simulator.config.marginals, likes)
    }

    /// The expectation of every signal of an item shown at `place` to a user who is still there.
    pub(super) fn expected(&self, state: &State, (item, place): (ItemId, usize), likes: Likes) -> Feedback {
        let (utility, laws) = self.laws(state, item, likes);
        let looked = self.simulator.config.examination(place);
        let seen = Feedback { session_end: self.leaving(utility), ..laws.expected() };
        let unseen = Feedback { session_end: self.leaving(0.0), ..Feedback::UNSEEN };
        if looked < 1.0 { seen.mixed(looked, &unseen) } else { seen }
    }

    /// The probability of leaving after an item of this utility; 0 without a feed.
    pub(super) fn leaving(&self, utility: f64) -> f64 {
        let odds = |leaving: f64| leaving + self.user.restlessness - STAYING * utility;
        self.simulator.config.feed.as_ref().map_or(0.0, |feed| logistic(odds(feed.leaving)))
    }
}
