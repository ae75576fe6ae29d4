//! Beam search under the trie: batched over users, cached, and unable to leave the catalog.
//!
//! A step scores only the codes that may follow; ties go to the lower code path, so a result is a function of the
//! weights alone. After `d` codes every user has exactly `min(width, prefixes of length d)` hypotheses: either all
//! of them, or `width`, each with at least one continuation. Rows therefore need no padding. A prefix of nothing but
//! excluded items takes no place of another: it only fills up, so that a list is as long as the beam is wide while
//! there are items to show.

use crate::candidate::Candidate;
use crate::consistency::{Pruned, Rule};
use crate::level::{Continuations, Level};
use crate::trie::{Node, Trie};
use policy::ids::{Code, ItemId};
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
    /// Logarithm of its consistency.
    log_consistency: f64,
    token_log_probs: Vec<f32>,
}

/// The hypotheses of a user, and how many others were pruned on the way.
#[derive(Clone, Debug)]
struct Beam {
    hypotheses: Vec<Hypothesis>,
    pruned: usize,
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
    let found = pruned_beam_search(scorer, trie, encoded, (search, 0.0));
    found.into_iter().map(|found| found.candidates).collect()
}

/// The same, but paths whose consistency is below `least` come after all others ([`crate::consistency`]). With 0 it is [`beam_search`].
///
/// # Panics
/// As [`beam_search`].
pub fn pruned_beam_search(
    scorer: &Scorer<'_>,
    trie: &Trie,
    encoded: &Encoded,
    (search, least): (&Search<'_>, f64),
) -> Vec<Pruned> {
    let users = encoded.readers();
    assert!(
        search.width > 0 && search.exclude.len() == users,
        "one exclusion list per user, width at least 1"
    );
    let start = Hypothesis {
        node: trie.root(),
        parent: 0,
        log_prob: 0.0,
        log_consistency: 0.0,
        token_log_probs: Vec::new(),
    };
    let excluded: Vec<Vec<ItemId>> = search.exclude.iter().map(|items| sorted(items)).collect();
    let mut beams = vec![Beam { hypotheses: vec![start], pruned: 0 }; users];
    let mut cache = scorer.model.start(encoded);
    let mut tokens = vec![PAD; users];
    for depth in 0..trie.levels() {
        let rows_per_user = tokens.len() / users;
        let states = scorer.model.step(&tokens, &mut cache);
        let nodes: Vec<Node> = hypotheses(&beams).map(|hypothesis| hypothesis.node).collect();
        let level = Level { scorer, trie, depth };
        let continuations = level.continuations(states, &nodes);
        let step = Step { level, continuations, rows_per_user, rule: Rule::at_least(least) };
        let advance = |(user, beam)| step.advance((user, &excluded[user]), beam, search.width);
        beams = beams.par_iter().enumerate().map(advance).collect();
        if depth + 1 < trie.levels() {
            cache.reorder(&parent_rows(&beams, rows_per_user));
        }
        tokens = next_tokens(&beams, level);
    }
    let found = |(beam, excluded): (Beam, &Vec<ItemId>)| Pruned {
        candidates: expand(beam.hypotheses, trie, excluded),
        pruned: beam.pruned,
    };
    beams.into_iter().zip(&excluded).map(found).collect()
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
    rule: Rule,
}

/// A continuation of one of a user's hypotheses.
#[derive(Clone, Copy)]
struct Next {
    node: Node,
    parent: usize,
    log_prob: f64,
    token_log_prob: f32,
    log_consistency: f64,
    /// Below it is nothing to show.
    spent: bool,
}

impl Step<'_> {
    /// The best continuations of one user's hypotheses. `excluded`: sorted.
    fn advance(&self, (user, excluded): (usize, &[ItemId]), beam: &Beam, width: usize) -> Beam {
        let mut next: Vec<Next> = Vec::new();
        for (parent, hypothesis) in beam.hypotheses.iter().enumerate() {
            let from = next.len();
            next.extend(self.continued(user * self.rows_per_user + parent, (parent, hypothesis), excluded));
            if self.rule.is_on() {
                compare(&mut next[from..]);
            }
        }
        let more_probable = |a: &Next, b: &Next| b.log_prob.total_cmp(&a.log_prob).then(a.node.cmp(&b.node));
        let better = |a: &Next, b: &Next| a.spent.cmp(&b.spent).then_with(|| more_probable(a, b));
        let pruned = self.rule.keep(&mut next, width, (better, |one: &Next| one.log_consistency));
        let hypotheses = next.into_iter().map(|one| extended(&beam.hypotheses[one.parent], one)).collect();
        Beam { hypotheses, pruned: beam.pruned + pruned }
    }

    /// The legal continuations of a hypothesis; of whole IDs those that have something to show.
    fn continued<'s>(
        &'s self,
        row: usize,
        (parent, hypothesis): (usize, &'s Hypothesis),
        excluded: &'s [ItemId],
    ) -> impl Iterator<Item = Next> + 's {
        let trie = self.level.trie;
        let is_last = self.level.depth + 1 == trie.levels();
        let is_excluded = |item: &ItemId| excluded.binary_search(item).is_ok();
        let spent = move |node| !excluded.is_empty() && trie.items_below(node).iter().all(is_excluded);
        let log_probs = self.continuations.row(row);
        let next = move |((_, node), &token_log_prob): ((Code, Node), &f32)| Next {
            node,
            parent,
            log_prob: hypothesis.log_prob + f64::from(token_log_prob),
            token_log_prob,
            log_consistency: hypothesis.log_consistency,
            spent: spent(node),
        };
        trie.children(hypothesis.node).zip(log_probs).map(next).filter(move |one| !(is_last && one.spent))
    }
}

/// Holds the continuations of one hypothesis against the best of them; with nothing to show they are consistent with nothing.
fn compare(next: &mut [Next]) {
    let shown = next.iter().filter(|one| !one.spent);
    let best = shown.map(|one| one.token_log_prob).fold(f32::NEG_INFINITY, f32::max);
    for one in next {
        let own = if one.spent { f64::NEG_INFINITY } else { f64::from(one.token_log_prob) - f64::from(best) };
        one.log_consistency = one.log_consistency.min(own);
    }
}

fn extended(hypothesis: &Hypothesis, next: Next) -> Hypothesis {
    let mut token_log_probs = hypothesis.token_log_probs.clone();
    token_log_probs.push(next.token_log_prob);
    let Next { node, parent, log_prob, log_consistency, .. } = next;
    Hypothesis { node, parent, log_prob, log_consistency, token_log_probs }
}

fn sorted(items: &[ItemId]) -> Vec<ItemId> {
    let mut items = items.to_vec();
    items.sort_unstable();
    items
}

fn hypotheses(beams: &[Beam]) -> impl Iterator<Item = &Hypothesis> {
    beams.iter().flat_map(|beam| &beam.hypotheses)
}

/// Row of each hypothesis' parent in the batch of all users.
fn parent_rows(beams: &[Beam], rows_per_user: usize) -> Vec<u32> {
    let of_user = |(user, beam): (usize, &Beam)| -> Vec<u32> {
        beam.hypotheses.iter().map(|hypothesis| (user * rows_per_user + hypothesis.parent) as u32).collect()
    };
    beams.iter().enumerate().flat_map(of_user).collect()
}

/// The token each hypothesis ended with.
fn next_tokens(beams: &[Beam], level: Level<'_>) -> Vec<u32> {
    let token = |hypothesis: &Hypothesis| {
        level.scorer.vocab.token(level.depth, level.trie.last_code(hypothesis.node))
    };
    hypotheses(beams).map(token).collect()
}

/// `excluded`: sorted.
fn expand(hypotheses: Vec<Hypothesis>, trie: &Trie, excluded: &[ItemId]) -> Vec<Candidate> {
    let mut candidates = Vec::with_capacity(hypotheses.len());
    for hypothesis in hypotheses {
        let items = trie.items(hypothesis.node).iter();
        for &item in items.filter(|item| excluded.binary_search(item).is_err()) {
            candidates.push(Candidate { item, token_log_probs: hypothesis.token_log_probs.clone() });
        }
    }
    candidates
}

#[cfg(test)]
mod tests;
