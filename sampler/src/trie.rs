//! The prefix trie of a catalog: what may follow what, in compressed sparse rows.
//!
//! Nodes are numbered breadth first, so edge `e` leads to node `e + 1` and a level's nodes are contiguous.

use policy::catalog::Catalog;
use policy::ids::{Code, ItemId};
use policy::log_prob::LegalCodes;
use std::ops::Range;

/// A node: a prefix of some item's semantic ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(u32);

/// All prefixes of a catalog and the items at its leaves.
#[derive(Clone, Debug)]
pub struct Trie {
    /// Edges of node `n` are `starts[n]..starts[n + 1]`; leaves have none.
    starts: Vec<u32>,
    /// Code of each edge; ascending within a node.
    codes: Vec<Code>,
    /// First node of each depth, and one past the last.
    depths: Vec<u32>,
    /// Items of leaf `i` are `items[item_starts[i]..item_starts[i + 1]]`, in the catalog's order.
    item_starts: Vec<u32>,
    items: Vec<ItemId>,
}

/// The compressed sparse rows of a [`Trie`]. Edge `e` leads to node `e + 1`; node 0 is the empty prefix.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Edges of node `n` are `starts[n]..starts[n + 1]`; leaves have no entry.
    pub starts: &'a [u32],
    /// Code of each edge; ascending within a node.
    pub codes: &'a [Code],
    /// First node of each depth, and one past the last.
    pub depths: &'a [u32],
    /// Items of leaf `i` are `items[item_starts[i]..item_starts[i + 1]]`.
    pub item_starts: &'a [u32],
    /// Best-known items first within a leaf.
    pub items: &'a [ItemId],
}

impl Trie {
    /// The trie of every semantic ID in use.
    pub fn new(catalog: &Catalog) -> Self {
        let entries: Vec<(&[Code], &[ItemId])> =
            catalog.entries().map(|(id, items)| (id.codes(), items)).collect();
        let mut trie = Self {
            starts: vec![0],
            codes: Vec::new(),
            depths: vec![0, 1],
            item_starts: vec![0],
            items: Vec::new(),
        };
        // Entries are sorted, so a node is a range of them.
        let mut level: Vec<Range<usize>> = std::iter::once(0..entries.len()).collect();
        for depth in 0..catalog.levels() {
            let mut next = Vec::new();
            for range in level {
                for child in entries[range.clone()].chunk_by(|a, b| a.0[depth] == b.0[depth]) {
                    let start = next.last().map_or(0, |last: &Range<usize>| last.end).max(range.start);
                    trie.codes.push(child[0].0[depth]);
                    next.push(start..start + child.len());
                }
                trie.starts.push(to_u32(trie.codes.len()));
            }
            trie.depths.push(to_u32(trie.codes.len() + 1));
            level = next;
        }
        for (_, items) in &entries {
            trie.items.extend_from_slice(items);
            trie.item_starts.push(to_u32(trie.items.len()));
        }
        trie
    }

    /// The empty prefix.
    pub const fn root(&self) -> Node {
        Node(0)
    }
    /// Codes per semantic ID.
    pub fn levels(&self) -> usize {
        self.depths.len() - 2
    }
    /// Number of prefixes of this length.
    pub fn nodes_at(&self, depth: usize) -> usize {
        (self.depths[depth + 1] - self.depths[depth]) as usize
    }
    /// Codes that may follow, with the prefixes they lead to, ascending.
    pub fn children(&self, node: Node) -> impl ExactSizeIterator<Item = (Code, Node)> + '_ {
        let edges = self.edges(node);
        self.codes[edges.clone()].iter().zip(edges).map(|(&code, edge)| (code, Node(to_u32(edge + 1))))
    }
    /// The codes that may follow, ascending.
    pub fn codes(&self, node: Node) -> &[Code] {
        &self.codes[self.edges(node)]
    }
    /// The code a non-empty prefix ends with.
    ///
    /// # Panics
    /// If `node` is the root.
    pub fn last_code(&self, node: Node) -> Code {
        self.codes[node.0 as usize - 1]
    }
    /// The prefix after one more code, if it is one.
    pub fn child(&self, node: Node, code: Code) -> Option<Node> {
        let edges = self.edges(node);
        let at = self.codes[edges.clone()].binary_search(&code).ok()?;
        Some(Node(to_u32(edges.start + at + 1)))
    }
    /// The items of a complete prefix; empty for a shorter one.
    pub fn items(&self, node: Node) -> &[ItemId] {
        let Some(leaf) = node.0.checked_sub(self.depths[self.levels()]) else { return &[] };
        let leaf = leaf as usize;
        &self.items[self.item_starts[leaf] as usize..self.item_starts[leaf + 1] as usize]
    }
    /// The items whose semantic IDs begin with a prefix.
    pub fn items_below(&self, node: Node) -> &[ItemId] {
        let (mut first, mut end) = (node.0 as usize, node.0 as usize + 1);
        let leaves = self.depths[self.levels()] as usize;
        while first < leaves {
            (first, end) = (self.starts[first] as usize + 1, self.starts[end] as usize + 1);
        }
        let start = |leaf: usize| self.item_starts[leaf - leaves] as usize;
        &self.items[start(first)..start(end)]
    }
    /// The trie as it is stored: what other programs need to walk it.
    pub fn rows(&self) -> Rows<'_> {
        let Self { starts, codes, depths, item_starts, items } = self;
        Rows { starts, codes, depths, item_starts, items }
    }
    /// Memory it takes, without unused capacity.
    pub fn bytes(&self) -> usize {
        let words = self.starts.len() + self.depths.len() + self.item_starts.len();
        words * size_of::<u32>() + size_of_val(self.codes.as_slice()) + size_of_val(self.items.as_slice())
    }
    fn edges(&self, node: Node) -> Range<usize> {
        match self.starts.get(node.0 as usize + 1) {
            Some(&end) => self.starts[node.0 as usize] as usize..end as usize,
            None => 0..0,
        }
    }
    fn walk(&self, prefix: &[Code]) -> Option<Node> {
        prefix.iter().try_fold(self.root(), |node, &code| self.child(node, code))
    }
}

impl LegalCodes for Trie {
    fn for_each_legal(&self, prefix: &[Code], visit: &mut dyn FnMut(Code)) {
        if let Some(node) = self.walk(prefix) {
            self.codes(node).iter().for_each(|&code| visit(code));
        }
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).expect("a catalog has fewer than 2^32 prefixes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ids::SemanticId;
    use proptest::prelude::*;

    fn paths(trie: &Trie, node: Node, prefix: &mut Vec<Code>, out: &mut Vec<(Vec<Code>, Vec<ItemId>)>) {
        if !trie.items(node).is_empty() {
            out.push((prefix.clone(), trie.items(node).to_vec()));
        }
        for (code, child) in trie.children(node) {
            prefix.push(code);
            paths(trie, child, prefix, out);
            prefix.pop();
        }
    }

    proptest! {
        #[test]
        fn the_trie_accepts_exactly_the_catalog(
            codes in prop::collection::vec(prop::collection::vec(0u32..4, 3), 1..60),
        ) {
            let ids = codes.iter().map(|c| SemanticId::new(c.clone())).collect();
            let catalog = Catalog::new(ids, vec![4; 3]).unwrap();
            let trie = Trie::new(&catalog);
            let mut found = Vec::new();
            paths(&trie, trie.root(), &mut Vec::new(), &mut found);
            let expected: Vec<_> =
                catalog.entries().map(|(id, items)| (id.codes().to_vec(), items.to_vec())).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(trie.nodes_at(3), expected.len());
            for (codes, items) in &expected {
                let leaf = trie.walk(codes).unwrap();
                prop_assert_eq!(trie.items(leaf), items.as_slice());
                prop_assert_eq!(trie.items_below(leaf), items.as_slice());
                let first = trie.walk(&codes[..1]).unwrap();
                let below = expected.iter().filter(|(other, _)| other[0] == codes[0]);
                let below: Vec<ItemId> = below.flat_map(|(_, items)| items.iter().copied()).collect();
                prop_assert_eq!(trie.items_below(first), below.as_slice());
            }
        }
    }

    #[test]
    fn nothing_follows_a_prefix_outside_the_catalog() {
        let catalog = Catalog::new(vec![SemanticId::new([1, 2])], vec![3, 3]).unwrap();
        let trie = Trie::new(&catalog);
        let mut seen = Vec::new();
        trie.for_each_legal(&[0], &mut |code| seen.push(code));
        trie.for_each_legal(&[1], &mut |code| seen.push(code));
        assert_eq!(seen, [2]);
    }
}
