//! Choices of a known judge among the candidates of a tiny policy.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::points::{by_score, different};
use crate::stages::bench::Shown;
use burn::prelude::Device;
use policy::catalog::Catalog;
use policy::history::Context;
use policy::ids::{ItemId, SemanticId, UserId};
use policy::log_prob::LogProbSpace;
use policy::model::{Policy, PolicyConfig, T5Config};
use policy::random::Key;
use reward::judge::{Judge, Request, Score};
use reward::ranking::rank_by_score;
use sampler::recommend::{Codebook, Recommender, Seen};
use std::convert::Infallible;

const ITEMS: usize = 30;

/// Knows what every item is worth, to anybody.
struct Taste([f32; ITEMS]);

impl Taste {
    fn new() -> Self {
        Self(std::array::from_fn(|item| Key::new(6).at(item as u64).unit() as f32))
    }
}

impl Judge for Taste {
    fn name(&self) -> &'static str {
        "taste"
    }
    fn heads(&self) -> &[String] {
        &[]
    }
    fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        let score = |item: &ItemId| Score { heads: Vec::new(), fused: self.0[item.index()] };
        requests.iter().map(|request| request.candidates.iter().map(score).collect()).collect()
    }
}

fn codebook() -> Codebook {
    let ids = (0..ITEMS as u32).map(|item| SemanticId::new([item % 5, item / 5]));
    Codebook::new(Catalog::new(ids.collect(), vec![5, 6]).unwrap())
}

fn policy(codebook: &Codebook) -> Policy {
    let config = PolicyConfig::T5(T5Config {
        vocab_size: codebook.vocab.size(),
        d_model: 16,
        d_kv: 8,
        d_ff: 16,
        num_heads: 2,
        num_layers: 1,
        num_decoder_layers: 1,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.0,
        ..T5Config::default()
    });
    Policy::new(&config, Key::new(1), &Device::flex()).unwrap()
}

fn history() -> Vec<ItemId> {
    [3, 17, 4].map(ItemId::new).to_vec()
}

/// A beam and draws of as many candidates for one user.
fn candidates(count: usize) -> (Vec<ItemId>, Vec<ItemId>) {
    let codebook = codebook();
    let model = policy(&codebook);
    let space = LogProbSpace::Trie;
    let recommender =
        Recommender { model: &model, codebook: &codebook, history_items: 4, space, session_items: 1 };
    let history = history();
    let context = Context::from(history.as_slice());
    let going_on = |_| Ok::<_, Infallible>(());
    let beam = recommender.candidates(&[context], count, Seen::Excluded, going_on).unwrap().remove(0);
    let draws = recommender.draws(&[context], (count, &[Key::new(2)]), going_on).unwrap().remove(0);
    (beam.into_iter().map(|candidate| candidate.item).collect(), draws)
}

fn chosen(items: Vec<ItemId>) -> Vec<ItemId> {
    by_score(&Taste::new(), &[Shown { user: UserId::new(0), known: 3, items }]).remove(0)
}

#[test]
fn a_choice_among_a_beam_as_wide_as_the_catalog_is_the_judges_ranking_of_the_catalog() {
    let ranked = chosen(candidates(ITEMS).0);
    assert_eq!(ranked.len(), ITEMS - history().len());
    for (place, item) in ranked.iter().enumerate() {
        assert_eq!(rank_by_score(&Taste::new().0, *item, &history()), Some(place + 1), "{item:?}");
    }
}

#[test]
fn of_one_candidate_the_choice_is_plain_sampling_and_plain_search() {
    let (beam, draws) = candidates(1);
    assert_eq!((beam.len(), draws.len()), (1, 1));
    assert_eq!((chosen(beam.clone()), chosen(draws.clone())), (beam, draws));
}

#[test]
fn the_best_of_more_draws_is_never_worth_less() {
    let draws = candidates(64).1;
    let worth = |count: usize| {
        let firsts = different(draws[..count].iter());
        Taste::new().0[chosen(firsts)[0].index()]
    };
    let curve: Vec<f32> = (1..=64).map(worth).collect();
    assert!(curve.is_sorted() && curve[63] > curve[0], "{curve:?}");
}

#[test]
fn repeats_are_left_out_and_ties_stay_in_order() {
    let items = |ids: &[usize]| ids.iter().map(|&id| ItemId::new(id)).collect::<Vec<_>>();
    assert_eq!(different(items(&[4, 2, 4, 9, 2]).iter()), items(&[4, 2, 9]));
    let indifferent = Taste([0.5; ITEMS]);
    let asked = Shown { user: UserId::new(0), known: 3, items: items(&[9, 1, 5]) };
    assert_eq!(by_score(&indifferent, &[asked]), [items(&[9, 1, 5])]);
}
