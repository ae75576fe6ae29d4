//! The truth: every feedback signal's law given the utility.
//!
//! With `x` the utility, `d` the item's log duration, `b` the brand liking, and the defaults of [`super::Marginals`]:
//!
//! | signal | law | expectation |
//! |---|---|---|
//! | `watch_ratio` | `min(exp(N(mu, 0.6)), 2)`, `mu = 0.5 x - 0.3 (d - 3.4) - 0.8` | capped log-normal mean |
//! | `long_view` | watch time >= 18 s, or the whole item if shorter | normal tail |
//! | `like` | Bernoulli `logistic(1.6 x - 3.2)` | itself |
//! | `follow` | Bernoulli `logistic(1.2 x + 0.5 b - 4.8)` | itself |
//! | `share` | Bernoulli `logistic(1.1 x + 0.4 quality - 4.8)` | itself |
//! | `dislike` | Bernoulli `logistic(-1.4 x - 2.6)` | itself |
//! | `watch_time` | watch ratio times duration, seconds | itself |
//! | `comment` | Bernoulli `logistic(0.9 x - 5)` | itself |
//! | `skip` | watch ratio < 0.1 | normal tail |
//! | `session_end` | Bernoulli, see [`super::Feed`]; 0 without a feed | itself |

use super::config::{Marginals, Signals};
use super::items::Item;
use super::math::{capped_log_normal_mean, logistic, normal_cdf};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Names of the feedback columns, in the order of [`Feedback::values`]; the first six are the basic ones.
pub const SIGNALS: [&str; 10] = [
    "watch_ratio",
    "long_view",
    "like",
    "follow",
    "share",
    "dislike",
    "watch_time",
    "comment",
    "skip",
    "session_end",
];

/// Nobody watches an item more often than this.
const MAX_WATCH_RATIO: f64 = 2.0;
/// Seconds that make a view long (`KuaiRand`'s definition, with completion for shorter items).
const LONG_VIEW_SECONDS: f64 = 18.0;
/// Watching less than this share is skipping.
const SKIP_RATIO: f64 = 0.1;

impl Signals {
    /// The names of the columns.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Basic => &SIGNALS[..6],
            Self::Full => &SIGNALS,
        }
    }
}

/// One value per signal: expectations, or one draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    /// Seconds watched.
    pub watch_time: f64,
    /// Commented on it.
    pub comment: f64,
    /// Watched less than a tenth.
    pub skip: f64,
    /// Left the feed after it.
    pub session_end: f64,
}

impl Feedback {
    /// Shown to somebody who did not look.
    pub(super) const UNSEEN: Self = Self {
        watch_ratio: 0.0,
        long_view: 0.0,
        like: 0.0,
        follow: 0.0,
        share: 0.0,
        dislike: 0.0,
        watch_time: 0.0,
        comment: 0.0,
        skip: 1.0,
        session_end: 0.0,
    };

    /// The values in the order of [`SIGNALS`].
    #[inline]
    pub const fn values(&self) -> [f64; SIGNALS.len()] {
        [
            self.watch_ratio,
            self.long_view,
            self.like,
            self.follow,
            self.share,
            self.dislike,
            self.watch_time,
            self.comment,
            self.skip,
            self.session_end,
        ]
    }

    /// The feedback of these values, in the order of [`SIGNALS`].
    const fn of(values: [f64; SIGNALS.len()]) -> Self {
        let [watch_ratio, long_view, like, follow, share, dislike, watch_time, comment, skip, session_end] =
            values;
        Self { watch_ratio, long_view, like, follow, share, dislike, watch_time, comment, skip, session_end }
    }

    /// What the feedback is worth: `0.5 watch_ratio + 0.5 long_view + like + 2 follow + 2 share - 2 dislike`.
    /// Linear, so the reward of expectations is the expectation of the reward. Leaving costs what is not seen later.
    pub fn reward(&self) -> f64 {
        const WEIGHTS: [f64; 6] = [0.5, 0.5, 1.0, 2.0, 2.0, -2.0];
        self.values().iter().zip(WEIGHTS).map(|(value, weight)| value * weight).sum()
    }

    /// The mixture of this, in a share of cases, and `other` in the rest.
    pub(super) fn mixed(&self, share: f64, other: &Self) -> Self {
        let (a, b) = (self.values(), other.values());
        Self::of(std::array::from_fn(|i| share * a[i] + (1.0 - share) * b[i]))
    }
}

/// Whose likes are meant: those that click-bait collects are no sign of worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likes {
    /// What the log shows.
    Logged,
    /// What users mean.
    Meant,
}

/// What the laws depend on.
pub(super) struct Given<'a> {
    pub(super) utility: f64,
    /// How much the user likes the brand.
    pub(super) brand: f64,
    pub(super) item: &'a Item,
}

/// The parameters of the signals' laws for one (user, state, item).
pub(super) struct Laws {
    /// Mean of the log watch ratio.
    mu: f64,
    /// Its standard deviation.
    spread: f64,
    /// Seconds.
    duration: f64,
    /// Watch ratio from which a view is long.
    long_ratio: f64,
    like: f64,
    follow: f64,
    share: f64,
    dislike: f64,
    comment: f64,
}

impl Laws {
    pub(super) fn of(given: &Given<'_>, marginals: &Marginals, likes: Likes) -> Self {
        let Given { utility, brand, item } = *given;
        let log_duration = f64::from(item.log_duration);
        let lift = if likes == Likes::Logged { item.lift } else { 0.0 };
        let duration = log_duration.exp();
        Self {
            mu: 0.5 * utility - marginals.watch_duration * (log_duration - marginals.duration)
                + marginals.watch,
            spread: marginals.watch_spread,
            duration,
            long_ratio: (LONG_VIEW_SECONDS / duration).min(1.0),
            like: logistic(1.6 * utility + marginals.like + lift),
            follow: logistic(1.2 * utility + 0.5 * brand - 4.8),
            share: logistic(1.1 * utility + 0.4 * f64::from(item.quality) - 4.8),
            dislike: logistic(-1.4 * utility - 2.6),
            comment: logistic(0.9 * utility - 5.0),
        }
    }

    /// The expectation of every signal of an item that is looked at; of `session_end`, nothing.
    pub(super) fn expected(&self) -> Feedback {
        let watch_ratio = capped_log_normal_mean(self.mu, self.spread, MAX_WATCH_RATIO);
        let above = |ratio: f64| normal_cdf((self.mu - ratio.ln()) / self.spread);
        Feedback {
            watch_ratio,
            long_view: above(self.long_ratio),
            like: self.like,
            follow: self.follow,
            share: self.share,
            dislike: self.dislike,
            watch_time: watch_ratio * self.duration,
            comment: self.comment,
            skip: 1.0 - above(SKIP_RATIO),
            session_end: 0.0,
        }
    }

    /// The probability that an item that is looked at is watched for longer than this.
    pub(super) fn watched_beyond(&self, seconds: f64) -> f64 {
        let ratio = seconds.max(0.0) / self.duration;
        // Everything above the cap is the cap.
        if ratio < MAX_WATCH_RATIO { normal_cdf((self.mu - ratio.ln()) / self.spread) } else { 0.0 }
    }

    /// The log likelihood of logged feedback on an item that was looked at, in the order of [`SIGNALS`], up to what depends
    /// on nothing but the feedback. Long views and skips follow from the watch ratio.
    pub(super) fn log_likelihood(&self, logged: &[f32]) -> f64 {
        let flips = [(2, self.like), (3, self.follow), (4, self.share), (5, self.dislike), (7, self.comment)];
        let flip = |(column, chance): (usize, f64)| {
            let happened = logged.get(column).map(|&value| value > 0.5);
            happened.map_or(0.0, |happened| if happened { chance } else { 1.0 - chance }.ln())
        };
        self.watched(f64::from(logged[0])) + flips.into_iter().map(flip).sum::<f64>()
    }

    fn watched(&self, ratio: f64) -> f64 {
        let away = (self.mu - ratio.ln()) / self.spread;
        if ratio < MAX_WATCH_RATIO { -0.5 * away * away } else { normal_cdf(away).ln() }
    }

    /// One draw of the same; a comment if `comment`, a uniform number, says so.
    pub(super) fn sampled(&self, rng: &mut impl Rng, comment: f64) -> Feedback {
        let noise: f64 = rng.sample(StandardNormal);
        let watch_ratio = (self.mu + self.spread * noise).exp().min(MAX_WATCH_RATIO);
        let mut flip = |probability: f64| f64::from(rng.random::<f64>() < probability);
        Feedback {
            watch_ratio,
            long_view: f64::from(watch_ratio >= self.long_ratio),
            like: flip(self.like),
            follow: flip(self.follow),
            share: flip(self.share),
            dislike: flip(self.dislike),
            watch_time: watch_ratio * self.duration,
            comment: f64::from(comment < self.comment),
            skip: f64::from(watch_ratio < SKIP_RATIO),
            session_end: 0.0,
        }
    }
}
