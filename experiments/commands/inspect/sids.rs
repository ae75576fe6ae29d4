//! `recalign inspect sids`: how the codes are used, and what they mean.

mod shown;

use crate::cli::InspectArgs;
use crate::run::layout::{Committed, Layout};
use crate::stages::tokenize;
use anyhow::{Context as _, ensure};
use policy::catalog::Catalog;
use policy::ids::{Code, ItemId};
use policy::quantize::quality::gini_over;
use reports::schema::TokenizerQuality;
use serde::Serialize;
use shown::{Group, Item, Summary, written};
use std::collections::BTreeMap;

/// Prefixes and collisions shown, at most.
const MOST_GROUPS: usize = 5;
/// Items shown of each.
const EXAMPLES: usize = 3;

/// What the stages left, read back.
struct Sids {
    catalog: Catalog,
    quality: TokenizerQuality,
    /// Raw ids and texts, by item.
    items: Vec<(String, String)>,
}

/// What `recalign inspect sids` prints.
///
/// # Errors
/// The run has no semantic IDs, an artifact is damaged, or no item has the prefix.
pub(super) fn sids(layout: &Layout, arguments: &InspectArgs) -> anyhow::Result<String> {
    let sids = Sids::read(layout)?;
    let text = match (&arguments.prefix, arguments.json) {
        (None, false) => sids.summary(arguments.rows).text()?,
        (None, true) => json(&sids.summary(arguments.rows))?,
        (Some(prefix), false) => sids.group(prefix, arguments.rows)?.text(),
        (Some(prefix), true) => json(&sids.group(prefix, arguments.rows)?)?,
    };
    Ok(text)
}

fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

impl Sids {
    fn read(layout: &Layout) -> anyhow::Result<Self> {
        let stages = layout.committed()?;
        let stage = |name: &str| {
            let found = stages.iter().find(|stage| stage.manifest.stage == name);
            found.with_context(|| {
                let root = layout.root().display();
                format!("{root} has no finished {name} stage; `recalign run` with --until tokenize makes one")
            })
        };
        let (ingest, tokenized) = (stage("ingest")?, stage("tokenize")?);
        let sids = Self {
            catalog: tokenize::load(&tokenized.path)?,
            quality: quality(tokenized)?,
            items: items(ingest)?,
        };
        let (ids, items) = (sids.catalog.num_items(), sids.items.len());
        ensure!(
            ids == items,
            "{ids} items have semantic IDs, but ingest has {items}; `recalign verify` says more"
        );
        let (found, described) = (sids.catalog.levels(), sids.quality.levels.len());
        ensure!(found == described, "the IDs have {found} levels, but quality.json describes {described}");
        Ok(sids)
    }

    fn summary(&self, rows: usize) -> Summary<'_> {
        let most = rows.min(MOST_GROUPS);
        let collisions = self.largest(self.quantised_levels(), most);
        let levels = 1..=self.quantised_levels().min(2);
        Summary {
            items: self.items.len(),
            quality: &self.quality,
            level_gini: (0..self.catalog.levels()).map(|level| self.level_gini(level)).collect(),
            largest_collisions: collisions.into_iter().filter(|group| group.count > 1).collect(),
            largest_prefixes: levels.flat_map(|length| self.largest(length, most)).collect(),
        }
    }

    /// A collision digit is a level of the ID, but not one that means anything.
    fn quantised_levels(&self) -> usize {
        self.catalog.levels() - usize::from(self.quality.collisions == "digit" && self.catalog.levels() > 1)
    }

    fn level_gini(&self, level: usize) -> f64 {
        let mut counts: BTreeMap<Code, u64> = BTreeMap::new();
        for id in self.catalog.semantic_ids() {
            *counts.entry(id.codes()[level]).or_default() += 1;
        }
        let size = self.catalog.level_sizes()[level];
        gini_over(&counts.into_values().collect::<Vec<_>>(), size as f64)
    }

    /// The prefixes of `length` codes that most items share, the largest first; ties to the first prefix.
    fn largest(&self, length: usize, most: usize) -> Vec<Group> {
        let mut groups: BTreeMap<&[Code], Vec<usize>> = BTreeMap::new();
        for (item, id) in self.catalog.semantic_ids().iter().enumerate() {
            groups.entry(&id.codes()[..length]).or_default().push(item);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, items)| std::cmp::Reverse(items.len()));
        groups.truncate(most);
        groups.into_iter().map(|(prefix, items)| self.shown(prefix, &items, EXAMPLES)).collect()
    }

    /// All items of one prefix, the first `rows` in full.
    fn group(&self, prefix: &[Code], rows: usize) -> anyhow::Result<Group> {
        let sizes = self.catalog.level_sizes();
        let (length, levels) = (prefix.len(), sizes.len());
        ensure!(length <= levels, "--prefix has {length} codes, but the IDs of this run have {levels}");
        for (level, (code, size)) in prefix.iter().zip(sizes).enumerate() {
            let fits = (*code as usize) < *size;
            ensure!(fits, "--prefix: code {code} at level {}, whose codes are 0 to {}", level + 1, size - 1);
        }
        let ids = self.catalog.semantic_ids().iter().enumerate();
        let items: Vec<usize> =
            ids.filter(|(_, id)| id.codes().starts_with(prefix)).map(|(item, _)| item).collect();
        ensure!(!items.is_empty(), "no item's ID starts with {}", written(prefix));
        Ok(self.shown(prefix, &items, rows))
    }

    fn shown(&self, prefix: &[Code], items: &[usize], most: usize) -> Group {
        let item = |item: &usize| Item {
            id: *item,
            raw_id: self.items[*item].0.clone(),
            codes: self.catalog.semantic_id(ItemId::new(*item)).codes().to_vec(),
            text: self.items[*item].1.clone(),
        };
        Group {
            prefix: prefix.to_vec(),
            count: items.len(),
            items: items.iter().take(most).map(item).collect(),
        }
    }
}

fn quality(stage: &Committed) -> anyhow::Result<TokenizerQuality> {
    let path = stage.path.join("quality.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} does not describe semantic IDs", path.display()))
}

fn items(stage: &Committed) -> anyhow::Result<Vec<(String, String)>> {
    let path = stage.path.join("items.parquet");
    let frame = super::read(&path)?;
    let column = |name: &str| -> anyhow::Result<Vec<String>> {
        let column = frame.column(name).and_then(|column| column.str().cloned());
        let column = column.with_context(|| format!("{} has no text column {name}", path.display()))?;
        Ok(column.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
    };
    Ok(column("raw_id")?.into_iter().zip(column("text")?).collect())
}
