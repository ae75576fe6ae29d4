//! THE log-probability of an item: the sum over its codes of `log p(code | prefix, history)`.
//!
//! `trie` normalises over the codes that continue the prefix to some item of the catalog, `full` over the whole
//! vocabulary. Rollout, reference, loss and serving use the same one (`sample.log_prob_space`); mixing them is the
//! silent mismatch of several public recipes.

use crate::ids::{Code, SemanticId};
use crate::kernels::{self, Choices, Targets};
use crate::model::{Dropout, Encoded, Policy};
use crate::vocab::{PAD, Vocab};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

/// Over which continuations probabilities are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogProbSpace {
    /// The legal codes after the prefix.
    #[default]
    Trie,
    /// Every token.
    Full,
}

/// Which codes may follow a prefix; the prefix trie of `sampler` is one.
pub trait LegalCodes: Sync {
    /// Calls `visit` with every legal code after `prefix`, ascending.
    fn for_each_legal(&self, prefix: &[Code], visit: &mut dyn FnMut(Code));
}

/// The space together with what it needs.
#[derive(Clone, Copy)]
pub enum Support<'a> {
    /// [`LogProbSpace::Trie`] over these codes.
    Trie(&'a dyn LegalCodes),
    /// [`LogProbSpace::Full`].
    Full,
}

impl<'a> Support<'a> {
    /// The support of a space.
    pub fn new(space: LogProbSpace, legal: &'a dyn LegalCodes) -> Self {
        match space {
            LogProbSpace::Trie => Self::Trie(legal),
            LogProbSpace::Full => Self::Full,
        }
    }
}

/// Rows of items that a decoding writes one after the other, each given those before it (OneRec's sessions).
#[derive(Clone, Copy)]
pub struct Sessions<'a> {
    /// The items of all rows, a row's neighbours.
    pub ids: &'a [&'a SemanticId],
    /// Items of a row, at least 1.
    pub items: usize,
}

impl<'a> Sessions<'a> {
    /// Rows of one item.
    pub fn of_one(ids: &'a [&'a SemanticId]) -> Self {
        Self { ids, items: 1 }
    }
    fn rows(&self) -> usize {
        self.ids.len() / self.items
    }
}

/// A policy's vocabulary and the weights that give it probabilities.
#[derive(Clone, Copy)]
pub struct Scorer<'a> {
    /// The weights.
    pub model: &'a Policy,
    /// The token layout.
    pub vocab: &'a Vocab,
    /// The normalisation.
    pub support: Support<'a>,
}

impl Scorer<'_> {
    /// Log-probability of every code of every candidate; sum over the last axis for the item's.
    ///
    /// # Shapes
    /// - `candidates`: `r` semantic IDs, a reader's candidates neighbours, the same number for every reader of
    ///   `encoded`; result `[r, l]`.
    ///
    /// # Panics
    /// If the number of candidates is not a multiple of the number of readers.
    pub fn token_log_probs(
        &self,
        encoded: &Encoded,
        candidates: &[&SemanticId],
        dropout: Dropout,
    ) -> Tensor<2> {
        self.session_log_probs(encoded, Sessions::of_one(candidates), dropout)
    }

    /// Log-probability of every code of every session, given all codes before it. That an item is in a session once is a rule
    /// of the search: it changes no probability.
    ///
    /// # Shapes
    /// - `sessions`: `r` rows of `m` items, as many rows for every reader of `encoded`; result `[r, m * l]`.
    ///
    /// # Panics
    /// If the number of rows is not a multiple of the number of readers.
    pub fn session_log_probs(
        &self,
        encoded: &Encoded,
        sessions: Sessions<'_>,
        dropout: Dropout,
    ) -> Tensor<2> {
        let (n, l) = (sessions.ids.len(), self.vocab.levels());
        let Support::Trie(legal) = self.support else {
            return self.smoothed_log_probs(encoded, sessions, dropout, 0.0);
        };
        let states = self.states(encoded, sessions, dropout);
        let d = states.dims()[1];
        let states = states.reshape([n, l, d]);
        let level = |level| self.legal_log_probs(states.clone(), level, sessions.ids, legal);
        let log_probs = Tensor::cat((0..l).map(level).collect(), 1);
        log_probs.reshape([sessions.rows(), sessions.items * l])
    }

    /// Log-probabilities over the whole vocabulary with label smoothing: what pretraining maximises. Shapes and panics as in
    /// [`Scorer::session_log_probs`], which this is where `smoothing` is 0.
    pub fn smoothed_log_probs(
        &self,
        encoded: &Encoded,
        sessions: Sessions<'_>,
        dropout: Dropout,
        smoothing: f64,
    ) -> Tensor<2> {
        let states = self.states(encoded, sessions, dropout);
        let targets = sessions.ids.iter().flat_map(|id| self.vocab.tokens(id)).collect();
        let targets = Targets { smoothing, ..Targets::among(0..self.vocab.size(), targets) };
        let shape = [sessions.rows(), sessions.items * self.vocab.levels()];
        self.model.target_log_probs(states, targets).reshape(shape)
    }

    /// Teacher-forced decoder states before every code, `[r * m * l, d]`.
    fn states(&self, encoded: &Encoded, sessions: Sessions<'_>, dropout: Dropout) -> Tensor<2> {
        let (r, readers) = (sessions.rows(), encoded.readers());
        assert!(r.is_multiple_of(readers), "{r} candidates do not divide among {readers} readers");
        let states = self.model.decode(encoded, &self.inputs(sessions), r, dropout);
        if sessions.items == 1 {
            return states;
        }
        // Behind the last code of an item nothing is predicted: the start token of the next follows.
        let (l, per_row) = (self.vocab.levels(), states.dims()[0] / r);
        let row = |row: usize| {
            (0..per_row).filter(move |at| at % (l + 1) < l).map(move |at| (row * per_row + at) as u32)
        };
        kernels::gather(states, &(0..r).flat_map(row).collect::<Vec<_>>())
    }

    /// What the decoder reads of sessions, one row after the other: a start token and the codes of every item but the last code
    /// of the last.
    fn inputs(&self, sessions: Sessions<'_>) -> Vec<u32> {
        let length = sessions.items * (self.vocab.levels() + 1) - 1;
        let mut inputs = Vec::with_capacity(sessions.rows() * length);
        for row in sessions.ids.chunks(sessions.items) {
            let read = row.iter().flat_map(|id| std::iter::once(PAD).chain(self.vocab.tokens(id)));
            inputs.extend(read.take(length));
        }
        inputs
    }

    /// How many codes of the candidates each expert is chosen for, per decoder block that has experts.
    pub fn expert_loads(&self, encoded: &Encoded, candidates: &[&SemanticId]) -> Vec<Vec<usize>> {
        self.model.expert_loads(encoded, &self.inputs(Sessions::of_one(candidates)), candidates.len())
    }

    /// `[r, 1]` log-probabilities of one level's codes among the legal ones.
    fn legal_log_probs(
        &self,
        states: Tensor<3>,
        level: usize,
        candidates: &[&SemanticId],
        legal: &dyn LegalCodes,
    ) -> Tensor<2> {
        let [r, _, d] = states.dims();
        let states = states.slice([0..r, level..level + 1, 0..d]).reshape([r, d]);
        let mut choices = Choices { starts: vec![0], columns: Vec::new() };
        for id in candidates {
            legal.for_each_legal(&id.codes()[..level], &mut |code| choices.columns.push(code));
            choices.starts.push(choices.columns.len() as u32);
        }
        let offset = self.vocab.offset(level);
        let columns = offset..offset + self.vocab.level_size(level);
        let targets = candidates.iter().map(|id| id.codes()[level]).collect();
        let targets = Targets { legal: Some(choices), ..Targets::among(columns, targets) };
        self.model.target_log_probs(states, targets).reshape([r, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::EncoderBatch;
    use crate::catalog::Catalog;
    use crate::ids::ItemId;
    use crate::model::PolicyConfig;
    use crate::testing;

    /// Legal codes by search; the trie is tested against the catalog in its own crate.
    struct Search<'a>(&'a Catalog);

    impl LegalCodes for Search<'_> {
        fn for_each_legal(&self, prefix: &[Code], visit: &mut dyn FnMut(Code)) {
            let mut codes: Vec<_> = self.0.entries().map(|(id, _)| id.codes()).collect();
            codes.retain(|codes| codes.starts_with(prefix));
            codes.dedup_by_key(|codes| codes[prefix.len()]);
            for codes in codes {
                visit(codes[prefix.len()]);
            }
        }
    }

    fn item_log_probs(support: Support<'_>, catalog: &Catalog) -> Vec<f64> {
        let device = Device::flex();
        let model = testing::model(&device);
        let vocab = Vocab::of(catalog);
        let scorer = Scorer { model: &model, vocab: &vocab, support };
        let history = [ItemId::new(3), ItemId::new(0)];
        let encoded =
            model.encode(&EncoderBatch::new(&[history.as_slice().into()], 4, catalog), Dropout::Off);
        let ids: Vec<_> = catalog.semantic_ids().iter().collect();
        let token = scorer.token_log_probs(&encoded, &ids, Dropout::Off);
        token.sum_dim(1).into_data().iter::<f32>().map(f64::from).collect()
    }

    #[test]
    fn trie_probabilities_of_all_items_sum_to_one() {
        let catalog = testing::catalog();
        let sum: f64 =
            item_log_probs(Support::Trie(&Search(&catalog)), &catalog).iter().map(|l| l.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "sum {sum}");
    }

    /// In every architecture that writes codes one after the other: the first item of a session has the probability it has alone, the
    /// second another where it follows another.
    #[test]
    fn an_item_of_a_session_depends_on_those_before_it_alone() {
        let catalog = testing::catalog();
        let vocab = Vocab::of(&catalog);
        let id = |item| catalog.semantic_id(ItemId::new(item));
        let search = Search(&catalog);
        for (config, model) in testing::configs().iter().zip(testing::policies(&Device::flex())) {
            if model.writes_all_codes_at_once() {
                continue;
            }
            // Without a layer a code depends on the one before it, and no item on another of three codes.
            let sees_others = !matches!(config, PolicyConfig::ItemContext(c) if c.num_decoder_layers == 0);
            for support in [Support::Trie(&search), Support::Full] {
                let scorer = Scorer { model: &model, vocab: &vocab, support };
                let history = [ItemId::new(3), ItemId::new(0)];
                let encoded =
                    model.encode(&EncoderBatch::new(&[history.as_slice().into()], 4, &catalog), Dropout::Off);
                let values = |ids: &[&SemanticId], items| {
                    let log_probs = scorer.session_log_probs(&encoded, Sessions { ids, items }, Dropout::Off);
                    let values: Vec<f32> = log_probs.into_data().iter::<f32>().collect();
                    values.chunks(3 * items).map(<[f32]>::to_vec).collect::<Vec<_>>()
                };
                let alone = values(&[id(1), id(2)], 1);
                let rows = values(&[id(1), id(4), id(2), id(4)], 2);
                let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
                assert!(
                    close(&rows[0][..3], &alone[0]) && close(&rows[1][..3], &alone[1]),
                    "{rows:?} {alone:?}"
                );
                assert_eq!(!close(&rows[0][3..], &rows[1][3..]), sees_others, "{rows:?}");
            }
        }
    }

    #[test]
    fn the_full_space_gives_every_item_less() {
        let catalog = testing::catalog();
        let trie = item_log_probs(Support::Trie(&Search(&catalog)), &catalog);
        let full = item_log_probs(Support::Full, &catalog);
        assert!(trie.iter().zip(&full).all(|(trie, full)| full < trie), "{trie:?} {full:?}");
    }
}
