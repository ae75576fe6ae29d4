//! Ranking of the whole catalog under a policy that writes all codes at once (RPG, `SETRec`): every code's probability
//! depends on the history alone, so one step gives the log-probabilities of all codes of all levels, and an item's is a sum
//! of `l` of them. Exact, where a beam that fixes one code after the other would drop items early: codes without an order
//! have no coarse level to begin with.

use crate::beam::Search;
use crate::candidate::{Candidate, keep_best};
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
    assert!(scorer.model.writes_all_codes_at_once(), "codes that depend on each other need a beam");
    let users = encoded.readers();
    assert!(
        search.width > 0 && search.exclude.len() == users,
        "one exclusion list per user, width at least 1"
    );
    let tables = Tables::new(scorer, encoded);
    let entries: Vec<(&SemanticId, &[ItemId])> = catalog.entries().collect();
    (0..users).into_par_iter().map(|user| tables.rank(user, &entries, search)).collect()
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

    fn rank(&self, user: usize, entries: &[(&SemanticId, &[ItemId])], search: &Search<'_>) -> Vec<Candidate> {
        let excluded = search.exclude[user];
        let score = |id| self.log_probs(user, id).map(f64::from).sum::<f64>();
        let mut scored: Vec<(f64, usize)> = entries
            .iter()
            .enumerate()
            .filter(|(_, (_, items))| items.iter().any(|item| !excluded.contains(item)))
            .map(|(entry, (id, _))| (score(id), entry))
            .collect();
        let better = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        keep_best(&mut scored, search.width, better);
        scored.into_iter().flat_map(|(_, entry)| self.candidates(user, entries[entry], excluded)).collect()
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
}
