//! Colliding items moved apart on the last level (LC-Rec, `MiniOneRec`): the items of an ID are assigned to the last codebook again, by
//! optimal transport with entropy (Sinkhorn-Knopp, Cuturi 2013), which spreads them over the codes in proportion to nearness.
//!
//! In a round every group of items with equal codes is transported on its own, without looking at the codes of others, as in the
//! public implementations; new collisions are the next round's. Departures: the best round counts, not the last, and what
//! still collides gets a digit.

use super::levels::Levels;
use super::rows::squared_distance;
use super::{Clusters, Collisions, Quantized};
use crate::embeddings::Embeddings;
use crate::ids::Code;
use std::collections::BTreeMap;

/// Weight of the entropy, for distances scaled to -1 ... 1.
const EPSILON: f64 = 0.003;
/// Normalisations of rows and columns.
const ITERATIONS: usize = 50;
/// Rounds at most.
const ROUNDS: usize = 20;

impl Quantized {
    /// With [`Collisions::Sinkhorn`], fewer items with equal codes; otherwise unchanged. The vectors must be normalised like the
    /// fitted ones ([`super::normalized`]).
    ///
    /// # Panics
    /// If the vectors have another width than the fitted ones.
    #[must_use]
    pub fn separated(self, vectors: &Embeddings, collisions: Collisions) -> Self {
        if collisions != Collisions::Sinkhorn {
            return self;
        }
        let encoded = self.encoded(vectors);
        let residual = self.before_last(encoded.clone());
        let codebook = self.codebooks.last().expect("there is at least one level, checked before");
        let mut codes = self.codes.clone();
        let mut best = (colliding(&codes), codes.clone());
        for _ in 0..ROUNDS {
            move_apart(&mut codes, &residual, codebook);
            let left = colliding(&codes);
            if left < best.0 {
                best = (left, codes.clone());
            }
            if left == 0 {
                break;
            }
        }
        Self { residuals: residuals(encoded, &best.1, &self.codebooks), codes: best.1, ..self }
    }
    /// What the levels before the last leave of the vectors.
    fn before_last(&self, vectors: Embeddings) -> Embeddings {
        let mut levels = Levels::new(vectors);
        for (level, codebook) in self.codebooks.iter().enumerate().take(self.codebooks.len() - 1) {
            levels.push(clusters(&self.codes, level, codebook));
        }
        levels.residual().clone()
    }
}

fn clusters(codes: &[Vec<Code>], level: usize, codebook: &Embeddings) -> Clusters {
    let assignment = codes.iter().map(|codes| codes[level] as usize).collect();
    Clusters { assignment, centers: codebook.clone() }
}

fn residuals(vectors: Embeddings, codes: &[Vec<Code>], codebooks: &[Embeddings]) -> Vec<f64> {
    let mut levels = Levels::new(vectors);
    for (level, codebook) in codebooks.iter().enumerate() {
        levels.push(clusters(codes, level, codebook));
    }
    levels.finish().residuals
}

/// Items by codes, in the order of the codes.
fn groups(codes: &[Vec<Code>]) -> BTreeMap<&[Code], Vec<usize>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (item, codes) in codes.iter().enumerate() {
        groups.entry(codes.as_slice()).or_default().push(item);
    }
    groups
}

fn colliding(codes: &[Vec<Code>]) -> usize {
    groups(codes).values().map(Vec::len).filter(|size| *size > 1).sum()
}

/// One round.
fn move_apart(codes: &mut [Vec<Code>], residual: &Embeddings, codebook: &Embeddings) {
    let groups: Vec<Vec<usize>> = groups(codes).into_values().filter(|items| items.len() > 1).collect();
    for items in groups {
        let distance =
            |item: usize, code| f64::from(squared_distance(residual.row(item), codebook.row(code)));
        let distances = items.iter().flat_map(|&item| (0..codebook.rows()).map(move |code| (item, code)));
        let mut plan: Vec<f64> = distances.map(|(item, code)| distance(item, code)).collect();
        centre(&mut plan);
        transport(&mut plan, codebook.rows());
        for (&item, shares) in items.iter().zip(plan.chunks_exact(codebook.rows())) {
            if let Some(code) = codes[item].last_mut() {
                *code = largest(shares) as Code;
            }
        }
    }
}

/// Scales distances so that they lie between -1 and 1, whatever they are.
fn centre(distances: &mut [f64]) {
    let (least, most) =
        distances.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), distance| {
            (least.min(*distance), most.max(*distance))
        });
    let (middle, reach) = (f64::midpoint(least, most), (most - least) / 2.0);
    // The papers add a constant to the reach; that all distances are equal is the only case in which it matters.
    let reach = if reach > 0.0 { reach } else { 1.0 };
    for distance in distances {
        *distance = (*distance - middle) / reach;
    }
}

/// Turns costs into the plan that moves one unit per row, equal amounts to every column, at the least cost less [`EPSILON`] times
/// the plan's entropy. Columns are normalised last, as in the public implementations: their sums are exact.
///
/// # Shapes
/// - `costs`, row-major: `[rows, columns]`.
fn transport(costs: &mut [f64], columns: usize) {
    let rows = costs.len() / columns;
    let share = rows as f64 / columns as f64;
    for cost in &mut *costs {
        *cost = (-*cost / EPSILON).exp();
    }
    for _ in 0..ITERATIONS {
        for row in costs.chunks_exact_mut(columns) {
            let sum: f64 = row.iter().sum();
            for value in row {
                *value /= sum;
            }
        }
        for column in 0..columns {
            // A column that everybody finds too far may hold nothing at all.
            let sum: f64 = costs[column..].iter().step_by(columns).sum::<f64>().max(f64::MIN_POSITIVE);
            costs[column..].iter_mut().step_by(columns).for_each(|value| *value *= share / sum);
        }
    }
}

/// The position of the largest value, the first of several.
fn largest(values: &[f64]) -> usize {
    let pairs = values.iter().enumerate().rev();
    // `max_by` keeps the last of equal elements; reversing makes it the first.
    pairs.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests;
