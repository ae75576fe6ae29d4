//! What a world can be told. Every default is the world of the quickstart.

use policy::ids::ItemId;
use policy::random::Key;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The size and seed of a world, and its mechanisms; nothing else determines it.
///
/// Mechanisms that are left out of a file are those of the quickstart; a section that has its default value is not
/// written back, so that older files keep their meaning and their hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldConfig {
    /// Users, at least 1.
    pub users: usize,
    /// Items, at least [`WorldConfig::MIN_ITEMS`].
    pub items: usize,
    /// Seed of the world; the seed of a run does not change the data.
    pub seed: u64,
    /// Which feedback columns the log has.
    #[serde(default, skip_serializing_if = "is_default")]
    pub signals: Signals,
    /// Slates by a service instead of one item at a time that the user picks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub feed: Option<Feed>,
    /// How the service or the user comes to an item.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exposure: Exposure,
    /// How users change.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dynamics: Dynamics,
    /// Marginals: lengths, durations, popularity, levels of the signals.
    #[serde(default, skip_serializing_if = "is_default")]
    pub marginals: Marginals,
    /// Planted flaw: items whose starts and likes are inflated in the log and not in truth.
    #[serde(default, skip_serializing_if = "is_default")]
    pub click_bait: ClickBait,
}

/// Which feedback columns the log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signals {
    /// The first six of [`super::SIGNALS`].
    #[default]
    Basic,
    /// All of [`super::SIGNALS`].
    Full,
}

/// Slates: the service shows items in order, the user looks at some and leaves at some point.
///
/// The `k`-th item shown (from 1) is looked at with probability `k^-position_bias`. After each one the user leaves with
/// probability `logistic(leaving + restlessness - 0.8 x)`, `x` the utility, or `x = 0` where they did not look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// Items of a slate, 1 to [`Feed::MAX_SLATE`].
    pub slate: usize,
    /// Exponent of the examination, 0 (everything is looked at) to 4. Position-based model: Craswell et al. 2008;
    /// the power law: Joachims et al. 2017, section 6.1.
    pub position_bias: f64,
    /// Log odds of leaving after an item of utility 0, -20 to 20.
    pub leaving: f64,
    /// Standard deviation over users of these log odds, 0 to 10.
    pub restlessness: f64,
}

impl Feed {
    /// Longest slate.
    pub const MAX_SLATE: usize = 64;

    /// The probability that the item at `place` (from 0) is looked at by a user who is still there.
    pub fn examination(&self, place: usize) -> f64 {
        ((place + 1) as f64).powf(-self.position_bias)
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self { slate: 8, position_bias: 0.5, leaving: -2.2, restlessness: 0.5 }
    }
}

/// What is proposed at a step is taken - by the user, or by the service for a slate, without replacement - with
/// probability in proportion to `exp(relevance x + popularity_bias ln(popularity n) + continuation [it continues])`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exposure {
    /// Weight of the utility, 0 to 20.
    pub relevance: f64,
    /// Weight of the log popularity, -5 to 5.
    pub popularity_bias: f64,
    /// Bonus of the items that are listed as continuing the last one, -20 to 20.
    pub continuation: f64,
    /// Share of items released in the last tenth of the time, 0 to 1: hardly anybody has seen them.
    pub cold_share: f64,
}

impl Default for Exposure {
    fn default() -> Self {
        Self { relevance: 1.1, popularity_bias: 0.45, continuation: 1.5, cold_share: 0.06 }
    }
}

/// How users change: the log weight `w` of an interest goes to `base + keep (w - base) + step z` after every item, and
/// an item of a topic seen `a` items ago tires by `fatigue 0.75^(a - 1)`, for eight items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dynamics {
    /// What remains of the distance from the base after a step, 0 to 1: the autocorrelation at lag 1.
    pub keep: f64,
    /// Standard deviation of a step, 0 to 10; the stationary one is `step / sqrt(1 - keep^2)`.
    pub step: f64,
    /// Utility lost when the last item had the same topic, 0 to 10.
    pub fatigue: f64,
}

impl Default for Dynamics {
    fn default() -> Self {
        Self { keep: 0.96, step: 0.25, fatigue: 0.35 }
    }
}

/// Levels and spreads that decide what the marginals of the log look like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Marginals {
    /// Mean log number of interactions of a user, 0 to 10.
    pub activity: f64,
    /// Its standard deviation, 0 to 5.
    pub activity_spread: f64,
    /// Shortest history, 5 to 10,000.
    pub min_length: usize,
    /// Longest history, at least the shortest and at most 10,000; a quarter of the catalog if that is less.
    pub max_length: usize,
    /// Mean log duration in seconds, -2 to 12; users' preferred durations have the same mean.
    pub duration: f64,
    /// Its standard deviation over items, 0 to 5.
    pub duration_spread: f64,
    /// Exponent of Zipf's law over the items, 0 to 3.
    pub popularity_exponent: f64,
    /// Mean log watch ratio of an item of utility 0 and mean duration, -10 to 10.
    pub watch: f64,
    /// Standard deviation of the log watch ratio, 0.01 to 5.
    pub watch_spread: f64,
    /// How much the log watch ratio falls per unit of log duration, -5 to 5.
    pub watch_duration: f64,
    /// Log odds of a like at utility 0, -20 to 20.
    pub like: f64,
}

impl Default for Marginals {
    fn default() -> Self {
        Self {
            activity: 2.9,
            activity_spread: 0.45,
            min_length: 5,
            max_length: 64,
            duration: 3.4,
            duration_spread: 0.7,
            popularity_exponent: 0.8,
            watch: -0.8,
            watch_spread: 0.6,
            watch_duration: 0.3,
            like: -3.2,
        }
    }
}

/// Click-bait: some items promise more than they are worth. They are taken more often and the log has more likes of
/// them; what users truly get out of them is as without it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClickBait {
    /// Share of the items, 0 to 1.
    pub share: f64,
    /// Added to their log odds of being taken and of a logged like, 0 to 20.
    pub lift: f64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A world that cannot be built.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum WorldError {
    /// Nobody lives there.
    #[error("a world needs at least 1 user, got 0")]
    Users,
    /// Too few items for histories without repeats.
    #[error("a world needs at least {min} items, got {0}", min = WorldConfig::MIN_ITEMS)]
    Items(usize),
    /// A mechanism is told something impossible.
    #[error("`{key}` = {value} is out of range, must be {low} to {high}")]
    Mechanism {
        /// Dotted key below the world.
        key: &'static str,
        /// Its value.
        value: f64,
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
    },
}

impl WorldConfig {
    /// With fewer items a history of five without repeats leaves little to recommend.
    pub const MIN_ITEMS: usize = 20;
    /// Most interactions of a user.
    pub const MAX_LENGTH: usize = 10_000;

    /// The quickstart's mechanisms at some size.
    pub fn new(users: usize, items: usize, seed: u64) -> Self {
        Self {
            users,
            items,
            seed,
            signals: Signals::default(),
            feed: None,
            exposure: Exposure::default(),
            dynamics: Dynamics::default(),
            marginals: Marginals::default(),
            click_bait: ClickBait::default(),
        }
    }

    /// Whether such a world can be built.
    ///
    /// # Errors
    /// The first of [`WorldConfig::problems`].
    pub fn check(&self) -> Result<(), WorldError> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that is out of its range.
    pub fn problems(&self) -> Vec<WorldError> {
        let mut problems = Vec::new();
        if self.users == 0 {
            problems.push(WorldError::Users);
        }
        if self.items < Self::MIN_ITEMS {
            problems.push(WorldError::Items(self.items));
        }
        let ranges = self.mechanisms().into_iter().chain(self.feed.iter().flat_map(Feed::ranges));
        problems.extend(
            ranges
                .filter(|(_, value, (low, high))| !(low..=high).contains(&value))
                .map(|(key, value, (low, high))| WorldError::Mechanism { key, value, low, high }),
        );
        problems
    }

    fn mechanisms(&self) -> Vec<Ranged> {
        let Self { exposure, dynamics, marginals, click_bait, .. } = self;
        let most = Self::MAX_LENGTH as f64;
        vec![
            ("exposure.relevance", exposure.relevance, (0.0, 20.0)),
            ("exposure.popularity_bias", exposure.popularity_bias, (-5.0, 5.0)),
            ("exposure.continuation", exposure.continuation, (-20.0, 20.0)),
            ("exposure.cold_share", exposure.cold_share, (0.0, 1.0)),
            ("dynamics.keep", dynamics.keep, (0.0, 1.0)),
            ("dynamics.step", dynamics.step, (0.0, 10.0)),
            ("dynamics.fatigue", dynamics.fatigue, (0.0, 10.0)),
            ("marginals.activity", marginals.activity, (0.0, 10.0)),
            ("marginals.activity_spread", marginals.activity_spread, (0.0, 5.0)),
            ("marginals.min_length", marginals.min_length as f64, (5.0, most)),
            ("marginals.max_length", marginals.max_length as f64, (marginals.min_length as f64, most)),
            ("marginals.duration", marginals.duration, (-2.0, 12.0)),
            ("marginals.duration_spread", marginals.duration_spread, (0.0, 5.0)),
            ("marginals.popularity_exponent", marginals.popularity_exponent, (0.0, 3.0)),
            ("marginals.watch", marginals.watch, (-10.0, 10.0)),
            ("marginals.watch_spread", marginals.watch_spread, (0.01, 5.0)),
            ("marginals.watch_duration", marginals.watch_duration, (-5.0, 5.0)),
            ("marginals.like", marginals.like, (-20.0, 20.0)),
            ("click_bait.share", click_bait.share, (0.0, 1.0)),
            ("click_bait.lift", click_bait.lift, (0.0, 20.0)),
        ]
    }

    /// The probability that the item at `place` of a slate is looked at; an item that the user picked always is.
    pub(super) fn examination(&self, place: usize) -> f64 {
        self.feed.as_ref().map_or(1.0, |feed| feed.examination(place))
    }
}

/// A key, its value and what is allowed.
type Ranged = (&'static str, f64, (f64, f64));

impl Feed {
    fn ranges(&self) -> [Ranged; 4] {
        [
            ("feed.slate", self.slate as f64, (1.0, Self::MAX_SLATE as f64)),
            ("feed.position_bias", self.position_bias, (0.0, 4.0)),
            ("feed.leaving", self.leaving, (-20.0, 20.0)),
            ("feed.restlessness", self.restlessness, (0.0, 10.0)),
        ]
    }
}

impl ClickBait {
    /// What is added to the log odds of this item; from a random stream of its own, which moves no other.
    pub(super) fn lift_of(&self, item: ItemId, key: Key) -> f64 {
        let drawn = || key.named("click-bait").at(item.index() as u64).unit();
        if self.share > 0.0 && drawn() < self.share { self.lift } else { 0.0 }
    }
}
