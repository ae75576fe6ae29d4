//! The text of an experiment file as a table that remembers where every value came from.

use super::problem::{ConfigError, Problem};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// A parsed file with overrides.
pub(super) struct Document {
    path: PathBuf,
    table: Table,
    /// Dotted key -> `file:line` or `--set`.
    origins: BTreeMap<String, Origin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Line(usize),
    Override,
}

impl Document {
    /// Reads and parses `path`.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(path, &text)
    }

    /// Parses `text`, whatever `path` holds.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let syntax = |error: &toml::de::Error| ConfigError::Syntax {
            path: path.into(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().to_owned(),
        };
        let table = text.parse::<Table>().map_err(|error| syntax(&error))?;
        let spanned = DeTable::parse(text).map_err(|error| syntax(&error))?;
        let mut origins = BTreeMap::new();
        let mut record = |key: String, offset: usize| {
            origins.insert(key, Origin::Line(line_of(text, offset)));
        };
        record_table("", spanned.get_ref(), &mut record);
        Ok(Self { path: path.into(), table, origins })
    }

    /// The values.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Applies `key=value` overrides in order; those that cannot be applied are returned as problems.
    pub(super) fn apply(&mut self, overrides: &[String]) -> Vec<Problem> {
        overrides.iter().filter_map(|text| self.apply_one(text).err()).collect()
    }

    fn apply_one(&mut self, text: &str) -> Result<(), Problem> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Problem::new(text, format!("--set {text}: write it as key=value")));
        };
        let (key, value) = (key.trim(), parse_value(value.trim()));
        let place = place(&mut self.table, key)
            .map_err(|reason| Problem::new(key, format!("--set {text}: {reason}")))?;
        *place = value;
        self.origins.retain(|known, _| !(known.starts_with(key) && known[key.len()..].starts_with('.')));
        self.origins.insert(key.to_owned(), Origin::Override);
        Ok(())
    }

    /// Puts problems in the order of the file, each with its place.
    pub(super) fn explain(&self, mut problems: Vec<Problem>) -> ConfigError {
        problems.sort_by_key(|problem| self.origin(&problem.key));
        for problem in &mut problems {
            problem.location = match self.origin(&problem.key) {
                Some(Origin::Line(line)) => Some(format!("{}:{line}", self.path.display())),
                Some(Origin::Override) => Some("--set".into()),
                None => None,
            };
        }
        ConfigError::Invalid { path: self.path.clone(), problems }
    }

    /// Where a key was given, or else the closest table above it.
    fn origin(&self, key: &str) -> Option<Origin> {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return Some(*origin);
            }
            key = key.rsplit_once('.')?.0;
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.char_indices().take_while(|(at, _)| *at < offset).filter(|(_, c)| *c == '\n').count()
}

fn record_table(prefix: &str, table: &DeTable<'_>, record: &mut impl FnMut(String, usize)) {
    for (key, value) in table {
        let name = super::join_key(prefix, key.get_ref());
        record(name.clone(), key.span().start);
        record_value(&name, value, record);
    }
}

fn record_value(name: &str, value: &Spanned<DeValue<'_>>, record: &mut impl FnMut(String, usize)) {
    match value.get_ref() {
        DeValue::Table(table) => record_table(name, table, record),
        DeValue::Array(array) => {
            for (index, element) in array.iter().enumerate() {
                let name = format!("{name}.{index}");
                record(name.clone(), element.span().start);
                record_value(&name, element, record);
            }
        }
        _ => {}
    }
}

/// A TOML value, else a string: `--set data.path=../data` needs no quotes.
fn parse_value(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    match parsed {
        Some(mut table) if table.len() == 1 => table.remove("value"),
        _ => None,
    }
    .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The place of a dotted key; missing tables on the way are made.
fn place<'a>(table: &'a mut Table, key: &str) -> Result<&'a mut Value, String> {
    let mut parts = key.split('.');
    let first = parts.next().filter(|part| !part.is_empty()).ok_or("the key is empty")?;
    let mut value = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
    for part in parts {
        value = match value {
            Value::Table(table) => table.entry(part).or_insert_with(|| Value::Table(Table::new())),
            Value::Array(array) => {
                let length = array.len();
                let index = part.parse::<usize>().ok().filter(|index| *index < length);
                &mut array[index.ok_or(format!("`{part}` is not an index below {length}"))?]
            }
            other => return Err(format!("`{part}` lies below a {}, not a table", other.type_str())),
        };
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(Path::new("a.toml"), text).unwrap()
    }

    #[test]
    fn overrides_reach_tables_array_elements_and_new_keys() {
        let mut document = document("[a]\nb = 1\n[[c]]\nd = 2\n");
        let sets = ["a.b=[1, 2]", "c.0.d=x/y", "e.f = { g = true }"].map(String::from);
        assert_eq!(document.apply(&sets), []);
        let expected = "a.b = [1, 2]\ne.f.g = true\n[[c]]\nd = \"x/y\"".parse::<Table>().unwrap();
        assert_eq!(document.table(), &expected);
    }

    #[test]
    fn an_override_below_a_scalar_or_past_an_array_is_refused() {
        let mut document = document("a = 1\n[[c]]\nd = 2\n");
        let problems = document.apply(&["a.b=1", "c.1.d=1", "nothing", "=1"].map(String::from));
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn a_value_with_a_line_break_cannot_smuggle_in_a_second_key() {
        assert_eq!(parse_value("1\nb = 2"), Value::String("1\nb = 2".into()));
    }

    #[test]
    fn keys_remember_their_lines_and_overrides_take_over() {
        let mut document = document("x = 1\n[a]\nb = { c = 3 }\n");
        assert_eq!(document.origin("a.b.c"), Some(Origin::Line(3)));
        assert_eq!(document.origin("a.missing"), Some(Origin::Line(2)));
        document.apply(&["a.b=1".into()]);
        assert_eq!(document.origin("a.b.c"), Some(Origin::Override));
        assert_eq!(document.origin("nowhere"), None);
    }
}
