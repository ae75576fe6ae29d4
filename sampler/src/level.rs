//! Log-probabilities of the legal continuations of many prefixes: what beam search ranks.

use crate::trie::{Node, Trie};
use burn::prelude::Tensor;
use policy::kernels::{Choices, Normalization};
use policy::log_prob::{Scorer, Support};

/// One level of the trie under a policy.
#[derive(Clone, Copy)]
pub(crate) struct Level<'a> {
    pub(crate) scorer: &'a Scorer<'a>,
    pub(crate) trie: &'a Trie,
    /// Number of codes of the prefixes.
    pub(crate) depth: usize,
}

/// One log-probability per legal code of each prefix, in the trie's order.
pub(crate) struct Continuations {
    choices: Choices,
    log_probs: Vec<f32>,
}

impl Continuations {
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.log_probs[self.choices.range(&(row..row + 1))]
    }
}

impl Level<'_> {
    /// Scores the continuations of `nodes` from the decoder states `[nodes, d]`.
    pub(crate) fn continuations(&self, states: Tensor<2>, nodes: &[Node]) -> Continuations {
        let (choices, vocab) = (self.choices(nodes), self.scorer.vocab);
        let offset = vocab.offset(self.depth);
        let over = match self.scorer.support {
            Support::Trie(_) => Normalization::Choices(offset..offset + vocab.level_size(self.depth)),
            Support::Full => Normalization::Columns(0..vocab.size()),
        };
        let log_probs = self.scorer.model.choice_log_probs(states, &choices, &over);
        Continuations { choices, log_probs }
    }

    /// The tokens that may follow each prefix.
    fn choices(&self, nodes: &[Node]) -> Choices {
        let offset = self.scorer.vocab.offset(self.depth) as u32;
        let mut choices = Choices { starts: vec![0], columns: Vec::new() };
        for &node in nodes {
            choices.columns.extend(self.trie.codes(node).iter().map(|&code| offset + code));
            choices.starts.push(choices.columns.len() as u32);
        }
        choices
    }
}
