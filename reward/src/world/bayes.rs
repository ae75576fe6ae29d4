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

/// The Bayes-optimal prediction of reward models' labels, given the user's hidden state: no judge has a better expected AUC or
/// log loss. What one can learn from logged histories lies below it, since no history tells a user's tastes exactly.
///
/// Where an item is the one that was logged at that point, its place in the slate is known too; others count as shown first.
#[derive(Clone, Debug)]
pub struct BayesJudge {
    world: Arc<World>,
    heads: Vec<(Head, String)>,
    names: Vec<String>,
    /// Seconds that make a watch long.
    long: f64,
}

impl BayesJudge {
    /// For these labels of the world's own log; `None` where a label is no property of one impression (`next`, or duration-aware
    /// watch times).
    pub fn new(world: impl Into<Arc<World>>, labels: &Labels) -> Option<Self> {
        let long = labels.watch_threshold()?;
        let heads: Vec<_> = labels.heads().iter().map(|head| (*head, head.name().to_string())).collect();
        let names = heads.iter().map(|(_, name)| name.clone()).collect();
        (!labels.needs_negatives()).then(|| Self { world: world.into(), heads, names, long })
    }

    /// The chance of every label, in the order of the heads.
    fn chances(&self, person: Person<'_>, state: &State, (item, place): (ItemId, usize)) -> Vec<f32> {
        let laws = person.laws(state, item, Likes::Logged).1;
        let looked = person.simulator.config.examination(place);
        let expected = person.expected(state, (item, place), Likes::Logged);
        let chance = |(head, _): &(Head, String)| match head {
            Head::Swt => looked * laws.watched_beyond(self.long),
            Head::Vtr => expected.long_view,
            Head::Wtr => expected.follow,
            Head::Ltr => expected.like,
            Head::Next => 1.0,
        };
        self.heads.iter().map(|head| chance(head) as f32).collect()
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
            let heads = self.chances(person, &state, (item, place));
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
        &self.names
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
