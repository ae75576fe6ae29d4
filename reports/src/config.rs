//! The resolved configuration as flat keys: what a report quotes from it, and how two of them differ.
//!
//! `config.toml` of a run directory is written by this program, one `key = value` per line under its section; values that
//! span lines are joined. No TOML of other writers is read.

use std::collections::BTreeMap;

/// Every value by its whole key; a table of an array has its position in the key: `align.arms.0.name`.
pub fn flatten(text: &str) -> BTreeMap<String, String> {
    let (mut values, mut section, mut counts) =
        (BTreeMap::new(), String::new(), BTreeMap::<String, usize>::new());
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((key, mut value)) = open.take() {
            value.push_str(line);
            keep(&mut values, &mut open, (key, value));
        } else if let Some(name) = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")) {
            let count = counts.entry(name.to_owned()).or_default();
            section = format!("{name}.{count}.");
            *count += 1;
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{}.", of_last(name, &counts));
        } else if let Some((key, value)) = line.split_once(" = ") {
            keep(&mut values, &mut open, (format!("{section}{key}"), value.to_owned()));
        }
    }
    values
}

/// Keeps a value, or waits for the rest of a list that is not closed.
fn keep(
    values: &mut BTreeMap<String, String>,
    open: &mut Option<(String, String)>,
    (key, value): (String, String),
) {
    if value.starts_with('[') && !value.ends_with(']') {
        *open = Some((key, value));
    } else {
        values.insert(key, value);
    }
}

/// A table below an array of tables belongs to its last one.
fn of_last(name: &str, counts: &BTreeMap<String, usize>) -> String {
    let array = counts.iter().find_map(|(array, count)| {
        let rest = name.strip_prefix(array.as_str())?.strip_prefix('.')?;
        Some(format!("{array}.{}.{rest}", count - 1))
    });
    array.unwrap_or_else(|| name.to_owned())
}

/// A number of the configuration.
pub fn number(text: &str, key: &str) -> Option<f64> {
    flatten(text).get(key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_lists_and_arrays_of_tables_become_keys() {
        let text = "version = 1\n\n[align]\nbatch_size = 32\n\n[[align.arms]]\nname = \"a\"\n[align.arms.objective]\nbeta = 0.1\n\
            [[align.arms]]\nname = \"b\"\n\n[evaluate]\ncutoffs = [\n    5,\n    10,\n]\n";
        let values = flatten(text);
        let expected = [
            ("align.arms.0.name", "\"a\""),
            ("align.arms.0.objective.beta", "0.1"),
            ("align.arms.1.name", "\"b\""),
            ("align.batch_size", "32"),
            ("evaluate.cutoffs", "[5,10,]"),
            ("version", "1"),
        ];
        assert_eq!(values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        assert_eq!(number(text, "align.batch_size"), Some(32.0));
    }
}
