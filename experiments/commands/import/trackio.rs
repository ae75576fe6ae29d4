//! trackio's database, `PROJECT.db` in its directory: an `SQLite` file with a row per call of `trackio.log`.
//!
//! It is opened for reading alone and may be written meanwhile: what trackio has committed is read, its write-ahead log included.

use super::history::History;
use super::table::{flat, object};
use anyhow::{Context as _, ensure};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows and settings of all runs of a project.
///
/// # Errors
/// It is no database, or none of trackio's, or damaged.
pub(super) fn read(path: &Path) -> anyhow::Result<History> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).context("the database cannot be opened")?;
    ensure!(is_table(&database, "metrics")?, "this is no database of trackio: it has no table `metrics`");
    let names = Names::of(&database)?;
    let mut history = History::default();
    for_each(&database, "SELECT * FROM metrics ORDER BY id", |row| {
        let mut found = flat(json(row, "metrics")?);
        found.insert("step".into(), row.get::<_, i64>("step")?.into());
        found.insert("run_name".into(), names.of_row(row)?.into());
        history.rows.push(found);
        Ok(())
    })?;
    if is_table(&database, "configs")? {
        for_each(&database, "SELECT * FROM configs ORDER BY id", |row| {
            let mut settings = flat(json(row, "config")?);
            settings.retain(|key, _| !key.starts_with('_'));
            history.config.insert(names.of_row(row)?, settings);
            Ok(())
        })?;
    }
    Ok(history)
}

/// What a run is called: its name, and its identifier as well where others have the same name.
struct Names(BTreeMap<String, usize>);

impl Names {
    fn of(database: &Connection) -> anyhow::Result<Self> {
        let named = database.prepare("SELECT run_id FROM metrics").is_ok();
        let columns = if named { "run_name, run_id" } else { "run_name" };
        let mut runs = BTreeMap::new();
        for_each(database, &format!("SELECT DISTINCT {columns} FROM metrics"), |row| {
            *runs.entry(row.get("run_name")?).or_insert(0) += 1;
            Ok(())
        })?;
        Ok(Self(runs))
    }

    fn of_row(&self, row: &Row<'_>) -> anyhow::Result<String> {
        let name: String = row.get("run_name")?;
        let shared = self.0.get(&name).is_some_and(|runs| *runs > 1);
        Ok(match identifier(row).filter(|_| shared) {
            Some(id) => format!("{name} ({id})"),
            None => name,
        })
    }
}

/// Older versions tell runs apart by name alone.
fn identifier(row: &Row<'_>) -> Option<String> {
    row.get("run_id").ok()
}

/// A view could be any computation; only what is stored is read.
fn is_table(database: &Connection, name: &str) -> anyhow::Result<bool> {
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let found: i64 =
        database.query_row(tables, [name], |row| row.get(0)).context("the database is damaged")?;
    Ok(found == 1)
}

fn for_each(
    database: &Connection,
    query: &str,
    mut each: impl FnMut(&Row<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut statement = database.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut number = 0_usize;
    while let Some(row) = rows.next().context("the database is damaged")? {
        number += 1;
        each(row).with_context(|| format!("row {number} of `{query}`"))?;
    }
    Ok(())
}

/// A column with a JSON object, as text or as bytes.
fn json(row: &Row<'_>, column: &str) -> anyhow::Result<Map<String, Value>> {
    match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => object(std::str::from_utf8(bytes)?),
        other => anyhow::bail!("`{column}` is no text but {}", other.data_type()),
    }
}
