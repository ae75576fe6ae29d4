//! Groups whose results are told apart: test users by how popular their next item is, and by how long their history is.

use policy::history::Log;
use policy::ids::ItemId;
use std::cmp::Reverse;

/// Shares of the catalog, most popular first, that end the head and the middle.
const HEAD: f64 = 0.1;
const MIDDLE: f64 = 0.5;

/// How popular the items are, by training interactions.
pub(in crate::stages) struct Popularity {
    counts: Vec<u32>,
    /// Place by falling count, from 0; equal counts in the catalog's order.
    places: Vec<usize>,
}

impl Popularity {
    pub(in crate::stages) fn new(log: &Log) -> Self {
        let counts = log.train_counts();
        let mut order: Vec<usize> = (0..counts.len()).collect();
        order.sort_by_key(|item| Reverse(counts[*item]));
        let mut places = vec![0; counts.len()];
        for (place, item) in order.into_iter().enumerate() {
            places[item] = place;
        }
        Self { counts, places }
    }

    /// Whether an item is among the most popular tenth.
    pub(in crate::stages) fn is_head(&self, item: ItemId) -> bool {
        self.group(item) == "head"
    }

    /// Share of the catalog that is less popular: near 1 for the most popular item.
    pub(super) fn percentile(&self, item: ItemId) -> f64 {
        1.0 - (self.places[item.index()] + 1) as f64 / self.places.len() as f64
    }

    fn group(&self, item: ItemId) -> &'static str {
        let share = self.places[item.index()] as f64 / self.places.len() as f64;
        match share {
            _ if self.counts[item.index()] == 0 => "cold",
            ..HEAD => "head",
            HEAD..MIDDLE => "mid",
            _ => "tail",
        }
    }
}

/// A group of test users.
pub(super) struct Slice {
    /// As metric keys end.
    pub(super) name: &'static str,
    /// Positions among the test users.
    pub(super) users: Vec<usize>,
}

/// The groups that have a member. `lengths`: of the users' histories.
pub(super) fn slices(popularity: &Popularity, targets: &[ItemId], lengths: &[usize]) -> Vec<Slice> {
    let (short, long) = thirds(lengths);
    let by_length = |length: usize| match length {
        length if length <= short => "short-history",
        length if length > long => "long-history",
        _ => "medium-history",
    };
    let named = |name: &'static str, is_member: &dyn Fn(usize) -> bool| Slice {
        name,
        users: (0..targets.len()).filter(|user| is_member(*user)).collect(),
    };
    let targets_in = |name| named(name, &|user| popularity.group(targets[user]) == name);
    let histories = |name| named(name, &|user| by_length(lengths[user]) == name);
    let by_target = ["head", "mid", "tail", "cold"].map(targets_in);
    let by_history = ["short-history", "medium-history", "long-history"].map(histories);
    by_target.into_iter().chain(by_history).filter(|slice| !slice.users.is_empty()).collect()
}

/// Lengths that end the first and the second third.
fn thirds(lengths: &[usize]) -> (usize, usize) {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let at = |third: usize| sorted.get((sorted.len() * third / 3).saturating_sub(1)).copied().unwrap_or(0);
    (at(1), at(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn popularity(counts: Vec<u32>) -> Popularity {
        let mut order: Vec<usize> = (0..counts.len()).collect();
        order.sort_by_key(|item| Reverse(counts[*item]));
        let mut places = vec![0; counts.len()];
        order.into_iter().enumerate().for_each(|(place, item)| places[item] = place);
        Popularity { counts, places }
    }

    #[test]
    fn a_tenth_is_head_half_is_the_middle_and_the_untrained_are_cold() {
        let popularity = popularity(vec![0, 9, 8, 7, 6, 5, 4, 3, 2, 90]);
        let groups: Vec<_> = (0..10).map(|item| popularity.group(ItemId::new(item))).collect();
        assert_eq!(groups, ["cold", "mid", "mid", "mid", "mid", "tail", "tail", "tail", "tail", "head"]);
        assert!(popularity.is_head(ItemId::new(9)) && !popularity.is_head(ItemId::new(1)));
        let percentile = |item| popularity.percentile(ItemId::new(item));
        assert!((percentile(9) - 0.9).abs() < 1e-12 && percentile(0).abs() < 1e-12);
    }

    #[test]
    fn every_user_is_in_one_group_of_either_kind() {
        let popularity = popularity(vec![5, 4, 3, 0]);
        let targets: Vec<ItemId> = [0, 1, 2, 3, 3, 0].map(ItemId::new).to_vec();
        let slices = slices(&popularity, &targets, &[1, 1, 2, 3, 4, 4]);
        let members = |history: bool| -> usize {
            let kind = slices.iter().filter(|slice| slice.name.ends_with("history") == history);
            kind.map(|slice| slice.users.len()).sum()
        };
        assert_eq!((members(true), members(false)), (6, 6));
        let long = slices.iter().find(|slice| slice.name == "long-history").unwrap();
        assert_eq!(long.users, [4, 5]);
    }
}
