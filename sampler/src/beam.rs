//! Beam search under the trie: batched over users, cached, and unable to leave the catalog.
//!
//! A step scores only the codes that may follow; ties go to the lower code path, so a result is a function of the
//! weights alone. After `d` codes every user has exactly `min(width, prefixes of length d)` hypotheses: either all
//! of them, or `width`, each with at least one continuation. Rows therefore need no padding.

use crate::candidate::{Candidate, keep_best};
use crate::level::{Continuations, Level};
use crate::trie::{Node, Trie};
use policy::ids::ItemId;
use policy::log_prob::Scorer;
use policy::model::Encoded;
use policy::vocab::PAD;
use rayon::prelude::*;

/// A partial semantic ID.
#[derive(Clone, Debug)]
struct Hypothesis {
    node: Node,
    /// Row of the hypothesis it continues, among the user's.
    parent: usize,
    log_prob: f64,
    token_log_probs: Vec<f32>,
}

/// The `width` most probable semantic IDs of every user as items, best first. Items in `exclude[user]` (seen ones)
/// are left out without changing any probability; a semantic ID shared by several items expands to all of them.
///
/// # Panics
/// If `width` is zero or `exclude` has not one entry per user.
pub fn beam_search(
    scorer: &Scorer<'_>,
    trie: &Trie,
    encoded: &Encoded,
    search: &Search<'_>,
) -> Vec<Vec<Candidate>> {
    let users = encoded.readers();
    assert!(
        search.width > 0 && search.exclude.len() == users,
        "one exclusion list per user, width at least 1"
    );
    let start = Hypothesis { node: trie.root(), parent: 0, log_prob: 0.0, token_log_probs: Vec::new() };
    let mut beams = vec![vec![start]; users];
    let mut cache = scorer.model.start(encoded);
    let mut tokens = vec![PAD; users];
    for depth in 0..trie.levels() {
        let rows_per_user = tokens.len() / users;
        let states = scorer.model.step(&tokens, &mut cache);
        let nodes: Vec<Node> = beams.iter().flatten().map(|hypothesis| hypothesis.node).collect();
        let level = Level { scorer, trie, depth };
        let step = Step { level, continuations: level.continuations(states, &nodes), rows_per_user };
        beams = beams.par_iter().enumerate().map(|(user, beam)| step.advance(user, beam, search)).collect();
        if depth + 1 < trie.levels() {
            cache.reorder(&parent_rows(&beams, rows_per_user));
        }
        tokens = next_tokens(&beams, level);
    }
    beams.into_iter().zip(search.exclude).map(|(beam, exclude)| expand(beam, trie, exclude)).collect()
}

/// How to search.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Hypotheses kept per user.
    pub width: usize,
    /// Items not to propose, per user.
    pub exclude: &'a [&'a [ItemId]],
}

struct Step<'a> {
    level: Level<'a>,
    continuations: Continuations,
    rows_per_user: usize,
}

impl Step<'_> {
    /// The best continuations of one user's hypotheses.
    fn advance(&self, user: usize, beam: &[Hypothesis], search: &Search<'_>) -> Vec<Hypothesis> {
        let trie = self.level.trie;
        let last = self.level.depth + 1 == trie.levels();
        let excluded = |node| last && trie.items(node).iter().all(|item| search.exclude[user].contains(item));
        let mut next: Vec<(f64, Node, usize, f32)> = Vec::new();
        for (parent, hypothesis) in beam.iter().enumerate() {
            let log_probs = self.continuations.row(user * self.rows_per_user + parent);
            for ((_, node), &log_prob) in trie.children(hypothesis.node).zip(log_probs) {
                if !excluded(node) {
                    next.push((hypothesis.log_prob + f64::from(log_prob), node, parent, log_prob));
                }
            }
        }
        let better = |a: &(f64, Node, usize, f32), b: &(f64, Node, usize, f32)| {
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
        };
        keep_best(&mut next, search.width, better);
        let extend = |(log_prob, node, parent, token_log_prob): (f64, Node, usize, f32)| {
            let mut token_log_probs = beam[parent].token_log_probs.clone();
            token_log_probs.push(token_log_prob);
            Hypothesis { node, parent, log_prob, token_log_probs }
        };
        next.into_iter().map(extend).collect()
    }
}

/// Row of each hypothesis' parent in the batch of all users.
fn parent_rows(beams: &[Vec<Hypothesis>], rows_per_user: usize) -> Vec<u32> {
    let of_user = |(user, beam): (usize, &Vec<Hypothesis>)| -> Vec<u32> {
        beam.iter().map(|hypothesis| (user * rows_per_user + hypothesis.parent) as u32).collect()
    };
    beams.iter().enumerate().flat_map(of_user).collect()
}

/// The token each hypothesis ended with.
fn next_tokens(beams: &[Vec<Hypothesis>], level: Level<'_>) -> Vec<u32> {
    let token = |hypothesis: &Hypothesis| {
        level.scorer.vocab.token(level.depth, level.trie.last_code(hypothesis.node))
    };
    beams.iter().flatten().map(token).collect()
}

fn expand(beam: Vec<Hypothesis>, trie: &Trie, exclude: &[ItemId]) -> Vec<Candidate> {
    let mut candidates = Vec::with_capacity(beam.len());
    for hypothesis in beam {
        for &item in trie.items(hypothesis.node).iter().filter(|item| !exclude.contains(item)) {
            candidates.push(Candidate { item, token_log_probs: hypothesis.token_log_probs.clone() });
        }
    }
    candidates
}

#[cfg(test)]
mod tests;
