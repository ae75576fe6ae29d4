//! What a policy's own draws say of it: the price of its reward (Gao et al. 2023, 2210.10760), its entropy, and what it would do
//! without the trie.
//!
//! Draws are independent, at temperature 1, with the same random numbers for every policy. So the divergence from the pretrained
//! policy `E[log pi - log pi_0]` and the entropy `-E[log pi]` are unbiased, in nats per item, both over the items of the catalog.

use crate::stages::bench::{Bench, Shown, mean};
use policy::history::{Context, Split};
use policy::ids::{ItemId, SemanticId, UserId};
use policy::log_prob::LogProbSpace;
use policy::model::{Dropout, Encoded, Policy};
use policy::random::Key;
use reports::statistics::correlation::spearman;
use reward::judge::Judge;
use sampler::recommend::Recommender;
use sampler::sampling::{Completion, Draws, Path, sample};

/// Users whose items are drawn together.
const BATCH: usize = 64;
/// Items drawn for each user at every look.
const DRAWN: usize = 4;
/// Items of the pretrained policy among which the best is chosen; a power of two.
const MOST: usize = 16;

/// Draws for users none of whom trained a judge.
pub(super) struct Gauge<'a> {
    pub(super) bench: &'a Bench,
    pub(super) users: &'a [UserId],
}

/// Items drawn for every user, each with its log-probability under the policy that drew it.
struct Drawn {
    items: Vec<Vec<ItemId>>,
    log_probs: Vec<f64>,
}

impl Gauge<'_> {
    /// `kl/pretrained`, `entropy`, `legality/free`, `judge/agreement`, and `drawn/<judge>`: the mean score of what `model` draws.
    pub(super) fn look(&self, model: &Policy, pretrained: &Policy) -> Vec<(String, f64)> {
        let (drawn, legality) = self.draw_and_check(model);
        let reference = self.log_probs(pretrained, &drawn.items);
        let divergence = drawn.log_probs.iter().zip(&reference).map(|(own, reference)| own - reference);
        let entropy = drawn.log_probs.iter().map(|own| -own);
        let mut metrics = vec![
            ("kl/pretrained".to_owned(), mean(divergence)),
            ("entropy".to_owned(), mean(entropy)),
            ("legality/free".to_owned(), legality),
        ];
        let judges = self.bench.judges();
        let scores: Vec<Vec<f64>> =
            judges.iter().map(|(_, judge)| self.scores(*judge, &drawn.items).concat()).collect();
        let means = judges
            .iter()
            .zip(&scores)
            .map(|((key, _), scores)| (drawn_key(key), mean(scores.iter().copied())));
        metrics.extend(means);
        if let [proxy, held_out, ..] = scores.as_slice() {
            metrics
                .extend(spearman(proxy, held_out).map(|agreement| ("judge/agreement".to_owned(), agreement)));
        }
        metrics
    }

    /// What choosing by the proxy, the first judge, among `n` draws of the pretrained policy gains with every judge:
    /// `best-of-n/<judge>` at `n`. Its divergence is `ln n - (n - 1) / n`.
    pub(super) fn best_of(&self, pretrained: &Policy) -> Vec<(u64, String, f64)> {
        let items = self.draw(pretrained, MOST, |_, _| ()).items;
        let scores: Vec<(&str, Vec<Vec<f64>>)> =
            self.bench.judges().into_iter().map(|(key, judge)| (key, self.scores(judge, &items))).collect();
        let Some((_, proxy)) = scores.first() else { return Vec::new() };
        let mut found = Vec::new();
        for n in std::iter::successors(Some(1), |n| Some(2 * n)).take_while(|n| *n <= MOST) {
            for (key, scores) in &scores {
                let chosen: Vec<f64> = proxy
                    .iter()
                    .zip(scores)
                    .flat_map(|(proxy, scores)| proxy.chunks(n).zip(scores.chunks(n)))
                    .map(|(proxy, scores)| scores[best(proxy)])
                    .collect();
                let key = key.replacen("judge", "best-of-n", 1);
                found.push((n as u64, key, mean(chosen.into_iter())));
            }
        }
        found
    }

    /// Draws of items, and the share of draws over the whole vocabulary that are items; histories are read once for both.
    fn draw_and_check(&self, model: &Policy) -> (Drawn, f64) {
        let free = Recommender { space: LogProbSpace::Full, ..self.bench.recommender(model) };
        let mut legal = Vec::new();
        let drawn = self.draw(model, DRAWN, |users, encoded| {
            let completions = self.completions(&free, (users, encoded), DRAWN).into_iter().flatten();
            legal.extend(completions.map(|one| f64::from(u8::from(matches!(one.path, Path::Legal(_))))));
        });
        (drawn, mean(legal.into_iter()))
    }

    /// `count` items for every user; `each` may do more with the users of a batch and their histories, read.
    fn draw(&self, model: &Policy, count: usize, mut each: impl FnMut(&[UserId], &Encoded)) -> Drawn {
        let recommender = self.over_items(model);
        let (mut items, mut log_probs) = (Vec::new(), Vec::new());
        for users in self.users.chunks(BATCH) {
            let encoded = recommender.encode(&self.contexts(users), Dropout::Off);
            for completion in self.completions(&recommender, (users, &encoded), count).into_iter().flatten() {
                items.push(completion.items(&self.bench.codebook.trie)[0]);
                log_probs.push(total(completion.token_log_probs.iter()));
            }
            each(users, &encoded);
        }
        Drawn { items: items.chunks(count).map(<[ItemId]>::to_vec).collect(), log_probs }
    }

    /// Log-probabilities of whole IDs, user by user.
    fn log_probs(&self, model: &Policy, items: &[Vec<ItemId>]) -> Vec<f64> {
        let (recommender, catalog) = (self.over_items(model), &self.bench.codebook.catalog);
        let mut log_probs = Vec::new();
        for (users, items) in self.users.chunks(BATCH).zip(items.chunks(BATCH)) {
            let encoded = recommender.encode(&self.contexts(users), Dropout::Off);
            let ids: Vec<&SemanticId> =
                items.iter().flatten().map(|&item| catalog.semantic_id(item)).collect();
            let table = recommender.scorer().token_log_probs(&encoded, &ids, Dropout::Off);
            let values: Vec<f32> = table.into_data().iter::<f32>().collect();
            log_probs.extend(values.chunks(catalog.levels()).map(|row| total(row.iter())));
        }
        log_probs
    }

    fn completions(
        &self,
        recommender: &Recommender<'_>,
        (users, encoded): (&[UserId], &Encoded),
        count: usize,
    ) -> Vec<Vec<Completion>> {
        let draws = Key::new(0).named("gauge");
        let keys: Vec<Key> = users.iter().map(|user| draws.at(user.index() as u64)).collect();
        let draws = Draws { group: count, temperature: 1.0, keys: &keys };
        sample(&recommender.scorer(), &self.bench.codebook.trie, encoded, &draws)
    }

    /// Scores of each user's items.
    fn scores(&self, judge: &dyn Judge, items: &[Vec<ItemId>]) -> Vec<Vec<f64>> {
        let shown = self.users.iter().zip(items).map(|(&user, items)| Shown {
            user,
            known: self.bench.known(user, Split::Validation),
            items: items.clone(),
        });
        let shown: Vec<Shown> = shown.collect();
        let requests: Vec<_> = shown.iter().map(Shown::request).collect();
        let fused =
            |scores: &Vec<reward::judge::Score>| scores.iter().map(|score| f64::from(score.fused)).collect();
        judge.score(&requests).iter().map(fused).collect()
    }

    fn contexts(&self, users: &[UserId]) -> Vec<Context<'_>> {
        users.iter().map(|&user| self.bench.dataset.log.context(user, Split::Validation)).collect()
    }

    fn over_items<'m>(&'m self, model: &'m Policy) -> Recommender<'m> {
        Recommender { space: LogProbSpace::Trie, ..self.bench.recommender(model) }
    }
}

/// `judge/proxy` -> `drawn/proxy`.
fn drawn_key(judge: &str) -> String {
    judge.replacen("judge", "drawn", 1)
}

fn total<'a>(log_probs: impl Iterator<Item = &'a f32>) -> f64 {
    log_probs.map(|&value| f64::from(value)).sum()
}

/// The first of the largest.
fn best(scores: &[f64]) -> usize {
    (1..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best })
}
