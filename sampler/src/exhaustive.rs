//! Ranking of the whole catalog under a policy that writes all codes at once (RPG, `SETRec`): every code's probability
//! depends on the history alone, so one step gives the log-probabilities of all codes of all levels, and an item's is a sum
//! of `l` of them. Exact, where a beam that fixes one code after the other would drop items early: codes without an order
//! have no coarse level to begin with.

use crate::beam::Search;
use crate::candidate::Candidate;
use crate::consistency::{Pruned, Rule};
use policy::catalog::Catalog;
use policy::ids::{ItemId, SemanticId};
use policy::kernels::{Choices, Normalization};
use policy::log_prob::Scorer;
use policy::model::Encoded;
use policy::vocab::PAD;
use rayon::prelude::*;

/// The `width` most probable items of every user, best first, ties in the order of semantic IDs. Items in `exclude[user]`
/// are left out. Probabilities are normalised over the whole vocabulary.
///
/// # Panics
/// If the policy does not write all codes at once, `width` is zero or `exclude` has not one entry per user.
pub fn rank_catalog(
    scorer: &Scorer<'_>,
    catalog: &Catalog,
    encoded: &Encoded,
    search: &Search<'_>,
) -> Vec<Vec<Candidate>> {
    let found = pruned_ranking(scorer, catalog, encoded, (search, 0.0));
    found.into_iter().map(|found| found.candidates).collect()
}

/// The same, but items whose consistency is below `least` come after all others ([`crate::consistency`]); the best code of a level is
/// that of some item that is not left out.
///
/// # Panics
/// As [`rank_catalog`].
pub fn pruned_ranking(
    scorer: &Scorer<'_>,
    catalog: &Catalog,
    encoded: &Encoded,
    (search, least): (&Search<'_>, f64),
) -> Vec<Pruned> {
    assert!(scorer.model.writes_all_codes_at_once(), "codes that depend on each other need a beam");
    let users = encoded.readers();
    assert!(
        search.width > 0 && search.exclude.len() == users,
        "one exclusion list per user, width at least 1"
    );
    let tables = Tables::new(scorer, encoded);
    let entries: Vec<(&SemanticId, &[ItemId])> = catalog.entries().collect();
    let rule = Rule::at_least(least);
    (0..users).into_par_iter().map(|user| tables.rank(user, &entries, (search, rule))).collect()
}

/// Log-probabilities of all codes: per level, per user, per code.
struct Tables {
    levels: Vec<Vec<f32>>,
    sizes: Vec<usize>,
}

impl Tables {
    fn new(scorer: &Scorer<'_>, encoded: &Encoded) -> Self {
        let (users, vocab) = (encoded.readers(), scorer.vocab);
        let over = Normalization::Columns(0..vocab.size());
        let mut cache = scorer.model.start(encoded);
        let sizes: Vec<usize> = (0..vocab.levels()).map(|level| vocab.level_size(level)).collect();
        let table = |level: usize| {
            let states = scorer.model.step(&vec![PAD; users], &mut cache);
            let choices = all_codes(users, vocab.offset(level), sizes[level]);
            scorer.model.choice_log_probs(states, &choices, &over)
        };
        Self { levels: (0..vocab.levels()).map(table).collect(), sizes }
    }

    /// Log-probability of each code of an ID.
    fn log_probs<'a>(&'a self, user: usize, id: &'a SemanticId) -> impl Iterator<Item = f32> + 'a {
        let codes = id.codes().iter().zip(self.levels.iter().zip(&self.sizes));
        codes.map(move |(&code, (table, size))| table[user * size + code as usize])
    }

    fn rank(
        &self,
        user: usize,
        entries: &[(&SemanticId, &[ItemId])],
        (search, rule): (&Search<'_>, Rule),
    ) -> Pruned {
        let excluded = search.exclude[user];
        let shown = entries.iter().enumerate();
        let shown = shown.filter(|(_, (_, items))| items.iter().any(|item| !excluded.contains(item)));
        let mut ranked: Vec<Ranked> = shown
            .map(|(entry, (id, _))| Ranked {
                log_prob: self.log_probs(user, id).map(f64::from).sum(),
                entry,
                log_consistency: 0.0,
            })
            .collect();
        if rule.is_on() {
            self.compare(user, entries, &mut ranked);
        }
        let better = |a: &Ranked, b: &Ranked| b.log_prob.total_cmp(&a.log_prob).then(a.entry.cmp(&b.entry));
        let pruned = rule.keep(&mut ranked, search.width, (better, |one: &Ranked| one.log_consistency));
        let candidates =
            ranked.into_iter().flat_map(|one| self.candidates(user, entries[one.entry], excluded)).collect();
        Pruned { candidates, pruned }
    }

    /// How far the least probable code of each ID is below the best of its level, in nats.
    fn compare(&self, user: usize, entries: &[(&SemanticId, &[ItemId])], ranked: &mut [Ranked]) {
        let mut best = vec![f32::NEG_INFINITY; self.levels.len()];
        for one in ranked.iter() {
            for (best, own) in best.iter_mut().zip(self.log_probs(user, entries[one.entry].0)) {
                *best = best.max(own);
            }
        }
        for one in ranked {
            let gaps = self.log_probs(user, entries[one.entry].0).zip(&best);
            let gaps = gaps.map(|(own, best)| f64::from(own) - f64::from(*best));
            one.log_consistency = gaps.fold(0.0, f64::min);
        }
    }

    /// The items of an ID that are not excluded.
    fn candidates(
        &self,
        user: usize,
        (id, items): (&SemanticId, &[ItemId]),
        excluded: &[ItemId],
    ) -> Vec<Candidate> {
        let token_log_probs: Vec<f32> = self.log_probs(user, id).collect();
        let shown = items.iter().filter(|item| !excluded.contains(item));
        shown.map(|&item| Candidate { item, token_log_probs: token_log_probs.clone() }).collect()
    }
}

/// An ID by its place in the catalog.
#[derive(Clone, Copy)]
struct Ranked {
    log_prob: f64,
    entry: usize,
    /// Logarithm of its consistency.
    log_consistency: f64,
}

/// Every code of a level, for every row.
fn all_codes(rows: usize, offset: usize, size: usize) -> Choices {
    Choices {
        starts: (0..=rows).map(|row| (row * size) as u32).collect(),
        columns: (0..rows).flat_map(|_| (offset..offset + size).map(|column| column as u32)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beam::beam_search;
    use crate::recommend::Codebook;
    use burn::prelude::Device;
    use policy::batch::EncoderBatch;
    use policy::history::Context;
    use policy::log_prob::Support;
    use policy::model::{
        AttentionBias, CodeDecoder, ContextBlock, Dropout, HeadWeights, ItemContextConfig, ItemEmbedding,
        Policy, PolicyConfig,
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
        let encoded = model
            .encode(&EncoderBatch::new(&contexts.map(Context::from), 8, &codebook.catalog), Dropout::Off);
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
        let (kept, doubted): (Vec<_>, Vec<_>) =
            plain.iter().cloned().partition(|one| consistency(one) >= least);
        assert!(kept.len() > 5 && doubted.len() > 5);
        assert_eq!(ranked(1000, least).candidates, [kept, doubted].concat());
        assert!(ranked(5, least).pruned > 0 && ranked(1000, least).pruned == 0);
    }
}
