//! The ranges of every key, and the few rules between keys.
//!
//! A range excludes what cannot work or is surely a slip; it is no judgement of what works well.

mod alignment;
mod data;
mod objective;
mod pretraining;
mod reading;
mod reward;
mod tokenize;

use super::{Config, Problem, Run};
use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;

impl Config {
    /// Every value that is out of its range, and every contradiction between values.
    pub fn check(&self) -> Vec<Problem> {
        let mut check = Check::default();
        check.that("version", self.version == 1, self.version, "1, the only version of this format");
        run(&self.run, &mut check);
        data::data(&self.data, &mut check);
        tokenize::tokenize(&self.tokenize, &mut check);
        tokenize::codes_of_a_world(self, &mut check);
        pretraining::model(&self.model, &mut check);
        pretraining::pretrain(&self.pretrain, &mut check);
        pretraining::shared_encoding(&self.model, &self.pretrain, &mut check);
        reading::sessions(&self.model, &self.pretrain, &mut check);
        reward::reward(&self.reward, &mut check);
        reward::attainable(self, &mut check);
        alignment::sample(&self.sample, &mut check);
        alignment::align(&self.align, &mut check);
        alignment::evaluate(&self.evaluate, &mut check);
        reading::pruning(self, &mut check);
        objective::later(self, &mut check);
        check.problems
    }
}

#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn that(&mut self, key: impl Into<String>, holds: bool, value: impl Display, allowed: &str) -> &mut Self {
        if !holds {
            let key = key.into();
            let message = format!("`{key}` = {value} is out of range, must be {allowed}");
            self.problems.push(Problem::new(key, message));
        }
        self
    }

    fn within<T: PartialOrd + Display + Debug>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        let allowed = format!("{} to {}", range.start(), range.end());
        self.that(key, range.contains(&value), value, &allowed);
    }

    /// A size or count that only memory bounds.
    fn positive(&mut self, key: &str, value: usize) {
        self.that(key, value >= 1, value, "at least 1");
    }

    fn learning_rate(&mut self, key: &str, value: f64) {
        self.that(key, value > 0.0 && value <= 1.0, value, "above 0 and at most 1");
    }

    fn gradient_norm(&mut self, key: &str, value: f64) {
        self.that(key, value > 0.0 && value.is_finite(), value, "above 0 and finite");
    }

    fn between_keys(&mut self, key: &str, message: String, depends_on: &'static str) {
        let mut problem = Problem::new(key, message);
        problem.depends_on.push(depends_on);
        self.problems.push(problem);
    }
}

/// Names become directories, file names and legends. A dot would end a stage's name: what follows marks temporary
/// directories.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=100).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('-')
}

/// What [`is_name`] allows.
pub(crate) const NAME: &str = "1 to 100 letters, digits, `-` or `_`, not starting with `-`";

fn run(run: &Run, check: &mut Check) {
    check.that("run.name", is_name(&run.name), &run.name, NAME);
}
