//! An exported directory, loaded: what answers requests.

use super::description::{self, Description};
use super::tables;
use crate::data::artifacts;
use crate::stages::{reward, tokenize};
use ::reward::model_judge::ModelJudge;
use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use policy::checkpoint;
use policy::ids::{ItemId, SemanticId};
use policy::model::{Dropout, Policy};
use sampler::recommend::{Codebook, Recommender};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Directory of the judge within the exported one.
pub const JUDGE: &str = "judge";
/// Candidates scored in one pass.
const SCORED_TOGETHER: usize = 256;

/// A policy with its codebook, the names of its items and, where the run trained one, the proxy judge.
pub struct Bundle {
    /// Where it was loaded from.
    pub dir: PathBuf,
    /// `serving.json`.
    pub description: Description,
    /// Semantic IDs, trie, tokens.
    pub codebook: Codebook,
    /// Chooses among candidates.
    pub judge: Option<ModelJudge>,
    model: Policy,
    raw_ids: Vec<String>,
    rows: HashMap<String, ItemId>,
}

impl Bundle {
    /// Loads a directory. What its files mean is checked, their hashes are not: [`super::verify`] does that.
    ///
    /// # Errors
    /// A file is missing or damaged, or two files disagree.
    pub fn load(dir: &Path, device: &Device) -> anyhow::Result<Self> {
        let description = read_description(dir)?;
        let catalog = tokenize::load_files(&dir.join(tables::SID_MAP), &dir.join(tokenize::CODEBOOKS))?;
        let raw_ids = tokenize::raw_ids(&dir.join(tables::SID_MAP))?;
        ensure!(
            catalog.num_items() == description.items && catalog.level_sizes() == description.level_sizes,
            "{}: {} describes another catalog than {}",
            dir.display(),
            description::FILE,
            tables::SID_MAP
        );
        let codebook = tables::read_codebook(catalog, &dir.join(tables::TRIE))?;
        let (model, _) = checkpoint::read(dir, device)?;
        let rows = raw_ids.iter().cloned().zip((0..).map(ItemId::new)).collect();
        let judge = dir.join(JUDGE);
        let judge = judge.is_dir().then(|| load_judge(&judge, device)).transpose()?;
        Ok(Self { dir: dir.to_owned(), description, codebook, judge, model, raw_ids, rows })
    }

    /// The policy over its codebook.
    pub fn recommender(&self) -> Recommender<'_> {
        Recommender {
            model: &self.model,
            codebook: &self.codebook,
            history_items: self.description.history_items,
            space: self.description.log_prob_space,
            // Requests ask for items, not for sessions.
            session_items: 1,
        }
    }

    /// The one log-probability of each item after a history.
    pub fn log_probs(&self, history: &[ItemId], items: &[ItemId]) -> Vec<f64> {
        if items.is_empty() {
            return Vec::new();
        }
        let recommender = self.recommender();
        let encoded = recommender.encode(&[history.into()], Dropout::Off);
        let mut log_probs = Vec::with_capacity(items.len());
        for items in items.chunks(SCORED_TOGETHER) {
            let ids: Vec<&SemanticId> =
                items.iter().map(|&item| self.codebook.catalog.semantic_id(item)).collect();
            let token = recommender.scorer().token_log_probs(&encoded, &ids, Dropout::Off);
            log_probs.extend(token.sum_dim(1).into_data().iter::<f64>());
        }
        log_probs
    }

    /// The item of an id in the log.
    pub fn item(&self, raw_id: &str) -> Option<ItemId> {
        self.rows.get(raw_id).copied()
    }

    /// The ids in the log of all items, in order.
    pub fn raw_ids(&self) -> &[String] {
        &self.raw_ids
    }

    /// The id in the log of an item.
    pub fn raw_id(&self, item: ItemId) -> &str {
        &self.raw_ids[item.index()]
    }
}

/// Reads `serving.json`.
///
/// # Errors
/// It is missing, not understood, or of another version.
pub fn read_description(dir: &Path) -> anyhow::Result<Description> {
    let path = dir.join(description::FILE);
    let text = std::fs::read(&path).with_context(|| {
        format!("{} is not an exported directory: cannot read {}", dir.display(), path.display())
    })?;
    let description: Description =
        serde_json::from_slice(&text).with_context(|| format!("{} is not understood", path.display()))?;
    ensure!(
        description.schema == description::SCHEMA,
        "{} has layout version {}, this program reads {}; export the run again",
        path.display(),
        description.schema,
        description::SCHEMA
    );
    Ok(description)
}

fn load_judge(dir: &Path, device: &Device) -> anyhow::Result<ModelJudge> {
    reward::load_proxy(dir, artifacts::load_items(dir)?, device)
}
