//! Beam search against brute force over the whole catalog.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use burn::prelude::Device;
use policy::batch::EncoderBatch;
use policy::catalog::Catalog;
use policy::ids::SemanticId;
use policy::log_prob::{LogProbSpace, Support};
use policy::model::{Dropout, EncoderAttention, T5, T5Config};
use policy::random::Key;
use policy::vocab::Vocab;

struct Fixture {
    catalog: Catalog,
    trie: Trie,
    vocab: Vocab,
    model: T5,
    contexts: Vec<Vec<ItemId>>,
}

/// 60 random items (some share an ID) over 3 levels of 6 codes, three users with histories of unequal length.
fn fixture() -> Fixture {
    let key = Key::new(11);
    let code = |item: u64, level: u64| (key.at(item).at(level).bits() % 6) as u32;
    let ids = (0..60).map(|i| SemanticId::new([code(i, 0), code(i, 1), code(i, 2)])).collect();
    let catalog = Catalog::new(ids, vec![6; 3]).unwrap();
    let vocab = Vocab::of(&catalog);
    let config = T5Config {
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
        layer_norm_epsilon: 1e-6,
        encoder_attention: EncoderAttention::Bidirectional,
    };
    let model = T5::new(&config, Key::new(2), &Device::flex()).unwrap();
    let contexts = [vec![1, 2, 3, 4], vec![59], vec![7, 8]];
    let contexts = contexts.map(|c| c.into_iter().map(ItemId::new).collect()).to_vec();
    Fixture { trie: Trie::new(&catalog), catalog, vocab, model, contexts }
}

impl Fixture {
    fn scorer(&self, space: LogProbSpace) -> Scorer<'_> {
        Scorer { model: &self.model, vocab: &self.vocab, support: Support::new(space, &self.trie) }
    }
    fn encode(&self) -> Encoded {
        let contexts: Vec<_> = self.contexts.iter().map(Vec::as_slice).collect();
        let batch = EncoderBatch::new(&contexts, 8, &self.catalog);
        self.model.encode(&batch, Dropout::Off)
    }
    fn beams(&self, space: LogProbSpace, width: usize, exclude: &[&[ItemId]]) -> Vec<Vec<Candidate>> {
        let search = Search { width, exclude };
        beam_search(&self.scorer(space), &self.trie, &self.encode(), &search)
    }
    /// Every semantic ID of every user, scored by the one log-probability.
    fn brute_force(&self, space: LogProbSpace) -> Vec<Vec<(SemanticId, f64)>> {
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

const NOTHING: [&[ItemId]; 3] = [&[], &[], &[]];

#[test]
fn a_beam_as_wide_as_the_catalog_equals_brute_force() {
    let fixture = fixture();
    for space in [LogProbSpace::Trie, LogProbSpace::Full] {
        let beams = fixture.beams(space, 60, &NOTHING);
        for (beam, expected) in beams.iter().zip(fixture.brute_force(space)) {
            assert_eq!(beam.len(), 60, "every item is proposed once");
            let mut at = 0;
            for (id, log_prob) in expected {
                for item in fixture.catalog.items(&id) {
                    assert_eq!(beam[at].item, *item, "{space:?} rank {at}");
                    assert!((beam[at].log_prob() - log_prob).abs() < 1e-4, "{space:?} rank {at}");
                    at += 1;
                }
            }
        }
    }
}

#[test]
fn a_narrow_beam_proposes_catalog_items_in_order() {
    let fixture = fixture();
    for candidates in fixture.beams(LogProbSpace::Trie, 7, &NOTHING) {
        assert!(candidates.len() >= 7);
        assert!(candidates.windows(2).all(|pair| pair[0].log_prob() >= pair[1].log_prob()));
        assert!(candidates.iter().all(|c| c.item.index() < fixture.catalog.num_items()));
    }
}

#[test]
fn excluded_items_are_left_out_and_change_no_probability() {
    let fixture = fixture();
    let free = fixture.beams(LogProbSpace::Trie, 60, &NOTHING);
    let seen: Vec<&[ItemId]> = fixture.contexts.iter().map(Vec::as_slice).collect();
    let masked = fixture.beams(LogProbSpace::Trie, 60, &seen);
    for ((free, masked), seen) in free.into_iter().zip(masked).zip(seen) {
        let expected: Vec<_> = free.into_iter().filter(|c| !seen.contains(&c.item)).collect();
        assert_eq!(masked, expected);
    }
}

#[test]
fn users_do_not_influence_each_other() {
    let fixture = fixture();
    let together = fixture.beams(LogProbSpace::Trie, 10, &NOTHING);
    for (user, context) in fixture.contexts.iter().enumerate() {
        let batch = EncoderBatch::new(&[context], 8, &fixture.catalog);
        let encoded = fixture.model.encode(&batch, Dropout::Off);
        let search = Search { width: 10, exclude: &[&[]] };
        let alone = beam_search(&fixture.scorer(LogProbSpace::Trie), &fixture.trie, &encoded, &search);
        let items = |candidates: &[Candidate]| candidates.iter().map(|c| c.item).collect::<Vec<_>>();
        assert_eq!(items(&alone[0]), items(&together[user]));
    }
}
