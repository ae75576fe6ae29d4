//! Planted strengths, and what cannot be ranked.

use super::*;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("p{at}")).collect()
}

/// A number in [0, 1) from counters.
fn unit(seed: u64, at: u64) -> f64 {
    (resample_key(seed, at) >> 11) as f64 / (1_u64 << 53) as f64
}

/// `games` comparisons of every pair, decided by these log-strengths.
fn played(strengths: &[f64], games: u64, seed: u64) -> Vec<Vote> {
    let mut votes = Vec::new();
    for left in 0..strengths.len() {
        for right in 0..left {
            for game in 0..games {
                let key = seed * 1_000_003 + (left * 100 + right) as u64;
                let wins = 1.0 / (1.0 + (strengths[right] - strengths[left]).exp());
                let outcome = if unit(key, game) < wins { Outcome::Left } else { Outcome::Right };
                votes.push(Vote { left, right, outcome, unit: game as usize });
            }
        }
    }
    votes
}

#[test]
fn two_players_have_the_log_odds_of_their_wins() {
    let votes: Vec<Vote> = (0..4000)
        .map(|at| Vote {
            left: 0,
            right: 1,
            outcome: if at % 4 == 0 { Outcome::Left } else { Outcome::Right },
            unit: at,
        })
        .collect();
    let standings = standings(&names(2), &votes, 50, 1).unwrap();
    // Odds of three to one: 400 log10(3) points; the prior moves it by less than one.
    let expected = 400.0 * 3f64.log10();
    let [first, second] = &standings.places[..] else { panic!("two players") };
    assert_eq!((first.player, second.player), (1, 0));
    assert!((first.against_baseline.value - expected).abs() < 1.0, "{first:?}");
    assert!((first.elo.value + second.elo.value).abs() < 1e-9);
    assert!((first.score - 0.75).abs() < 1e-12 && first.votes == 4000);
}

#[test]
fn planted_strengths_are_recovered_and_covered() {
    let planted = [0.0, 0.5, -0.4, 1.2];
    let mean = planted.iter().sum::<f64>() / 4.0;
    let (mut covered, mut all) = (0, 0);
    for seed in 0..60 {
        let standings = standings(&names(4), &played(&planted, 150, seed), 200, seed).unwrap();
        for place in &standings.places {
            let truth = ELO * (planted[place.player] - mean);
            assert!((place.elo.value - truth).abs() < 90.0, "{place:?} is not {truth}");
            covered += usize::from(place.elo.low <= truth && truth <= place.elo.high);
            all += 1;
        }
        assert_eq!(standings.resampled, Resampled::Units);
    }
    // 240 intervals of 95 %: fewer than 215 or all of them would be far from it.
    assert!((215..240).contains(&covered), "{covered} of {all}");
}

#[test]
fn a_player_that_never_lost_is_first_with_finite_points() {
    let votes =
        [(0, 1), (0, 2), (1, 2)].map(|(left, right)| Vote { left, right, outcome: Outcome::Left, unit: 0 });
    let standings = standings(&names(3), &votes, 20, 1).unwrap();
    let order: Vec<usize> = standings.places.iter().map(|place| place.player).collect();
    assert_eq!(order, [0, 1, 2]);
    assert!(standings.places.iter().all(|place| place.elo.low.is_finite() && place.elo.high.is_finite()));
    assert_eq!(standings.resampled, Resampled::Votes);
}

#[test]
fn players_that_only_tied_are_inside_noise_however_one_fared_elsewhere() {
    let pair = |left, right, outcome| (0..20).map(move |unit| Vote { left, right, outcome, unit });
    let votes: Vec<Vote> = pair(0, 1, Outcome::Right).chain(pair(0, 2, Outcome::Tie)).collect();
    let standings = standings(&names(3), &votes, 50, 1).unwrap();
    let tied = standings.places.iter().find(|place| place.player == 2).unwrap();
    assert!(tied.against_baseline.low.abs() < 1e-6 && tied.against_baseline.high.abs() < 1e-6, "{tied:?}");
}

#[test]
fn ties_only_give_equal_points() {
    let votes: Vec<Vote> = (0..30)
        .map(|unit| Vote { left: unit % 3, right: (unit + 1) % 3, outcome: Outcome::Tie, unit })
        .collect();
    for place in standings(&names(3), &votes, 20, 1).unwrap().places {
        assert!(place.elo.value.abs() < 1e-9 && (place.score - 0.5).abs() < 1e-12, "{place:?}");
    }
}

#[test]
fn what_cannot_be_ranked_is_refused() {
    let vote = Vote { left: 0, right: 1, outcome: Outcome::Left, unit: 0 };
    assert_eq!(standings(&names(1), &[vote], 10, 1), Err(ArenaError::Players(1)));
    assert_eq!(standings(&names(2), &[], 10, 1), Err(ArenaError::NoVotes));
    let apart = ArenaError::Apart { left: "p0".into(), right: "p2".into() };
    assert_eq!(standings(&names(3), &[vote], 10, 1), Err(apart));
}
