//! `sid_trie.safetensors`: the prefix trie in compressed sparse rows, all tensors of 64-bit whole numbers.
//!
//! Node 0 is the empty prefix and edge `e` leads to node `e + 1`. Edges of node `n` are `starts[n]..starts[n + 1]`, with
//! their codes in `codes`, ascending. Nodes of depth `d` are `depths[d]..depths[d + 1]`; leaf `i` is node
//! `depths[levels] + i` and stands for `items[item_starts[i]..item_starts[i + 1]]`, rows of `sid_map.parquet`.

use super::safetensor::{File, Tensors};
use anyhow::{Context as _, ensure};
use policy::catalog::Catalog;
use sampler::recommend::Codebook;
use sampler::trie::{Rows, Trie};
use std::path::Path;

/// The file.
pub const TRIE: &str = "sid_trie.safetensors";
/// Items and their codes; the tokenize stage's table under the name serving stacks know.
pub const SID_MAP: &str = "sid_map.parquet";

const ITEMS: &str = "items";

/// Writes the trie.
pub(super) fn write_trie(trie: &Trie, path: &Path) -> anyhow::Result<()> {
    let mut tensors = Tensors::default();
    for (name, values) in named(trie) {
        tensors.integers(name, &[values.len()], values);
    }
    tensors.write(path)
}

/// The codebook of a catalog, with colliding items in the order that the stored trie has them in.
pub(super) fn read_codebook(catalog: Catalog, path: &Path) -> anyhow::Result<Codebook> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let read = || {
        let file = File::parse(&bytes)?;
        let codebook = Codebook::new(in_order(catalog, &file.integers(ITEMS)?)?);
        for (name, values) in named(&codebook.trie) {
            ensure!(file.integers(name)? == values, "tensor {name} is not that of the catalog in {SID_MAP}");
        }
        Ok(codebook)
    };
    read().with_context(|| format!("{} does not fit the directory it is in", path.display()))
}

/// The catalog with items of one ID in the order of `items`.
fn in_order(catalog: Catalog, items: &[i64]) -> anyhow::Result<Catalog> {
    let mut weights = vec![0; catalog.num_items()];
    for (&item, weight) in items.iter().rev().zip(1..) {
        let row = usize::try_from(item).ok().and_then(|item| weights.get_mut(item));
        *row.with_context(|| format!("item {item} is not in the catalog"))? = weight;
    }
    Ok(catalog.ordered_by(&weights))
}

/// The codebook of a catalog that has more items than `before`: of those with one ID, the new ones come last.
pub(super) fn extended(before: &Codebook, catalog: Catalog) -> anyhow::Result<Codebook> {
    let order: Vec<i64> = before.trie.rows().items.iter().map(|item| item.index() as i64).collect();
    Ok(Codebook::new(in_order(catalog, &order)?))
}

fn named(trie: &Trie) -> [(&'static str, Vec<i64>); 5] {
    let Rows { starts, codes, depths, item_starts, items } = trie.rows();
    let wide = |values: &[u32]| values.iter().map(|&value| i64::from(value)).collect();
    let items = items.iter().map(|item| item.index() as i64).collect();
    [
        ("starts", wide(starts)),
        ("codes", wide(codes)),
        ("depths", wide(depths)),
        ("item_starts", wide(item_starts)),
        (ITEMS, items),
    ]
}
