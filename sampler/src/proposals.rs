//! Searches under the trie that do not simply keep the most probable prefixes: diverse beams, ancestral sampling, stochastic
//! beams.
//!
//! They differ from each other in one thing, which continuations of a user's hypotheses are kept ([`Step::choose`]). Continuations
//! are chosen by probabilities over the legal codes; candidates carry the log-probability of the scorer's space. A choice is a
//! function of the user's key and of probabilities alone, so it does not depend on who else is in the batch.

use crate::candidate::{Candidate, keep_best};
use crate::level::{Continuations, Level};
use crate::method::Method;
use crate::trie::{Node, Trie};
use policy::ids::ItemId;
use policy::log_prob::Scorer;
use policy::model::Encoded;
use policy::random::Key;
use policy::vocab::PAD;
use rayon::prelude::*;

/// What to propose.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Hypotheses per user.
    pub(crate) width: usize,
    /// Items not to propose, per user.
    pub(crate) exclude: &'a [&'a [ItemId]],
    /// One per user.
    pub(crate) keys: &'a [Key],
}

/// A partial semantic ID.
#[derive(Clone, Debug)]
struct Hypothesis {
    node: Node,
    /// Row of the hypothesis it continues, among the user's.
    parent: usize,
    /// What hypotheses are ranked by: log-probability (diverse beam), perturbed log-probability (stochastic beam).
    score: f64,
    /// Log-probability under which it was drawn: over legal codes, with the temperature.
    drawn_log_prob: f64,
    /// Its diverse beam.
    group: usize,
    token_log_probs: Vec<f32>,
}

/// Candidates of every user in the order in which they were kept or drawn. Without replacement an item is proposed once.
///
/// # Panics
/// If there is not one exclusion list and one key per user, or `width` is 0.
pub(crate) fn propose(
    scorer: &Scorer<'_>,
    trie: &Trie,
    encoded: &Encoded,
    request: &Request<'_>,
) -> Vec<Vec<Candidate>> {
    let users = encoded.readers();
    assert!(request.width > 0 && request.exclude.len() == users && request.keys.len() == users, "per user");
    let mut beams = vec![start(trie, request); users];
    let mut cache = scorer.model.start(encoded);
    // The hypotheses of a user start alike: the first step needs one row of each user.
    let mut tokens = vec![PAD; users];
    for depth in 0..trie.levels() {
        let rows_per_user = tokens.len() / users;
        let states = scorer.model.step(&tokens, &mut cache);
        let level = Level { scorer, trie, depth };
        let nodes: Vec<Node> = if depth == 0 {
            vec![trie.root(); users]
        } else {
            beams.iter().flatten().map(|hypothesis| hypothesis.node).collect()
        };
        let step = Step { level, continuations: level.continuations(states, &nodes), rows_per_user, request };
        beams = beams.par_iter().enumerate().map(|(user, beam)| step.choose(user, beam)).collect();
        if depth + 1 < trie.levels() {
            cache.reorder(&parent_rows(&beams, rows_per_user));
        }
        let token = |hypothesis: &Hypothesis| scorer.vocab.token(depth, trie.last_code(hypothesis.node));
        tokens = beams.iter().flatten().map(token).collect();
    }
    beams.into_iter().zip(request.exclude).map(|(beam, seen)| expand(beam, trie, (request, seen))).collect()
}

/// What a user's search starts with.
fn start(trie: &Trie, request: &Request<'_>) -> Vec<Hypothesis> {
    let count = match request.method {
        Method::DiverseBeam { groups, .. } => groups.min(request.width),
        Method::Sample { .. } => request.width,
        Method::Beam | Method::GumbelTopK { .. } => 1,
    };
    let root = |group| Hypothesis {
        node: trie.root(),
        parent: 0,
        score: 0.0,
        drawn_log_prob: 0.0,
        group,
        token_log_probs: Vec::new(),
    };
    (0..count).map(root).collect()
}

/// One level of the search.
struct Step<'a> {
    level: Level<'a>,
    continuations: Continuations,
    rows_per_user: usize,
    request: &'a Request<'a>,
}

/// A legal continuation of one of a user's hypotheses.
#[derive(Clone, Copy)]
struct Continuation {
    node: Node,
    parent: usize,
    /// Under the scorer's normalisation.
    token_log_prob: f32,
    /// Over the legal codes, with the temperature.
    drawn_log_prob: f64,
    score: f64,
}

impl Step<'_> {
    /// The hypotheses of `user` that go on.
    fn choose(&self, user: usize, beam: &[Hypothesis]) -> Vec<Hypothesis> {
        let key = self.request.keys[user].at(self.level.depth as u64);
        match self.request.method {
            Method::DiverseBeam { groups, penalty } => self.diverse(user, beam, (groups, penalty)),
            Method::Sample { temperature, top_k, top_p } => {
                let draw = |(parent, hypothesis): (usize, &Hypothesis)| {
                    let mut legal = self.continue_one((user, parent), hypothesis, temperature);
                    truncate(&mut legal, top_k, top_p);
                    extend(hypothesis, drawn(&legal, key.at(parent as u64).unit()))
                };
                beam.iter().enumerate().map(draw).collect()
            }
            Method::GumbelTopK { temperature } => {
                let mut next = Vec::new();
                for (parent, hypothesis) in beam.iter().enumerate() {
                    let mut legal = self.continue_one((user, parent), hypothesis, temperature);
                    perturb(&mut legal, hypothesis.score, (self.level.depth == 0, key.at(parent as u64)));
                    next.extend(legal);
                }
                keep_best(&mut next, self.request.width, better);
                next.iter().map(|found| extend(&beam[found.parent], *found)).collect()
            }
            Method::Beam => self.diverse(user, beam, (1, 0.0)),
        }
    }

    /// Legal continuations of one hypothesis; its log-probability is their score.
    fn continue_one(
        &self,
        (user, parent): (usize, usize),
        hypothesis: &Hypothesis,
        temperature: f64,
    ) -> Vec<Continuation> {
        let row = if self.rows_per_user == 1 { 0 } else { parent };
        let log_probs = self.continuations.row(user * self.rows_per_user + row);
        let total = log_sum_exp(log_probs.iter().map(|&log_prob| f64::from(log_prob) / temperature));
        let children = self.level.trie.children(hypothesis.node).zip(log_probs);
        children
            .map(|((_, node), &token_log_prob)| {
                let step = f64::from(token_log_prob) / temperature - total;
                let drawn_log_prob = hypothesis.drawn_log_prob + step;
                Continuation { node, parent, token_log_prob, drawn_log_prob, score: drawn_log_prob }
            })
            .collect()
    }

    /// Group by group: the best continuations of its own hypotheses, less the penalty.
    fn diverse(&self, user: usize, beam: &[Hypothesis], (groups, penalty): (usize, f64)) -> Vec<Hypothesis> {
        let size = self.request.width.div_ceil(groups);
        let mut chosen: Vec<Hypothesis> = Vec::new();
        for group in 0..groups {
            let taken = |node: Node| {
                let code = self.level.trie.last_code(node);
                chosen.iter().filter(|other| self.level.trie.last_code(other.node) == code).count() as f64
            };
            let mut next = Vec::new();
            for (parent, hypothesis) in beam.iter().enumerate().filter(|(_, one)| one.group == group) {
                for mut found in self.continue_one((user, parent), hypothesis, 1.0) {
                    let gained = f64::from(found.token_log_prob);
                    found.score = hypothesis.score + gained - penalty * taken(found.node);
                    next.push(found);
                }
            }
            keep_best(&mut next, size, better);
            chosen.extend(next.iter().map(|found| extend(&beam[found.parent], *found)));
        }
        chosen
    }
}

fn better(a: &Continuation, b: &Continuation) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.node.cmp(&b.node))
}

fn extend(hypothesis: &Hypothesis, found: Continuation) -> Hypothesis {
    let mut token_log_probs = hypothesis.token_log_probs.clone();
    token_log_probs.push(found.token_log_prob);
    Hypothesis {
        node: found.node,
        parent: found.parent,
        score: found.score,
        drawn_log_prob: found.drawn_log_prob,
        group: hypothesis.group,
        token_log_probs,
    }
}

/// Keeps the `top_k` most probable, and of these the fewest that hold `top_p` of their probability.
fn truncate(legal: &mut Vec<Continuation>, top_k: Option<usize>, top_p: f64) {
    if top_k.is_none() && top_p >= 1.0 {
        return;
    }
    keep_best(legal, top_k.unwrap_or(usize::MAX).min(legal.len()).max(1), better);
    let total = log_sum_exp(legal.iter().map(|found| found.score));
    let mut held = 0.0;
    let enough = legal.iter().position(|found| {
        held += (found.score - total).exp();
        held >= top_p
    });
    legal.truncate(enough.map_or(legal.len(), |last| last + 1));
}

/// The continuation at which the running sum of probabilities passes `unit` of the total.
fn drawn(legal: &[Continuation], unit: f64) -> Continuation {
    let total = log_sum_exp(legal.iter().map(|found| found.score));
    let mut held = 0.0;
    let passed = legal.iter().find(|found| {
        held += (found.score - total).exp();
        held > unit
    });
    // Should rounding keep the sum below `unit`, the last one is meant.
    *passed.unwrap_or(&legal[legal.len() - 1])
}

/// Replaces scores by Gumbel-perturbed log-probabilities whose maximum is the parent's, as the perturbed log-probability of a
/// prefix is the maximum over its completions (Kool et al. 2019, eq. 8 to 11).
fn perturb(legal: &mut [Continuation], parent: f64, (first, key): (bool, Key)) {
    for (child, found) in legal.iter_mut().enumerate() {
        found.score += gumbel(key.at(child as u64));
    }
    // The root's perturbed log-probability is not drawn: only the order of its completions matters.
    if first {
        return;
    }
    let most = legal.iter().map(|found| found.score).fold(f64::NEG_INFINITY, f64::max);
    for found in legal {
        let shift = parent - found.score + log_one_minus_exp(found.score - most);
        found.score = parent - shift.max(0.0) - (-shift.abs()).exp().ln_1p();
    }
}

/// `log(1 - exp(x))`, `x <= 0`.
fn log_one_minus_exp(x: f64) -> f64 {
    (-x.exp_m1()).ln()
}

/// A standard Gumbel draw.
fn gumbel(key: Key) -> f64 {
    // Units are multiples of 2^-53 below 1; half a step up they are never 0.
    let unit = key.unit() + f64::EPSILON / 4.0;
    -(-unit.ln()).ln()
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    most + values.map(|value| (value - most).exp()).sum::<f64>().ln()
}

/// Row of each hypothesis' parent in the batch of all users.
fn parent_rows(beams: &[Vec<Hypothesis>], rows_per_user: usize) -> Vec<u32> {
    let row = |user: usize, hypothesis: &Hypothesis| {
        let own = if rows_per_user == 1 { 0 } else { hypothesis.parent };
        (user * rows_per_user + own) as u32
    };
    let of_user =
        |(user, beam): (usize, &Vec<Hypothesis>)| beam.iter().map(|one| row(user, one)).collect::<Vec<_>>();
    beams.iter().enumerate().flat_map(of_user).collect()
}

/// The items of a user's hypotheses that were not seen.
fn expand(beam: Vec<Hypothesis>, trie: &Trie, (request, seen): (&Request<'_>, &[ItemId])) -> Vec<Candidate> {
    let repeats = matches!(request.method, Method::Sample { .. });
    let mut candidates: Vec<Candidate> = Vec::with_capacity(beam.len());
    for hypothesis in beam {
        for &item in trie.items(hypothesis.node).iter().filter(|item| !seen.contains(item)) {
            if repeats || candidates.iter().all(|other| other.item != item) {
                candidates.push(Candidate { item, token_log_probs: hypothesis.token_log_probs.clone() });
            }
        }
    }
    candidates
}

#[cfg(test)]
mod tests;
