//! The truth: utility, and every feedback signal's law given the utility.
//!
//! With `x` the utility, `d` the item's log duration and `b` the brand liking:
//!
//! | signal | law | expectation |
//! |---|---|---|
//! | `watch_ratio` | `min(exp(N(mu, 0.6)), 2)`, `mu = 0.5 x - 0.3 (d - 3.4) - 0.8` | capped log-normal mean |
//! | `long_view` | watch time >= 18 s, or the whole item if shorter | normal tail |
//! | `like` | Bernoulli `logistic(1.6 x - 3.2)` | itself |
//! | `follow` | Bernoulli `logistic(1.2 x + 0.5 b - 4.8)` | itself |
//! | `share` | Bernoulli `logistic(1.1 x + 0.4 quality - 4.8)` | itself |
//! | `dislike` | Bernoulli `logistic(-1.4 x - 2.6)` | itself |

use super::World;
use super::items::Item;
use super::math::{capped_log_normal_mean, dot, logistic, normal_cdf};
use super::users::State;
use policy::ids::{ItemId, UserId};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Names of the feedback columns, in the order of [`Feedback::values`].
pub const SIGNALS: [&str; 6] = ["watch_ratio", "long_view", "like", "follow", "share", "dislike"];

/// Standard deviation of the log watch ratio.
const SPREAD: f64 = 0.6;
/// Nobody watches an item more often than this.
const MAX_WATCH_RATIO: f64 = 2.0;
/// Seconds that make a view long (`KuaiRand`'s definition, with completion for shorter items).
const LONG_VIEW_SECONDS: f64 = 18.0;

/// One value per signal: expectations, or one draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feedback {
    /// Watch time over duration, at most 2.
    pub watch_ratio: f64,
    /// Watched 18 seconds, or all of a shorter item.
    pub long_view: f64,
    /// Liked it.
    pub like: f64,
    /// Followed its brand.
    pub follow: f64,
    /// Shared it.
    pub share: f64,
    /// Said not to show such things.
    pub dislike: f64,
}

impl Feedback {
    /// The values in the order of [`SIGNALS`].
    pub const fn values(&self) -> [f64; SIGNALS.len()] {
        [self.watch_ratio, self.long_view, self.like, self.follow, self.share, self.dislike]
    }

    /// What the feedback is worth: `0.5 watch_ratio + 0.5 long_view + like + 2 follow + 2 share - 2 dislike`.
    /// Linear, so the reward of expectations is the expectation of the reward.
    pub fn reward(&self) -> f64 {
        const WEIGHTS: [f64; SIGNALS.len()] = [0.5, 0.5, 1.0, 2.0, 2.0, -2.0];
        self.values().iter().zip(WEIGHTS).map(|(value, weight)| value * weight).sum()
    }
}

/// The parameters of the signals' laws for one (user, state, item).
struct Laws {
    /// Mean of the log watch ratio.
    mu: f64,
    /// Watch ratio from which a view is long.
    long_ratio: f64,
    like: f64,
    follow: f64,
    share: f64,
    dislike: f64,
}

impl Laws {
    fn of(utility: f64, brand: f64, item: &Item) -> Self {
        let log_duration = f64::from(item.log_duration);
        Self {
            mu: 0.5 * utility - 0.3 * (log_duration - 3.4) - 0.8,
            long_ratio: (LONG_VIEW_SECONDS / log_duration.exp()).min(1.0),
            like: logistic(1.6 * utility - 3.2),
            follow: logistic(1.2 * utility + 0.5 * brand - 4.8),
            share: logistic(1.1 * utility + 0.4 * f64::from(item.quality) - 4.8),
            dislike: logistic(-1.4 * utility - 2.6),
        }
    }

    fn expected(&self) -> Feedback {
        Feedback {
            watch_ratio: capped_log_normal_mean(self.mu, SPREAD, MAX_WATCH_RATIO),
            long_view: normal_cdf((self.mu - self.long_ratio.ln()) / SPREAD),
            like: self.like,
            follow: self.follow,
            share: self.share,
            dislike: self.dislike,
        }
    }

    fn sampled(&self, rng: &mut impl Rng) -> Feedback {
        let noise: f64 = rng.sample(StandardNormal);
        let watch_ratio = (self.mu + SPREAD * noise).exp().min(MAX_WATCH_RATIO);
        let mut flip = |probability: f64| f64::from(rng.random::<f64>() < probability);
        Feedback {
            watch_ratio,
            long_view: f64::from(watch_ratio >= self.long_ratio),
            like: flip(self.like),
            follow: flip(self.follow),
            share: flip(self.share),
            dislike: flip(self.dislike),
        }
    }
}

impl World {
    /// How much this user, in this state, would value the item; about standard normal over logged items.
    pub(super) fn utility(&self, user: UserId, state: &State, item: ItemId) -> f32 {
        let (user, features) = (self.user(user), self.items.get(item));
        let continuation = state.previous.map_or(0.0, |previous| self.items.continuation(previous, item));
        3.0 * (state.affinity(user, &features.latent) - 0.35)
            + 0.6 * features.quality
            + 0.15 * dot(&user.taste, &features.taste)
            + 0.2 * dot(&user.brands, &features.brand_vector)
            + 0.6 * continuation
            - 0.35 * (features.log_duration - user.patience).abs()
            - 0.35 * state.fatigue(features.topic)
    }

    pub(super) fn expected(&self, user: UserId, state: &State, item: ItemId) -> Feedback {
        self.laws(user, state, item).expected()
    }

    pub(super) fn sampled(&self, user: UserId, state: &State, item: ItemId, rng: &mut impl Rng) -> Feedback {
        self.laws(user, state, item).sampled(rng)
    }

    fn laws(&self, user: UserId, state: &State, item: ItemId) -> Laws {
        let features = self.items.get(item);
        let brand = dot(&self.user(user).brands, &features.brand_vector);
        Laws::of(f64::from(self.utility(user, state, item)), f64::from(brand), features)
    }
}
