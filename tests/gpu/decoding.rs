//! What a policy proposes: beams and samples.

use super::agree;
use super::fixture::{GROUP, codebook, configs, contexts, model, policy, recommender};
use burn::module::Module;
use policy::log_prob::LogProbSpace;
use policy::model::Dropout;
use policy::random::Key;
use sampler::recommend::Seen;
use sampler::sampling::{Draws, sample};
use std::convert::Infallible;

#[test]
fn ranked_lists_agree() {
    let codebook = codebook();
    for config in configs(&codebook) {
        agree("beam search, both spaces", |device| {
            let (model, contexts) = (policy(&config, device).valid(), contexts());
            let slices: Vec<_> = contexts.iter().map(|items| items.as_slice().into()).collect();
            let search = |space| {
                let recommender = recommender(&model, &codebook, space);
                recommender.candidates(&slices, 8, Seen::Excluded, |_| Ok::<_, Infallible>(())).unwrap()
            };
            let lists = [LogProbSpace::Trie, LogProbSpace::Full].map(search).concat().concat();
            // Two items differ by more than any tolerance.
            lists.iter().flat_map(|it| [it.item.index() as f64, it.log_prob()]).collect()
        });
    }
}

#[test]
fn samples_agree() {
    let codebook = codebook();
    agree("ancestral sampling", |device| {
        let (model, contexts) = (model(&codebook, device).valid(), contexts());
        let recommender = recommender(&model, &codebook, LogProbSpace::Trie);
        let slices: Vec<_> = contexts.iter().map(|items| items.as_slice().into()).collect();
        let keys: Vec<Key> = (0..contexts.len() as u64).map(|user| Key::new(4).at(user)).collect();
        let draws = Draws { group: GROUP, temperature: 1.0, keys: &keys };
        let encoded = recommender.encode(&slices, Dropout::Off);
        let completions = sample(&recommender.scorer(), &codebook.trie, &encoded, &draws).concat();
        let of = |(&token, &log_prob): (&u32, &f32)| [f64::from(token), f64::from(log_prob)];
        completions.iter().flat_map(|it| it.tokens.iter().zip(&it.token_log_probs).flat_map(of)).collect()
    });
}
