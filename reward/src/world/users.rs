//! Users: interests that drift, tastes, patience, activity; and the state a history leaves them in.

use super::items::{BRAND, Items, LATENT, TASTE, gaussian, normal, unit};
use super::math::dot;
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
    pub(super) interests: Vec<Interest>,
    /// Liking of attributes, dot the item's attribute vectors.
    pub(super) taste: [f32; TASTE],
    /// Liking of brands.
    pub(super) brands: [f32; BRAND],
    /// Preferred log duration: patience.
    pub(super) patience: f32,
    /// Interactions wanted.
    pub(super) activity: f32,
}

/// One interest: a topic and the user's own direction within it.
#[derive(Clone, Debug)]
pub(super) struct Interest {
    pub(super) topic: u16,
    pub(super) direction: [f32; LATENT],
    /// Log weight that the drift returns to.
    pub(super) base: f32,
}

impl User {
    pub(super) fn generate(items: &Items, key: Key) -> Self {
        let mut rng = key.rng();
        let count = rng.random_range(2..=MAX_INTERESTS);
        let interests = (0..count)
            .map(|_| {
                let topic = items.get(items.draw(&mut rng)).topic;
                let centre = items.topic_centre(topic);
                let own = gaussian::<LATENT>(&mut rng);
                Interest {
                    topic,
                    direction: unit(std::array::from_fn(|i| centre[i] + 0.12 * own[i])),
                    base: 0.7 * normal(&mut rng),
                }
            })
            .collect();
        Self {
            interests,
            taste: gaussian(&mut rng),
            brands: gaussian(&mut rng),
            patience: 3.4 + 0.5 * normal(&mut rng),
            activity: (2.9 + 0.45 * normal(&mut rng)).exp(),
        }
    }
}

/// Where a user stands after some interactions.
#[derive(Debug)]
pub(super) struct State {
    log_weights: [f32; MAX_INTERESTS],
    drift: ChaCha8Rng,
    /// The latest item.
    pub(super) previous: Option<ItemId>,
    /// Recent topics, the latest first.
    recent: [Option<u16>; FATIGUE_WINDOW],
}

impl State {
    /// Before the first interaction.
    pub(super) fn start(user: &User, drift: Key) -> Self {
        let mut rng = drift.rng();
        let mut log_weights = [0.0; MAX_INTERESTS];
        for (weight, interest) in log_weights.iter_mut().zip(&user.interests) {
            *weight = interest.base + 0.5 * normal(&mut rng);
        }
        Self { log_weights, drift: rng, previous: None, recent: [None; FATIGUE_WINDOW] }
    }

    /// After this item too: interests drift one step (Ornstein-Uhlenbeck on the log weights), the topic tires.
    pub(super) fn advance(&mut self, user: &User, item: ItemId, topic: u16) {
        /// How much of the distance from the base remains after a step.
        const KEEP: f32 = 0.96;
        /// Standard deviation of a step; the stationary one is 0.25 / sqrt(1 - KEEP^2) = 0.9.
        const STEP: f32 = 0.25;
        for (weight, interest) in self.log_weights.iter_mut().zip(&user.interests) {
            *weight = interest.base + KEEP * (*weight - interest.base) + STEP * normal(&mut self.drift);
        }
        self.previous = Some(item);
        self.recent.rotate_right(1);
        self.recent[0] = Some(topic);
    }

    /// Weights of the user's interests, summing to 1.
    pub(super) fn weights(&self, user: &User) -> impl Iterator<Item = f32> + use<'_> {
        let weights = &self.log_weights[..user.interests.len()];
        let total: f32 = weights.iter().map(|w| w.exp()).sum();
        weights.iter().map(move |w| w.exp() / total)
    }

    /// How well an item fits the interests: a smooth maximum of the cosines, `ln(sum_k w_k exp(4 cos_k)) / 4`.
    pub(super) fn affinity(&self, user: &User, latent: &[f32; LATENT]) -> f32 {
        /// Larger is closer to a hard maximum over interests.
        const SHARPNESS: f32 = 4.0;
        let sum: f32 = self
            .weights(user)
            .zip(&user.interests)
            .map(|(weight, interest)| weight * (SHARPNESS * dot(&interest.direction, latent)).exp())
            .sum();
        sum.ln() / SHARPNESS
    }

    /// How tired the user is of a topic: 1 for the topic just seen, fading.
    pub(super) fn fatigue(&self, topic: u16) -> f32 {
        let mut level = 0.0;
        let mut share = 1.0;
        for recent in self.recent {
            level += if recent == Some(topic) { share } else { 0.0 };
            share *= FATIGUE_DECAY;
        }
        level
    }
}
