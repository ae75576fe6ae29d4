use super::*;
use crate::judge::{Judge, Request};
use std::collections::BTreeMap;

fn world() -> World {
    World::generate(&WorldConfig { users: 400, items: 300, seed: 3 })
}

#[test]
fn the_same_configuration_gives_the_same_world_on_any_number_of_threads() {
    let config = WorldConfig { users: 60, items: 100, seed: 9 };
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let (a, b) = (one.install(|| World::generate(&config)), World::generate(&config));
    assert_eq!(a.log(), b.log());
    assert_eq!(a.embeddings(), b.embeddings());
    assert_eq!(a.texts(), b.texts());
    let other = World::generate(&WorldConfig { seed: 10, ..config });
    assert_ne!(a.log(), other.log());
}

#[test]
fn histories_are_as_a_log_must_be() {
    for (users, items) in [(1, WorldConfig::MIN_ITEMS), (400, 300)] {
        let log = World::generate(&WorldConfig { users, items, seed: 3 }).log();
        assert_eq!(log.histories.len(), users);
        for history in &log.histories {
            let mut distinct = history.items.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert!(history.items.len() >= 5 && distinct.len() == history.items.len());
            assert!(history.items.iter().all(|item| item.index() < items));
            assert!(history.timestamps.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!(history.feedback.len(), history.items.len() * log.signals.len());
        }
    }
}

#[test]
fn marginals_are_plausible() {
    let log = world().log();
    let mut lengths: Vec<_> = log.histories.iter().map(|history| history.items.len()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!((14..=24).contains(&median), "median length {median}");
    let rows: Vec<&[f32]> =
        log.histories.iter().flat_map(|history| history.feedback.chunks_exact(6)).collect();
    let mean = |signal: usize| rows.iter().map(|row| f64::from(row[signal])).sum::<f64>() / rows.len() as f64;
    let ranges = [(0.5, 1.2), (0.4, 0.9), (0.08, 0.4), (0.01, 0.15), (0.01, 0.2), (0.003, 0.1)];
    for (signal, (low, high)) in ranges.into_iter().enumerate() {
        let mean = mean(signal);
        assert!((low..high).contains(&mean), "mean {} is {mean}", SIGNALS[signal]);
    }
}

/// Each signal's sum of (sampled - expected) over all logged interactions is a martingale with independent terms of
/// variance at most E[signal^2]; the bound is 5 sigma, a false alarm in 3e5 seeds per signal.
#[test]
fn the_log_averages_to_the_expectation() {
    let world = world();
    let log = world.log();
    let mut difference = [0.0; 6];
    let mut variance = [0.0; 6];
    for user in log.users() {
        let history = log.history(user);
        // One slate that is the history itself gives the expectation at every position.
        let expected = world.true_feedback(user, 0, &history.items);
        for (expected, sampled) in expected.iter().zip(history.feedback.chunks_exact(6)) {
            for (signal, (e, &s)) in expected.values().iter().zip(sampled).enumerate() {
                difference[signal] += f64::from(s) - e;
                // A probability's variance; 0.4 bounds the watch ratio's (its spread is 0.6, capped at 2).
                variance[signal] += if signal == 0 { 0.4 } else { e * (1.0 - e) };
            }
        }
    }
    for signal in 0..6 {
        let sigmas = difference[signal] / variance[signal].sqrt();
        assert!(sigmas.abs() < 5.0, "{} is {sigmas} standard errors off", SIGNALS[signal]);
    }
}

/// 20,000 draws at one state; 5 standard errors.
#[test]
fn expectations_equal_monte_carlo_means() {
    let world = world();
    let (user, item) = (UserId::new(5), ItemId::new(17));
    let state = world.state(user, 4);
    let expected = world.expected(user, &state, item).values();
    let draws = 20_000;
    let mut rng = Key::new(1).rng();
    let mut sums = [(0.0, 0.0); 6];
    for _ in 0..draws {
        for (sum, value) in sums.iter_mut().zip(world.sampled(user, &state, item, &mut rng).values()) {
            *sum = (sum.0 + value, sum.1 + value * value);
        }
    }
    for (signal, (sum, squares)) in sums.into_iter().enumerate() {
        let mean = sum / f64::from(draws);
        let error = ((squares / f64::from(draws) - mean * mean) / f64::from(draws)).sqrt();
        let gap = (mean - expected[signal]).abs();
        // 3e-4: what a probability this small can differ by when it was never drawn.
        assert!(gap < 5.0 * error + 3e-4, "{}: {mean} against {}", SIGNALS[signal], expected[signal]);
    }
}

#[test]
fn a_slate_is_judged_in_order_and_its_first_item_as_if_alone() {
    let world = world();
    let (user, known) = (UserId::new(1), 3);
    let slate = [ItemId::new(10), ItemId::new(10)];
    let both = world.true_feedback(user, known, &slate);
    let alone = world.true_feedback(user, known, &slate[..1]);
    assert_eq!(both[0], alone[0]);
    assert_ne!(both[0], both[1], "the repeated topic must tire");
    assert!((both[0].reward() - world.true_reward(user, known, slate[0])).abs() < 1e-12);
}

#[test]
fn the_best_item_is_far_better_than_the_logged_one() {
    let world = world();
    let log = world.log();
    let items: Vec<ItemId> = (0..300).map(ItemId::new).collect();
    let oracle = OracleJudge::new(world);
    let (mut best, mut logged) = (0.0, 0.0);
    for user in log.users().take(100) {
        let known = log.history(user).items.len() - 1;
        let target = log.history(user).items[known];
        let scores = &oracle.score(&[Request { user, known, candidates: &items }])[0];
        best += scores.iter().map(|score| score.fused).fold(f32::MIN, f32::max);
        logged += scores[target.index()].fused;
    }
    assert!(best > 1.5 * logged && logged > 0.0, "best {best}, logged {logged}");
}

/// Recall@10 of "what followed this item in other histories" against "what is popular", on the test items.
#[test]
fn the_previous_item_predicts_the_next_better_than_popularity() {
    let log = World::generate(&WorldConfig { users: 800, items: 300, seed: 3 }).log();
    let mut follows = BTreeMap::<ItemId, BTreeMap<ItemId, usize>>::new();
    for user in log.users() {
        for pair in log.train_items(user).windows(2) {
            *follows.entry(pair[0]).or_default().entry(pair[1]).or_default() += 1;
        }
    }
    let popular: BTreeMap<ItemId, usize> =
        log.train_counts().into_iter().enumerate().map(|(item, n)| (ItemId::new(item), n as usize)).collect();
    let hits = |counts: &BTreeMap<ItemId, usize>, seen: &[ItemId], target: ItemId| {
        let mut ranked: Vec<_> = counts.iter().filter(|(item, _)| !seen.contains(item)).collect();
        ranked.sort_by_key(|(item, count)| (std::cmp::Reverse(**count), **item));
        usize::from(ranked.iter().take(10).any(|(item, _)| **item == target))
    };
    let (mut markov, mut popularity) = (0, 0);
    for user in log.users() {
        let known = log.context(user, policy::history::Split::Test);
        let target = log.target(user, policy::history::Split::Test);
        popularity += hits(&popular, known, target);
        markov += follows.get(&known[known.len() - 1]).map_or(0, |counts| hits(counts, known, target));
    }
    assert!(markov as f64 > 1.6 * f64::from(popularity as u32), "markov {markov}, popularity {popularity}");
}

#[test]
fn late_items_are_cold() {
    let counts = World::generate(&WorldConfig { users: 2000, items: 300, seed: 3 }).log().train_counts();
    let cold = counts.iter().filter(|&&count| count < 5).count();
    assert!((3..60).contains(&cold), "{cold} of 300 items were seen less than five times");
}

#[test]
fn worlds_that_cannot_exist_are_refused() {
    let config = |users, items| WorldConfig { users, items, seed: 0 };
    assert_eq!(config(0, 100).check(), Err(WorldError::Users));
    assert_eq!(config(1, 19).check(), Err(WorldError::Items(19)));
    assert_eq!(config(1, 20).check(), Ok(()));
}
