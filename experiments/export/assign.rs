//! Items that come after a run: they get semantic IDs by the directory's own codebooks and rule, and the directory is made again
//! with them. Old items keep their IDs and rows, the weights stay as they are. The judge goes along as it is: it scores the items
//! that it was trained over.

pub use super::added::{Added, Neighbour};

use super::added::added;
use super::bundle::Bundle;
use super::description::{self, Description};
use super::diff::{self, AnswerDifference};
use super::golden::{self, Golden};
use super::manifest::{self, Manifest, Parent};
use super::place::{Place, places};
use super::tables;
use super::verify::{checked, verified};
use super::writer::{copy, in_one_piece, refuse_occupied};
use crate::data::new_items::{NewItemFiles, NewItems};
use crate::run::layout::MANIFEST;
use crate::run::{commit, hash, to_json};
use crate::stages::tokenize::{self, Fitted};
use anyhow::{Context as _, bail, ensure};
use burn::prelude::Device;
use policy::catalog::Catalog;
use policy::embeddings::Embeddings;
use policy::ids::SemanticId;
use policy::quantize::{check_values, normalized};
use serde::Serialize;
use std::path::{Path, PathBuf};

const CARD: &str = "README.md";
/// Files that depend on the items; all others are copied.
const REMADE: [&str; 5] = [tables::SID_MAP, tables::TRIE, description::FILE, golden::FILE, CARD];

/// What to add.
#[derive(Clone, Debug)]
pub struct Assign {
    /// The exported directory.
    pub dir: PathBuf,
    /// The new items.
    pub files: NewItemFiles,
    /// The directory to make.
    pub to: PathBuf,
}

/// What was added.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assignment {
    /// SHA-256 of the manifest of the directory that items were added to.
    pub parent_manifest_sha256: String,
    /// Items added.
    pub assigned: usize,
    /// Items there are now.
    pub items: usize,
    /// Of those added, how many did not get the codes that distance alone would have given them: those were full.
    pub not_nearest: usize,
    /// Of those added, how many have the same codes as an item before them.
    pub collisions: usize,
    /// Mean distance between a new item's encoding and the sum of its codes' vectors.
    pub mean_distance: f64,
    /// The largest.
    pub largest_distance: f64,
    /// Golden requests of the old directory, answered by both.
    pub answers: AnswerDifference,
    /// In the order of the file.
    pub added: Vec<Added>,
}

/// Adds the items.
///
/// # Errors
/// The target is there and not empty; the directory does not verify; an item is known, there twice or without a usable vector;
/// there is no free ID for it; the system refuses.
pub fn assign(request: &Assign, device: &Device) -> anyhow::Result<Assignment> {
    refuse_occupied(&request.to)?;
    let parent = verified(&request.dir, device)?;
    let fitted = Fitted::read(&parent.dir.join(tokenize::CODEBOOKS), &parent.codebook.catalog)?;
    let items = request.files.read(|id| parent.item(id).is_some())?;
    let vectors = quantizable(&fitted, &items, request)?;
    let places = places(&fitted, &parent.codebook.catalog, &vectors).map_err(|row| full(&items.ids[row]))?;
    let added = added(&parent, &fitted, (&items, &vectors), &places)?;
    let before = Parent {
        manifest_sha256: hash::of_file(&parent.dir.join(MANIFEST))?.sha256,
        added: request.files.paths().map(hash::of_file).collect::<anyhow::Result<_>>()?,
    };
    let grown = Grown { parent: &parent, before: &before, items: &items, places: &places };
    let answers = in_one_piece(&request.to, |dir| grown.write(dir, device))?;
    Ok(report((before.manifest_sha256.clone(), grown.count()), answers, added))
}

/// The vectors as the codebooks want them.
fn quantizable(fitted: &Fitted, items: &NewItems, request: &Assign) -> anyhow::Result<Embeddings> {
    let (found, expected) = (items.vectors.width(), fitted.width());
    let file = request.files.vectors.as_ref().unwrap_or(&request.files.items);
    ensure!(
        found == expected,
        "{}: the vectors have {found} values, the codebooks of {} are of vectors of {expected}; embed the items as the run did",
        file.display(),
        request.dir.display()
    );
    check_values(&items.vectors).with_context(|| format!("{} cannot be quantised", file.display()))?;
    Ok(normalized(&items.vectors, fitted.normalize))
}

fn full(id: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "no semantic ID is free for item `{id}`: the policy knows no more codes; train again with more codes, and see \
         `recalign export migrate` for what that moves"
    )
}

fn report(
    (parent_manifest_sha256, items): (String, usize),
    answers: AnswerDifference,
    added: Vec<Added>,
) -> Assignment {
    let count = |what: fn(&Added) -> bool| added.iter().filter(|item| what(item)).count();
    let distances = || added.iter().map(|item| item.distance);
    Assignment {
        parent_manifest_sha256,
        assigned: added.len(),
        items,
        not_nearest: count(|item| item.nearest_codes.is_some()),
        collisions: count(|item| item.shared_with > 0),
        mean_distance: distances().sum::<f64>() / added.len() as f64,
        largest_distance: distances().fold(0.0, f64::max),
        answers,
        added,
    }
}

/// The directory with more items.
struct Grown<'a> {
    parent: &'a Bundle,
    before: &'a Parent,
    items: &'a NewItems,
    places: &'a [Place],
}

impl Grown<'_> {
    /// Items there are now.
    fn count(&self) -> usize {
        self.parent.description.items + self.items.ids.len()
    }

    fn write(&self, dir: &Path, device: &Device) -> anyhow::Result<AnswerDifference> {
        let manifest = manifest::read(&self.parent.dir)?;
        for (file, record) in manifest.files.iter().filter(|(file, _)| !REMADE.contains(&file.as_str())) {
            let to = dir.join(file);
            commit::create_directory(to.parent().context("a file is in a directory")?)?;
            copy(&self.parent.dir.join(file), &to)?;
            ensure!(hash::of_file(&to)? == *record, "{file} changed while it was copied; try again");
        }
        self.write_tables(dir)?;
        self.write_card(dir)?;
        let bundle = Bundle::load(dir, device)?;
        let before = Golden::read(self.parent)?;
        Golden::of(&bundle, before.histories.clone()).write(&bundle, &dir.join(golden::FILE))?;
        let (parent, version) = (Some(self.before.clone()), env!("CARGO_PKG_VERSION").into());
        manifest::write(dir, Manifest { parent, version, ..manifest })?;
        if let Some(problem) = checked(dir, device)?.0.problems.first() {
            bail!("the new directory does not verify: {problem}; please report this");
        }
        Ok(diff::answers(&before, self.parent, &bundle))
    }

    fn write_tables(&self, dir: &Path) -> anyhow::Result<()> {
        let old = &self.parent.codebook;
        let new = self.places.iter().map(|place| place.id.clone());
        let ids: Vec<SemanticId> = old.catalog.semantic_ids().iter().cloned().chain(new).collect();
        let catalog = Catalog::new(ids, old.catalog.level_sizes().to_vec())?;
        let raw_ids: Vec<&str> =
            self.parent.raw_ids().iter().chain(&self.items.ids).map(String::as_str).collect();
        tokenize::write_semantic_ids(&dir.join(tables::SID_MAP), &catalog, &raw_ids)?;
        let description = Description { items: self.count(), ..self.parent.description.clone() };
        commit::write_file(&dir.join(description::FILE), &to_json(&description)?)?;
        tables::write_trie(&tables::extended(old, catalog)?.trie, &dir.join(tables::TRIE))
    }

    /// The old card, and what it does not say.
    fn write_card(&self, dir: &Path) -> anyhow::Result<()> {
        let path = self.parent.dir.join(CARD);
        let card =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let line = format!(
            "- {} items that the policy was not trained with got semantic IDs by its codebooks: {} items in all. Before, this was the \
             directory with manifest `{}`.\n",
            self.items.ids.len(),
            self.count(),
            self.before.manifest_sha256
        );
        commit::write_file(&dir.join(CARD), (card + &line).as_bytes())
    }
}
