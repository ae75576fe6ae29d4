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
mod tests;
