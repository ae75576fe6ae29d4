//! The logging policy and what it leaves in the log.
//!
//! At every step continuations of the last item, items of the user's interests and popular items are proposed, and what
//! is taken of them is drawn with the odds of [`super::Exposure`]. So the log is personal and sequential, and biased
//! towards what is popular. Without a feed the user takes one item of those proposed; with one, the service draws a
//! slate of them without replacement and shows it until the user leaves ([`super::Feed`]).

use super::feedback::{Feedback, Likes};
use super::items::{EPOCH, HORIZON};
use super::person::Person;
use super::users::Drifting;
use super::weighted::uniform;
use policy::history::History;
use policy::ids::ItemId;
use policy::random::Key;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};

/// Items proposed per step because of an interest, and because they are popular; a slate needs more of them.
pub(super) const BY_INTEREST: usize = 7;
pub(super) const BY_POPULARITY: usize = 5;
/// Items watched in one sitting, on average, where users do not leave a feed.
const SITTING: f64 = 6.0;

/// One item shown to a user, and what they did.
#[derive(Clone, Debug, PartialEq)]
pub struct Impression {
    /// The item.
    pub item: ItemId,
    /// Seconds since the epoch.
    pub timestamp: i64,
    /// Place in its slate, from 0; without a feed always 0.
    pub place: usize,
    /// What they did.
    pub feedback: Feedback,
}

/// The logged history of a list of impressions, with the first `signals` feedback columns.
pub(super) fn history(impressions: &[Impression], signals: usize) -> History {
    let values = |impression: &Impression| impression.feedback.values().map(|value| value as f32);
    History {
        items: impressions.iter().map(|impression| impression.item).collect(),
        timestamps: impressions.iter().map(|impression| impression.timestamp).collect(),
        feedback: impressions.iter().flat_map(|row| values(row).into_iter().take(signals)).collect(),
    }
}

/// Everything that is logged of this user.
pub(super) fn impressions(person: Person<'_>) -> Vec<Impression> {
    let mut rng = person.key("log").rng();
    let now = EPOCH + (rng.random_range(0.0..0.95) * HORIZON as f64) as i64;
    let length = length(person);
    let mut session = Session {
        person,
        state: person.start(),
        now,
        seen: Seen { items: Vec::with_capacity(length), marks: 0 },
        shown: Vec::with_capacity(length),
        comments: person.key("comment"),
        rng,
        spare: Vec::new(),
    };
    while session.shown.len() < length {
        match &person.simulator.config.feed {
            None => session.picked(),
            Some(feed) => session.slate(feed.slate.min(length - session.shown.len())),
        }
    }
    session.shown
}

/// Never more than a quarter of the catalog, so that there is always something new to see, nor less than five.
fn length(person: Person<'_>) -> usize {
    let marginals = &person.simulator.config.marginals;
    let (least, items) = (marginals.min_length, person.simulator.items.len());
    let longest = marginals.max_length.min((items / 4).max(5));
    (person.user.activity.round() as usize).clamp(least.min(longest), longest)
}

/// A user in front of the service.
struct Session<'a> {
    person: Person<'a>,
    state: Drifting,
    now: i64,
    /// The items of `shown`.
    seen: Seen,
    shown: Vec<Impression>,
    comments: Key,
    rng: ChaCha8Rng,
    /// The last pool, whose memory the next one uses.
    spare: Vec<Proposal>,
}

/// Items a user has seen. Most that are proposed are new, which one of 64 marks usually tells.
struct Seen {
    items: Vec<ItemId>,
    /// Bit `id % 64` of every item.
    marks: u64,
}

impl Seen {
    #[inline]
    fn contains(&self, item: ItemId) -> bool {
        self.marks & Self::mark(item) != 0 && self.items.contains(&item)
    }
    fn push(&mut self, item: ItemId) {
        self.marks |= Self::mark(item);
        self.items.push(item);
    }
    #[inline]
    fn mark(item: ItemId) -> u64 {
        1 << (item.index() % 64)
    }
}

/// An item that may be taken.
pub(super) struct Proposal {
    pub(super) item: ItemId,
    /// For the user, in the state in which it was proposed.
    pub(super) utility: f32,
    /// Log odds of being taken.
    pub(super) logit: f64,
}

impl Session<'_> {
    /// The user takes one item.
    fn picked(&mut self) {
        let mut pool = self.pool(BY_INTEREST + BY_POPULARITY);
        let (item, utility) = if pool.is_empty() {
            let item = self.fallback();
            (item, self.utility(item))
        } else {
            softmax_draw(&mut pool, &mut self.rng)
        };
        let feedback = self.watched(item, utility);
        self.spare = pool;
        self.log(item, 0, feedback);
        let pause = if self.rng.random_bool(1.0 / SITTING) { self.half_a_day() } else { 2.0 };
        self.wait(&feedback, pause);
    }

    /// The service shows a slate until it ends or the user leaves.
    fn slate(&mut self, length: usize) {
        let mut pool = self.pool((BY_INTEREST + BY_POPULARITY).max(2 * length));
        if pool.is_empty() {
            let item = self.fallback();
            pool.push(Proposal { item, utility: self.utility(item), logit: 0.0 });
        }
        for (place, item) in without_replacement(pool, length, &mut self.rng).into_iter().enumerate() {
            let looked = self.rng.random::<f64>() < self.person.simulator.config.examination(place);
            let (utility, mut feedback) = if looked {
                let utility = self.utility(item);
                (utility, self.watched(item, utility))
            } else {
                (0.0, Feedback::UNSEEN)
            };
            let left = self.rng.random::<f64>() < self.person.leaving(f64::from(utility));
            feedback.session_end = f64::from(left);
            self.log(item, place, feedback);
            let pause = if left { self.half_a_day() } else { 0.0 };
            self.wait(&feedback, pause);
            if left {
                return;
            }
        }
    }

    fn utility(&self, item: ItemId) -> f32 {
        self.person.utility(&self.state, self.person.item(item))
    }

    /// What comes of an item that is looked at and has this utility now.
    fn watched(&mut self, item: ItemId, utility: f32) -> Feedback {
        let laws = self.person.laws_at(utility, item, Likes::Logged);
        let comment = self.comments.at(self.shown.len() as u64).unit();
        laws.sampled(&mut self.rng, comment)
    }

    fn log(&mut self, item: ItemId, place: usize, feedback: Feedback) {
        self.shown.push(Impression { item, timestamp: self.now, place, feedback });
        self.seen.push(item);
        self.person.advance(&mut self.state, item);
    }

    fn half_a_day(&mut self) -> f64 {
        self.rng.random_range(3.0..21.0) * 3600.0
    }

    fn wait(&mut self, feedback: &Feedback, pause: f64) {
        self.now += 1 + (feedback.watch_time + pause) as i64;
    }

    /// What may be taken next, continuations first.
    fn pool(&mut self, draws: usize) -> Vec<Proposal> {
        let items = &self.person.simulator.items;
        let continuations = self.state.previous.map_or(&[][..], |previous| items.continuations(previous));
        let mut pool = std::mem::take(&mut self.spare);
        pool.clear();
        for &item in continuations {
            self.propose(item, self.person.simulator.config.exposure.continuation, &mut pool);
        }
        for slot in 0..draws {
            // The same mixture for any number of draws.
            let popular = slot * (BY_INTEREST + BY_POPULARITY) < BY_POPULARITY * draws;
            let item = if popular { items.draw(&mut self.rng) } else { self.of_interest() };
            self.propose(item, 0.0, &mut pool);
        }
        pool
    }

    /// An item of one of the user's interests.
    fn of_interest(&mut self) -> ItemId {
        let items = &self.person.simulator.items;
        let topic = self.state.topic(self.person.user, self.rng.random::<f32>());
        items.draw_of_topic(topic, &mut self.rng).unwrap_or_else(|| items.draw(&mut self.rng))
    }

    /// Adds an item that exists and is new to the user.
    fn propose(&self, id: ItemId, bonus: f64, pool: &mut Vec<Proposal>) {
        let item = self.person.item(id);
        if item.released > self.now || self.seen.contains(id) {
            return;
        }
        let (utility, logit) = self.person.attraction(&self.state, (item, bonus));
        pool.push(Proposal { item: id, utility, logit });
    }

    /// Nothing proposed is new: any unseen item, whatever its release time.
    fn fallback(&mut self) -> ItemId {
        let items = self.person.simulator.items.len();
        let start = self.rng.random_range(0..items);
        (0..items)
            .map(|step| ItemId::new((start + step) % items))
            .find(|item| !self.seen.contains(*item))
            .expect("a history is shorter than the catalog")
    }
}

/// An item and its utility; leaves weights where the logits were.
fn softmax_draw(pool: &mut [Proposal], rng: &mut impl Rng) -> (ItemId, f32) {
    let mut largest = f64::NEG_INFINITY;
    for proposal in &*pool {
        largest = largest.max(proposal.logit);
    }
    let mut total = 0.0;
    for proposal in &mut *pool {
        proposal.logit = (proposal.logit - largest).exp();
        total += proposal.logit;
    }
    let mut left = uniform(rng) * total;
    for proposal in &*pool {
        left -= proposal.logit;
        if left < 0.0 {
            return (proposal.item, proposal.utility);
        }
    }
    let last = &pool[pool.len() - 1];
    (last.item, last.utility)
}

/// `count` distinct items in the order they are drawn: the order of logits with Gumbel noise is that of successive draws
/// from the softmax (Plackett-Luce; Kool et al. 2019, theorem 1). An item proposed twice keeps its better draw, which
/// adds its odds up, as in [`softmax_draw`].
pub(super) fn without_replacement(mut pool: Vec<Proposal>, count: usize, rng: &mut impl Rng) -> Vec<ItemId> {
    for proposal in &mut pool {
        proposal.logit -= (-(1.0 - rng.random::<f64>()).ln()).ln();
    }
    pool.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.item.cmp(&b.item)));
    let mut slate = Vec::with_capacity(count);
    for Proposal { item, .. } in pool {
        if slate.len() < count && !slate.contains(&item) {
            slate.push(item);
        }
    }
    slate
}
