//! Users: interests that drift, tastes, patience, activity; and the state a history leaves them in.
#![expect(
    clippy::needless_range_loop,
    reason = "iterators are calls here, not loops, in a build without LTO"
)]

use super::config::{Dynamics, WorldConfig};
use super::items::{BRAND, Item, Items, LATENT, TASTE, gaussian, normal, turned, unit};
use policy::ids::ItemId;
use policy::random::Key;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// Most interests of a user.
const MAX_INTERESTS: usize = 4;
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
            interests: Interests::generate(items, &mut rng),
            taste: gaussian(&mut rng),
            brands: gaussian(&mut rng),
            patience: marginals.duration as f32 + 0.5 * normal(&mut rng),
            activity: (marginals.activity as f32 + marginals.activity_spread as f32 * normal(&mut rng)).exp(),
            restlessness: config
                .feed
                .as_ref()
                .map_or(0.0, |feed| feed.restlessness * f64::from(normal(&mut rng))),
        }
    }
}

impl Interests {
    fn generate(items: &Items, rng: &mut ChaCha8Rng) -> Self {
        let count = rng.random_range(2..=MAX_INTERESTS);
        let mut interests = Self {
            count,
            topics: [0; MAX_INTERESTS],
            directions: [[0.0; MAX_INTERESTS]; LATENT],
            bases: [0.0; MAX_INTERESTS],
        };
        for interest in 0..count {
            let topic = items.get(items.draw(rng)).topic;
            let centre = items.topic_centre(topic);
            let own = gaussian::<LATENT>(rng);
            interests.topics[interest] = topic;
            let direction: [f32; LATENT] = unit(std::array::from_fn(|i| centre[i] + 0.12 * own[i]));
            for (row, value) in interests.directions.iter_mut().zip(direction) {
                row[interest] = value;
            }
            interests.bases[interest] = 0.7 * normal(rng);
        }
        interests
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
#[derive(Debug)]
pub(super) struct State {
    log_weights: [f32; MAX_INTERESTS],
    /// Of the interests, summing to 1.
    weights: [f32; MAX_INTERESTS],
    drift: ChaCha8Rng,
    /// The latest item.
    pub(super) previous: Option<ItemId>,
    /// Where its continuations lie; zero before the first item.
    pub(super) continuation: [f32; LATENT],
    /// Recent topics, the latest first.
    recent: [Option<u16>; FATIGUE_WINDOW],
}

impl State {
    /// Before the first interaction.
    pub(super) fn start(user: &User, drift: Key) -> Self {
        let mut rng = drift.rng();
        let mut log_weights = [0.0; MAX_INTERESTS];
        for (weight, base) in log_weights.iter_mut().zip(&user.interests.bases).take(user.interests.count) {
            *weight = base + 0.5 * normal(&mut rng);
        }
        let mut state = Self {
            log_weights,
            weights: [0.0; MAX_INTERESTS],
            drift: rng,
            previous: None,
            continuation: [0.0; LATENT],
            recent: [None; FATIGUE_WINDOW],
        };
        state.weigh(user);
        state
    }

    /// After this item too: interests drift one step (Ornstein-Uhlenbeck on the log weights), the topic tires.
    pub(super) fn advance(&mut self, user: &User, dynamics: &Dynamics, (id, item): (ItemId, &Item)) {
        let (keep, step) = (dynamics.keep as f32, dynamics.step as f32);
        for k in 0..user.interests.count.min(MAX_INTERESTS) {
            let base = user.interests.bases[k];
            self.log_weights[k] = base + keep * (self.log_weights[k] - base) + step * normal(&mut self.drift);
        }
        self.weigh(user);
        self.previous = Some(id);
        self.continuation = turned(&item.latent);
        self.recent.copy_within(0..FATIGUE_WINDOW - 1, 1);
        self.recent[0] = Some(item.topic);
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
