//! Putting a directory together: all of it under a temporary name, then one rename.

use super::bundle::{Bundle, JUDGE, read_description};
use super::description::{self, Description, Layout, Tolerance, architecture};
use super::golden::{self, Golden};
use super::manifest::{self, Manifest};
use super::source::{Requests, Source};
use super::tables;
use super::weights::{self, Precision};
use super::{card, tokenizer};
use crate::config::Model;
use crate::data::artifacts::ITEM_FILES;
use crate::run::{commit, to_json};
use crate::stages::{reward, tokenize};
use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use policy::checkpoint;
use std::path::{Path, PathBuf};

/// What to export.
#[derive(Clone, Debug)]
pub struct Export {
    /// Run directory.
    pub run: PathBuf,
    /// The directory to make.
    pub to: PathBuf,
    /// `pretrained` or an arm's name; the only policy of a run need not be named.
    pub policy: Option<String>,
    /// Number format of the weights.
    pub precision: Precision,
    /// Number of golden requests.
    pub golden: usize,
    /// Whose histories they are.
    pub requests: Requests,
}

/// Exports, and tells who can load the result.
///
/// # Errors
/// The target is there and not empty; the run has no such policy, is not finished or is damaged; the system refuses.
pub fn export(request: &Export, device: &Device) -> anyhow::Result<Layout> {
    refuse_occupied(&request.to)?;
    ensure!(request.golden > 0, "--golden 0 leaves nothing to verify; use at least 1");
    let source = Source::open(&request.run, request.policy.as_deref())?;
    refuse_more_than_items(&source.config.model)?;
    in_one_piece(&request.to, |partial| write(&source, request, partial, device))
}

/// Makes a directory: `write` fills it under another name, and if that succeeds it gets its own.
pub(super) fn in_one_piece<T>(
    to: &Path,
    write: impl FnOnce(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let partial = partial(to)?;
    commit::fresh_directory(&partial)?;
    let written = write(&partial);
    if written.is_err() {
        commit::remove_directory(&partial)?;
    }
    let written = written?;
    if to.is_dir() {
        // Empty, as was checked.
        commit::remove_directory(to)?;
    }
    commit::commit_directory(&partial, to)?;
    Ok(written)
}

/// Requests to an exported policy have items alone.
fn refuse_more_than_items(model: &Model) -> anyhow::Result<()> {
    ensure!(
        !model.attention_bias.reads_times(),
        "the policy reads when items were consumed, which requests to an exported one do not tell; train it with \
         model.attention_bias = \"position\" to export it"
    );
    ensure!(
        model.user_buckets == 0,
        "the policy knows the users of its log, whom requests to an exported one do not name; train it with \
         model.user_buckets = 0 to export it"
    );
    Ok(())
}

/// A directory that is made must not be there, or be empty.
pub(super) fn refuse_occupied(to: &Path) -> anyhow::Result<()> {
    let occupied = match std::fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => to.exists(),
    };
    ensure!(!occupied, "{} is there and not empty; choose another directory or remove it", to.display());
    Ok(())
}

/// The temporary name, beside the final one so that the rename stays on one disk.
fn partial(to: &Path) -> anyhow::Result<PathBuf> {
    let mut name = to.file_name().with_context(|| format!("{} has no name", to.display()))?.to_owned();
    name.push(".partial");
    Ok(to.with_file_name(name))
}

fn write(source: &Source, request: &Export, dir: &Path, device: &Device) -> anyhow::Result<Layout> {
    let (_, sizes) = checkpoint::read(&source.weights.path, device)?;
    let layout = Layout::of(&sizes);
    weights::write(&source.weights.path, dir, layout, request.precision)?;
    if layout == Layout::HuggingFace {
        tokenizer::write(&source.codebook.vocab, dir)?;
        commit::write_file(&dir.join("recommend.py"), include_bytes!("recommend.py"))?;
    }
    write_tables(source, dir)?;
    write_judge(source, dir)?;
    let (exported, _) = checkpoint::read(dir, device)?;
    let description = describe(source, (layout, architecture(&sizes)), checkpoint::fingerprint(&exported));
    commit::write_file(&dir.join(description::FILE), &to_json(&description)?)?;
    // Loaded as its readers will: rounded weights give the golden answers.
    let bundle = Bundle::load(dir, device)?;
    let golden = Golden::of(&bundle, source.requests(request.golden, request.requests));
    golden.write(&bundle, &dir.join(golden::FILE))?;
    let card = card::text(source, &read_description(dir)?, request);
    commit::write_file(&dir.join("README.md"), card.as_bytes())?;
    manifest::write(dir, Manifest::of(source)?)?;
    Ok(layout)
}

fn write_tables(source: &Source, dir: &Path) -> anyhow::Result<()> {
    let tokens = source.stage("tokenize").context("the run has no finished stage tokenize")?;
    copy(&tokens.join(tokenize::SEMANTIC_IDS), &dir.join(tables::SID_MAP))?;
    copy(&tokens.join(tokenize::CODEBOOKS), &dir.join(tokenize::CODEBOOKS))?;
    tables::write_trie(&source.codebook.trie, &dir.join(tables::TRIE))
}

/// The proxy goes along, the held-out judge stays: who chooses by it could no longer be judged by it.
fn write_judge(source: &Source, dir: &Path) -> anyhow::Result<()> {
    let (Some(judges), Some(items)) = (source.stage("reward"), source.stage("ingest")) else { return Ok(()) };
    let target = dir.join(JUDGE);
    commit::create_directory(&target)?;
    for (from, files) in [(judges, reward::PROXY_FILES), (items, ITEM_FILES)] {
        for file in files {
            copy(&from.join(file), &target.join(file))?;
        }
    }
    Ok(())
}

pub(super) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    commit::write_file(to, &bytes)
}

fn describe(source: &Source, (layout, architecture): (Layout, &str), policy_sha256: String) -> Description {
    let (codebook, config) = (&source.codebook, &source.config);
    Description {
        schema: description::SCHEMA,
        layout,
        architecture: architecture.into(),
        policy: source.policy.clone(),
        policy_sha256,
        items: codebook.catalog.num_items(),
        level_sizes: codebook.catalog.level_sizes().to_vec(),
        offsets: (0..codebook.vocab.levels()).map(|level| codebook.vocab.offset(level)).collect(),
        history_items: config.pretrain.history_items,
        log_prob_space: config.sample.log_prob_space,
        beam_width: config.evaluate.beam_width,
        tolerance: Tolerance::default(),
    }
}
