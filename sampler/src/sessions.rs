//! Session-wise generation (OneRec, 2502.18965): one decoding writes several items, each given those before it.
//!
//! A beam over sessions: after the last code of an item the search goes on at the root of the trie, with the start token that
//! precedes every item. An item is in a session once, and none of the excluded ones is; as in [`crate::beam`] this changes no
//! probability. Prefixes below which no item is left are not entered, so that a search finds sessions for every user who has
//! enough items left. Of items that share a semantic ID the first that is left is taken.

use crate::beam::Search;
use crate::candidate::keep_best;
use crate::level::{Continuations, Level};
use crate::trie::{Node, Trie};
use policy::ids::ItemId;
use policy::log_prob::Scorer;
use policy::model::Encoded;
use policy::vocab::PAD;
use rayon::prelude::*;

/// Items that one decoding wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The items, in the order in which they were written.
    pub items: Vec<ItemId>,
    /// Log-probability of every code of every item, given all before it.
    pub token_log_probs: Vec<f32>,
}

impl Session {
    /// Log-probability of the session.
    pub fn log_prob(&self) -> f64 {
        self.token_log_probs.iter().map(|&log_prob| f64::from(log_prob)).sum()
    }
}

/// A session of which the last item may be unfinished.
#[derive(Clone, Debug)]
struct Hypothesis {
    node: Node,
    /// Row of the hypothesis it continues, among the user's.
    parent: usize,
    log_prob: f64,
    session: Session,
}

/// The `search.width` most probable sessions of `items` items of every user, best first; none of a user with fewer items left.
///
/// # Panics
/// If the width or `items` is zero, or `exclude` has not one entry per user.
pub fn session_search(
    scorer: &Scorer<'_>,
    trie: &Trie,
    encoded: &Encoded,
    (search, items): (&Search<'_>, usize),
) -> Vec<Vec<Session>> {
    let users = encoded.readers();
    assert!(search.width > 0 && items > 0, "a session has items, and a search a width");
    assert_eq!(search.exclude.len(), users, "one exclusion list per user");
    let session = Session { items: Vec::new(), token_log_probs: Vec::new() };
    let start = Hypothesis { node: trie.root(), parent: 0, log_prob: 0.0, session };
    let mut beams = vec![vec![start]; users];
    let mut cache = scorer.model.start(encoded);
    let mut tokens = vec![PAD; users];
    for item in 0..items {
        for depth in 0..trie.levels() {
            let rows_per_user = tokens.len() / users;
            let states = scorer.model.step(&tokens, &mut cache);
            let level = Level { scorer, trie, depth };
            let nodes: Vec<Node> =
                padded(&beams, filler(trie, depth), |hypothesis| hypothesis.node).collect();
            let step =
                Step { level, continuations: level.continuations(states, &nodes), rows_per_user, search };
            beams = beams.par_iter().enumerate().map(|(user, beam)| step.advance(user, beam)).collect();
            cache.reorder(&parent_rows(&beams, rows_per_user));
            let token = |hypothesis: &Hypothesis| scorer.vocab.token(depth, trie.last_code(hypothesis.node));
            tokens = padded(&beams, PAD, token).collect();
        }
        if item + 1 < items {
            // The item's last code is read; what the policy says behind it is not asked for.
            scorer.model.step(&tokens, &mut cache);
            tokens.fill(PAD);
            beams.iter_mut().flatten().for_each(|hypothesis| hypothesis.node = trie.root());
        }
    }
    beams.into_iter().map(|beam| beam.into_iter().map(|hypothesis| hypothesis.session).collect()).collect()
}

struct Step<'a> {
    level: Level<'a>,
    continuations: Continuations,
    rows_per_user: usize,
    search: &'a Search<'a>,
}

impl Step<'_> {
    /// The best continuations of one user's hypotheses.
    fn advance(&self, user: usize, beam: &[Hypothesis]) -> Vec<Hypothesis> {
        let trie = self.level.trie;
        let mut next: Vec<(f64, Node, usize, f32)> = Vec::new();
        for (parent, hypothesis) in beam.iter().enumerate() {
            let log_probs = self.continuations.row(user * self.rows_per_user + parent);
            for ((_, node), &log_prob) in trie.children(hypothesis.node).zip(log_probs) {
                if self.left(user, node, &hypothesis.session).is_some() {
                    next.push((hypothesis.log_prob + f64::from(log_prob), node, parent, log_prob));
                }
            }
        }
        keep_best(&mut next, self.search.width, |a, b| {
            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
        });
        next.into_iter().map(|found| self.extended(user, &beam[found.2], found)).collect()
    }

    fn extended(
        &self,
        user: usize,
        from: &Hypothesis,
        (log_prob, node, parent, token_log_prob): (f64, Node, usize, f32),
    ) -> Hypothesis {
        let mut session = from.session.clone();
        session.token_log_probs.push(token_log_prob);
        if self.level.depth + 1 == self.level.trie.levels() {
            session.items.extend(self.left(user, node, &from.session));
        }
        Hypothesis { node, parent, log_prob, session }
    }

    /// The first item below a prefix that may still be written.
    fn left(&self, user: usize, node: Node, session: &Session) -> Option<ItemId> {
        let used = |item: &ItemId| self.search.exclude[user].contains(item) || session.items.contains(item);
        self.level.trie.items_below(node).iter().copied().find(|item| !used(item))
    }
}

/// Something of every user's hypotheses, and `filler` for as many as the longest beam has more.
fn padded<'a, T: Copy + 'a>(
    beams: &'a [Vec<Hypothesis>],
    filler: T,
    of: impl Fn(&Hypothesis) -> T + 'a,
) -> impl Iterator<Item = T> + 'a {
    // One row at least: a cache without rows cannot go on.
    let longest = beams.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let row = move |(beam, at): (&Vec<Hypothesis>, usize)| beam.get(at).map_or(filler, &of);
    beams.iter().flat_map(move |beam| (0..longest).map(move |at| (beam, at))).map(row)
}

/// Some prefix of this length.
fn filler(trie: &Trie, depth: usize) -> Node {
    let first = |node: Node| trie.children(node).next().map_or(node, |(_, child)| child);
    (0..depth).fold(trie.root(), |node, _| first(node))
}

/// Row of each hypothesis' parent in the batch of all users; rows that only pad continue their user's first.
fn parent_rows(beams: &[Vec<Hypothesis>], rows_per_user: usize) -> Vec<u32> {
    let per_user = padded(beams, 0, |hypothesis| hypothesis.parent).collect::<Vec<_>>();
    let rows = per_user.len() / beams.len();
    per_user.iter().enumerate().map(|(row, parent)| (row / rows * rows_per_user + parent) as u32).collect()
}

#[cfg(test)]
mod tests;
