//! A tiny catalog with a random policy, and every item's probability by brute force.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::trie::Trie;
use burn::prelude::Device;
use policy::batch::EncoderBatch;
use policy::catalog::Catalog;
use policy::ids::{ItemId, SemanticId};
use policy::log_prob::{LogProbSpace, Scorer, Support};
use policy::model::{Dropout, Encoded, Policy, PolicyConfig, T5Config};
use policy::random::Key;
use policy::vocab::Vocab;

/// A catalog, a policy and three users.
pub(crate) struct Fixture {
    pub(crate) catalog: Catalog,
    pub(crate) trie: Trie,
    pub(crate) vocab: Vocab,
    pub(crate) model: Policy,
    pub(crate) contexts: Vec<Vec<ItemId>>,
}

/// 60 random items (some share an ID) over 3 levels of 6 codes, three users with histories of unequal length.
pub(crate) fn fixture() -> Fixture {
    let key = Key::new(11);
    let code = |item: u64, level: u64| (key.at(item).at(level).bits() % 6) as u32;
    let ids = (0..60).map(|i| SemanticId::new([code(i, 0), code(i, 1), code(i, 2)])).collect();
    let catalog = Catalog::new(ids, vec![6; 3]).unwrap();
    let vocab = Vocab::of(&catalog);
    let config = PolicyConfig::T5(T5Config {
        vocab_size: vocab.size(),
        d_model: 16,
        d_kv: 8,
        d_ff: 32,
        num_heads: 2,
        num_layers: 1,
        num_decoder_layers: 2,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.0,
        ..T5Config::default()
    });
    let model = Policy::new(&config, Key::new(2), &Device::flex()).unwrap();
    let contexts = [vec![1, 2, 3, 4], vec![59], vec![7, 8]];
    let contexts = contexts.map(|c| c.into_iter().map(ItemId::new).collect()).to_vec();
    Fixture { trie: Trie::new(&catalog), catalog, vocab, model, contexts }
}

impl Fixture {
    pub(crate) fn scorer(&self, space: LogProbSpace) -> Scorer<'_> {
        Scorer { model: &self.model, vocab: &self.vocab, support: Support::new(space, &self.trie) }
    }
    pub(crate) fn encode(&self) -> Encoded {
        let contexts: Vec<_> = self.contexts.iter().map(|items| items.as_slice().into()).collect();
        let batch = EncoderBatch::new(&contexts, 8, &self.catalog);
        self.model.encode(&batch, Dropout::Off)
    }
    /// Every semantic ID of every user, scored by the one log-probability.
    pub(crate) fn brute_force(&self, space: LogProbSpace) -> Vec<Vec<(SemanticId, f64)>> {
        let ids: Vec<&SemanticId> = self.catalog.entries().map(|(id, _)| id).collect();
        let repeated: Vec<_> = self.contexts.iter().flat_map(|_| ids.iter().copied()).collect();
        let log_probs = self.scorer(space).token_log_probs(&self.encode(), &repeated, Dropout::Off);
        let sums: Vec<f64> = log_probs.sum_dim(1).into_data().iter::<f32>().map(f64::from).collect();
        let rank = |sums: &[f64]| {
            let mut ranked: Vec<_> = ids.iter().map(|&id| id.clone()).zip(sums.iter().copied()).collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
            ranked
        };
        sums.chunks(ids.len()).map(rank).collect()
    }
}
