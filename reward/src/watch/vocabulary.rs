//! Numbers as sums of a few tokens (Generative Regression, 2412.20211; ALGORITHMS 1.18).
//!
//! The vocabulary is built from training labels: take a high percentile of what is left of them as a token, subtract it
//! once wherever it fits, lower the percentile a little, and go on until nothing is left. A number is written greedily,
//! largest token first, so its tokens never rise.
//!
//! Departures: percentiles are taken over what is not yet zero and the token 1 is always there, so that every whole number
//! is restored exactly (the published loop may end with a remainder); numbers are counted in units of `Vocabulary::unit`,
//! so that fractions can be written too.

use serde::{Deserialize, Serialize};

/// The first percentile, how it falls, and where it stays (published).
const FIRST: f64 = 0.9999;
const FALL: f64 = 0.99;
const LEAST: f64 = 0.9;
/// Fractions are counted in millionths of the largest label.
const PRECISION: f64 = 1e6;

/// Tokens that sum up to numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// What a token of 1 stands for.
    unit: f64,
    /// Rising, the first is 1.
    tokens: Vec<u64>,
    /// Tokens of the longest training label, at least 1.
    longest: usize,
    /// Mean training label.
    mean: f64,
}

impl Vocabulary {
    /// The vocabulary of these labels; negative ones count as 0.
    pub fn fit(labels: &[f64]) -> Self {
        let largest = labels.iter().copied().fold(0.0, f64::max);
        // Milliseconds are whole numbers, and stay so beside some that were bounded by a duration; shares of a duration are not.
        let whole = labels.iter().all(|label| label.fract() == 0.0);
        let unit = if whole || largest <= 0.0 { 1.0 } else { (largest / PRECISION).min(1.0) };
        let mean = labels.iter().map(|label| label.max(0.0)).sum::<f64>() / labels.len().max(1) as f64;
        let mut vocabulary = Self { unit, tokens: Vec::new(), longest: 1, mean };
        let counts: Vec<u64> = labels.iter().map(|&label| vocabulary.count(label)).collect();
        vocabulary.tokens = tokens(counts.clone());
        vocabulary.longest =
            counts.iter().map(|&count| vocabulary.split(count).len()).max().unwrap_or(0).max(1);
        vocabulary
    }
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }
    /// Never: 1 is always a token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
    /// Tokens of the longest training label.
    pub fn longest(&self) -> usize {
        self.longest
    }
    /// Mean training label.
    pub fn mean(&self) -> f64 {
        self.mean
    }
    /// What each token stands for, rising.
    pub fn values(&self) -> Vec<f32> {
        self.tokens.iter().map(|&token| (token as f64 * self.unit) as f32).collect()
    }
    /// The tokens of a number, largest first, by index; at most [`Vocabulary::longest`], so that a number unlike any
    /// training label loses its smallest parts.
    pub fn encode(&self, value: f64) -> Vec<usize> {
        let mut tokens = self.split(self.count(value));
        tokens.truncate(self.longest);
        tokens
    }
    /// The number of these tokens.
    pub fn decode(&self, tokens: &[usize]) -> f64 {
        tokens.iter().map(|&token| self.tokens[token] as f64 * self.unit).sum()
    }

    fn count(&self, value: f64) -> u64 {
        (value.max(0.0) / self.unit).round() as u64
    }
    fn split(&self, mut rest: u64) -> Vec<usize> {
        let mut parts = Vec::new();
        for (index, &token) in self.tokens.iter().enumerate().rev() {
            let times = rest / token;
            parts.extend(std::iter::repeat_n(index, times as usize));
            rest -= times * token;
        }
        parts
    }
}

fn tokens(mut rests: Vec<u64>) -> Vec<u64> {
    let (mut tokens, mut percentile) = (vec![1], FIRST);
    loop {
        rests.retain(|&rest| rest > 0);
        if rests.is_empty() {
            break;
        }
        rests.sort_unstable();
        let token = quantile(&rests, percentile);
        tokens.push(token);
        for rest in rests.iter_mut().filter(|rest| **rest >= token) {
            *rest -= token;
        }
        percentile = (percentile * FALL).max(LEAST);
    }
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// Linear between order statistics, rounded down; at least 1.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let position = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    ((low as f64 + position.fract() * (high - low) as f64) as u64).max(1)
}
