//! Recommenders without training: what a policy must beat before it is worth a word.
//!
//! All three see the training part of the log only (all but each user's last two interactions) and mask what the user
//! has already seen. Items are ranked by score, then by popularity, then by descending id; what has no score follows
//! by popularity, ties by ascending id. (This order of ties is the one behind the published baseline numbers that the
//! integration tests compare with.)

use policy::history::Log;
use policy::ids::ItemId;
use std::cmp::Reverse;
use std::collections::HashSet;

/// Which baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaselineKind {
    /// How often the item occurs in training.
    Popularity,
    /// How often the item followed the user's last item in training.
    Markov,
    /// How near the item stands to the user's last three items in training histories.
    ///
    /// `score(j) = sum over i of pairs(i, j) / sqrt(n_i n_j)`, where a pair of positions in one history counts one over their
    /// distance and `n` is popularity. No smoothing, nothing tuned. Without the distance it is weaker: NDCG@10 .0373 instead of
    /// .0418 on Beauty, .0689 instead of .0715 on Scientific.
    CoOccurrence,
}

impl BaselineKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Popularity, Self::Markov, Self::CoOccurrence];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Markov => "markov",
            Self::CoOccurrence => "co-occurrence",
        }
    }
}

/// How many of the user's last items co-occurrence looks at.
const RECENT_ITEMS: usize = 3;

/// A fitted baseline.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// Occurrences in training, by item.
    counts: Vec<u32>,
    /// Items by descending count, ties by id.
    popular: Vec<ItemId>,
    model: Model,
}

/// What is kept of the log beside popularity.
#[derive(Clone, Debug)]
enum Model {
    Popularity,
    Markov {
        /// By item: the items that followed it, once per time.
        next: Lists,
    },
    CoOccurrence {
        /// By item: its places among all values of `items`.
        places: Lists,
        /// By user: the training items.
        items: Lists,
    },
}

impl Baseline {
    /// Counts the training part of the log.
    pub fn fit(kind: BaselineKind, log: &Log) -> Self {
        let counts = log.train_counts();
        let mut popular: Vec<ItemId> = (0..log.num_items).map(ItemId::new).collect();
        popular.sort_by_key(|item| (Reverse(counts[item.index()]), *item));
        let train = || log.users().map(|user| (user.index(), log.train_items(user)));
        let model = match kind {
            BaselineKind::Popularity => Model::Popularity,
            BaselineKind::Markov => {
                let steps = train().flat_map(|(_, items)| items.windows(2));
                let steps = steps.map(|pair| (pair[0].index(), pair[1].index()));
                Model::Markov { next: Lists::new(log.num_items, steps) }
            }
            BaselineKind::CoOccurrence => {
                let pairs =
                    || train().flat_map(|(user, items)| items.iter().map(move |item| (user, item.index())));
                let places = pairs().enumerate().map(|(place, (_, item))| (item, place));
                let places = Lists::new(log.num_items, places);
                Model::CoOccurrence { places, items: Lists::new(log.histories.len(), pairs()) }
            }
        };
        Self { counts, popular, model }
    }

    /// The best `k` items (fewer if the catalog has no more) for a user who has done `context`, oldest first.
    pub fn recommend(&self, context: &[ItemId], k: usize) -> Vec<ItemId> {
        let mut masked: HashSet<usize> = context.iter().map(|item| item.index()).collect();
        let mut scored = match &self.model {
            Model::Popularity => Vec::new(),
            Model::Markov { next } => markov_scores(next, context),
            Model::CoOccurrence { places, items } => self.co_occurrence_scores(places, items, context),
        };
        scored.retain(|(item, _)| !masked.contains(item));
        scored.sort_by(|(a, score_a), (b, score_b)| {
            score_b.total_cmp(score_a).then_with(|| (self.counts[*b], b).cmp(&(self.counts[*a], a)))
        });
        scored.truncate(k);
        masked.extend(scored.iter().map(|(item, _)| *item));
        let rest = self.popular.iter().copied().filter(|item| !masked.contains(&item.index()));
        scored.iter().map(|(item, _)| ItemId::new(*item)).chain(rest).take(k).collect()
    }

    fn co_occurrence_scores(&self, places: &Lists, items: &Lists, context: &[ItemId]) -> Vec<(usize, f64)> {
        let count_of = |item: usize| f64::from(self.counts[item]);
        let mut parts = Vec::new();
        for recent in context.iter().rev().take(RECENT_ITEMS) {
            let recent = recent.index();
            let beside = places.list(recent).iter().flat_map(|place| items.beside(*place as usize));
            let pairs = summed(beside.filter(|(item, _)| *item != recent));
            let scored = pairs.into_iter();
            parts.extend(
                scored.map(|(item, pairs)| (item, pairs / (count_of(recent) * count_of(item)).sqrt())),
            );
        }
        summed(parts.into_iter())
    }
}

fn markov_scores(next: &Lists, context: &[ItemId]) -> Vec<(usize, f64)> {
    let followers = context.last().map_or(&[][..], |last| next.list(last.index()));
    summed(followers.iter().map(|item| (*item as usize, 1.0)))
}

/// Distinct items with the sum of their weights, by ascending item.
fn summed(items: impl Iterator<Item = (usize, f64)>) -> Vec<(usize, f64)> {
    let mut items: Vec<(usize, f64)> = items.collect();
    // Stable: the order of a sum's terms does not depend on anything but what was asked.
    items.sort_by_key(|(item, _)| *item);
    let sum = |run: &[(usize, f64)]| (run[0].0, run.iter().map(|(_, weight)| weight).sum());
    items.chunk_by(|a, b| a.0 == b.0).map(sum).collect()
}

/// Lists of numbers in one allocation: list `r` is `values[starts[r]..starts[r + 1]]`.
#[derive(Clone, Debug)]
struct Lists {
    starts: Vec<usize>,
    values: Vec<u32>,
}

impl Lists {
    /// Pairs of (list, value); values keep their order.
    fn new(lists: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut pairs: Vec<(usize, usize)> = pairs.collect();
        pairs.sort_by_key(|(list, _)| *list);
        let starts = (0..=lists).map(|list| pairs.partition_point(|pair| pair.0 < list)).collect();
        Self { starts, values: pairs.into_iter().map(|(_, value)| value as u32).collect() }
    }
    fn list(&self, list: usize) -> &[u32] {
        &self.values[self.starts[list]..self.starts[list + 1]]
    }
    /// The other values of the list that has this place, each with one over its distance.
    fn beside(&self, place: usize) -> impl Iterator<Item = (usize, f64)> {
        let list = self.starts.partition_point(|start| *start <= place) - 1;
        let others = (self.starts[list]..self.starts[list + 1]).filter(move |other| *other != place);
        others.map(move |other| (self.values[other] as usize, (other.abs_diff(place) as f64).recip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::history::History;

    fn ids(items: &[usize]) -> Vec<ItemId> {
        items.iter().map(|item| ItemId::new(*item)).collect()
    }

    /// Training parts: [0 1 2], [0 1], [3 1], [4]; the last two of every history are held out.
    fn log() -> Log {
        let history = |items: &[usize]| History { items: ids(items), ..History::default() };
        let histories = [&[0, 1, 2, 5, 6][..], &[0, 1, 5, 6], &[3, 1, 5, 6], &[4, 5, 6]].map(history);
        Log { histories: histories.into(), num_items: 7, signals: Vec::new() }
    }

    fn recommend(kind: BaselineKind, context: &[usize], k: usize) -> Vec<ItemId> {
        Baseline::fit(kind, &log()).recommend(&ids(context), k)
    }

    #[test]
    fn popularity_counts_training_only_and_breaks_ties_by_item() {
        assert_eq!(recommend(BaselineKind::Popularity, &[], 7), ids(&[1, 0, 2, 3, 4, 5, 6]));
        assert_eq!(recommend(BaselineKind::Popularity, &[1, 2], 2), ids(&[0, 3]));
    }

    #[test]
    fn markov_follows_the_last_item_then_popularity() {
        // 1 was followed by 2 once; the rest is popularity: 0 (2), 3, 4, 5, 6.
        assert_eq!(recommend(BaselineKind::Markov, &[3, 1], 3), ids(&[2, 0, 4]));
        // Nothing follows 4.
        assert_eq!(recommend(BaselineKind::Markov, &[4], 2), ids(&[1, 0]));
        assert_eq!(recommend(BaselineKind::Markov, &[], 1), ids(&[1]));
    }

    #[test]
    fn co_occurrence_scores_equal_hand_values() {
        let baseline = Baseline::fit(BaselineKind::CoOccurrence, &log());
        let Model::CoOccurrence { places, items } = &baseline.model else {
            panic!("fitted as co-occurrence")
        };
        // 0 and 1 are neighbours twice, 0 and 2 stand two apart. Counts: 0 -> 2, 1 -> 3, 2 -> 1, 3 -> 1.
        let scores = baseline.co_occurrence_scores(places, items, &ids(&[3, 0]));
        let expected = [(1, 2.0 / 6f64.sqrt() + 1.0 / 3f64.sqrt()), (2, 0.5 / 2f64.sqrt())];
        assert_eq!(scores.len(), 2);
        for ((item, score), (wanted, value)) in scores.into_iter().zip(expected) {
            assert_eq!(item, wanted);
            assert!((score - value).abs() < 1e-12, "item {item}: {score} is not {value}");
        }
    }

    #[test]
    fn only_the_last_three_items_count_for_co_occurrence() {
        assert_eq!(recommend(BaselineKind::CoOccurrence, &[3, 4, 4, 4], 1), ids(&[1]));
        let with_old = recommend(BaselineKind::CoOccurrence, &[2, 4, 5, 6], 3);
        assert_eq!(with_old, ids(&[1, 0, 3]), "item 2 is too old to pull anything");
    }

    #[test]
    fn equal_scores_go_to_the_more_popular_then_to_the_later_item() {
        let history = |items: &[usize]| History { items: ids(items), ..History::default() };
        // 0 is followed by 1, 2 and 3 once each; 2 is the most popular.
        let histories = [[0, 1, 8, 8], [0, 2, 8, 8], [0, 3, 8, 8], [2, 4, 8, 8]].map(|items| history(&items));
        let log = Log { histories: histories.into(), num_items: 9, signals: Vec::new() };
        let ranked = Baseline::fit(BaselineKind::Markov, &log).recommend(&ids(&[0]), 4);
        assert_eq!(ranked, ids(&[2, 3, 1, 4]));
    }

    #[test]
    fn every_baseline_returns_k_distinct_unseen_items() {
        for kind in BaselineKind::ALL {
            let ranked = recommend(kind, &[0, 1, 3], 10);
            let distinct: HashSet<_> = ranked.iter().collect();
            assert_eq!((ranked.len(), distinct.len()), (4, 4), "{}", kind.name());
        }
    }
}
