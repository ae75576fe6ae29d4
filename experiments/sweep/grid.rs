//! `[grid]`: every combination of a few values of a few keys.

use crate::config::{Problem, join_key};
use toml::{Table, Value};

/// A key of the experiment file with the values it takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dimension {
    pub(super) key: String,
    pub(super) values: Vec<Value>,
}

/// One combination: what it is called and what it sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    /// To be appended to a row's name.
    pub(super) suffix: String,
    /// `key=value` changes.
    pub(super) sets: Vec<String>,
}

/// The dimensions of a grid, by key. `"a.b" = [1]` and `a.b = [1]` mean the same.
pub(super) fn dimensions(grid: &Table) -> (Vec<Dimension>, Vec<Problem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    flatten("", grid, (&mut found, &mut problems));
    if grid.is_empty() {
        let message = "`grid` is empty: give it keys with lists of values, for example model.d_model = [64, 128], or remove it";
        problems.push(Problem::new("grid", message));
    }
    (found, problems)
}

fn flatten(prefix: &str, table: &Table, (found, problems): (&mut Vec<Dimension>, &mut Vec<Problem>)) {
    for (name, value) in table {
        let key = join_key(prefix, name);
        match value {
            Value::Table(table) => flatten(&key, table, (&mut *found, &mut *problems)),
            Value::Array(values) if !values.is_empty() => {
                problems.extend(reserved(&key).map(|remedy| {
                    let key = format!("grid.{key}");
                    Problem::new(&key, format!("`{key}` cannot be a dimension: {remedy}"))
                }));
                found.push(Dimension { key, values: values.clone() });
            }
            other => {
                let message =
                    format!("`grid.{key}` = {other} is out of range, must be a list of at least one value");
                problems.push(Problem::new(format!("grid.{key}"), message));
            }
        }
    }
}

/// Why a key cannot vary: seeds are repetitions of a row, not rows; names are made from the values.
pub(super) fn reserved(key: &str) -> Option<&'static str> {
    match key {
        "run.seed" => Some("list seeds in `rows.N.seeds`"),
        "run.name" => Some("rows are named after their values"),
        _ => None,
    }
}

/// The Cartesian product, the last dimension fastest. Without dimensions, one cell that changes nothing.
pub(super) fn cells(dimensions: &[Dimension]) -> Vec<Cell> {
    let mut cells = vec![Cell::default()];
    for dimension in dimensions {
        let label = label(dimension, dimensions);
        cells = cells.iter().flat_map(|cell| along(cell, dimension, &label)).collect();
    }
    cells
}

fn along(cell: &Cell, dimension: &Dimension, label: &str) -> Vec<Cell> {
    let with = |(index, value): (usize, &Value)| {
        let set = format!("{}={value}", dimension.key);
        Cell {
            suffix: format!("{}-{}", cell.suffix, named(label, (index, value))),
            sets: [cell.sets.clone(), vec![set]].concat(),
        }
    };
    dimension.values.iter().enumerate().map(with).collect()
}

/// The last part of a key, or all of it if another dimension ends alike.
fn label(dimension: &Dimension, all: &[Dimension]) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let own = last(&dimension.key);
    let alike = all.iter().filter(|other| last(&other.key) == own).count();
    if alike > 1 { dimension.key.replace('.', "_") } else { own }
}

/// A word speaks for itself, a number needs its key, anything else its place in the list.
fn named(label: &str, (index, value): (usize, &Value)) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => format!("{label}{value}"),
        _ => format!("{label}{}", index + 1),
    };
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    text.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(text: &str) -> (Vec<Cell>, Vec<String>) {
        let (dimensions, problems) = dimensions(&text.parse().unwrap());
        let keys = problems.into_iter().map(|problem| problem.key).collect();
        (cells(&dimensions), keys)
    }

    #[test]
    fn every_combination_is_named_after_its_values() {
        let (cells, problems) = grid(
            "model.d_model = [64, 128]\n\"tokenize.quantizer\" = ['residual-kmeans']\npretrain.learning_rate = [1e-3]",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let names: Vec<_> = cells.iter().map(|cell| cell.suffix.as_str()).collect();
        assert_eq!(
            names,
            [
                "-d_model64-learning_rate0_001-residual-kmeans",
                "-d_model128-learning_rate0_001-residual-kmeans"
            ]
        );
        assert_eq!(
            cells[1].sets,
            ["model.d_model=128", "pretrain.learning_rate=0.001", "tokenize.quantizer=\"residual-kmeans\""]
        );
    }

    #[test]
    fn dimensions_that_end_alike_are_named_in_full() {
        let (cells, _) = grid("reward.width = [8]\nmodel.width = [9]\nevaluate.cutoffs = [[5], [10]]");
        let names: Vec<_> = cells.iter().map(|cell| cell.suffix.as_str()).collect();
        assert_eq!(names, ["-cutoffs1-model_width9-reward_width8", "-cutoffs2-model_width9-reward_width8"]);
        assert_eq!(cells[1].sets[0], "evaluate.cutoffs=[10]");
    }

    #[test]
    fn what_is_no_dimension_is_a_problem() {
        assert_eq!(grid("").1, ["grid"]);
        assert_eq!(grid("a.b = []\nc = 3").1, ["grid.a.b", "grid.c"]);
        assert_eq!(grid("run.seed = [1, 2]").1, ["grid.run.seed"]);
    }
}
