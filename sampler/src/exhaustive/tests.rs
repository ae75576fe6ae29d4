//! Ranking of the catalog against beams that drop nothing.

use super::*;
use crate::beam::beam_search;
use crate::recommend::Codebook;
use burn::prelude::Device;
use policy::batch::EncoderBatch;
use policy::history::Context;
use policy::log_prob::Support;
use policy::model::{
    AttentionBias, CodeDecoder, ContextBlock, Dropout, HeadWeights, ItemContextConfig, ItemEmbedding, Policy,
    PolicyConfig,
};
use policy::random::Key;

fn codebook() -> Codebook {
    let ids = (0..40).map(|item| SemanticId::new([item % 5, item / 5 % 4, item % 3, item % 7]));
    Codebook::new(Catalog::new(ids.collect(), vec![5, 4, 3, 7]).unwrap())
}

fn policy(codebook: &Codebook) -> Policy {
    let config = ItemContextConfig {
        vocab_size: codebook.vocab.size(),
        levels: 4,
        num_items: 40,
        d_model: 16,
        d_kv: 8,
        d_ff: 24,
        num_heads: 2,
        num_layers: 1,
        num_decoder_layers: 0,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 16,
        dropout_rate: 0.0,
        layer_norm_epsilon: 1e-6,
        context_block: ContextBlock::Transformer,
        attention_bias: AttentionBias::Position,
        item_embedding: ItemEmbedding::Codes,
        item_dropout: 0.0,
        code_decoder: CodeDecoder::Parallel,
        head: HeadWeights::Own,
        user_buckets: 0,
    };
    Policy::new(&PolicyConfig::ItemContext(config), Key::new(3), &Device::flex()).unwrap()
}

#[test]
fn ranking_the_catalog_equals_a_beam_that_drops_nothing() {
    let codebook = codebook();
    let model = policy(&codebook);
    let history: Vec<ItemId> = [3, 17, 20].map(ItemId::new).into();
    let contexts: [&[ItemId]; 2] = [&history, &history[..1]];
    let encoded =
        model.encode(&EncoderBatch::new(&contexts.map(Context::from), 8, &codebook.catalog), Dropout::Off);
    let scorer = Scorer { model: &model, vocab: &codebook.vocab, support: Support::Full };
    let wide = Search { width: 1000, exclude: &contexts };
    let beams = beam_search(&scorer, &codebook.trie, &encoded, &wide);
    let ranked = rank_catalog(&scorer, &codebook.catalog, &encoded, &wide);
    for (beam, ranked) in beams.iter().zip(&ranked) {
        let items = |list: &[Candidate]| list.iter().map(|c| c.item).collect::<Vec<_>>();
        assert_eq!(items(beam), items(ranked));
        assert!(beam.iter().zip(ranked).all(|(a, b)| (a.log_prob() - b.log_prob()).abs() < 1e-5));
    }
    let narrow = Search { width: 3, exclude: &contexts };
    let first = rank_catalog(&scorer, &codebook.catalog, &encoded, &narrow);
    assert!(first.iter().zip(&ranked).all(|(first, all)| first[..] == all[..first.len()]));
}

#[test]
fn inconsistent_items_come_last_and_the_others_keep_their_order() {
    let codebook = codebook();
    let model = policy(&codebook);
    let history: Vec<ItemId> = [3, 17, 20].map(ItemId::new).into();
    let batch = EncoderBatch::new(&[Context::from(history.as_slice())], 8, &codebook.catalog);
    let encoded = model.encode(&batch, Dropout::Off);
    let scorer = Scorer { model: &model, vocab: &codebook.vocab, support: Support::Full };
    let ranked = |width: usize, least: f64| {
        let search = Search { width, exclude: &[&history] };
        pruned_ranking(&scorer, &codebook.catalog, &encoded, (&search, least)).remove(0)
    };
    let plain = ranked(1000, 0.0).candidates;
    let best = |level: usize| plain.iter().map(|one| one.token_log_probs[level]).fold(f32::MIN, f32::max);
    let best: Vec<f32> = (0..4).map(best).collect();
    let consistency = |one: &Candidate| {
        let gaps = one.token_log_probs.iter().zip(&best).map(|(own, best)| f64::from(own - best));
        gaps.fold(0.0, f64::min).exp()
    };
    let mut sorted: Vec<f64> = plain.iter().map(consistency).collect();
    sorted.sort_by(f64::total_cmp);
    let least = f64::midpoint(sorted[20], sorted[21]);
    let (kept, doubted): (Vec<_>, Vec<_>) = plain.iter().cloned().partition(|one| consistency(one) >= least);
    assert!(kept.len() > 5 && doubted.len() > 5);
    let width = kept.len();
    assert_eq!(ranked(1000, least).candidates, [kept, doubted].concat());
    let displaced = plain[..width].iter().filter(|one| consistency(one) < least).count();
    assert!(displaced > 0 && ranked(width, least).pruned == displaced);
}
