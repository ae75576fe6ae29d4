//! Reading a log: 198,502 interactions from CSV, all checks included, to histories in time order and their split.

use super::canonical::{self, ITEMS};
use super::harness::{Case, Outcome, Timing};
use crate::config::{Columns, Data, EmbeddingSource, Source, TieOrder};
use crate::data;
use crate::run::commit::{create_directory, write_file};
use anyhow::Context as _;
use policy::history::{Log, Split};
use rand::seq::SliceRandom as _;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const USERS: usize = 22_363;
const INTERACTIONS: usize = 198_502;
/// Of every user, before the rest is spread at random.
const AT_LEAST: usize = 5;
const FILE: &str = "inter.csv";

/// Times reading from the file that the peers read too.
pub(super) fn run(timing: Timing, threads: usize) -> anyhow::Result<Outcome> {
    check_threads(threads)?;
    let directory = std::env::temp_dir().join("recalign-peer-data");
    let file = directory.join(FILE);
    if !file.is_file() {
        create_directory(&directory)?;
        write_file(&file, table().as_bytes())?;
    }
    let section = section(directory);
    let read = || Ok(held_out(&data::read_log(&section)?));
    let (seconds, split) = timing.steps([0; 4], |_| read())?;
    let case = Case {
        workload: "W-data",
        variant: "recalign".into(),
        unit: "builds",
        units: 1.0,
        gflop_per_unit: None,
    };
    Ok(Outcome::new(case, seconds, [("check", split.to_vec().into()), ("csv_mb", megabytes(&file)?.into())]))
}

/// polars starts its own threads, as many as it was told before the process started.
fn check_threads(threads: usize) -> anyhow::Result<()> {
    let all = std::thread::available_parallelism().map_or(threads, usize::from);
    let polars = std::env::var("POLARS_MAX_THREADS").ok().and_then(|value| value.parse().ok()).unwrap_or(all);
    anyhow::ensure!(
        polars == threads,
        "ingest would read with {polars} threads and not with {threads}; set POLARS_MAX_THREADS={threads}"
    );
    Ok(())
}

fn section(directory: PathBuf) -> Data {
    let columns = Columns {
        user: "user".into(),
        item: "item".into(),
        timestamp: Some("ts".into()),
        feedback: Vec::new(),
    };
    Data {
        path: Some(directory),
        source: Source::Csv { file: FILE.into(), separator: ',', columns },
        tie_order: TieOrder::Original,
        k_core: 0,
        max_users: None,
        embeddings: EmbeddingSource::Auto,
        items: None,
        max_file_bytes: None,
    }
}

/// Users with training items, with a validation item, with a test item; training items of all.
fn held_out(log: &Log) -> [usize; 4] {
    let with = |split| log.users().filter(|user| log.target(*user, split).index() < log.num_items).count();
    let items = log.users().map(|user| log.train_items(user).len()).sum();
    [log.histories.len(), with(Split::Validation), with(Split::Test), items]
}

fn megabytes(file: &Path) -> anyhow::Result<f64> {
    let size = file.metadata().with_context(|| format!("cannot read {}", file.display()))?.len();
    Ok(size as f64 / 1e6)
}

/// Random interactions in random order, with text ids of 14 and 10 characters.
fn table() -> String {
    let key = canonical::key().named("interactions");
    let below =
        |purpose, at: usize, most: usize| (key.named(purpose).at(at as u64).unit() * most as f64) as usize;
    let everyone = (0..USERS).flat_map(|user| std::iter::repeat_n(user, AT_LEAST));
    let others = (USERS * AT_LEAST..INTERACTIONS).map(|row| below("user", row, USERS));
    let mut users: Vec<usize> = everyone.chain(others).collect();
    users.shuffle(&mut key.named("order").rng());
    let mut text = String::from("user,item,ts\n");
    for (row, user) in users.into_iter().enumerate() {
        let (item, time) = (below("item", row, ITEMS), 1_000_000_000 + below("time", row, 400_000_000));
        writeln!(text, "A{user:013X},B{item:09},{time}").expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_peers_form() {
        let text = table();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (INTERACTIONS + 1, "user,item,ts"));
        assert!(lines[1..].iter().all(|line| line.len() == 14 + 10 + 10 + 2), "{}", lines[1]);
    }
}
