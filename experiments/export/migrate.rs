//! What a refresh of the codebooks moves: semantic IDs, who is whose neighbour, and what the policy answers.
//!
//! The codes of two codebooks have nothing to do with each other: a cluster that keeps its items may get another number. So beside
//! the share of items whose codes differ - what a store of codes has to replace - stands how far items keep the company they are
//! in: the Jaccard index of the items behind the same prefix, before and after.

use super::bundle::Bundle;
use super::diff::{self, Agreement, CatalogDifference};
use super::golden::Golden;
use super::verify::verified;
use burn::prelude::Device;
use policy::ids::{Code, ItemId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Length of the lists that are compared.
const LIST: usize = 10;

/// What moves when one directory replaces another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Migration {
    /// SHA-256 of the weights, old and new.
    pub policies: [String; 2],
    /// Codes per level, old and new.
    pub level_sizes: [Vec<usize>; 2],
    /// Items with their whole IDs.
    pub catalog: CatalogDifference,
    /// The levels that both have, of the items that both have.
    pub levels: Vec<LevelMove>,
    /// Golden requests of the old directory: its policy under its IDs, and the new policy under the new IDs.
    pub answers: AnswerMove,
}

/// One level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LevelMove {
    /// Share of items with another code at this level.
    pub moved: f64,
    /// Share of items with another code at this level or before.
    pub prefix_moved: f64,
    /// Mean Jaccard index of the items behind an item's prefix up to this level, itself left out; items that are alone before
    /// and after do not count. `None` if all are.
    pub jaccard: Option<f64>,
}

/// Answers to the same requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AnswerMove {
    /// Requests.
    pub requests: usize,
    /// Share of requests with the same first item.
    pub same_first: f64,
    /// Mean share of the old ten best that are among the new ten best.
    pub overlap: f64,
    /// Of the old ten best, how many the new directory does not have.
    pub gone: usize,
    /// How the log-probabilities of the others change, in both lists or not. `None` if there are none.
    pub log_probs: Option<Change>,
}

/// New minus old, over requests and items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Differences.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The mean of their absolute values.
    pub mean_absolute: f64,
    /// The smallest: an item that the old policy shows and the new one finds least likely.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

/// Compares a directory with the one that will replace it.
///
/// # Errors
/// One of them is not an exported directory or does not verify.
pub fn migrate(old: &Path, new: &Path, device: &Device) -> anyhow::Result<Migration> {
    let (old, new) = (verified(old, device)?, verified(new, device)?);
    let both = |of: fn(&Bundle) -> String| [of(&old), of(&new)];
    Ok(Migration {
        policies: both(|bundle| bundle.description.policy_sha256.clone()),
        level_sizes: [&old, &new].map(|bundle| bundle.description.level_sizes.clone()),
        catalog: diff::catalog(&old, &new),
        levels: levels(&pairs(&old, &new)),
        answers: answers(&Golden::read(&old)?, &old, &new),
    })
}

/// An item's codes before and after.
type Pair<'a> = (&'a [Code], &'a [Code]);

/// Of the items that both have.
fn pairs<'a>(old: &'a Bundle, new: &'a Bundle) -> Vec<Pair<'a>> {
    let pair = |(raw_id, before): (&String, &'a policy::ids::SemanticId)| {
        let item = new.item(raw_id)?;
        Some((before.codes(), new.codebook.catalog.semantic_id(item).codes()))
    };
    old.raw_ids().iter().zip(old.codebook.catalog.semantic_ids()).filter_map(pair).collect()
}

fn levels(pairs: &[Pair<'_>]) -> Vec<LevelMove> {
    let levels = pairs.first().map_or(0, |(old, new)| old.len().min(new.len()));
    let share = |moved: &dyn Fn(&Pair<'_>) -> bool| {
        pairs.iter().filter(|pair| moved(pair)).count() as f64 / pairs.len() as f64
    };
    let level = |level: usize| LevelMove {
        moved: share(&|(old, new)| old[level] != new[level]),
        prefix_moved: share(&|(old, new)| old[..=level] != new[..=level]),
        jaccard: jaccard(pairs.iter().map(|(old, new)| (&old[..=level], &new[..=level]))),
    };
    (0..levels).map(level).collect()
}

/// The mean over items of how alike their groups are; an item is in the group of its first name and in that of its second.
fn jaccard<'a>(names: impl Iterator<Item = Pair<'a>> + Clone) -> Option<f64> {
    let (mut old, mut new, mut both) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (a, b) in names {
        *old.entry(a).or_insert(0usize) += 1;
        *new.entry(b).or_insert(0usize) += 1;
        *both.entry((a, b)).or_insert(0usize) += 1;
    }
    let (mut sum, mut items) = (0.0, 0);
    for ((a, b), shared) in both {
        let others = old[a] + new[b] - shared - 1;
        if others > 0 {
            sum += (shared * (shared - 1)) as f64 / others as f64;
            items += shared;
        }
    }
    (items > 0).then(|| sum / items as f64)
}

fn answers(golden: &Golden, old: &Bundle, new: &Bundle) -> AnswerMove {
    let histories: Vec<Vec<ItemId>> =
        golden.histories.iter().map(|history| diff::translated(history, old, new)).collect();
    let answered = Golden::of(new, histories);
    let (mut agreement, mut changes, mut shown) = (Agreement::default(), Vec::new(), 0);
    let requests = golden.beams.iter().zip(&answered.beams).zip(&answered.histories);
    for ((before, after), history) in requests {
        let (before, after) = (best(before), best(after));
        agreement.add(&diff::named(old, before), &diff::named(new, after));
        let known =
            |(item, log_prob): &(ItemId, f32)| Some((new.item(old.raw_id(*item))?, f64::from(*log_prob)));
        let (items, log_probs): (Vec<ItemId>, Vec<f64>) = before.iter().filter_map(known).unzip();
        let now = new.log_probs(history, &items);
        changes.extend(now.iter().zip(log_probs).map(|(now, before)| now - before));
        shown += before.len();
    }
    let means = agreement.means();
    AnswerMove {
        requests: means.requests,
        same_first: means.same_first,
        overlap: means.overlap,
        gone: shown - changes.len(),
        log_probs: change(&changes),
    }
}

fn best(beam: &[(ItemId, f32)]) -> &[(ItemId, f32)] {
    &beam[..beam.len().min(LIST)]
}

fn change(changes: &[f64]) -> Option<Change> {
    let count = changes.len();
    let mean = |value: fn(&f64) -> f64| changes.iter().map(value).sum::<f64>() / count as f64;
    let least = changes.iter().copied().reduce(f64::min)?;
    let most = changes.iter().copied().reduce(f64::max)?;
    Some(Change {
        count,
        mean: mean(|change| *change),
        mean_absolute: mean(|change| change.abs()),
        least,
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_numbers_for_the_same_clusters_move_every_id_and_no_neighbour() {
        let pairs: [Pair<'_>; 4] =
            [(&[0, 0], &[1, 3]), (&[0, 1], &[1, 2]), (&[1, 0], &[0, 3]), (&[1, 1], &[0, 2])];
        let levels = levels(&pairs);
        assert_eq!((levels[0].moved, levels[0].prefix_moved, levels[0].jaccard), (1.0, 1.0, Some(1.0)));
        assert_eq!(levels[1].jaccard, None, "all are alone behind two codes");
    }

    #[test]
    fn an_item_that_changes_its_company_is_counted_by_all_whom_it_left_and_met() {
        // {a, b, c} {d, e} becomes {a, b} {c, d, e}.
        let pairs: [Pair<'_>; 5] = [(&[0], &[0]), (&[0], &[0]), (&[0], &[1]), (&[1], &[1]), (&[1], &[1])];
        let levels = levels(&pairs);
        // a and b: {b, c} and {b}; c: {a, b} and {d, e}; d and e: {e} and {c, e}.
        assert!((levels[0].jaccard.unwrap() - (0.5 + 0.5 + 0.0 + 0.5 + 0.5) / 5.0).abs() < 1e-12);
        assert!((levels[0].moved - 0.2).abs() < 1e-12, "c alone has another code");
    }

    #[test]
    fn changes_keep_their_sign() {
        let expected = Change { count: 3, mean: 0.0, mean_absolute: 4.0 / 3.0, least: -2.0, most: 1.0 };
        assert_eq!(change(&[1.0, -2.0, 1.0]), Some(expected));
        assert_eq!(change(&[]), None);
    }
}
