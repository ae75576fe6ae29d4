//! The labels as a table, and the numbers they were told from.

use super::{Answers, Parts};
use crate::data::Dataset;
use crate::run::commit::create_directory;
use crate::stages::table;
use anyhow::ensure;
use polars::prelude::Column;
use reward::satisfaction::impressions::Impressions;
use std::path::Path;

/// Says now, not after the training, that a directory cannot be written to.
pub(super) fn check(dir: &Path) -> anyhow::Result<()> {
    ensure!(
        std::fs::read_dir(dir).map_or(!dir.exists(), |mut files| files.next().is_none()),
        "--to {}: not an empty directory; name one that is not there",
        dir.display()
    );
    Ok(())
}

/// `labels.parquet`: per impression its user, item and time, the chance of approval and what it was used for (`train`,
/// `validation`, `test`, `unrated`), and what the user said. `features.parquet`: the numbers it was told from, in the same order.
pub(super) fn all(
    dir: &Path,
    (dataset, impressions): (&Dataset, &Impressions<'_>),
    (parts, answers): (&Parts, &Answers),
) -> anyhow::Result<()> {
    create_directory(dir)?;
    let histories = || (0..).zip(&dataset.log.histories);
    let users: Vec<&str> = histories()
        .flat_map(|(user, history)| {
            std::iter::repeat_n(dataset.users[user as usize].as_str(), history.items.len())
        })
        .collect();
    let items = histories().flat_map(|(_, history): (u32, _)| &history.items);
    let items: Vec<&str> = items.map(|item| dataset.items[item.index()].raw_id.as_str()).collect();
    let times: Vec<i64> = histories().flat_map(|(_, history): (u32, _)| history.timestamps.clone()).collect();
    let said: Vec<Option<u32>> =
        impressions.verdicts().iter().map(|verdict| verdict.map(u32::from)).collect();
    let columns = vec![
        Column::new("user".into(), users),
        Column::new("item".into(), items),
        Column::new("timestamp".into(), times),
        Column::new("chance".into(), &answers.chances),
        Column::new("use".into(), uses(impressions, parts)),
        Column::new("verdict".into(), said),
    ];
    table::write(&dir.join("labels.parquet"), columns)?;
    let features = &answers.features;
    let column = |(at, name): (usize, &String)| {
        Column::new(name.as_str().into(), features.column(at).collect::<Vec<f32>>())
    };
    table::write(&dir.join("features.parquet"), features.names().iter().enumerate().map(column).collect())
}

fn uses(impressions: &Impressions<'_>, parts: &Parts) -> Vec<&'static str> {
    let taught = |&taught: &bool| if taught { "train" } else { "unrated" };
    let mut uses: Vec<&str> = parts.taught.iter().map(taught).collect();
    debug_assert_eq!(uses.len(), impressions.len());
    for (rows, name) in [(&parts.validation, "validation"), (&parts.test, "test")] {
        for &at in rows {
            uses[at] = name;
        }
    }
    uses
}
