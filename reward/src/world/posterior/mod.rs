//! What can be known of a user from the log alone: the posterior of everything hidden, given what was logged.
//!
//! [`super::BayesJudge`] knows tastes and interests that no history tells exactly. This one knows the world's laws and its
//! items, and of a user what a judge is shown: the items taken and the feedback on them. No judge that learns from any number of
//! such users has a better expected AUC or log loss, but for what the particles leave open.
//!
//! Method: particles that take in one interaction after the other, are drawn again in proportion to how well they explained it,
//! and are then moved by a chain that leaves the posterior as it is (iterated batch importance sampling: Chopin 2002; with
//! estimated likelihoods: Chopin, Jacob and Papaspiliopoulos 2013).

mod evidence;
mod hypothesis;

use super::bayes::Chances;
use super::users::State;
use super::{Person, World};
use crate::judge::{Judge, Request, Score};
use crate::labels::Labels;
use evidence::{Step, steps};
use hypothesis::{Guesses, Hypothesis};
use policy::ids::ItemId;
use policy::random::Key;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rayon::prelude::*;
use std::sync::Arc;

/// Particles of a user. Among 10,000 items, twice as many that move half as often again raise no AUC by more than .0032.
const PARTICLES: usize = 32;
/// Moves of every particle after each item. A new topic is found by chance: with 24 moves likes are foretold 5 % too rarely.
const MOVES: usize = 200;

/// The Bayes-optimal prediction of reward models' labels, given the log alone.
///
/// Where the candidate is the item that was logged at that point, that the user took it is known, as it is to a judge that learns
/// from logged interactions; others count as shown by chance.
#[derive(Clone, Debug)]
pub struct LogJudge {
    world: Arc<World>,
    chances: Chances,
    effort: Effort,
    key: Key,
}

/// How closely the posterior is followed.
#[derive(Clone, Copy, Debug)]
struct Effort {
    particles: usize,
    moves: usize,
}

impl LogJudge {
    /// For these labels of the world's own log. `None` where a label is no property of one impression, or a service shows
    /// slates, of which only the user's end is logged.
    pub fn new(world: impl Into<Arc<World>>, labels: &Labels, key: Key) -> Option<Self> {
        let (world, chances) = (world.into(), Chances::new(labels)?);
        let effort = Effort { particles: PARTICLES, moves: MOVES };
        let picked = world.simulator.config.feed.is_none();
        picked.then_some(Self { world, chances, effort, key })
    }

    /// The answers to the requests about one user.
    fn scores(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        let user = requests[0].user;
        let mut cloud = Cloud::new(self.world.person(user), (self.effort, self.key.at(user.index() as u64)));
        let steps = steps(cloud.person, self.world.log.history(user));
        let empty =
            |request: &Request<'_>| vec![Score { heads: Vec::new(), fused: 0.0 }; request.candidates.len()];
        let mut scores: Vec<_> = requests.iter().map(empty).collect();
        let last = requests.iter().map(|request| request.known).max().unwrap_or(0);
        for (at, step) in steps[..=last].iter().enumerate() {
            let mut answer = |cloud: &Cloud<'_>, taken: bool| {
                let asked = requests.iter().zip(&mut scores).filter(|(request, _)| request.known == at);
                let asked = asked.flat_map(|(request, scores)| request.candidates.iter().zip(scores));
                for (&item, score) in asked.filter(|(item, _)| (**item == step.item) == taken) {
                    *score = cloud.score(&self.chances, (at, step, item));
                }
            };
            cloud.extend();
            answer(&cloud, false);
            cloud.take_in(|hypothesis, person| hypothesis.choice(person, (at, step)));
            cloud.refresh(&steps[..=at]);
            answer(&cloud, true);
            cloud.take_in(|hypothesis, person| hypothesis.reaction(person, (at, step)));
        }
        scores
    }
}

impl Judge for LogJudge {
    fn name(&self) -> &'static str {
        "log"
    }
    fn heads(&self) -> &[String] {
        self.chances.names()
    }
    /// # Panics
    /// If a request is about a point after a user's last interaction.
    fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        let users: Vec<&[Request<'_>]> = requests.chunk_by(|a, b| a.user == b.user).collect();
        users.par_iter().flat_map_iter(|requests| self.scores(requests)).collect()
    }
}

/// The particles of one user.
struct Cloud<'a> {
    person: Person<'a>,
    hypotheses: Vec<Hypothesis>,
    log_weights: Vec<f64>,
    moves: usize,
    rng: ChaCha8Rng,
}

impl<'a> Cloud<'a> {
    fn new(person: Person<'a>, (effort, key): (Effort, Key)) -> Self {
        let hypothesis = |index| Hypothesis::draw(person.simulator, key.named("hypothesis").at(index as u64));
        Self {
            person,
            hypotheses: (0..effort.particles).map(hypothesis).collect(),
            log_weights: vec![0.0; effort.particles],
            moves: effort.moves,
            rng: key.rng(),
        }
    }

    fn extend(&mut self) {
        let items = &self.person.simulator.items;
        self.hypotheses.iter_mut().for_each(|hypothesis| hypothesis.extend(items, &mut self.rng));
    }

    /// Weighs every particle by a piece of evidence.
    fn take_in(&mut self, likelihood: impl Fn(&Hypothesis, Person<'a>) -> f64) {
        for (hypothesis, weight) in self.hypotheses.iter_mut().zip(&mut self.log_weights) {
            let found = likelihood(hypothesis, self.person);
            hypothesis.log_likelihood += found;
            *weight += found;
        }
    }

    /// The shares in which particles count.
    fn weights(&self) -> Vec<f64> {
        let largest = self.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = self.log_weights.iter().map(|weight| (weight - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / total).collect()
    }

    /// The mean chances of an item's labels at a step.
    fn score(&self, chances: &Chances, (at, step, item): (usize, &Step<'_>, ItemId)) -> Score {
        let mut heads = vec![0.0; chances.names().len()];
        for (hypothesis, weight) in self.hypotheses.iter().zip(self.weights()) {
            let state = hypothesis.state(self.person, (at, step));
            let found = chances.of(hypothesis.person(self.person), &state, (item, 0));
            heads.iter_mut().zip(found).for_each(|(sum, chance)| *sum += weight * chance);
        }
        let fused = heads.iter().sum::<f64>() / heads.len() as f64;
        Score { heads: heads.into_iter().map(|head| head as f32).collect(), fused: fused as f32 }
    }

    /// Draws the particles again by their weights, and moves them: the last step's reaction is not known yet.
    fn refresh(&mut self, steps: &[Step<'_>]) {
        let drawn = systematic(&self.weights(), self.rng.random());
        self.hypotheses = drawn.into_iter().map(|index| self.hypotheses[index].clone()).collect();
        self.log_weights.fill(0.0);
        let guesses = Guesses::new(&self.person.simulator.items, steps);
        let mut places: Vec<State> = steps.iter().map(|step| step.place.clone()).collect();
        for hypothesis in &mut self.hypotheses {
            for _ in 0..self.moves {
                hypothesis.step(self.person, (steps, &mut places), (&guesses, &mut self.rng));
            }
        }
    }
}

/// As many indices as there are weights, each about as often as its share says (systematic resampling).
fn systematic(weights: &[f64], start: f64) -> Vec<usize> {
    let count = weights.len();
    let (mut index, mut sum) = (0, weights[0]);
    let mut draw = |place: usize| {
        let at = (place as f64 + start) / count as f64;
        while sum <= at && index + 1 < count {
            index += 1;
            sum += weights[index];
        }
        index
    };
    (0..count).map(&mut draw).collect()
}

#[cfg(test)]
mod tests;
