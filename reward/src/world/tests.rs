mod marginals;
mod truth;

use super::*;
use crate::judge::{Judge, Request};
use policy::ids::ItemId;
use policy::random::Key;
use std::collections::BTreeMap;

/// A feed with every signal.
fn short_videos(users: usize, items: usize, seed: u64) -> WorldConfig {
    let config = WorldConfig::new(users, items, seed);
    WorldConfig { signals: Signals::Full, feed: Some(Feed::default()), ..config }
}

fn world() -> World {
    World::generate(&WorldConfig::new(400, 300, 3))
}

#[test]
fn the_same_configuration_gives_the_same_world_on_any_number_of_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    for config in [WorldConfig::new(60, 100, 9), short_videos(60, 100, 9)] {
        let [a, b] = [1, 2].map(|threads| pool(threads).install(|| World::generate(&config)));
        assert_eq!(a.log(), b.log());
        assert_eq!(a.simulator().embeddings(), b.simulator().embeddings());
        assert_eq!(a.simulator().texts(), b.simulator().texts());
        let other = World::generate(&WorldConfig { seed: 10, ..config });
        assert_ne!(a.log(), other.log());
    }
}

/// The log, texts and vectors of the worlds as they were first published, as FNV-1a: reports are compared over years.
/// Other mathematical libraries may round the last bit in another way.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn worlds_without_mechanisms_never_change() {
    let published = [((800, 500, 7), 0x127c_c086_1947_29c4), ((60, 100, 9), 0x52e8_6bbf_2b30_7ad6)];
    for ((users, items, seed), hash) in published {
        let world = World::generate(&WorldConfig::new(users, items, seed));
        let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
        for history in &world.log().histories {
            history.items.iter().for_each(|item| fnv.add(&(item.index() as u32).to_le_bytes()));
            history.timestamps.iter().for_each(|time| fnv.add(&time.to_le_bytes()));
            history.feedback.iter().for_each(|value| fnv.add(&value.to_le_bytes()));
        }
        world.simulator().texts().iter().for_each(|text| fnv.add(text.as_bytes()));
        for table in [world.simulator().embeddings(), world.simulator().attributes()] {
            table.values().iter().for_each(|value| fnv.add(&value.to_le_bytes()));
        }
        assert_eq!(fnv.0, hash, "{users} users, {items} items: {:#x}", fnv.0);
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
struct Fnv(u64);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[test]
fn histories_are_as_a_log_must_be() {
    for (users, items) in [(1, WorldConfig::MIN_ITEMS), (400, 300)] {
        let world = World::generate(&WorldConfig::new(users, items, 3));
        let log = world.log();
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
    let world = world();
    let log = world.log();
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
    let log = world.log().clone();
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
    let (_, log) = World::generate(&WorldConfig::new(800, 300, 3)).into_parts();
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
        let known = log.context(user, policy::history::Split::Test).items;
        let target = log.target(user, policy::history::Split::Test);
        popularity += hits(&popular, known, target);
        markov += follows.get(&known[known.len() - 1]).map_or(0, |counts| hits(counts, known, target));
    }
    assert!(markov as f64 > 1.6 * f64::from(popularity as u32), "markov {markov}, popularity {popularity}");
}

#[test]
fn late_items_are_cold() {
    let counts = World::generate(&WorldConfig::new(2000, 300, 3)).log().train_counts();
    let cold = counts.iter().filter(|&&count| count < 5).count();
    assert!((3..60).contains(&cold), "{cold} of 300 items were seen less than five times");
}

#[test]
fn worlds_that_cannot_exist_are_refused_with_the_key() {
    let config = WorldConfig::new;
    assert_eq!(config(0, 100, 0).check(), Err(WorldError::Users));
    assert_eq!(config(1, 19, 0).check(), Err(WorldError::Items(19)));
    assert_eq!(config(1, 20, 0).check(), Ok(()));
    let mut broken = WorldConfig { feed: Some(Feed { slate: 0, ..Feed::default() }), ..config(1, 20, 0) };
    broken.marginals.watch_spread = f64::NAN;
    broken.marginals.max_length = 4;
    broken.click_bait.share = 1.5;
    let keys: Vec<_> = broken.problems().iter().map(ToString::to_string).collect();
    let named = |key: &str| keys.iter().any(|text| text.starts_with(&format!("`{key}` = ")));
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in ["feed.slate", "marginals.watch_spread", "marginals.max_length", "click_bait.share"] {
        assert!(named(key), "{key}: {keys:?}");
    }
}

#[test]
fn a_mechanism_that_is_left_out_is_not_written_back() {
    let plain = serde_json::to_value(WorldConfig::new(30, 40, 5)).unwrap();
    assert_eq!(plain, serde_json::json!({ "users": 30, "items": 40, "seed": 5 }));
    let text = serde_json::to_string(&short_videos(30, 40, 5)).unwrap();
    assert_eq!(serde_json::from_str::<WorldConfig>(&text).unwrap(), short_videos(30, 40, 5));
}

#[test]
fn more_signals_change_nothing_of_what_happens() {
    let basic = World::generate(&WorldConfig::new(50, 100, 2));
    let full = World::generate(&WorldConfig { signals: Signals::Full, ..WorldConfig::new(50, 100, 2) });
    for (a, b) in basic.log().histories.iter().zip(&full.log().histories) {
        assert_eq!((&a.items, &a.timestamps), (&b.items, &b.timestamps));
        for (six, ten) in a.feedback.chunks_exact(6).zip(b.feedback.chunks_exact(10)) {
            assert_eq!(six, &ten[..6]);
        }
    }
}

#[test]
fn the_largest_and_smallest_settings_give_a_log() {
    let mut config = short_videos(8, 20, 1);
    config.feed =
        Some(Feed { slate: Feed::MAX_SLATE, position_bias: 4.0, leaving: 20.0, restlessness: 10.0 });
    config.marginals.min_length = 10_000;
    config.marginals.max_length = 10_000;
    config.exposure.cold_share = 1.0;
    for history in &World::generate(&config).log().histories {
        assert_eq!(history.items.len(), 5, "a quarter of the catalog");
        assert!(history.feedback.iter().all(|value| value.is_finite()));
    }
}

/// Bits of everything logged in worlds of both kinds, as they were before the generator was made faster: speed must not change them.
#[test]
fn the_log_of_a_world_keeps_its_bits() {
    let bits = |config: &WorldConfig| {
        let world = World::generate(config);
        let mut key = Key::new(0);
        for history in &world.log().histories {
            for (item, time) in history.items.iter().zip(&history.timestamps) {
                key = key.at(item.index() as u64).at(*time as u64);
            }
            key = history.feedback.iter().fold(key, |key, value| key.at(u64::from(value.to_bits())));
        }
        key.bits()
    };
    let found = [bits(&WorldConfig::new(300, 1000, 7)), bits(&short_videos(200, 500, 3))];
    assert_eq!(found, [0x1ccf_f759_e7e3_f8a2, 0x62d0_bf61_db90_f81a], "{found:#x?}");
}
