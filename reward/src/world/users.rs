//! Users: interests that drift, tastes, patience, activity; and the state a history leaves them in.
#![expect(
    clippy::needless_range_loop,
    reason = "iterators are calls here, not loops, in a build without LTO"
)]

use super::config::{Dynamics, Marginals, WorldConfig};
use super::items::{BRAND, Item, Items, LATENT, TASTE, gaussian, normal, turned, unit};
use policy::ids::ItemId;
use policy::random::Key;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use std::ops::Deref;

/// Most interests of a user.
pub(super) const MAX_INTERESTS: usize = 4;
/// Fewest.
pub(super) const MIN_INTERESTS: usize = 2;
/// How many recent topics tire the user.
const FATIGUE_WINDOW: usize = 8;
/// What remains of fatigue after one interaction.
const FATIGUE_DECAY: f32 = 0.75;

/// What stays the same about a user.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) interests: Interests,
    /// Liking of attributes, dot the item's attribute vectors.
    pub(super) taste: [f32; TASTE],
    /// Liking of brands.
    pub(super) brands: [f32; BRAND],
    /// Preferred log duration: patience.
    pub(super) patience: f32,
    /// Interactions wanted.
    pub(super) activity: f32,
    /// Log odds of leaving a feed, beside those of the average user.
    pub(super) restlessness: f64,
}

/// Where one interest comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interest {
    pub(super) topic: u16,
    /// How the user's direction differs from the topic's centre, standard normal.
    pub(super) own: [f32; LATENT],
    /// See [`Interests::bases`], standard normal.
    pub(super) base: f32,
}

impl Interest {
    pub(super) fn draw(items: &Items, rng: &mut ChaCha8Rng) -> Self {
        let topic = items.get(items.draw(rng)).topic;
        Self { topic, own: gaussian(rng), base: normal(rng) }
    }
    /// As many as a user has.
    pub(super) fn several(items: &Items, rng: &mut ChaCha8Rng) -> Vec<Self> {
        let count = rng.random_range(MIN_INTERESTS..=MAX_INTERESTS);
        (0..count).map(|_| Self::draw(items, rng)).collect()
    }
}

/// Topics, and the user's own direction within each.
#[derive(Clone, Debug)]
pub(super) struct Interests {
    count: usize,
    topics: [u16; MAX_INTERESTS],
    /// Coordinate by coordinate: all inner products with an item are summed side by side.
    directions: [[f32; MAX_INTERESTS]; LATENT],
    /// Log weights that the drift returns to.
    pub(super) bases: [f32; MAX_INTERESTS],
}

impl User {
    pub(super) fn generate(items: &Items, config: &WorldConfig, key: Key) -> Self {
        let mut rng = key.rng();
        let marginals = &config.marginals;
        Self {
            interests: Interests::of(items, &Interest::several(items, &mut rng)),
            taste: gaussian(&mut rng),
            brands: gaussian(&mut rng),
            patience: Self::patience(normal(&mut rng), marginals),
            activity: (marginals.activity as f32 + marginals.activity_spread as f32 * normal(&mut rng)).exp(),
            restlessness: config
                .feed
                .as_ref()
                .map_or(0.0, |feed| feed.restlessness * f64::from(normal(&mut rng))),
        }
    }
}

impl User {
    /// The preferred log duration of a user who differs from the average by this standard normal number.
    pub(super) fn patience(standard: f32, marginals: &Marginals) -> f32 {
        marginals.duration as f32 + 0.5 * standard
    }
    /// The inverse of [`User::patience`].
    pub(super) fn standard_patience(patience: f32, marginals: &Marginals) -> f32 {
        (patience - marginals.duration as f32) / 0.5
    }
}

impl Interests {
    /// At most [`MAX_INTERESTS`] of them.
    pub(super) fn of(items: &Items, drawn: &[Interest]) -> Self {
        let mut interests = Self {
            count: drawn.len(),
            topics: [0; MAX_INTERESTS],
            directions: [[0.0; MAX_INTERESTS]; LATENT],
            bases: [0.0; MAX_INTERESTS],
        };
        for (interest, Interest { topic, own, base }) in drawn.iter().enumerate() {
            let centre = items.topic_centre(*topic);
            interests.topics[interest] = *topic;
            let direction: [f32; LATENT] = unit(std::array::from_fn(|i| centre[i] + 0.12 * own[i]));
            for (row, value) in interests.directions.iter_mut().zip(direction) {
                row[interest] = value;
            }
            interests.bases[interest] = 0.7 * base;
        }
        interests
    }

    /// The log weights before the first interaction, given a standard normal number for each.
    pub(super) fn at_first(&self, mut normal: impl FnMut() -> f32) -> [f32; MAX_INTERESTS] {
        let mut log_weights = [0.0; MAX_INTERESTS];
        for (weight, base) in log_weights.iter_mut().zip(&self.bases).take(self.count) {
            *weight = base + 0.5 * normal();
        }
        log_weights
    }

    /// The log weights one interaction later.
    #[inline]
    pub(super) fn drift(
        &self,
        log_weights: &mut [f32; MAX_INTERESTS],
        dynamics: &Dynamics,
        mut normal: impl FnMut() -> f32,
    ) {
        let (keep, step) = (dynamics.keep as f32, dynamics.step as f32);
        for k in 0..self.count.min(MAX_INTERESTS) {
            let base = self.bases[k];
            log_weights[k] = base + keep * (log_weights[k] - base) + step * normal();
        }
    }

    /// The cosines with a latent vector; 0 where there is no interest.
    #[inline]
    fn cosines(&self, latent: &[f32; LATENT]) -> [f32; MAX_INTERESTS] {
        let mut sums = [0.0; MAX_INTERESTS];
        for i in 0..LATENT {
            for k in 0..MAX_INTERESTS {
                sums[k] += self.directions[i][k] * latent[i];
            }
        }
        sums
    }
}

/// Where a user stands after some interactions.
#[derive(Clone, Debug)]
pub(super) struct State {
    log_weights: [f32; MAX_INTERESTS],
    /// Of the interests, summing to 1.
    weights: [f32; MAX_INTERESTS],
    /// The latest item.
    pub(super) previous: Option<ItemId>,
    /// Where its continuations lie; zero before the first item.
    pub(super) continuation: [f32; LATENT],
    /// Recent topics, the latest first.
    recent: [Option<u16>; FATIGUE_WINDOW],
}

/// A state and how its interests go on to drift.
#[derive(Debug)]
pub(super) struct Drifting {
    state: State,
    drift: ChaCha8Rng,
}

impl Drifting {
    /// Before the first interaction.
    pub(super) fn start(user: &User, drift: Key) -> Self {
        let mut drift = drift.rng();
        let log_weights = user.interests.at_first(|| normal(&mut drift));
        let mut state = State {
            log_weights,
            weights: [0.0; MAX_INTERESTS],
            previous: None,
            continuation: [0.0; LATENT],
            recent: [None; FATIGUE_WINDOW],
        };
        state.weigh(user);
        Self { state, drift }
    }

    /// After this item too: interests drift one step (Ornstein-Uhlenbeck on the log weights), the topic tires.
    pub(super) fn advance(&mut self, user: &User, dynamics: &Dynamics, (id, item): (ItemId, &Item)) {
        let Self { state, drift } = self;
        user.interests.drift(&mut state.log_weights, dynamics, || normal(drift));
        state.weigh(user);
        state.previous = Some(id);
        state.continuation = turned(&item.latent);
        state.recent.copy_within(0..FATIGUE_WINDOW - 1, 1);
        state.recent[0] = Some(item.topic);
    }
}

impl Deref for Drifting {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl State {
    /// The same place with other interests.
    pub(super) fn set_log_weights(&mut self, user: &User, log_weights: [f32; MAX_INTERESTS]) {
        self.log_weights = log_weights;
        self.weigh(user);
    }

    /// How likely this is the topic that an interest proposes.
    pub(super) fn topic_weight(&self, user: &User, topic: u16) -> f32 {
        let own = user.interests.topics.iter().zip(&self.weights).take(user.interests.count);
        own.filter(|(of, _)| **of == topic).map(|(_, weight)| weight).sum()
    }

    fn weigh(&mut self, user: &User) {
        let count = user.interests.count;
        let mut total = 0.0;
        for k in 0..count.min(MAX_INTERESTS) {
            self.weights[k] = self.log_weights[k].exp();
            total += self.weights[k];
        }
        for k in 0..count.min(MAX_INTERESTS) {
            self.weights[k] /= total;
        }
    }

    /// How well an item fits the interests: a smooth maximum of the cosines, `ln(sum_k w_k exp(4 cos_k)) / 4`.
    #[inline]
    pub(super) fn affinity(&self, user: &User, latent: &[f32; LATENT]) -> f32 {
        /// Larger is closer to a hard maximum over interests.
        const SHARPNESS: f32 = 4.0;
        let cosines = user.interests.cosines(latent);
        let mut sum = 0.0;
        for k in 0..user.interests.count.min(MAX_INTERESTS) {
            sum += self.weights[k] * (SHARPNESS * cosines[k]).exp();
        }
        sum.ln() / SHARPNESS
    }

    /// The topic of an interest in proportion to its weight, given a uniform number.
    #[inline]
    pub(super) fn topic(&self, user: &User, mut left: f32) -> u16 {
        for k in 0..user.interests.count.min(MAX_INTERESTS) {
            left -= self.weights[k];
            if left < 0.0 {
                return user.interests.topics[k];
            }
        }
        user.interests.topics[0]
    }

    /// How tired the user is of a topic: 1 for the topic just seen, fading.
    #[inline]
    pub(super) fn fatigue(&self, topic: u16) -> f32 {
        let mut level = 0.0;
        let mut share = 1.0;
        for place in 0..FATIGUE_WINDOW {
            level += if self.recent[place] == Some(topic) { share } else { 0.0 };
            share *= FATIGUE_DECAY;
        }
        level
    }
}

#[cfg(test)]
impl State {
    /// The log weights' distance from where the drift returns to.
    pub(super) fn distances(&self, user: &User) -> Vec<f64> {
        let pairs = self.log_weights.iter().zip(&user.interests.bases).take(user.interests.count);
        pairs.map(|(weight, base)| f64::from(weight - base)).collect()
    }
}
