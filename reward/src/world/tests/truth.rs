//! The closed forms against draws, and what the planted mechanisms do to them.
//!
//! Means of independent terms are compared at five standard errors: a false alarm in 2 million comparisons, and seeds are
//! fixed.

use super::*;
use crate::calibration::auc;
use crate::context::{Context, Source};
use crate::features::ItemTables;
use crate::judge::Judge as _;
use crate::quality::Examination;
use crate::world::feedback::Likes;
use rand::RngExt;

/// A sum of independent differences and its variance.
#[derive(Clone, Copy, Default)]
struct Deviation {
    sum: f64,
    variance: f64,
}

impl Deviation {
    fn add(&mut self, difference: f64, variance: f64) {
        *self = Self { sum: self.sum + difference, variance: self.variance + variance };
    }
    #[track_caller]
    fn check(self, what: &str) {
        let sigmas = self.sum / self.variance.sqrt();
        assert!(sigmas.abs() < 5.0, "{what} is {sigmas} standard errors off");
    }
}

/// Given the state, each signal's (logged - foreseen) is a martingale difference: a probability's variance is `p (1 - p)`,
/// those of the watch ratio and time are bounded by `cap` times the mean.
#[test]
fn the_log_averages_to_what_was_foreseen() {
    let bait = ClickBait { share: 0.3, lift: 2.0 };
    let picked = WorldConfig { signals: Signals::Full, ..WorldConfig::new(400, 300, 3) };
    for config in [picked, WorldConfig { click_bait: bait, ..short_videos(400, 300, 4) }] {
        let simulator = Simulator::new(&config);
        let mut deviations = [Deviation::default(); 10];
        for user in (0..config.users).map(UserId::new) {
            let shown = simulator.impressions(user);
            for (row, foreseen) in shown.iter().zip(simulator.foreseen(user, &shown)) {
                let duration = simulator.attributes().row(row.item.index())[0].exp();
                let pairs = row.feedback.values().into_iter().zip(foreseen.logged.values());
                for (signal, (sampled, expected)) in pairs.enumerate() {
                    let variance = match SIGNALS[signal] {
                        "watch_ratio" => 2.0 * expected,
                        "watch_time" => 2.0 * f64::from(duration) * expected,
                        _ => expected * (1.0 - expected),
                    };
                    deviations[signal].add(sampled - expected, variance);
                }
            }
        }
        let signals = if config.feed.is_some() { 10 } else { 9 };
        for (name, deviation) in SIGNALS.iter().zip(deviations).take(signals) {
            deviation.check(name);
        }
    }
}

/// Labels minus their chances average to nothing, head by head, for items picked and for slates where many are not looked at.
#[test]
fn labels_average_to_their_bayes_optimal_chances() {
    let feed = WorldConfig { feed: Some(Feed::default()), ..short_videos(400, 300, 4) };
    for config in [WorldConfig::new(400, 300, 3), feed] {
        let world = World::generate(&config);
        let (embeddings, attributes) = (world.simulator().embeddings(), world.simulator().attributes());
        let names = world.simulator().attribute_names();
        let items = ItemTables { embeddings: &embeddings, attributes: Some(&attributes) };
        let source = Source { log: world.log(), items, attribute_names: &names };
        let users: Vec<UserId> = world.log().users().collect();
        let context = Context::fit(source, crate::testing::sizes(), &users).unwrap();
        let judge = BayesJudge::new(world.clone(), &context.config().labels).unwrap();
        let examination = Examination::new(&context, &users, 1, Key::new(1));
        let answers = examination.examine(&judge);
        assert_eq!(judge.heads(), ["swt", "vtr", "wtr", "ltr"]);
        for (head, chances) in answers.predictions.iter().enumerate() {
            let mut deviation = Deviation::default();
            for (label, chance) in examination.truth(head).rows(chances).labels.iter().zip(chances) {
                deviation.add(label - chance, chance * (1.0 - chance));
            }
            deviation.check(&judge.heads()[head]);
            let auc = answers.heads[head].auc.unwrap();
            assert!(auc > 0.7 && answers.heads[head].ece < 0.02, "{head}: {auc}");
        }
    }
}

/// Draws whether a slate is seen and what comes of it, step by step.
fn drawn(person: Person<'_>, slate: &[ItemId], rng: &mut impl rand::Rng) -> Vec<Feedback> {
    let mut state = person.start();
    let mut outcome = vec![Feedback::default(); slate.len()];
    for (place, (&item, feedback)) in slate.iter().zip(&mut outcome).enumerate() {
        let looked = rng.random::<f64>() < person.simulator.config.examination(place);
        let (utility, laws) = person.laws(&state, item, Likes::Meant);
        let comment = rng.random();
        *feedback = if looked { laws.sampled(rng, comment) } else { Feedback::UNSEEN };
        person.advance(&mut state, item);
        let leaves = rng.random::<f64>() < person.leaving(if looked { utility } else { 0.0 });
        feedback.session_end = f64::from(leaves);
        if leaves {
            break;
        }
    }
    outcome
}

/// 40,000 draws of a slate of five in which a topic repeats; an item alone is its first place.
#[test]
fn expectations_of_slates_equal_monte_carlo_means() {
    const DRAWS: usize = 40_000;
    let world = World::generate(&short_videos(40, 60, 5));
    let user = UserId::new(5);
    let slate = [3, 17, 3, 40, 8].map(ItemId::new);
    let expected = world.true_feedback(user, 0, &slate);
    let mut rng = Key::new(1).rng();
    let mut sums = [[(0.0, 0.0); 10]; 5];
    for _ in 0..DRAWS {
        for (sums, feedback) in sums.iter_mut().zip(drawn(world.person(user), &slate, &mut rng)) {
            for (sum, value) in sums.iter_mut().zip(feedback.values()) {
                *sum = (sum.0 + value, sum.1 + value * value);
            }
        }
    }
    for (place, (sums, expected)) in sums.iter().zip(&expected).enumerate() {
        for (signal, (&(sum, squares), expected)) in sums.iter().zip(expected.values()).enumerate() {
            let mean = sum / DRAWS as f64;
            let error = ((squares / DRAWS as f64 - mean * mean) / DRAWS as f64).sqrt();
            // 3e-4: what a probability this small can differ by when it was hardly ever drawn.
            let bound = 5.0 * error + 3e-4;
            assert!((mean - expected).abs() < bound, "{place} {}: {mean}, {expected}", SIGNALS[signal]);
        }
    }
    assert!(expected[4].like < expected[0].like.max(0.3), "fewer are there to see the last item");
}

#[test]
fn the_best_item_is_the_best_and_greed_is_no_better_than_the_best_pair() {
    let world = World::generate(&short_videos(30, 40, 6));
    let items: Vec<ItemId> = (0..12).map(ItemId::new).collect();
    for user in (0..10).map(UserId::new) {
        let reward = |slate: &[ItemId]| world.slate_reward(user, 4, slate);
        let (best, value) = world.best_item(user, 4, &items).unwrap();
        let alone = items.iter().map(|&item| reward(&[item])).fold(f64::MIN, f64::max);
        assert!((value - alone).abs() < 1e-12 && (reward(&[best]) - alone).abs() < 1e-12);
        let greedy = world.greedy_slate((user, 4), &items, 2);
        assert_eq!(greedy[0], best);
        let pairs = items.iter().flat_map(|&a| items.iter().map(move |&b| [a, b])).filter(|[a, b]| a != b);
        let optimum = pairs.map(|pair| reward(&pair)).fold(f64::MIN, f64::max);
        let found = reward(&greedy);
        assert!(found <= optimum + 1e-12 && found > 0.8 * optimum, "{found} of {optimum}");
        assert!(world.regret((user, 4), &greedy, &items).abs() < 1e-12);
        assert!(items.iter().all(|&item| world.regret((user, 4), &[item], &items) >= 0.0));
    }
    assert_eq!(world.best_item(UserId::new(0), 0, &[]), None);
    assert!(world.greedy_slate((UserId::new(0), 0), &items, 99).len() == 12);
}

#[test]
fn a_repeated_topic_is_worth_less_and_no_other() {
    let config = WorldConfig::new(20, 200, 7);
    let rested = WorldConfig { dynamics: Dynamics { fatigue: 0.0, ..Dynamics::default() }, ..config.clone() };
    let (tired, rested) = (World::generate(&config), World::generate(&rested));
    let first = ItemId::new(0);
    let topic = |item: ItemId| tired.person(UserId::new(0)).item(item).topic;
    for user in (0..20).map(UserId::new) {
        for item in (1..200).map(ItemId::new) {
            let value = |world: &World| world.person(user).after(&[first]);
            let worth = |world: &World| {
                world.person(user).expected(&value(world), (item, 0), Likes::Meant).watch_ratio
            };
            let (tired, rested) = (worth(&tired), worth(&rested));
            let same = topic(item) == topic(first);
            assert!(if same { tired < rested } else { (tired - rested).abs() < 1e-12 });
        }
    }
}

/// Of a stationary autoregression with `n` values, Bartlett's variance of the autocorrelation at lag `h` is
/// `((1 + r^2) (1 - r^2h) / (1 - r^2) - 2 h r^2h) / n`, and that of the variance `2 v^2 (1 + r^2) / (1 - r^2) / n`.
#[test]
fn interests_drift_with_the_planted_autocorrelation() {
    const STEPS: usize = 500;
    let dynamics = Dynamics { keep: 0.9, step: 0.3, ..Dynamics::default() };
    let world = World::generate(&WorldConfig { dynamics, ..WorldConfig::new(200, 20, 8) });
    let mut series = Vec::new();
    for user in world.log().users() {
        let person = world.person(user);
        // 80 steps forget the start: 0.9^80 = 2e-4.
        let mut state = person.after(&[ItemId::new(0); 80]);
        let rows: Vec<Vec<f64>> = (0..STEPS)
            .map(|_| {
                person.advance(&mut state, ItemId::new(0));
                state.distances(person.user)
            })
            .collect();
        series.extend((0..rows[0].len()).map(|k| rows.iter().map(|row| row[k]).collect::<Vec<f64>>()));
    }
    let moment = |lag: usize| {
        let products = series.iter().flat_map(|s| s.iter().zip(&s[lag..]).map(|(a, b)| a * b));
        products.sum::<f64>() / (series.len() * (STEPS - lag)) as f64
    };
    let (variance, n) = (moment(0), (series.len() * STEPS) as f64);
    let (r2, stationary) = (0.81_f64, 0.09 / (1.0 - 0.81));
    let error = stationary * (2.0 * (1.0 + r2) / (1.0 - r2) / n).sqrt();
    assert!((variance - stationary).abs() < 5.0 * error, "{variance} is not {stationary}");
    for lag in [1, 5, 20] {
        let power = r2.powi(lag);
        let bartlett = (1.0 + r2) * (1.0 - power) / (1.0 - r2) - 2.0 * f64::from(lag) * power;
        let (found, planted) = (moment(lag as usize) / variance, 0.9_f64.powi(lag));
        assert!((found - planted).abs() < 5.0 * (bartlett / n).sqrt(), "lag {lag}: {found}, {planted}");
    }
}

#[test]
fn click_bait_inflates_the_log_and_not_the_truth() {
    let honest = WorldConfig::new(600, 200, 9);
    let baited = WorldConfig { click_bait: ClickBait { share: 0.2, lift: 2.0 }, ..honest.clone() };
    let (honest, baited) = (World::generate(&honest), World::generate(&baited));
    let baits: Vec<ItemId> =
        (0..200).map(ItemId::new).filter(|&item| baited.simulator().is_bait(item)).collect();
    // Binomial(200, 0.2) is outside with probability 1e-4.
    assert!((20..=63).contains(&baits.len()), "{} items", baits.len());
    let user = UserId::new(3);
    assert_eq!(honest.true_feedback(user, 0, &baits), baited.true_feedback(user, 0, &baits));
    let rates = |world: &World| {
        let rows = world.log().users().flat_map(|user| {
            let shown = world.simulator().impressions(user);
            let foreseen = world.simulator().foreseen(user, &shown);
            shown.into_iter().zip(foreseen)
        });
        let mut sums = [0.0; 3];
        let mut all = 0.0;
        for (shown, foreseen) in rows {
            all += 1.0;
            if baits.contains(&shown.item) {
                sums[0] += 1.0;
                sums[1] += shown.feedback.like;
                sums[2] += foreseen.meant.like;
            }
        }
        [sums[0] / all, sums[1] / sums[0], sums[2] / sums[0]]
    };
    let (before, after) = (rates(&honest), rates(&baited));
    assert!(after[0] > 1.5 * before[0], "starts: {after:?} against {before:?}");
    assert!(after[1] > 2.0 * before[1], "logged likes: {after:?} against {before:?}");
    assert!(after[2] < 1.05 * before[2], "meant likes: {after:?} against {before:?}");
}

/// The best predictor of the logged like, told everything but the dice, against ones that know less.
#[test]
fn no_predictor_beats_what_was_foreseen() {
    let simulator = Simulator::new(&short_videos(600, 200, 10));
    let (mut likes, mut best, mut popular, mut truth) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for user in (0..600).map(UserId::new) {
        let shown = simulator.impressions(user);
        for (row, foreseen) in shown.iter().zip(simulator.foreseen(user, &shown)) {
            likes.push(row.feedback.like);
            best.push(foreseen.logged.like);
            truth.push(foreseen.logged.like / foreseen.examination);
            popular.push(simulator.items.get(row.item).popularity);
        }
    }
    let [best, truth, popular] = [best, truth, popular].map(|scores| auc(&scores, &likes).unwrap());
    assert!(best > truth && truth > popular && best > 0.7, "{best}, without places {truth}, {popular}");
}
