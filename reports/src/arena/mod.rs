//! Which policy is preferred? Pairwise votes, by a judge or by people, become strengths on one scale with intervals.
//!
//! [`bradley_terry`] fits the strengths, [`quality`] says what is wrong with the votes.

pub mod bradley_terry;
pub mod quality;

use crate::schema::Estimate;
use crate::statistics::correlation::picks;
use crate::statistics::{interval, resample_key};
use bradley_terry::{Tally, strengths};
use thiserror::Error;

/// Elo points per unit of log-strength: 400 points are odds of 10 to 1.
const ELO: f64 = 400.0 / std::f64::consts::LN_10;
/// Votes of so many units are resampled by unit; fewer would give intervals of chance.
const LEAST_UNITS: usize = 10;

/// How a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The left player was preferred.
    Left,
    /// The right player was preferred.
    Right,
    /// Neither.
    Tie,
}

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Player shown on the left.
    pub left: usize,
    /// Player shown on the right.
    pub right: usize,
    /// Who was preferred.
    pub outcome: Outcome,
    /// Who voted, or whose lists were compared: votes of a unit are not independent and are resampled together.
    pub unit: usize,
}

/// A player's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Number of the player.
    pub player: usize,
    /// Elo points; the mean of all players is 0.
    pub elo: Estimate,
    /// Points more than the baseline; its own are 0.
    pub against_baseline: Estimate,
    /// Share of the player's comparisons that it won, ties counting half.
    pub score: f64,
    /// Comparisons it took part in.
    pub votes: usize,
}

/// What resampling draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampled {
    /// All votes of a unit together.
    Units,
    /// Single votes: there are too few units.
    Votes,
}

/// All players, the strongest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Standings {
    /// By strength.
    pub places: Vec<Standing>,
    /// What the intervals are over.
    pub resampled: Resampled,
}

/// Why there are no standings.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ArenaError {
    /// Nothing to compare.
    #[error("an arena needs at least two players, there are {0}")]
    Players(usize),
    /// No votes.
    #[error("there are no votes")]
    NoVotes,
    /// Players that nobody compared have no common scale.
    #[error("no vote links {left} with {right}, not even through others: they have no common scale")]
    Apart {
        /// A player.
        left: String,
        /// Another.
        right: String,
    },
}

/// Fits strengths to `votes` among `players`, the first of which is the baseline, with 95 % percentile-bootstrap intervals.
///
/// # Errors
/// If there are fewer than two players, no votes, or players that votes do not link.
///
/// # Panics
/// If a vote names a player that is not there, or `resamples` is 0.
pub fn standings(
    players: &[String],
    votes: &[Vote],
    resamples: usize,
    seed: u64,
) -> Result<Standings, ArenaError> {
    if players.len() < 2 {
        return Err(ArenaError::Players(players.len()));
    }
    if votes.is_empty() {
        return Err(ArenaError::NoVotes);
    }
    let mut all = Tally::of(players.len(), votes);
    if let Some(stranger) = all.unlinked() {
        return Err(ArenaError::Apart { left: players[0].clone(), right: players[stranger].clone() });
    }
    let (units, resampled) = units(players.len(), votes);
    let (prior, scores) =
        (all.prior(), (0..players.len()).map(|player| all.score(player)).collect::<Vec<_>>());
    all.add(&prior);
    let drawn: Vec<Vec<f64>> = (0..resamples as u64)
        .map(|resample| {
            let mut tally = prior.clone();
            for unit in picks(units.len(), resample_key(seed, resample)) {
                tally.add(&units[unit]);
            }
            elo(&tally)
        })
        .collect();
    let points = elo(&all);
    let of = |score: &dyn Fn(&[f64]) -> f64| {
        interval(score(&points), drawn.iter().map(|elo| score(elo)).collect())
    };
    let mut places: Vec<Standing> = (0..players.len())
        .map(|player| Standing {
            player,
            elo: of(&|elo| elo[player]),
            against_baseline: of(&|elo| elo[player] - elo[0]),
            score: scores[player],
            votes: votes.iter().filter(|vote| vote.left == player || vote.right == player).count(),
        })
        .collect();
    places.sort_by(|a, b| b.elo.value.total_cmp(&a.elo.value).then(a.player.cmp(&b.player)));
    Ok(Standings { places, resampled })
}

fn elo(tally: &Tally) -> Vec<f64> {
    strengths(tally).into_iter().map(|strength| ELO * strength).collect()
}

/// What is drawn in a resample, as tallies.
fn units(players: usize, votes: &[Vote]) -> (Vec<Tally>, Resampled) {
    let mut sorted: Vec<&Vote> = votes.iter().collect();
    sorted.sort_by_key(|vote| vote.unit);
    let by_unit: Vec<&[&Vote]> = sorted.chunk_by(|a, b| a.unit == b.unit).collect();
    let tally = |votes: &[&Vote]| Tally::of(players, votes.iter().copied());
    if by_unit.len() >= LEAST_UNITS {
        return (by_unit.into_iter().map(tally).collect(), Resampled::Units);
    }
    (sorted.chunks(1).map(tally).collect(), Resampled::Votes)
}

#[cfg(test)]
mod tests;
