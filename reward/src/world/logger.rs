//! The logging policy and what it leaves in the log.
//!
//! At every step the service proposes continuations of the last item, items of the user's interests and popular
//! items; the user takes one with probability proportional to `exp(1.1 utility + 0.45 ln(popularity n) + 1.5
//! [continuation])`. So the log is personal and sequential, and biased towards what is popular.

use super::World;
use super::items::{EPOCH, HORIZON};
use super::users::State;
use policy::history::History;
use policy::ids::{ItemId, UserId};
use rand::{Rng, RngExt};

/// Shortest history.
const MIN_LENGTH: usize = 5;
/// Longest history.
const MAX_LENGTH: usize = 64;
/// Items proposed because of an interest, per step.
const BY_INTEREST: usize = 7;
/// Items proposed because they are popular, per step.
const BY_POPULARITY: usize = 5;
/// Items watched in one sitting, on average.
const SITTING: f64 = 6.0;

/// This user's logged history.
pub(super) fn history(world: &World, user: UserId) -> History {
    let mut rng = world.key.named("log").at(user.index() as u64).rng();
    let mut state = State::start(world.user(user), world.drift_key(user));
    let mut now = EPOCH + (rng.random_range(0.0..0.95) * HORIZON as f64) as i64;
    let length = length(world, user);
    let mut history = History::default();
    while history.items.len() < length {
        let item = choose(world, user, &state, &Step { seen: &history.items, now }, &mut rng);
        let feedback = world.sampled(user, &state, item, &mut rng);
        history.items.push(item);
        history.timestamps.push(now);
        history.feedback.extend(feedback.values().map(|value| value as f32));
        world.advance(user, &mut state, item);
        now += gap(feedback.watch_ratio * f64::from(world.items.get(item).log_duration).exp(), &mut rng);
    }
    history
}

/// At least five; at most a quarter of the catalog, so that there is always something new to see.
fn length(world: &World, user: UserId) -> usize {
    let longest = MAX_LENGTH.min((world.items.len() / 4).max(MIN_LENGTH));
    (world.user(user).activity.round() as usize).clamp(MIN_LENGTH, longest)
}

/// Seconds to the next interaction: the time watched, and now and then half a day.
fn gap(watched: f64, rng: &mut impl Rng) -> i64 {
    let pause = if rng.random_bool(1.0 / SITTING) { rng.random_range(3.0..21.0) * 3600.0 } else { 2.0 };
    1 + (watched + pause) as i64
}

struct Step<'a> {
    seen: &'a [ItemId],
    now: i64,
}

fn choose(world: &World, user: UserId, state: &State, step: &Step<'_>, rng: &mut impl Rng) -> ItemId {
    let available = |item: &ItemId| world.items.get(*item).released <= step.now && !step.seen.contains(item);
    let continuations = state.previous.map_or(&[][..], |previous| world.items.continuations(previous));
    let mut pool: Vec<ItemId> = continuations.iter().copied().filter(available).collect();
    let continued = pool.len();
    pool.extend(proposals(world, user, state, rng).filter(available));
    if pool.is_empty() {
        return fallback(world, step.seen, rng);
    }
    let logits: Vec<f64> = pool
        .iter()
        .enumerate()
        .map(|(index, &item)| {
            let popularity = (world.items.get(item).popularity * world.items.len() as f64).ln();
            let bonus = if index < continued { 1.5 } else { 0.0 };
            1.1 * f64::from(world.utility(user, state, item)) + 0.45 * popularity + bonus
        })
        .collect();
    pool[softmax_draw(&logits, rng)]
}

fn proposals<'a>(
    world: &'a World,
    user: UserId,
    state: &'a State,
    rng: &'a mut impl Rng,
) -> impl Iterator<Item = ItemId> + 'a {
    let weights: Vec<f32> = state.weights(world.user(user)).collect();
    (0..BY_INTEREST + BY_POPULARITY).map(move |slot| {
        if slot < BY_POPULARITY {
            return world.items.draw(rng);
        }
        let mut left = rng.random::<f32>();
        let pick = weights.iter().position(|&weight| {
            left -= weight;
            left < 0.0
        });
        let interest = &world.user(user).interests[pick.unwrap_or(0)];
        world.items.draw_of_topic(interest.topic, rng).unwrap_or_else(|| world.items.draw(rng))
    })
}

/// Nothing proposed is new: any unseen item, whatever its release time.
fn fallback(world: &World, seen: &[ItemId], rng: &mut impl Rng) -> ItemId {
    let start = rng.random_range(0..world.items.len());
    (0..world.items.len())
        .map(|step| ItemId::new((start + step) % world.items.len()))
        .find(|item| !seen.contains(item))
        .expect("a history is shorter than the catalog")
}

fn softmax_draw(logits: &[f64], rng: &mut impl Rng) -> usize {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    weights
        .iter()
        .position(|weight| {
            left -= weight;
            left < 0.0
        })
        .unwrap_or(logits.len() - 1)
}
