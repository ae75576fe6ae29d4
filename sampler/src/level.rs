//! Log-probabilities of the legal continuations of many prefixes: what beam search ranks.

use crate::trie::{Node, Trie};
use burn::prelude::Tensor;
use policy::kernels::{Choices, log_sum_exp};
use policy::log_prob::{Scorer, Support};
use rayon::prelude::*;
use std::ops::Range;

/// A product of one state with one column of the head costs about this many times its share of a matrix product.
const CHOICE_COST: usize = 12;

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
    starts: Vec<u32>,
    log_probs: Vec<f32>,
}

impl Continuations {
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.log_probs[self.starts[row] as usize..self.starts[row + 1] as usize]
    }
}

impl Level<'_> {
    /// Scores the continuations of `nodes` from the decoder states `[nodes, d]`. Normalised over the trie, only columns
    /// that can be legal are multiplied: those of the level, or where they are few, those of each prefix.
    pub(crate) fn continuations(&self, states: Tensor<2>, nodes: &[Node]) -> Continuations {
        let choices = self.choices(nodes);
        let dense = nodes.len() * self.scorer.vocab.level_size(self.depth);
        let starts = choices.starts.clone();
        let log_probs = match self.scorer.support {
            Support::Trie(_) if choices.columns.len() * CHOICE_COST < dense => {
                let logits = host(self.scorer.model.choice_logits(states, choices));
                normalized(logits, &starts)
            }
            Support::Trie(_) => {
                let columns = self.columns();
                let logits = self.picked(states, &columns, &choices, |_| 0.0);
                normalized(logits, &starts)
            }
            Support::Full => self.picked(states, &(0..self.scorer.vocab.size()), &choices, log_sum_exp),
        };
        Continuations { starts, log_probs }
    }

    /// Tokens of the level.
    fn columns(&self) -> Range<usize> {
        let offset = self.scorer.vocab.offset(self.depth);
        offset..offset + self.scorer.vocab.level_size(self.depth)
    }

    /// The tokens that may follow each prefix.
    fn choices(&self, nodes: &[Node]) -> Choices {
        let offset = self.scorer.vocab.offset(self.depth) as u32;
        let mut choices = Choices { starts: vec![0], columns: Vec::new() };
        for &node in nodes {
            choices.columns.extend(self.trie.codes(node).iter().map(|&code| offset + u32::from(code)));
            choices.starts.push(choices.columns.len() as u32);
        }
        choices
    }

    /// Logits of the choices out of those of `columns`, less a number per row of them.
    fn picked(
        &self,
        states: Tensor<2>,
        columns: &Range<usize>,
        choices: &Choices,
        less: impl Fn(&[f32]) -> f32 + Sync,
    ) -> Vec<f32> {
        let logits = host(self.scorer.model.logits(states, columns.clone()));
        let rows = logits.par_chunks(columns.len()).enumerate();
        rows.flat_map_iter(|(row, logits)| {
            let less = less(logits);
            choices.row(row).iter().map(move |&token| logits[token as usize - columns.start] - less)
        })
        .collect()
    }
}

fn normalized(mut logits: Vec<f32>, starts: &[u32]) -> Vec<f32> {
    for row in starts.windows(2) {
        let row = &mut logits[row[0] as usize..row[1] as usize];
        let normalizer = log_sum_exp(row);
        for logit in row {
            *logit -= normalizer;
        }
    }
    logits
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec::<f32>().expect("logits are f32")
}
