//! Beam search under the trie: batched over users, cached, and unable to leave the catalog.
//!
//! A step scores only the codes that may follow; ties go to the lower code path, so a result is a function of the
//! weights alone. After `d` codes every user has exactly `min(width, prefixes of length d)` hypotheses: either all
//! of them, or `width`, each with at least one continuation. Rows therefore need no padding.

use crate::candidate::Candidate;
use crate::trie::{Node, Trie};
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::ids::ItemId;
use policy::kernels::log_sum_exp;
use policy::log_prob::{Scorer, Support};
use policy::model::Encoded;
use policy::vocab::PAD;
use rayon::prelude::*;
use std::ops::Range;

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
    let users = encoded.lengths.len();
    assert!(
        search.width > 0 && search.exclude.len() == users,
        "one exclusion list per user, width at least 1"
    );
    let start = Hypothesis { node: trie.root(), parent: 0, log_prob: 0.0, token_log_probs: Vec::new() };
    let mut beams = vec![vec![start]; users];
    let mut cache = scorer.model.start(encoded);
    let mut tokens = vec![PAD; users];
    for level in 0..trie.levels() {
        let device = encoded.states.device();
        let rows = tokens.len();
        let input = Tensor::<1, Int>::from_data(TensorData::new(tokens, [rows]), &device);
        let states = scorer.model.step(input, &mut cache);
        let columns = columns(scorer, level);
        let logits = scorer.model.logits(states, columns.clone()).into_data();
        let logits = logits.as_slice::<f32>().expect("logits are f32");
        let step = Step { scorer, trie, level, columns, last: level + 1 == trie.levels() };
        let per_user = logits.len() / users;
        beams = beams
            .par_iter()
            .zip(logits.par_chunks(per_user))
            .zip(search.exclude)
            .map(|((beam, logits), exclude)| step.advance(beam, logits, search.width, exclude))
            .collect();
        if !step.last {
            cache.reorder(&parent_rows(&beams, rows / users, &device));
        }
        tokens = next_tokens(&beams, &step);
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

/// Tokens whose logits a level needs.
pub(crate) fn columns(scorer: &Scorer<'_>, level: usize) -> Range<usize> {
    match scorer.support {
        Support::Trie(_) => {
            let offset = scorer.vocab.offset(level);
            offset..offset + scorer.vocab.level_size(level)
        }
        Support::Full => 0..scorer.vocab.size(),
    }
}

struct Step<'a> {
    scorer: &'a Scorer<'a>,
    trie: &'a Trie,
    level: usize,
    columns: Range<usize>,
    last: bool,
}

impl Step<'_> {
    /// The best continuations of one user's hypotheses.
    fn advance(
        &self,
        beam: &[Hypothesis],
        logits: &[f32],
        width: usize,
        exclude: &[ItemId],
    ) -> Vec<Hypothesis> {
        let mut next: Vec<(f64, Node, usize, f32)> = Vec::new();
        for (parent, (hypothesis, row)) in
            beam.iter().zip(logits.chunks_exact(self.columns.len())).enumerate()
        {
            let first = self.scorer.vocab.offset(self.level) - self.columns.start;
            let legal = self.trie.codes(hypothesis.node).iter().map(|&code| row[first + usize::from(code)]);
            let normalizer = match self.scorer.support {
                Support::Trie(_) => log_sum_exp(legal.clone()),
                Support::Full => log_sum_exp(row.iter().copied()),
            };
            for ((_, node), logit) in self.trie.children(hypothesis.node).zip(legal) {
                if self.last && self.trie.items(node).iter().all(|item| exclude.contains(item)) {
                    continue;
                }
                let token_log_prob = logit - normalizer;
                next.push((hypothesis.log_prob + f64::from(token_log_prob), node, parent, token_log_prob));
            }
        }
        let better = |a: &(f64, Node, usize, f32), b: &(f64, Node, usize, f32)| {
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
        };
        if next.len() > width {
            next.select_nth_unstable_by(width - 1, better);
            next.truncate(width);
        }
        next.sort_unstable_by(better);
        let extend = |(log_prob, node, parent, token_log_prob): (f64, Node, usize, f32)| {
            let mut token_log_probs = beam[parent].token_log_probs.clone();
            token_log_probs.push(token_log_prob);
            Hypothesis { node, parent, log_prob, token_log_probs }
        };
        next.into_iter().map(extend).collect()
    }
}

/// Row of each hypothesis' parent in the batch of all users.
fn parent_rows(beams: &[Vec<Hypothesis>], rows_per_user: usize, device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i64> = beams
        .iter()
        .enumerate()
        .flat_map(|(user, beam)| beam.iter().map(move |h| (user * rows_per_user + h.parent) as i64))
        .collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}

/// The token each hypothesis ended with.
fn next_tokens(beams: &[Vec<Hypothesis>], step: &Step<'_>) -> Vec<i64> {
    let vocab = step.scorer.vocab;
    beams.iter().flatten().map(|h| vocab.token(step.level, step.trie.last_code(h.node))).collect()
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
