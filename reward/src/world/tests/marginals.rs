//! Planted parameters come back out of the log.
//!
//! Estimates are compared at five standard errors (a false alarm in 2 million), chi-squares at their 1e-6 quantile; seeds
//! are fixed.

use super::*;
use crate::world::logger::{Proposal, without_replacement};

fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (values.len() - 1) as f64).sqrt())
}

/// A normal sample: the mean has standard error `s / sqrt(n)`, the standard deviation `s / sqrt(2 n)`.
#[track_caller]
fn assert_normal(values: &[f64], mean: f64, spread: f64) {
    let (found, found_spread) = mean_and_spread(values);
    let n = values.len() as f64;
    assert!((found - mean).abs() < 5.0 * spread / n.sqrt(), "mean {found}, planted {mean}");
    let error = spread / (2.0 * n).sqrt();
    assert!((found_spread - spread).abs() < 5.0 * error, "spread {found_spread}, planted {spread}");
}

#[test]
fn lengths_and_durations_are_log_normal_as_planted() {
    let mut config = WorldConfig::new(2000, 4000, 11);
    config.marginals = Marginals {
        activity: 4.5,
        activity_spread: 0.3,
        max_length: 1000,
        duration: 4.0,
        duration_spread: 1.2,
        ..Marginals::default()
    };
    let world = World::generate(&config);
    let lengths = world.log().histories.iter().map(|history| (history.items.len() as f64).ln());
    // Rounding to whole numbers near 90 moves a logarithm by at most 0.006 and the mean by far less.
    assert_normal(&lengths.collect::<Vec<_>>(), 4.5, 0.3);
    let durations = world.simulator().attributes();
    assert_normal(&durations.values().iter().map(|&d| f64::from(d)).collect::<Vec<_>>(), 4.0, 1.2);
}

/// Maximum likelihood of Zipf's exponent `s` from draws of ranks: `E_s[ln rank]` equals the mean log rank, with standard
/// error `1 / sqrt(n Var_s[ln rank])`.
#[test]
fn the_exponent_of_popularity_is_recovered_from_draws() {
    const DRAWS: usize = 100_000;
    for planted in [0.5, 0.8, 1.3] {
        let mut config = WorldConfig::new(1, 400, 12);
        config.marginals.popularity_exponent = planted;
        let simulator = Simulator::new(&config);
        let mut order: Vec<ItemId> = (0..400).map(ItemId::new).collect();
        let popularity = |item: ItemId| simulator.items.get(item).popularity;
        order.sort_by(|&a, &b| popularity(b).total_cmp(&popularity(a)));
        let mut log_rank = vec![0.0; 400];
        order.iter().enumerate().for_each(|(rank, item)| log_rank[item.index()] = ((rank + 1) as f64).ln());
        let mut rng = Key::new(2).rng();
        let drawn = (0..DRAWS).map(|_| log_rank[simulator.items.draw(&mut rng).index()]);
        let mean = drawn.sum::<f64>() / DRAWS as f64;
        let moments = |s: f64| {
            let sums = log_rank.iter().fold([0.0; 3], |[w, x, xx], log| {
                let weight = (-s * log).exp();
                [w + weight, x + weight * log, xx + weight * log * log]
            });
            let mean = sums[1] / sums[0];
            (mean, sums[2] / sums[0] - mean * mean)
        };
        let (mut low, mut high) = (0.0, 3.0);
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            // Steeper laws have smaller mean ranks.
            if moments(middle).0 > mean { low = middle } else { high = middle }
        }
        let error = 1.0 / (DRAWS as f64 * moments(planted).1).sqrt();
        assert!((low - planted).abs() < 5.0 * error, "{low} is not {planted}");
    }
}

/// Looking leaves a watch ratio above 0. Seven places below the first: chi-square with seven degrees of freedom is above
/// 41 with probability 8e-7.
#[test]
fn places_are_looked_at_as_the_position_bias_says() {
    let config = short_videos(1500, 400, 13);
    let feed = config.feed.clone().unwrap();
    let simulator = Simulator::new(&config);
    let mut places = vec![(0.0, 0.0); feed.slate];
    for user in (0..config.users).map(UserId::new) {
        for row in simulator.impressions(user) {
            let looked = f64::from(row.feedback.watch_ratio > 0.0);
            places[row.place] = (places[row.place].0 + 1.0, places[row.place].1 + looked);
        }
    }
    assert!(places[0].0 > 1000.0 && (places[0].0 - places[0].1).abs() < 0.5, "the first is always seen");
    let square = |(place, &(shown, looked)): (usize, &(f64, f64))| {
        let share = feed.examination(place);
        (looked - shown * share).powi(2) / (shown * share * (1.0 - share))
    };
    let chi_square: f64 = places.iter().enumerate().skip(1).map(square).sum();
    assert!(chi_square < 41.0, "{chi_square}: {places:?}");
    assert!(places.windows(2).all(|pair| pair[1].0 < pair[0].0), "people leave: {places:?}");
}

/// Least squares on what the law leaves of the log watch ratio: slope `-watch_duration`, residuals `N(0, watch_spread)`.
/// The level is so low that nothing is cut off at 2.
#[test]
fn watching_falls_with_duration_as_planted() {
    let mut config = WorldConfig::new(400, 400, 14);
    let planted = Marginals { watch: -6.0, watch_spread: 0.4, watch_duration: 0.55, ..Marginals::default() };
    config.marginals = planted.clone();
    let world = World::generate(&config);
    let mut rows = Vec::new();
    for user in world.log().users() {
        let person = world.person(user);
        let mut state = person.start();
        for row in world.simulator().impressions(user) {
            let item = person.item(row.item);
            let utility = f64::from(person.utility(&state, item));
            let residual = row.feedback.watch_ratio.ln() - 0.5 * utility - planted.watch;
            rows.push((f64::from(item.log_duration) - planted.duration, residual));
            person.advance(&mut state, row.item);
        }
    }
    let squares: f64 = rows.iter().map(|(d, _)| d * d).sum();
    let slope = rows.iter().map(|(d, y)| d * y).sum::<f64>() / squares;
    let error = planted.watch_spread / squares.sqrt();
    assert!((slope + planted.watch_duration).abs() < 5.0 * error, "slope {slope}");
    let residuals: Vec<f64> = rows.iter().map(|(d, y)| y + planted.watch_duration * d).collect();
    assert_normal(&residuals, 0.0, planted.watch_spread);
}

#[test]
fn the_level_of_likes_is_the_planted_one() {
    for like in [-5.0, -1.0] {
        let mut config = WorldConfig::new(400, 300, 15);
        config.marginals.like = like;
        let world = World::generate(&config);
        let (mut difference, mut variance) = (0.0, 0.0);
        for user in world.log().users() {
            let person = world.person(user);
            let mut state = person.start();
            for row in world.simulator().impressions(user) {
                let utility = f64::from(person.utility(&state, person.item(row.item)));
                let p = 1.0 / (1.0 + (-(1.6 * utility + like)).exp());
                difference += row.feedback.like - p;
                variance += p * (1.0 - p);
                person.advance(&mut state, row.item);
            }
        }
        let sigmas = difference / variance.sqrt();
        assert!(sigmas.abs() < 5.0, "{like}: {sigmas} standard errors");
    }
}

#[test]
fn as_many_items_are_cold_as_planted_and_few_see_them() {
    let mut config = WorldConfig::new(500, 1000, 16);
    config.exposure.cold_share = 0.25;
    let world = World::generate(&config);
    let late = items::EPOCH + (0.9 * items::HORIZON as f64) as i64;
    let cold: Vec<bool> = world.simulator().items.iter().map(|item| item.released >= late).collect();
    let count = cold.iter().filter(|cold| **cold).count() as f64;
    // Binomial(1000, 0.25).
    assert!((count - 250.0).abs() < 5.0 * (187.5_f64).sqrt(), "{count} cold items");
    let counts = world.log().train_counts();
    let seen = |late: bool| counts.iter().zip(&cold).filter(move |(_, cold)| **cold == late).map(|(n, _)| n);
    let (cold_views, views) = (seen(true).sum::<u32>(), seen(false).sum::<u32>());
    assert!(f64::from(cold_views) < 0.1 * f64::from(views), "{cold_views} of {views}");
}

#[test]
fn popularity_bias_shows_popular_items_more_often() {
    let mean_log_popularity = |popularity_bias: f64| {
        let exposure = Exposure { popularity_bias, ..Exposure::default() };
        let simulator = Simulator::new(&WorldConfig { exposure, ..short_videos(300, 400, 17) });
        let rows: Vec<f64> = (0..300)
            .flat_map(|user| simulator.impressions(UserId::new(user)))
            .map(|row| simulator.items.get(row.item).log_popularity)
            .collect();
        mean_and_spread(&rows).0
    };
    let means = [-0.5, 0.0, 0.45, 1.5].map(mean_log_popularity);
    assert!(means.is_sorted() && means[3] > means[0] + 0.5, "{means:?}");
}

/// Plackett and Luce: the first by its odds among all, the second by its odds among the rest. Twelve ordered pairs,
/// chi-square with eleven degrees of freedom is above 50 with probability 6e-7.
#[test]
fn slates_are_successive_draws_by_odds_that_add_up() {
    const DRAWS: u32 = 40_000;
    // Item 0 is proposed twice.
    let odds = [1.0_f64, 2.0, 0.5, 1.0, 1.5];
    let items = [0, 0, 1, 2, 3];
    let total = [3.0, 0.5, 1.0, 1.5];
    let mut rng = Key::new(4).rng();
    let mut pairs = [[0.0; 4]; 4];
    for _ in 0..DRAWS {
        let proposal = |(&item, odds): (&usize, &f64)| Proposal {
            item: ItemId::new(item),
            utility: 0.0,
            logit: odds.ln(),
        };
        let pool = items.iter().zip(&odds).map(proposal).collect();
        let slate = without_replacement(pool, 2, &mut rng);
        pairs[slate[0].index()][slate[1].index()] += 1.0;
    }
    let mut chi_square = 0.0;
    for first in 0..4 {
        for second in (0..4).filter(|second| *second != first) {
            let expected = f64::from(DRAWS) * total[first] / 6.0 * total[second] / (6.0 - total[first]);
            chi_square += (pairs[first][second] - expected).powi(2) / expected;
        }
    }
    assert!(chi_square < 50.0, "{chi_square}: {pairs:?}");
}
