//! Independent draws of whole items: what a policy would show if it were asked again and again.

use crate::recommend::Recommender;
use crate::sampling::{Completion, Draws, sample};
use policy::history::Context;
use policy::ids::ItemId;
use policy::log_prob::LogProbSpace;
use policy::model::Dropout;
use policy::random::Key;

impl Recommender<'_> {
    /// `count` independent items of each context from the policy itself: under the trie, at temperature 1, items of the history not
    /// left out. Items that share a semantic ID are equally likely. After each batch `progress` is told how many users are done and
    /// may stop the work.
    ///
    /// Every item is a function of its context's key, its place among the draws, and the policy: the first draws of many are those
    /// of few.
    ///
    /// # Errors
    /// Whatever `progress` returns.
    ///
    /// # Panics
    /// If `count` is 0 or there is not one key per context.
    pub fn draws<E>(
        &self,
        contexts: &[Context<'_>],
        (count, keys): (usize, &[Key]),
        mut progress: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Vec<Vec<ItemId>>, E> {
        assert_eq!(contexts.len(), keys.len(), "one key per context");
        let under_the_trie = Recommender { space: LogProbSpace::Trie, ..*self };
        let mut drawn = vec![Vec::new(); contexts.len()];
        for users in self.batches(contexts) {
            let batch: Vec<Context<'_>> = users.iter().map(|&user| contexts[user]).collect();
            let keys: Vec<Key> = users.iter().map(|&user| keys[user]).collect();
            let encoded = self.encode(&batch, Dropout::Off);
            let draws = Draws { group: count, temperature: 1.0, keys: &keys };
            let completions = sample(&under_the_trie.scorer(), &self.codebook.trie, &encoded, &draws);
            for ((user, key), completions) in users.iter().zip(keys).zip(completions) {
                let numbered = (0..).zip(&completions);
                drawn[*user] = numbered.map(|(draw, found)| self.one_item(found, key.at(draw))).collect();
            }
            progress(users.len() as u64)?;
        }
        Ok(drawn)
    }

    /// One of the items that a completion stands for.
    fn one_item(&self, completion: &Completion, key: Key) -> ItemId {
        let trie = &self.codebook.trie;
        let items = completion.items(trie);
        // The levels took the counters below.
        let unit = key.at(trie.levels() as u64).unit();
        items[(unit * items.len() as f64) as usize]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::pass::pass_at;
    use crate::recommend::Codebook;
    use crate::testing::{Fixture, fixture};
    use std::convert::Infallible;

    /// Enough for shares with a standard error below 0.008.
    const MANY: usize = 4000;

    fn draws(fixture: &Fixture, contexts: &[Context<'_>], count: usize) -> Vec<Vec<ItemId>> {
        let codebook = Codebook::new(fixture.catalog.clone());
        let space = LogProbSpace::Full;
        let recommender = Recommender {
            model: &fixture.model,
            codebook: &codebook,
            history_items: 8,
            space,
            session_items: 1,
        };
        let keys: Vec<Key> = (0..contexts.len() as u64).map(|user| Key::new(4).at(user)).collect();
        recommender.draws(contexts, (count, &keys), |_| Ok::<_, Infallible>(())).unwrap()
    }

    /// Probability of every item of a user under the trie.
    fn probabilities(fixture: &Fixture, user: usize) -> Vec<f64> {
        let mut probabilities = vec![0.0; fixture.catalog.semantic_ids().len()];
        for (id, log_prob) in &fixture.brute_force(LogProbSpace::Trie)[user] {
            let (_, items) = fixture.catalog.entries().find(|(entry, _)| *entry == id).unwrap();
            for item in items {
                probabilities[item.index()] = log_prob.exp() / items.len() as f64;
            }
        }
        probabilities
    }

    #[test]
    fn items_are_drawn_with_their_probability_and_share_that_of_their_id() {
        let fixture = fixture();
        let contexts: Vec<Context<'_>> =
            fixture.contexts.iter().map(|items| items.as_slice().into()).collect();
        for (user, drawn) in draws(&fixture, &contexts, MANY).iter().enumerate() {
            for (item, probability) in probabilities(&fixture, user).into_iter().enumerate() {
                let share = drawn.iter().filter(|found| found.index() == item).count() as f64 / MANY as f64;
                let error = (probability * (1.0 - probability) / MANY as f64).sqrt();
                assert!(
                    (share - probability).abs() < 5.0 * error + 1e-9,
                    "{user}, {item}: {share}, {probability}"
                );
            }
        }
    }

    #[test]
    fn estimated_passes_are_the_chance_of_independent_draws() {
        let fixture = fixture();
        let context = Context::from(fixture.contexts[0].as_slice());
        let probabilities = probabilities(&fixture, 0);
        let target =
            (0..probabilities.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b])).unwrap();
        let drawn = draws(&fixture, &vec![context; 1000], 8);
        let hits = |drawn: &[ItemId]| drawn.iter().filter(|item| item.index() == target).count();
        for k in [1, 2, 4, 8] {
            let estimate = drawn.iter().map(|drawn| pass_at(k, (8, hits(drawn)))).sum::<f64>() / 1000.0;
            let exact = 1.0 - (1.0 - probabilities[target]).powi(k as i32);
            // Five standard errors of a single draw; the estimate's is smaller.
            assert!(
                (estimate - exact).abs() < 5.0 * (exact * (1.0 - exact) / 1000.0).sqrt(),
                "{k}: {estimate}, {exact}"
            );
        }
    }

    #[test]
    fn the_first_draws_of_many_are_those_of_few() {
        let fixture = fixture();
        let contexts: Vec<Context<'_>> =
            fixture.contexts.iter().map(|items| items.as_slice().into()).collect();
        let (few, many) = (draws(&fixture, &contexts, 3), draws(&fixture, &contexts, 20));
        assert!(few.iter().zip(&many).all(|(few, many)| few[..] == many[..3]), "{few:?}, {many:?}");
    }
}
