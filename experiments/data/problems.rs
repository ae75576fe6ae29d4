//! Collects defects, so that one run reports them all.

use super::error::{DataError, MOST_PROBLEMS};

/// Defects found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    list: Vec<DataError>,
    more: u64,
}

impl Problems {
    /// Adds a problem; only the first [`MOST_PROBLEMS`] are built.
    pub(super) fn add(&mut self, problem: impl FnOnce() -> DataError) {
        if self.list.len() < MOST_PROBLEMS {
            self.list.push(problem());
        } else {
            self.more += 1;
        }
    }
    /// Keeps the value of a result, or its problems.
    pub(super) fn keep<T>(&mut self, result: Result<T, DataError>) -> Option<T> {
        match result {
            Ok(value) => return Some(value),
            Err(DataError::Many { problems, more }) => {
                self.more += more;
                for problem in problems {
                    self.add(|| problem);
                }
            }
            Err(problem) => self.add(|| problem),
        }
        None
    }
    /// The value of a part that was read on its own, after taking over its problems.
    pub(super) fn of<T>(&mut self, (value, part): (T, Self)) -> T {
        for problem in part.list {
            self.add(|| problem);
        }
        self.more += part.more;
        value
    }
    /// Whether nothing is wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    /// The value, if there was no problem.
    pub(super) fn or<T>(mut self, value: T) -> Result<T, DataError> {
        match (self.list.len(), self.more) {
            (0, _) => Ok(value),
            (1, 0) => Err(self.list.remove(0)),
            _ => Err(DataError::Many { problems: self.list, more: self.more }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(name: &str) -> DataError {
        DataError::Empty { path: name.into(), unit: "rows" }
    }

    #[test]
    fn the_twenty_first_problem_is_counted_not_shown() {
        let mut problems = Problems::default();
        (0..23).for_each(|i| problems.add(|| empty(&format!("file{i}"))));
        let text = problems.or(()).unwrap_err().to_string();
        assert!(text.starts_with("23 problems"), "{text}");
        assert!(text.contains("file19") && !text.contains("file20"), "{text}");
        assert!(text.ends_with("and 3 more"), "{text}");
    }

    #[test]
    fn a_single_problem_is_reported_plainly() {
        let mut problems = Problems::default();
        assert!(problems.keep(Err::<(), _>(empty("a.csv"))).is_none());
        assert_eq!(problems.or(()).unwrap_err().to_string(), "a.csv: the file has no data rows");
    }
}
