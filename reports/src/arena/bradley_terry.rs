//! Strengths from comparisons (Bradley and Terry 1952): player `i` is preferred to `j` with probability
//! `1 / (1 + exp(s_j - s_i))`; a tie is half a win of each.
//!
//! A player that never lost has no finite strength (Ford 1957), so every pair that met has one tie more than was voted
//! ([`Tally::prior`]): next to nothing beside real votes, and enough to keep strengths finite.

use super::{Outcome, Vote};

/// Newton's method ends when no strength moves further than this.
const TOLERANCE: f64 = 1e-10;
/// It needs about ten rounds; damping makes more.
const MOST_ROUNDS: usize = 200;
/// The furthest a strength moves in a round.
const LARGEST_STEP: f64 = 2.0;

/// Wins among players: `wins[i * n + j]` of `i` against `j`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    players: usize,
    wins: Vec<f64>,
}

impl Tally {
    /// The wins of votes.
    pub fn of<'a>(players: usize, votes: impl IntoIterator<Item = &'a Vote>) -> Self {
        let mut tally = Self { players, wins: vec![0.0; players * players] };
        for Vote { left, right, outcome, .. } in votes {
            let share = match outcome {
                Outcome::Left => 1.0,
                Outcome::Tie => 0.5,
                Outcome::Right => 0.0,
            };
            tally.wins[left * players + right] += share;
            tally.wins[right * players + left] += 1.0 - share;
        }
        tally
    }
    /// One tie for every pair that met.
    #[must_use]
    pub fn prior(&self) -> Self {
        let n = self.players;
        let met = |at: usize| self.wins(at / n, at % n) + self.wins(at % n, at / n) > 0.0;
        Self { players: n, wins: (0..n * n).map(|at| if met(at) { 0.5 } else { 0.0 }).collect() }
    }
    /// Adds the wins of others.
    pub fn add(&mut self, other: &Self) {
        self.wins.iter_mut().zip(&other.wins).for_each(|(sum, wins)| *sum += wins);
    }
    /// Wins of `i` against `j`.
    pub fn wins(&self, i: usize, j: usize) -> f64 {
        self.wins[i * self.players + j]
    }
    /// Number of players.
    pub fn players(&self) -> usize {
        self.players
    }
    /// Share of a player's comparisons that it won; one half of none.
    pub fn score(&self, player: usize) -> f64 {
        let sum = |f: &dyn Fn(usize) -> f64| (0..self.players).map(f).sum::<f64>();
        let (won, lost) = (sum(&|other| self.wins(player, other)), sum(&|other| self.wins(other, player)));
        if won + lost == 0.0 { 0.5 } else { won / (won + lost) }
    }
    /// A player that no chain of comparisons links with the first.
    pub fn unlinked(&self) -> Option<usize> {
        let mut linked = vec![false; self.players];
        let mut next = vec![0];
        while let Some(player) = next.pop() {
            if !std::mem::replace(&mut linked[player], true) {
                let met = |other: &usize| self.wins(player, *other) + self.wins(*other, player) > 0.0;
                next.extend((0..self.players).filter(met));
            }
        }
        linked.iter().position(|linked| !linked)
    }
}

/// Log-strengths with mean 0, by Newton's method on the concave log-likelihood; the first player's is held meanwhile, because
/// only differences matter. The tally must hold a [`Tally::prior`] of linked players.
pub fn strengths(tally: &Tally) -> Vec<f64> {
    let n = tally.players();
    let mut strengths = vec![0.0; n];
    for _ in 0..MOST_ROUNDS {
        let step = solve(curvature(tally, &strengths), slope(tally, &strengths));
        let largest = step.iter().fold(0.0_f64, |most, step| most.max(step.abs()));
        let damping = (LARGEST_STEP / largest).min(1.0);
        strengths[1..].iter_mut().zip(&step).for_each(|(strength, step)| *strength += damping * step);
        if largest < TOLERANCE {
            break;
        }
    }
    let mean = strengths.iter().sum::<f64>() / n as f64;
    strengths.iter().map(|strength| strength - mean).collect()
}

/// `1 / (1 + exp(-x))`.
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Gradient of the log-likelihood by all strengths but the first: wins minus expected wins.
fn slope(tally: &Tally, strengths: &[f64]) -> Vec<f64> {
    let of = |i: usize| {
        let against = |j: usize| {
            let games = tally.wins(i, j) + tally.wins(j, i);
            tally.wins(i, j) - games * sigmoid(strengths[i] - strengths[j])
        };
        (0..tally.players()).filter(|&j| j != i).map(against).sum::<f64>()
    };
    (1..tally.players()).map(of).collect()
}

/// Minus the second derivative by all strengths but the first, which makes it positive definite.
fn curvature(tally: &Tally, strengths: &[f64]) -> Vec<Vec<f64>> {
    let n = tally.players();
    let weight = |games: f64, difference: f64| games * sigmoid(difference) * sigmoid(-difference);
    let mut matrix = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..i {
            let w = weight(tally.wins(i, j) + tally.wins(j, i), strengths[i] - strengths[j]);
            matrix[i][i] += w;
            matrix[j][j] += w;
            matrix[i][j] -= w;
            matrix[j][i] -= w;
        }
    }
    matrix.into_iter().skip(1).map(|row| row[1..].to_vec()).collect()
}

/// The solution of a positive definite system by elimination, which needs no pivots then.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for column in 0..n {
        for row in column + 1..n {
            let (above, below) = matrix.split_at_mut(row);
            let (pivot, values) = (&above[column], &mut below[0]);
            let factor = values[column] / pivot[column];
            values.iter_mut().zip(pivot).for_each(|(value, above)| *value -= factor * above);
            right[row] -= factor * right[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| matrix[row][k] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}
