//! `[random]`: combinations drawn at random, by counter: the n-th is the same however many are asked for.

use super::grid::{Cell, reserved};
use crate::config::Problem;
use policy::random::Key;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Value;

/// Combinations drawn at random.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Random {
    /// How many; every row becomes one row per combination.
    pub draws: usize,
    /// Which ones.
    #[serde(default)]
    pub seed: u64,
    /// Dotted keys of the experiment files: a list to choose from, or a range.
    pub keys: BTreeMap<String, Choice>,
}

/// What a key is drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// One of these.
    List(Vec<Value>),
    /// A number between the ends.
    Range(Range),
}

/// Numbers to draw from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Equal differences or equal factors are equally likely.
    #[serde(default)]
    pub scale: Scale,
    /// Only whole numbers, `low` and multiples of this above it.
    #[serde(default)]
    pub step: Option<u64>,
}

/// How a range is drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Equal differences.
    #[default]
    Linear,
    /// Equal factors; both ends positive.
    Log,
}

impl Random {
    /// What cannot be drawn from.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.draws == 0 || self.keys.is_empty() {
            let message = "`random` needs `draws` of at least 1 and at least one of `random.keys`";
            problems.push(Problem::new("random", message));
        }
        for (key, choice) in &self.keys {
            let at = format!("random.keys.{key}");
            problems.extend(
                reserved(key).map(|remedy| Problem::new(&at, format!("`{at}` cannot be drawn: {remedy}"))),
            );
            problems.extend(choice.problem().map(|what| Problem::new(&at, format!("`{at}` {what}"))));
        }
        problems
    }

    /// The combinations, named by their number.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let width = self.draws.to_string().len();
        let draw = |number: usize| {
            let key = Key::new(self.seed).named("random").named(&number.to_string());
            let set =
                |(name, choice): (&String, &Choice)| format!("{name}={}", choice.at(key.named(name).unit()));
            Cell { suffix: format!("-draw{number:0width$}"), sets: self.keys.iter().map(set).collect() }
        };
        (1..=self.draws).map(draw).collect()
    }
}

impl Choice {
    fn problem(&self) -> Option<String> {
        match self {
            Self::List(values) if values.is_empty() => Some("is an empty list".to_owned()),
            Self::List(_) => None,
            Self::Range(Range { low, high, scale, step }) => {
                let positive = *scale == Scale::Linear || *low > 0.0;
                let whole = step.is_none_or(|step| step > 0 && low.fract() == 0.0);
                let good = low.is_finite() && high.is_finite() && low < high && positive && whole;
                let rule =
                    "needs low < high, both positive on a log scale, and a whole low with a step above 0";
                (!good).then(|| rule.to_owned())
            }
        }
    }

    /// The value at `unit` in `[0, 1)`, as TOML.
    fn at(&self, unit: f64) -> Value {
        match self {
            Self::List(values) => values[(unit * values.len() as f64) as usize].clone(),
            Self::Range(range) => range.at(unit),
        }
    }
}

impl Range {
    fn at(&self, unit: f64) -> Value {
        let between = |low: f64, high: f64| low + unit * (high - low);
        let value = match self.scale {
            Scale::Linear => between(self.low, self.high),
            Scale::Log => between(self.low.ln(), self.high.ln()).exp(),
        };
        match self.step {
            Some(step) => {
                let steps = ((value - self.low) / step as f64).round();
                let value = self.low + step as f64 * steps;
                Value::Integer(if value > self.high { value - step as f64 } else { value } as i64)
            }
            // Four digits are plenty for a search, and readable.
            None => Value::Float(format!("{value:.3e}").parse().unwrap_or(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(text: &str) -> Random {
        toml::from_str(text).unwrap()
    }

    const TEXT: &str = "draws = 200\nseed = 3\n[keys]\n\"a.rate\" = { low = 1e-4, high = 1e-2, scale = 'log' }\n\
        \"a.width\" = { low = 64, high = 256, step = 32 }\n\"a.kind\" = ['x', 'y']\n";

    #[test]
    fn draws_stay_inside_are_spread_and_do_not_depend_on_how_many() {
        let random = random(TEXT);
        assert_eq!(random.problems().len(), 0);
        let cells = random.cells();
        assert_eq!((cells.len(), cells[6].suffix.as_str()), (200, "-draw007"));
        let column = |name: &str| -> Vec<String> {
            let find =
                |cell: &Cell| cell.sets.iter().find_map(|set| set.strip_prefix(name).map(String::from));
            cells.iter().filter_map(find).collect()
        };
        let rates: Vec<f64> = column("a.rate=").iter().map(|text| text.parse().unwrap()).collect();
        assert!(rates.iter().all(|rate| (1e-4..=1e-2).contains(rate)));
        // Half of the factors lie below the geometric mean; the standard error is 3.5 %.
        let below = rates.iter().filter(|rate| **rate < 1e-3).count();
        assert!((70..=130).contains(&below), "{below}");
        assert!(
            column("a.width=")
                .iter()
                .all(|text| text.parse::<i64>().is_ok_and(|width| (width - 64) % 32 == 0))
        );
        let kinds = column("a.kind=");
        let share = kinds.iter().filter(|kind| **kind == "\"x\"").count();
        assert!((70..=130).contains(&share), "{share}");
        let fewer = Random { draws: 150, ..random.clone() };
        assert_eq!(fewer.cells()[..], cells[..150]);
    }

    #[test]
    fn what_cannot_be_drawn_from_is_a_problem() {
        let keys = |text: &str| random(&format!("draws = 2\n[keys]\n{text}")).problems().len();
        assert_eq!(keys("\"a.b\" = []"), 1);
        assert_eq!(keys("\"a.b\" = { low = 0, high = 1, scale = 'log' }"), 1);
        assert_eq!(keys("\"a.b\" = { low = 2, high = 1 }"), 1);
        assert_eq!(keys("\"run.seed\" = [1]"), 1);
        assert_eq!(random("draws = 0\n[keys]").problems().len(), 1);
    }
}
