//! W&B's offline file, `wandb/offline-run-*/run-ID.wandb`: what `wandb sync` would send.
//!
//! Messages and field numbers are those of `wandb_internal.proto` (0.31). Metrics that were defined with another step metric keep W&B's step.

use super::history::History;
use super::table::flat;
use super::wire::{Field, fields, records};
use serde_json::{Map, Value, json};

/// What the file begins with: a name, a magic number, a version.
const BEGIN: &[u8] = b":W&B\xe1\xbe";
const BEGIN_LENGTH: usize = 7;

/// Fields of `Record`.
const HISTORY: u64 = 2;
const CONFIG: u64 = 5;
const RUN: u64 = 17;
/// Field of `RunRecord`.
const DISPLAY_NAME: u64 = 8;
const RUN_CONFIG: u64 = 4;
/// The field of `HistoryRecord` and of `ConfigRecord` that holds items.
const ITEM: u64 = 1;
/// The field of `HistoryRecord` that holds the step.
const STEP: u64 = 2;

/// Reads the file.
///
/// # Errors
/// It is no such file, or damaged.
pub(super) fn read(bytes: &[u8]) -> anyhow::Result<History> {
    anyhow::ensure!(bytes.starts_with(BEGIN), "this is no W&B file: it does not begin with :W&B");
    let (mut history, mut config) = (History::default(), Map::new());
    for record in records(bytes, BEGIN_LENGTH)? {
        for (number, field) in fields(&record)? {
            match (number, field) {
                (HISTORY, Field::Bytes(message)) => history.rows.push(row(message)?),
                (CONFIG, Field::Bytes(message)) => config.extend(items(message)?),
                (RUN, Field::Bytes(message)) => run(message, &mut history, &mut config)?,
                _ => {}
            }
        }
    }
    config.retain(|key, _| !key.starts_with('_'));
    history.config.insert(String::new(), config);
    Ok(history)
}

fn run(message: &[u8], history: &mut History, config: &mut Map<String, Value>) -> anyhow::Result<()> {
    for (number, field) in fields(message)? {
        match (number, field) {
            (DISPLAY_NAME, field) => {
                history.name = field.text().filter(|name| !name.is_empty()).map(str::to_owned);
            }
            (RUN_CONFIG, Field::Bytes(message)) => config.extend(items(message)?),
            _ => {}
        }
    }
    Ok(())
}

fn row(message: &[u8]) -> anyhow::Result<Map<String, Value>> {
    let mut row = flat(items(message)?);
    for (number, field) in fields(message)? {
        if let (STEP, Field::Bytes(step)) = (number, field)
            && let Some((_, Field::Number(step))) = fields(step)?.first()
        {
            row.entry("_step").or_insert_with(|| json!(step));
        }
    }
    Ok(row)
}

/// Items of a message: a key, or the parts of a nested one, and a value.
fn items(message: &[u8]) -> anyhow::Result<Map<String, Value>> {
    let mut found = Map::new();
    for (number, field) in fields(message)? {
        if let (ITEM, Field::Bytes(item)) = (number, field) {
            let (key, value) = item_of(&fields(item)?);
            found.insert(key, value);
        }
    }
    Ok(found)
}

fn item_of(item: &[(u64, Field<'_>)]) -> (String, Value) {
    let (mut keys, mut value) = (Vec::new(), Value::Null);
    for (number, field) in item {
        match (number, field) {
            (1 | 2, field) => keys.extend(field.text()),
            (4, Field::Number(flag)) => value = json!(*flag != 0),
            // Zigzag: the sign is the last bit.
            (5, Field::Number(number)) => value = json!((number >> 1) as i64 ^ -((number & 1) as i64)),
            (6, Field::Double(number)) => value = json!(number),
            (7 | 8 | 16, field) => value = field.text().map_or(Value::Null, parsed),
            _ => {}
        }
    }
    (keys.join("."), value)
}

/// A value's JSON; Python's `NaN` and `Infinity` are kept as the words they are.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
