//! Rollouts in parts that other processes compute: `RUN/shards/STAGE/REQUEST/I-of-N.parquet`, and `I-of-N.json` with its hash.
//!
//! A shard is a function of the request - policy, section of the configuration, seed, stage - whose hash names the directory. So
//! a shard that exists and is as it was written is done, whoever wrote it, and one of another policy is never found. The stage takes a complete set
//! instead of searching itself; the result is the same to the bit ([`sampler::rollout`]).

use super::{find, users};
use crate::config::Sample;
use crate::run::{commit, hash, seal, to_json};
use crate::stages::bench::Bench;
use crate::stages::table;
use polars::prelude::Column;
use policy::checkpoint;
use policy::ids::{ItemId, UserId};
use policy::model::Policy;
use policy::random::Key;
use sampler::candidate::Candidate;
use sampler::rollout::Shard;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// Below the run directory.
pub const DIRECTORY: &str = "shards";
/// Characters of the request's hash that name its directory.
const HASH: usize = 16;

/// `I-of-N.json`, written when the shard is complete.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    sha256: String,
}

fn sealed(shard: &Path) -> PathBuf {
    shard.with_extension("json")
}

/// Whether a shard is complete and as it was written.
fn is_intact(shard: &Path) -> bool {
    let Ok(bytes) = std::fs::read(sealed(shard)) else { return false };
    let intact = seal::unseal::<Seal>(&bytes)
        .is_ok_and(|seal| hash::of_file(shard).is_ok_and(|file| file.sha256 == seal.sha256));
    if !intact {
        warn!("{} is damaged and not used", shard.display());
    }
    intact
}

/// Candidates of each user; `None` for users of other shards.
pub(super) type Found = Vec<Option<Vec<Candidate>>>;

/// What is searched: the stage's settings, its key and the policy.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `[sample]`.
    pub section: &'a Sample,
    /// The stage's key: run seed and stage name.
    pub key: Key,
    /// The policy that enters the round.
    pub model: &'a Policy,
}

impl Request<'_> {
    /// The directory of this request's shards, below the stage's.
    fn directory(&self, stage: &Path, bench: &Bench) -> anyhow::Result<PathBuf> {
        let policy = checkpoint::fingerprint(self.model);
        let request = to_json(&(self.section, bench.history_items, self.key.bits(), policy))?;
        Ok(stage.join(&hash::of_bytes(&request)[..HASH]))
    }
}

/// Computes one shard, unless it is there already, and says where it is.
///
/// # Errors
/// `progress` stops the work, or the file cannot be written.
pub fn shard(
    request: &Request<'_>,
    (stage, shard): (&Path, Shard),
    bench: &Bench,
    mut progress: impl FnMut(u64) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let directory = request.directory(stage, bench)?;
    let path = directory.join(name(shard));
    if is_intact(&path) {
        info!("already done");
        return Ok(path);
    }
    let users = users(request.section, bench, request.key);
    let found = find(request, &users, (bench, shard), |batch| {
        let lists = batch.decode();
        progress(lists.len() as u64)?;
        Ok(lists)
    })?;
    commit::create_directory(&directory)?;
    write(&path, (&users, &found), bench)?;
    let seal = Seal { sha256: hash::of_file(&path)?.sha256 };
    commit::write_file(&sealed(&path), &seal::seal(&seal)?)?;
    Ok(path)
}

/// The candidates of all users from a complete set of shards, if there is one.
///
/// # Errors
/// A shard is damaged.
pub(super) fn gathered(
    request: &Request<'_>,
    (stage, users): (&Path, &[UserId]),
    bench: &Bench,
) -> anyhow::Result<Option<Found>> {
    if !stage.is_dir() {
        return Ok(None);
    }
    let directory = request.directory(stage, bench)?;
    let counts = counts(&directory);
    let complete = counts.iter().find(|(count, indices)| indices.len() == **count).map(|(count, _)| *count);
    let Some(count) = complete else {
        warn!("{} has no complete set of shards of this request; searching here", stage.display());
        return Ok(None);
    };
    info!("taken from {count} shards in {}", directory.display());
    let mut by_user: BTreeMap<UserId, Vec<Candidate>> = BTreeMap::new();
    for index in 0..count {
        read(&directory.join(name(Shard { index, count })), &mut by_user)?;
    }
    Ok(Some(users.iter().map(|user| Some(by_user.remove(user).unwrap_or_default())).collect()))
}

fn name(Shard { index, count }: Shard) -> String {
    format!("{index}-of-{count}.parquet")
}

/// Which shards are complete, by their number.
fn counts(directory: &Path) -> BTreeMap<usize, Vec<usize>> {
    let mut counts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let numbers = name.to_str().and_then(|name| name.strip_suffix(".parquet")?.split_once("-of-"));
        if let Some((Ok(index), Ok(count))) = numbers.map(|(index, count)| (index.parse(), count.parse()))
            && is_intact(&entry.path())
        {
            counts.entry(count).or_default().push(index);
        }
    }
    counts
}

fn write(path: &Path, (users, found): (&[UserId], &Found), bench: &Bench) -> anyhow::Result<()> {
    let rows: Vec<(UserId, &Candidate)> = users
        .iter()
        .zip(found)
        .flat_map(|(&user, found)| found.iter().flatten().map(move |candidate| (user, candidate)))
        .collect();
    let integers = |name: &str, f: &dyn Fn(&(UserId, &Candidate)) -> usize| -> Column {
        Column::new(name.into(), rows.iter().map(|row| f(row) as u32).collect::<Vec<_>>())
    };
    let mut columns = vec![
        integers("user", &|(user, _)| user.index()),
        integers("item", &|(_, candidate)| candidate.item.index()),
    ];
    for level in 0..bench.codebook.catalog.levels() {
        let values: Vec<f32> = rows.iter().map(|(_, candidate)| candidate.token_log_probs[level]).collect();
        columns.push(Column::new(format!("log_prob_{level}").into(), values));
    }
    table::write(path, columns)
}

fn read(path: &Path, by_user: &mut BTreeMap<UserId, Vec<Candidate>>) -> anyhow::Result<()> {
    let table = table::read(path)?;
    let (users, items) = (table.integers("user")?, table.integers("item")?);
    let levels = table.columns().len() - 2;
    let log_probs = (0..levels)
        .map(|level| table.numbers(&format!("log_prob_{level}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (row, (user, item)) in users.into_iter().zip(items).enumerate() {
        let token_log_probs = log_probs.iter().map(|level| level[row] as f32).collect();
        let candidate = Candidate { item: ItemId::new(item), token_log_probs };
        by_user.entry(UserId::new(user)).or_default().push(candidate);
    }
    Ok(())
}
