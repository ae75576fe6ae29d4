//! Ancestral sampling: completions drawn code by code, batched over users and completions, the encoder run once per
//! user.
//!
//! A draw is a function of its user's key, completion and level and of the probabilities alone, so it does not depend
//! on who else is in the batch. Under the trie every completion is an item; over the whole vocabulary a policy may
//! leave the catalog, and a completion says whether it did.

use crate::trie::{Node, Trie};
use policy::ids::ItemId;
use policy::kernels::log_sum_exp;
use policy::log_prob::{Scorer, Support};
use policy::model::{DecoderCache, Encoded};
use policy::random::Key;
use policy::vocab::PAD;
use rayon::prelude::*;
use std::ops::Range;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    /// Completions per user.
    pub group: usize,
    /// Logits are divided by it before drawing: 1 is the policy itself, less is greedier.
    pub temperature: f32,
    /// The source of each user's draws, one per user.
    pub keys: &'a [Key],
}

/// Where the tokens drawn so far lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// To a prefix of the catalog: a leaf once all levels are drawn.
    Legal(Node),
    /// Out of the catalog; the levels after it were drawn all the same.
    Illegal {
        /// The level, from 0, whose token continues no semantic ID.
        level: usize,
    },
}

/// A drawn row of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// One token per level.
    pub tokens: Vec<u32>,
    /// Log-probability of every token under the policy itself: that of [`Scorer`], whatever the temperature was.
    pub token_log_probs: Vec<f32>,
    /// Where the tokens lead.
    pub path: Path,
}

impl Completion {
    /// The items it stands for: several if they share a semantic ID, none if it left the catalog.
    pub fn items<'t>(&self, trie: &'t Trie) -> &'t [ItemId] {
        match self.path {
            Path::Legal(node) => trie.items(node),
            Path::Illegal { .. } => &[],
        }
    }
}

/// `draws.group` independent completions of every user, each token drawn from `softmax(logits / temperature)` over the
/// scorer's support.
///
/// # Panics
/// If the group is empty, the temperature is not positive, or there is not one key per user.
pub fn sample(
    scorer: &Scorer<'_>,
    trie: &Trie,
    encoded: &Encoded,
    draws: &Draws<'_>,
) -> Vec<Vec<Completion>> {
    let (users, group) = (encoded.readers(), draws.group);
    assert!(group > 0 && draws.keys.len() == users, "one key per user, at least one completion");
    assert!(draws.temperature > 0.0, "temperature {} is not positive", draws.temperature);
    let path = Path::Legal(trie.root());
    let start = Completion { tokens: Vec::new(), token_log_probs: Vec::new(), path };
    let mut completions = vec![start; users * group];
    let mut cache = scorer.model.start(encoded);
    // The completions of a user start alike: the first step needs one row of each user.
    let mut tokens = vec![PAD; users];
    for level in 0..trie.levels() {
        let rows_alike = completions.len() / tokens.len();
        let step = Step { scorer, trie, level, columns: columns(scorer, level), draws };
        let logits = step.logits(&tokens, &mut cache);
        completions.par_iter_mut().enumerate().for_each(|(row, completion)| {
            let logits = &logits[row / rows_alike * step.columns.len()..][..step.columns.len()];
            step.extend(completion, row, logits);
        });
        if level == 0 {
            let of_users = (0..users as u32).flat_map(|user| std::iter::repeat_n(user, group));
            cache.reorder(&of_users.collect::<Vec<_>>());
        }
        tokens = completions.iter().map(|completion| completion.tokens[level]).collect();
    }
    completions.chunks(group).map(<[Completion]>::to_vec).collect()
}

/// Tokens that may be drawn at a level, before the trie narrows them.
fn columns(scorer: &Scorer<'_>, level: usize) -> Range<usize> {
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
    draws: &'a Draws<'a>,
}

impl Step<'_> {
    /// Logits that follow `tokens`, `[rows, columns]`, row-major.
    fn logits(&self, tokens: &[u32], cache: &mut DecoderCache) -> Vec<f32> {
        let model = self.scorer.model;
        let states = model.step(tokens, cache);
        model.logits(states, self.columns.clone()).into_data().try_into_vec::<f32>().expect("logits are f32")
    }

    /// Draws the next token of completion `row`.
    fn extend(&self, completion: &mut Completion, row: usize, logits: &[f32]) {
        let (user, member) = (row / self.draws.group, row % self.draws.group);
        let unit = self.draws.keys[user].at(member as u64).at(self.level as u64).unit();
        let (token, log_prob) = self.next(completion.path, logits, unit);
        completion.tokens.push(token);
        completion.token_log_probs.push(log_prob);
        completion.path = self.follow(completion.path, token);
    }

    /// A token of the support, and its log-probability.
    fn next(&self, path: Path, logits: &[f32], unit: f64) -> (u32, f32) {
        let temperature = self.draws.temperature;
        if let (Support::Trie(_), Path::Legal(node)) = (self.scorer.support, path) {
            let codes = self.trie.codes(node);
            let legal: Vec<f32> = codes.iter().map(|&code| logits[code as usize]).collect();
            let at = draw(&legal, temperature, unit);
            return (self.scorer.vocab.token(self.level, codes[at]), log_prob(&legal, at));
        }
        let at = draw(logits, temperature, unit);
        ((self.columns.start + at) as u32, log_prob(logits, at))
    }

    fn follow(&self, path: Path, token: u32) -> Path {
        let Path::Legal(node) = path else { return path };
        let next = self.scorer.vocab.code(self.level, token).and_then(|code| self.trie.child(node, code));
        next.map_or(Path::Illegal { level: self.level }, Path::Legal)
    }
}

fn log_prob(logits: &[f32], at: usize) -> f32 {
    logits[at] - log_sum_exp(logits)
}

/// The position at which the running sum of `exp(logit / temperature)` passes `unit` of the total.
fn draw(logits: &[f32], temperature: f32, unit: f64) -> usize {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    let sums: Vec<f64> = logits
        .iter()
        .map(|logit| {
            total += f64::from(((logit - most) / temperature).exp());
            total
        })
        .collect();
    let at = sums.partition_point(|&sum| sum <= unit * total);
    // Should rounding carry `unit` of the total up to the total, the last position of any weight is meant.
    at.min(sums.partition_point(|&sum| sum < total))
}

#[cfg(test)]
pub(crate) mod tests;
