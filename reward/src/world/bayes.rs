//! The judge that knows everything but the dice: the exact chance of every label of the log.

use super::World;
use super::feedback::Likes;
use super::person::Person;
use super::users::State;
use crate::judge::{Judge, Request, Score};
use crate::labels::{Head, Labels};
use policy::ids::{ItemId, UserId};
use rayon::prelude::*;
use std::sync::Arc;

/// The chance of every label of an impression, given who sees what in which state.
#[derive(Clone, Debug)]
pub(super) struct Chances {
    heads: Vec<Head>,
    names: Vec<String>,
    /// Seconds that make a watch long.
    long: f64,
}

impl Chances {
    /// `None` where a label is no property of one impression (`next`, or duration-aware watch times).
    pub(super) fn new(labels: &Labels) -> Option<Self> {
        let long = labels.watch_threshold()?;
        let heads = labels.heads().to_vec();
        let names = heads.iter().map(|head| head.name().to_string()).collect();
        (!labels.needs_negatives()).then_some(Self { heads, names, long })
    }
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
    /// In the order of the heads.
    pub(super) fn of<'a>(
        &'a self,
        person: Person<'_>,
        state: &State,
        (item, place): (ItemId, usize),
    ) -> impl Iterator<Item = f64> + 'a {
        let laws = person.laws(state, item, Likes::Logged).1;
        let looked = person.simulator.config.examination(place);
        let expected = person.expected(state, (item, place), Likes::Logged);
        self.heads.iter().map(move |head| match head {
            Head::Swt => looked * laws.watched_beyond(self.long),
            Head::Vtr => expected.long_view,
            Head::Wtr => expected.follow,
            Head::Ltr => expected.like,
            // The world has no clicks, and what was logged was taken.
            Head::Ctr | Head::Next => 1.0,
        })
    }
}

/// The Bayes-optimal prediction of reward models' labels, given the user's hidden state: no judge has a better expected AUC or
/// log loss. What one can learn from logged histories lies below it, since no history tells a user's tastes exactly.
///
/// Where an item is the one that was logged at that point, its place in the slate is known too; others count as shown first.
#[derive(Clone, Debug)]
pub struct BayesJudge {
    world: Arc<World>,
    chances: Chances,
}

impl BayesJudge {
    /// For these labels of the world's own log; `None` where a label is no property of one impression (`next`, or duration-aware
    /// watch times).
    pub fn new(world: impl Into<Arc<World>>, labels: &Labels) -> Option<Self> {
        Some(Self { world: world.into(), chances: Chances::new(labels)? })
    }

    /// Places in slates of what this user was shown; without a feed everything is shown first.
    fn places(&self, user: UserId) -> Vec<usize> {
        let simulator = &self.world.simulator;
        let shown = || simulator.impressions(user).into_iter().map(|impression| impression.place).collect();
        simulator.config.feed.as_ref().map_or_else(Vec::new, |_| shown())
    }

    fn scores(&self, places: &[usize], request: &Request<'_>) -> Vec<Score> {
        let Request { user, known, candidates } = *request;
        let (person, state) = (self.world.person(user), self.world.state(user, known));
        let logged = self.world.log.history(user).items.get(known);
        let score = |&item: &ItemId| {
            let place = if logged == Some(&item) { places.get(known).copied().unwrap_or(0) } else { 0 };
            let heads: Vec<f32> =
                self.chances.of(person, &state, (item, place)).map(|chance| chance as f32).collect();
            let fused = heads.iter().sum::<f32>() / heads.len() as f32;
            Score { heads, fused }
        };
        candidates.iter().map(score).collect()
    }
}

impl Judge for BayesJudge {
    fn name(&self) -> &'static str {
        "bayes"
    }
    fn heads(&self) -> &[String] {
        self.chances.names()
    }
    fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        let users: Vec<&[Request<'_>]> = requests.chunk_by(|a, b| a.user == b.user).collect();
        let of_user = |requests: &&[Request<'_>]| {
            let places = self.places(requests[0].user);
            requests.iter().map(|request| self.scores(&places, request)).collect::<Vec<_>>()
        };
        users.par_iter().flat_map_iter(of_user).collect()
    }
}
