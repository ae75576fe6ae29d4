//! A tree of clusters: items are split into at most `codes` clusters, every cluster that is still too large again, and so on.

use crate::ids::Code;
use crate::random::Key;

/// The cluster of each of these items, below `codes`.
pub(super) type Split<'a> = dyn Fn(&[usize], Key) -> Vec<usize> + 'a;

/// How a tree grows.
pub(super) struct Tree<'a> {
    /// Most children of a node; items of a leaf, where the depth allows.
    pub(super) codes: usize,
    /// Most clusters on a path.
    pub(super) depth: usize,
    pub(super) split: &'a Split<'a>,
}

/// Items that are not split further.
#[derive(Debug, PartialEq)]
pub(super) struct Leaf {
    /// The cluster numbers that lead here, at each node from 0 in the order of the first items.
    pub(super) path: Vec<Code>,
    /// Ascending.
    pub(super) items: Vec<usize>,
}

impl Tree<'_> {
    /// The leaves of the tree over items `0..items`, in the order of their paths.
    pub(super) fn leaves(&self, items: usize, key: Key) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        self.grow(Leaf { path: Vec::new(), items: (0..items).collect() }, key, &mut leaves);
        leaves
    }
    fn grow(&self, node: Leaf, key: Key, leaves: &mut Vec<Leaf>) {
        if node.items.len() <= self.codes || node.path.len() == self.depth {
            leaves.push(node);
            return;
        }
        for (child, items) in self.children(&node.items, key).into_iter().enumerate() {
            let path = [node.path.as_slice(), &[child as Code]].concat();
            self.grow(Leaf { path, items }, key.at(child as u64), leaves);
        }
    }
    /// The clusters that have items. What the split does not tell apart is cut into runs of neighbours.
    fn children(&self, items: &[usize], key: Key) -> Vec<Vec<usize>> {
        let mut clusters = vec![Vec::new(); self.codes];
        let assignment = (self.split)(items, key.named("split"));
        items.iter().zip(assignment).for_each(|(item, cluster)| clusters[cluster].push(*item));
        clusters.retain(|cluster| !cluster.is_empty());
        clusters.sort_unstable();
        if clusters.len() > 1 {
            return clusters;
        }
        items.chunks(items.len().div_ceil(self.codes)).map(<[usize]>::to_vec).collect()
    }
}

/// The code of the item at `place` of `items`: its place, or where there are more items than codes, that of its neighbourhood.
pub(super) fn spread(place: usize, items: usize, codes: usize) -> usize {
    if items <= codes { place } else { place * codes / items }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(codes: usize, depth: usize, split: &Split) -> Vec<(Vec<Code>, Vec<usize>)> {
        let leaves = Tree { codes, depth, split }.leaves(10, Key::new(1));
        leaves.into_iter().map(|leaf| (leaf.path, leaf.items)).collect()
    }

    #[test]
    fn only_clusters_that_are_too_large_are_split_again() {
        // Items 0, 1 and 2 are cluster 2, the others cluster 0; below, odd and even ones part.
        let split = |items: &[usize], _| {
            let whole = items.len() == 10;
            items.iter().map(|item| if whole { usize::from(*item < 3) * 2 } else { item % 2 }).collect()
        };
        let expected =
            vec![(vec![0], vec![0, 1, 2]), (vec![1, 0], vec![3, 5, 7, 9]), (vec![1, 1], vec![4, 6, 8])];
        assert_eq!(leaves(3, 2, &split), expected);
        assert_eq!(leaves(3, 1, &split)[1].1.len(), 7, "the depth ends it");
    }

    #[test]
    fn what_cannot_be_told_apart_is_cut_into_runs() {
        let split = |items: &[usize], _| vec![1; items.len()];
        let expected = vec![(vec![0], vec![0, 1, 2, 3]), (vec![1], vec![4, 5, 6, 7]), (vec![2], vec![8, 9])];
        assert_eq!(leaves(4, 1, &|items, key| split(items, key)).len(), 4);
        assert_eq!(leaves(3, 1, &split), expected);
    }

    #[test]
    fn places_beyond_the_codes_are_shared_by_neighbours() {
        let places: Vec<_> = (0..5).map(|place| spread(place, 5, 3)).collect();
        assert_eq!(places, [0, 0, 1, 1, 2]);
        assert_eq!(spread(4, 5, 8), 4);
    }
}
