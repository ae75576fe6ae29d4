//! Beam search without the trie: what the policy would write if nothing told it which codes exist.
//!
//! Only for measuring. Hypotheses compete over the whole vocabulary, as in a decoder that knows no catalog; those that are
//! no semantic ID take places of the beam and are counted, then dropped, so that even here no item is proposed that does
//! not exist.

use crate::beam::Search;
use crate::candidate::{Candidate, keep_best};
use crate::trie::{Node, Trie};
use policy::kernels::log_sum_exp;
use policy::log_prob::Scorer;
use policy::model::Encoded;
use policy::vocab::{PAD, Vocab};
use rayon::prelude::*;

/// The outcome of one user's search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Free {
    /// The hypotheses that are items, without excluded ones, best first. Log-probabilities are over the whole vocabulary.
    pub candidates: Vec<Candidate>,
    /// Share of the hypotheses that are semantic IDs of the catalog.
    pub legal: f64,
}

/// A row of tokens.
#[derive(Clone, Debug, Default)]
struct Hypothesis {
    tokens: Vec<u32>,
    token_log_probs: Vec<f32>,
    log_prob: f64,
    /// Row of the hypothesis it continues, among the user's.
    parent: usize,
}

/// The `width` most probable rows of tokens of every user, whatever the scorer's support is. Ties go to the row whose
/// tokens are lower.
///
/// # Panics
/// If `width` is zero or `exclude` has not one entry per user.
pub fn free_beam_search(
    scorer: &Scorer<'_>,
    trie: &Trie,
    encoded: &Encoded,
    search: &Search<'_>,
) -> Vec<Free> {
    let users = encoded.readers();
    assert!(
        search.width > 0 && search.exclude.len() == users,
        "one exclusion list per user, width at least 1"
    );
    let mut beams = vec![vec![Hypothesis::default()]; users];
    let mut cache = scorer.model.start(encoded);
    let mut tokens = vec![PAD; users];
    for level in 0..trie.levels() {
        let rows = tokens.len() / users;
        let states = scorer.model.step(&tokens, &mut cache);
        let all = 0..scorer.vocab.size();
        let logits: Vec<f32> = scorer.model.logits(states, all).into_data().iter::<f32>().collect();
        let of_user = logits.par_chunks(rows * scorer.vocab.size());
        beams =
            beams.par_iter().zip(of_user).map(|(beam, logits)| advance(beam, logits, search.width)).collect();
        if level + 1 < trie.levels() {
            let parents = |(user, beam): (usize, &Vec<Hypothesis>)| -> Vec<u32> {
                beam.iter().map(|hypothesis| (user * rows + hypothesis.parent) as u32).collect()
            };
            cache.reorder(&beams.iter().enumerate().flat_map(parents).collect::<Vec<_>>());
        }
        tokens = beams.iter().flatten().map(|hypothesis| hypothesis.tokens[level]).collect();
    }
    let read = |(beam, exclude): (Vec<Hypothesis>, &&[_])| read(&beam, (trie, scorer.vocab), exclude);
    beams.into_iter().zip(search.exclude).map(read).collect()
}

/// The best continuations of one user's hypotheses; `logits` has a row of the vocabulary for each.
fn advance(beam: &[Hypothesis], logits: &[f32], width: usize) -> Vec<Hypothesis> {
    let mut next: Vec<(f64, usize, u32, f32)> = Vec::new();
    for (parent, (hypothesis, logits)) in
        beam.iter().zip(logits.chunks(logits.len() / beam.len())).enumerate()
    {
        let total = log_sum_exp(logits);
        let scored = logits.iter().zip(0..).map(|(logit, token)| {
            let log_prob = logit - total;
            (hypothesis.log_prob + f64::from(log_prob), parent, token, log_prob)
        });
        next.extend(scored);
    }
    let tokens = |parent: usize| beam[parent].tokens.as_slice();
    keep_best(&mut next, width, |a, b| {
        b.0.total_cmp(&a.0).then_with(|| (tokens(a.1), a.2).cmp(&(tokens(b.1), b.2)))
    });
    let extend = |(log_prob, parent, token, token_log_prob): (f64, usize, u32, f32)| {
        let Hypothesis { mut tokens, mut token_log_probs, .. } = beam[parent].clone();
        tokens.push(token);
        token_log_probs.push(token_log_prob);
        Hypothesis { tokens, token_log_probs, log_prob, parent }
    };
    next.into_iter().map(extend).collect()
}

/// The items among the hypotheses.
fn read(beam: &[Hypothesis], (trie, vocab): (&Trie, &Vocab), exclude: &[policy::ids::ItemId]) -> Free {
    let leaves: Vec<(&Hypothesis, Node)> = beam
        .iter()
        .filter_map(|hypothesis| Some((hypothesis, leaf(&hypothesis.tokens, trie, vocab)?)))
        .collect();
    let mut candidates = Vec::new();
    for (hypothesis, node) in &leaves {
        for &item in trie.items(*node).iter().filter(|item| !exclude.contains(item)) {
            candidates.push(Candidate { item, token_log_probs: hypothesis.token_log_probs.clone() });
        }
    }
    Free { candidates, legal: leaves.len() as f64 / beam.len() as f64 }
}

/// The complete prefix that the tokens spell.
fn leaf(tokens: &[u32], trie: &Trie, vocab: &Vocab) -> Option<Node> {
    let follow = |node, (level, &token)| trie.child(node, vocab.code(level, token)?);
    tokens.iter().enumerate().try_fold(trie.root(), follow)
}

#[cfg(test)]
mod tests;
