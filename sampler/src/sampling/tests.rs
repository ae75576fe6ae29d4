//! Sampling against the probabilities it samples from.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use burn::prelude::Device;
use policy::batch::EncoderBatch;
use policy::catalog::Catalog;
use policy::history::Context;
use policy::ids::{Code, SemanticId};
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Policy, PolicyConfig, T5Config};
use policy::vocab::Vocab;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(crate) struct Fixture {
    pub(crate) catalog: Catalog,
    pub(crate) trie: Trie,
    vocab: Vocab,
    pub(crate) model: Policy,
}

/// Five items, two levels; after code 2 nothing is left to choose.
pub(crate) fn fixture() -> Fixture {
    let ids = [[0, 0], [0, 2], [1, 1], [1, 2], [2, 0]].map(SemanticId::new).to_vec();
    let catalog = Catalog::new(ids, vec![3; 2]).unwrap();
    let vocab = Vocab::of(&catalog);
    let config = PolicyConfig::T5(T5Config {
        vocab_size: vocab.size(),
        d_model: 16,
        d_kv: 8,
        d_ff: 24,
        num_heads: 2,
        num_layers: 1,
        num_decoder_layers: 1,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.0,
        ..T5Config::default()
    });
    let model = Policy::new(&config, Key::new(3), &Device::flex()).unwrap();
    Fixture { trie: Trie::new(&catalog), catalog, vocab, model }
}

impl Fixture {
    pub(crate) fn scorer(&self, space: LogProbSpace) -> Scorer<'_> {
        Scorer { model: &self.model, vocab: &self.vocab, support: Support::new(space, &self.trie) }
    }
    pub(crate) fn encode(&self, contexts: &[&[ItemId]]) -> Encoded {
        let contexts: Vec<_> = contexts.iter().copied().map(Context::from).collect();
        self.model.encode(&EncoderBatch::new(&contexts, 4, &self.catalog), Dropout::Off)
    }
    fn sample(&self, space: LogProbSpace, contexts: &[&[ItemId]], draws: &Draws<'_>) -> Vec<Vec<Completion>> {
        sample(&self.scorer(space), &self.trie, &self.encode(contexts), draws)
    }
    /// Log-probabilities of every item's tokens, by the one definition.
    pub(crate) fn log_probs(&self, space: LogProbSpace, context: &[ItemId]) -> Vec<Vec<f32>> {
        let ids: Vec<&SemanticId> = self.catalog.semantic_ids().iter().collect();
        let table = self.scorer(space).token_log_probs(&self.encode(&[context]), &ids, Dropout::Off);
        let values: Vec<f32> = table.into_data().iter::<f32>().collect();
        values.chunks(2).map(<[f32]>::to_vec).collect()
    }
    fn tokens(&self, item: usize) -> Vec<u32> {
        self.vocab.tokens(self.catalog.semantic_id(ItemId::new(item))).collect()
    }
}

pub(crate) fn context() -> [ItemId; 2] {
    [4, 1].map(ItemId::new)
}

const MANY: usize = 20_000;

/// Share of each row of tokens among many draws for one user.
fn shares(fixture: &Fixture, space: LogProbSpace, temperature: f32) -> BTreeMap<Vec<u32>, f64> {
    let draws = Draws { group: MANY, temperature, keys: &[Key::new(1)] };
    let mut shares = BTreeMap::new();
    for completion in &fixture.sample(space, &[&context()], &draws)[0] {
        *shares.entry(completion.tokens.clone()).or_default() += 1.0 / MANY as f64;
    }
    shares
}

/// 5 standard errors: one share in 1.7 million is farther off by chance.
fn assert_share(share: f64, probability: f64, what: &str) {
    let error = (probability * (1.0 - probability) / MANY as f64).sqrt();
    assert!((share - probability).abs() < 5.0 * error, "{what}: {share} is not {probability}");
}

#[test]
fn frequencies_are_the_probabilities_of_the_support() {
    let fixture = fixture();
    for space in [LogProbSpace::Trie, LogProbSpace::Full] {
        let shares = shares(&fixture, space, 1.0);
        let mut legal = 0.0;
        for (item, log_probs) in fixture.log_probs(space, &context()).iter().enumerate() {
            let probability = f64::from(log_probs.iter().sum::<f32>()).exp();
            let share = shares.get(&fixture.tokens(item)).copied().unwrap_or(0.0);
            assert_share(share, probability, &format!("{space:?} item {item}"));
            legal += share;
        }
        match space {
            LogProbSpace::Trie => assert!((legal - 1.0).abs() < 1e-9, "all draws are items, not {legal}"),
            LogProbSpace::Full => assert!(legal < 0.5, "an untrained policy mostly leaves the catalog"),
        }
    }
}

#[test]
fn a_low_temperature_sharpens_each_step() {
    let fixture = fixture();
    let log_probs = fixture.log_probs(LogProbSpace::Trie, &context());
    // Items 0, 2 and 4 have the first codes 0, 1 and 2.
    let sharpened = [0, 2, 4].map(|item| f64::from(log_probs[item][0] / 0.25).exp());
    let total: f64 = sharpened.iter().sum();
    let shares = shares(&fixture, LogProbSpace::Trie, 0.25);
    for (code, probability) in sharpened.iter().enumerate() {
        let first = fixture.vocab.token(0, code as Code);
        let share: f64 = shares.iter().filter(|(tokens, _)| tokens[0] == first).map(|(_, share)| share).sum();
        assert_share(share, probability / total, &format!("code {code}"));
    }
}

#[test]
fn log_probabilities_are_those_of_the_scorer_at_any_temperature() {
    let fixture = fixture();
    for (space, temperature) in
        [(LogProbSpace::Trie, 1.0), (LogProbSpace::Full, 1.0), (LogProbSpace::Trie, 3.0)]
    {
        let expected = fixture.log_probs(space, &context());
        let draws = Draws { group: 200, temperature, keys: &[Key::new(8)] };
        let mut compared = 0;
        for completion in &fixture.sample(space, &[&context()], &draws)[0] {
            let [item] = completion.items(&fixture.trie) else { continue };
            assert_eq!(completion.tokens, fixture.tokens(item.index()));
            for (found, expected) in completion.token_log_probs.iter().zip(&expected[item.index()]) {
                assert!((found - expected).abs() < 1e-5, "{space:?} {item:?}: {found} is not {expected}");
            }
            compared += 1;
        }
        assert!(compared > 0, "{space:?}: no draw is an item");
    }
}

#[test]
fn a_completion_says_where_it_left_the_catalog() {
    let fixture = fixture();
    let draws = Draws { group: 500, temperature: 1.0, keys: &[Key::new(2)] };
    let mut seen = [false; 3];
    for completion in &fixture.sample(LogProbSpace::Full, &[&context()], &draws)[0] {
        let prefixes =
            |length: usize| (0..5).any(|item| fixture.tokens(item)[..length] == completion.tokens[..length]);
        let expected = match (prefixes(1), prefixes(2)) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        };
        seen[expected] = true;
        match completion.path {
            Path::Illegal { level } => assert_eq!(level, expected, "{completion:?}"),
            Path::Legal(_) => assert_eq!((expected, completion.items(&fixture.trie).len()), (2, 1)),
        }
    }
    assert_eq!(seen, [true; 3], "every case occurs");
}

#[test]
fn a_draw_never_lands_on_weight_zero() {
    let logits = [f32::NEG_INFINITY, 0.0, -1e9, 0.0, f32::NEG_INFINITY];
    for (unit, expected) in [(0.0, 1), (0.499, 1), (0.5, 3), (1.0, 3)] {
        assert_eq!(draw(&logits, 1.0, unit), expected, "unit {unit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn draws_depend_on_key_and_history_but_not_on_the_batch(
        seed in 0u64..1000,
        histories in prop::collection::vec(prop::collection::vec(0usize..5, 1..4), 2..6),
    ) {
        let fixture = fixture();
        let contexts: Vec<Vec<ItemId>> =
            histories.iter().map(|items| items.iter().map(|item| ItemId::new(*item)).collect()).collect();
        let contexts: Vec<&[ItemId]> = contexts.iter().map(Vec::as_slice).collect();
        let keys: Vec<Key> = (0..contexts.len() as u64).map(|user| Key::new(seed).at(user)).collect();
        let tokens = |contexts: &[&[ItemId]], keys: &[Key]| -> Vec<Vec<Vec<u32>>> {
            let draws = Draws { group: 5, temperature: 1.0, keys };
            let completions = fixture.sample(LogProbSpace::Full, contexts, &draws);
            completions.into_iter().map(|group| group.into_iter().map(|c| c.tokens).collect()).collect()
        };
        let together = tokens(&contexts, &keys);
        prop_assert_eq!(&tokens(&contexts, &keys), &together, "the same keys, the same draws");
        for (user, expected) in together.iter().enumerate() {
            prop_assert_eq!(&tokens(&contexts[user..=user], &keys[user..=user])[0], expected);
        }
    }
}

#[test]
fn completions_of_a_group_and_users_with_one_history_differ() {
    let fixture = fixture();
    let keys = [Key::new(0).at(0), Key::new(0).at(1)];
    let draws = Draws { group: 12, temperature: 1.0, keys: &keys };
    let completions = fixture.sample(LogProbSpace::Full, &[&context(), &context()], &draws);
    assert_ne!(completions[0], completions[1]);
    assert!(completions[0].iter().any(|completion| completion != &completions[0][0]));
}
