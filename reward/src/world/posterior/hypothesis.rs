//! One guess at what is hidden of a user, and the moves by which guesses follow the posterior.

use super::evidence::{Pool, Step};
use crate::world::items::{Items, gaussian, normal};
use crate::world::users::{Interest, Interests, MAX_INTERESTS, MIN_INTERESTS, State, User};
use crate::world::{Person, Simulator};
use policy::random::Key;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// Standard normal steps of the interests' log weights.
type Drift = [f32; MAX_INTERESTS];

/// A user, how their interests drifted, and what was proposed to them.
#[derive(Clone, Debug)]
pub(super) struct Hypothesis {
    pub(super) user: User,
    interests: Vec<Interest>,
    /// Before the first step, then after each.
    drift: Vec<Drift>,
    pools: Vec<Pool>,
    /// Of all evidence so far.
    pub(super) log_likelihood: f64,
}

/// Topics in the proportions in which new interests are guessed: mostly those of the items taken.
pub(super) struct Guesses<'a> {
    items: &'a Items,
    taken: Vec<u16>,
}

impl<'a> Guesses<'a> {
    /// Share of guesses that ignore what was taken.
    const BLIND: f64 = 0.2;

    /// At least one step.
    pub(super) fn new(items: &'a Items, steps: &[Step<'_>]) -> Self {
        Self { items, taken: steps.iter().map(|step| items.get(step.item).topic).collect() }
    }
    /// An interest as a user has one by chance, but for its topic.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Interest {
        let mut interest = Interest::draw(self.items, rng);
        if !rng.random_bool(Self::BLIND) {
            interest.topic = self.taken[rng.random_range(0..self.taken.len())];
        }
        interest
    }
    /// How much more often a topic is guessed than users have it, as a logarithm.
    fn excess(&self, interest: &Interest) -> f64 {
        let taken = self.taken.iter().filter(|topic| **topic == interest.topic).count();
        let taken = taken as f64 / self.taken.len() as f64;
        (Self::BLIND + (1.0 - Self::BLIND) * taken / self.items.topic_share(interest.topic)).ln()
    }
}

#[cfg(test)]
impl Hypothesis {
    pub(super) fn number_of_interests(&self) -> usize {
        self.interests.len()
    }
    pub(super) fn first_topic(&self) -> u16 {
        self.interests[0].topic
    }
}

/// Moves values that are standard normal beforehand such that they stay so (preconditioned Crank-Nicolson).
fn nudge<'a>(values: impl IntoIterator<Item = &'a mut f32>, step: f32, rng: &mut ChaCha8Rng) {
    let keep = (1.0 - step * step).sqrt();
    for value in values {
        *value = keep * *value + step * normal(rng);
    }
}

impl Hypothesis {
    /// Before there is any evidence.
    pub(super) fn draw(simulator: &Simulator, key: Key) -> Self {
        let (items, mut rng) = (&simulator.items, key.named("interests").rng());
        let interests = Interest::several(items, &mut rng);
        let user = User { interests: Interests::of(items, &interests), ..simulator.user_of(key) };
        Self { user, interests, drift: vec![gaussian(&mut rng)], pools: Vec::new(), log_likelihood: 0.0 }
    }

    /// Draws what the next step needs.
    pub(super) fn extend(&mut self, items: &Items, rng: &mut ChaCha8Rng) {
        self.pools.push(Pool::draw(items, rng));
        self.drift.push(gaussian(rng));
    }

    /// Where the user stands at a step.
    pub(super) fn state(&self, person: Person<'_>, (at, step): (usize, &Step<'_>)) -> State {
        let mut state = step.place.clone();
        let path = self.path(person).nth(at).expect("one step of drift per step of the log");
        state.set_log_weights(&self.user, path);
        state
    }

    /// The log weights at every step.
    fn path(&self, person: Person<'_>) -> impl Iterator<Item = Drift> + '_ {
        let dynamics = person.simulator.config.dynamics.clone();
        let numbers = |drift: Drift| {
            let mut numbers = drift.into_iter();
            move || numbers.next().expect("a number for every interest")
        };
        let mut weights = self.user.interests.at_first(numbers(self.drift[0]));
        std::iter::once(weights).chain(self.drift[1..].iter().map(move |&drift| {
            self.user.interests.drift(&mut weights, &dynamics, numbers(drift));
            weights
        }))
    }

    /// The person this is a guess at.
    pub(super) fn person<'a>(&'a self, person: Person<'a>) -> Person<'a> {
        Person { user: &self.user, ..person }
    }

    /// The log likelihood of a step's choice.
    pub(super) fn choice(&self, person: Person<'_>, (at, step): (usize, &Step<'_>)) -> f64 {
        let state = self.state(person, (at, step));
        step.choice(self.person(person), &state, &self.pools[at])
    }

    /// The log likelihood of what was done at a step.
    pub(super) fn reaction(&self, person: Person<'_>, (at, step): (usize, &Step<'_>)) -> f64 {
        step.reaction(self.person(person), &self.state(person, (at, step)))
    }

    /// The log likelihood of these steps, of the last one of its choice alone. `places` are their states, whose weights it
    /// overwrites.
    fn weigh(&self, person: Person<'_>, (steps, places): (&[Step<'_>], &mut [State])) -> f64 {
        let person = self.person(person);
        let (mut sum, mut last_reaction) = (0.0, 0.0);
        for (((step, place), weights), pool) in
            steps.iter().zip(places).zip(self.path(person)).zip(&self.pools)
        {
            place.set_log_weights(&self.user, weights);
            sum += last_reaction + step.choice(person, place, pool);
            last_reaction = step.reaction(person, place);
        }
        sum
    }

    /// One Metropolis-Hastings move that leaves the posterior of these steps as it is.
    pub(super) fn step(
        &mut self,
        person: Person<'_>,
        (steps, places): (&[Step<'_>], &mut [State]),
        (guesses, rng): (&Guesses<'_>, &mut ChaCha8Rng),
    ) {
        let mut other = self.clone();
        let Some(correction) = other.change(person, guesses, rng) else { return };
        other.user.interests = Interests::of(guesses.items, &other.interests);
        other.log_likelihood = other.weigh(person, (steps, places));
        let ratio = other.log_likelihood - self.log_likelihood + correction;
        if rng.random::<f64>().ln() < ratio {
            *self = other;
        }
    }

    /// A change that is reversible for users before any evidence, but for the factor whose logarithm is returned; `None`
    /// where there is nothing to change.
    fn change(&mut self, person: Person<'_>, guesses: &Guesses<'_>, rng: &mut ChaCha8Rng) -> Option<f64> {
        let step = if rng.random_bool(0.5) { 0.25 } else { 0.8 };
        let which = rng.random_range(0..self.interests.len());
        match rng.random_range(0..6) {
            0 => self.change_tastes(person, step, rng),
            1 => {
                let Interest { own, base, .. } = &mut self.interests[which];
                nudge(own.iter_mut().chain([base]), step, rng);
            }
            2 => nudge(self.drift.iter_mut().flatten(), step, rng),
            3 => {
                let guess = guesses.draw(rng);
                let old = std::mem::replace(&mut self.interests[which], guess);
                self.drift.iter_mut().for_each(|drift| drift[which] = normal(rng));
                return Some(guesses.excess(&old) - guesses.excess(&guess));
            }
            4 => return self.change_number(guesses, rng),
            _ => self.change_pools(guesses.items, rng),
        }
        Some(0.0)
    }

    fn change_tastes(&mut self, person: Person<'_>, step: f32, rng: &mut ChaCha8Rng) {
        let User { taste, brands, patience, .. } = &mut self.user;
        let mut liking = User::standard_patience(*patience, &person.simulator.config.marginals);
        nudge(taste.iter_mut().chain(brands).chain([&mut liking]), step, rng);
        *patience = User::patience(liking, &person.simulator.config.marginals);
    }

    /// One interest more or less, at any place.
    fn change_number(&mut self, guesses: &Guesses<'_>, rng: &mut ChaCha8Rng) -> Option<f64> {
        let count = self.interests.len();
        if rng.random_bool(0.5) {
            let at = (count < MAX_INTERESTS).then(|| rng.random_range(0..=count))?;
            let guess = guesses.draw(rng);
            self.interests.insert(at, guess);
            for drift in &mut self.drift {
                drift[at..].rotate_right(1);
                drift[at] = normal(rng);
            }
            Some(-guesses.excess(&guess))
        } else {
            let at = (count > MIN_INTERESTS).then(|| rng.random_range(0..count))?;
            for drift in &mut self.drift {
                drift[at..].rotate_left(1);
                drift[MAX_INTERESTS - 1] = normal(rng);
            }
            Some(guesses.excess(&self.interests.remove(at)))
        }
    }

    /// Draws a few steps' pools again.
    fn change_pools(&mut self, items: &Items, rng: &mut ChaCha8Rng) {
        let share = (3.0 / self.pools.len() as f64).min(1.0);
        for pool in &mut self.pools {
            if rng.random_bool(share) {
                *pool = Pool::draw(items, rng);
            }
        }
    }
}
