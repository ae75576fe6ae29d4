//! What a log shows of one user, and how likely it is under a hypothesis.
//!
//! A step of the log is two pieces of evidence: that the user took this item of those proposed, and what they did with it.
//! Which other items were proposed is not logged. The likelihood of a choice sums over the slots that may have proposed
//! the item and averages over what the others proposed; one draw of the others estimates it without bias, and a chain that
//! keeps the draws beside the hypothesis is exact (pseudo-marginal: Andrieu and Roberts 2009).

use crate::world::Person;
use crate::world::feedback::Likes;
use crate::world::items::Items;
use crate::world::logger::{BY_INTEREST, BY_POPULARITY};
use crate::world::users::State;
use crate::world::weighted::uniform;
use policy::history::History;
use policy::ids::ItemId;
use rand::rngs::ChaCha8Rng;

/// One interaction of a log.
pub(super) struct Step<'a> {
    pub(super) item: ItemId,
    now: i64,
    feedback: &'a [f32],
    /// Items taken before.
    seen: &'a [ItemId],
    /// Items listed as continuing the last one.
    continuations: &'a [ItemId],
    /// Where the user stands, but for the interests' weights.
    pub(super) place: State,
}

/// The steps of a history, oldest first.
pub(super) fn steps<'a>(person: Person<'a>, history: &'a History) -> Vec<Step<'a>> {
    let items = &person.simulator.items;
    let signals = history.feedback.len() / history.items.len().max(1);
    let mut place = person.start();
    let step = |(at, &item): (usize, &ItemId)| {
        let step = Step {
            item,
            now: history.timestamps[at],
            feedback: &history.feedback[at * signals..(at + 1) * signals],
            seen: &history.items[..at],
            continuations: place.previous.map_or(&[][..], |previous| items.continuations(previous)),
            place: (*place).clone(),
        };
        person.advance(&mut place, item);
        step
    };
    history.items.iter().enumerate().map(step).collect()
}

/// What the slots of one step proposed beside the item that was taken.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    popular: [ItemId; BY_POPULARITY],
    /// Uniform numbers: of the topic, of the item in it. The items depend on the interests.
    of_interest: [(f32, f64); BY_INTEREST],
}

impl Pool {
    pub(super) fn draw(items: &Items, rng: &mut ChaCha8Rng) -> Self {
        Self {
            popular: std::array::from_fn(|_| items.draw(rng)),
            of_interest: std::array::from_fn(|_| (uniform(rng) as f32, uniform(rng))),
        }
    }
}

#[cfg(test)]
impl<'a> Step<'a> {
    /// The same step with another item taken.
    pub(super) fn of(&self, item: ItemId) -> Step<'a> {
        Step { item, place: self.place.clone(), ..*self }
    }
    pub(super) fn is_possible(&self, person: Person<'_>, item: ItemId) -> bool {
        self.odds(person, &self.place, (item, 0.0)) > 0.0
    }
}

impl Step<'_> {
    /// The estimated log probability that this user, in this state, takes the item, up to what is the same for all users.
    pub(super) fn choice(&self, person: Person<'_>, state: &State, pool: &Pool) -> f64 {
        let items = &person.simulator.items;
        let listed = person.simulator.config.exposure.continuation;
        let odds = |item: ItemId| self.odds(person, state, (item, 0.0));
        let own = odds(self.item);
        if own <= 0.0 {
            // Nothing that could be proposed was new: the item says nothing.
            return 0.0;
        }
        let of_topic = |&(topic, item): &(f32, f64)| {
            let topic = state.topic(person.user, topic);
            items.of_topic_at(topic, || item).map_or(0.0, odds)
        };
        let continuing: f64 =
            self.continuations.iter().map(|&item| self.odds(person, state, (item, listed))).sum();
        let interest: [f64; BY_INTEREST] = std::array::from_fn(|slot| of_topic(&pool.of_interest[slot]));
        let popular: [f64; BY_POPULARITY] = pool.popular.map(odds);
        let (interest, last_interest) = (interest.iter().sum::<f64>(), interest[BY_INTEREST - 1]);
        let (popular, last_popular) = (popular.iter().sum::<f64>(), popular[BY_POPULARITY - 1]);
        let all = continuing + interest + popular;
        // One slot proposes the item, the others what they drew.
        let item = items.get(self.item);
        let in_topic = item.popularity / items.topic_share(item.topic);
        let by_interest = f64::from(state.topic_weight(person.user, item.topic)) * in_topic;
        let mut chance = BY_INTEREST as f64 * by_interest * own / (own + all - last_interest)
            + BY_POPULARITY as f64 * item.popularity * own / (own + all - last_popular);
        if self.continuations.contains(&self.item) {
            chance += listed.exp() * own / all;
        }
        chance.ln()
    }

    /// The odds of an item in a pool; nothing where it cannot be proposed.
    fn odds(&self, person: Person<'_>, state: &State, (id, bonus): (ItemId, f64)) -> f64 {
        let item = person.item(id);
        if item.released > self.now || self.seen.contains(&id) {
            return 0.0;
        }
        person.attraction(state, (item, bonus)).1.exp()
    }

    /// The log likelihood of what the user did with the item, up to what is the same for all users.
    pub(super) fn reaction(&self, person: Person<'_>, state: &State) -> f64 {
        person.laws(state, self.item, Likes::Logged).1.log_likelihood(self.feedback)
    }
}
