//! Successive halving (Jamieson and Talwalkar 2016): all rows with a small budget, the better part of them with the next.

use super::execute::Outcome;
use super::plan::{PlannedRun, Rung};
use reports::load;
use reports::sweep::State;
use std::collections::BTreeMap;
use tracing::info;

/// Rows that were left behind, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct Dropped(BTreeMap<String, String>);

impl Dropped {
    pub(super) fn contains(&self, row: &str) -> bool {
        self.0.contains_key(row)
    }

    pub(super) fn reason(&self, row: &str) -> Option<&str> {
        self.0.get(row).map(String::as_str)
    }
}

/// Drops the rows whose mean over seeds is not among the best; a row without a value is the worst.
pub(super) fn drop_behind(
    rung: &Rung,
    (runs, outcomes): (&[&PlannedRun], &[Outcome]),
    dropped: &mut Dropped,
) {
    let mut rows: Vec<(&str, f64)> = Vec::new();
    for (row, values) in by_row(rung, runs, outcomes) {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        rows.push((row, if values.is_empty() { f64::NEG_INFINITY } else { mean }));
    }
    // Equal rows keep their order in the file.
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let kept = kept(rows.len(), rung.keep);
    let count = rows.len();
    for (rank, (row, value)) in rows.into_iter().enumerate().skip(kept) {
        let found = if value.is_finite() {
            format!("{} {value:.6}", rung.metric)
        } else {
            format!("no {}", rung.metric)
        };
        let reason = format!("{}: {found}, place {} of {count}, {kept} kept", rung.name, rank + 1);
        info!("drops {row}: {reason}");
        dropped.0.insert(row.to_owned(), reason);
    }
}

/// At least one row survives.
fn kept(rows: usize, share: f64) -> usize {
    // The tiny term keeps exact shares exact.
    ((rows as f64 * share - 1e-9).ceil() as usize).clamp(1, rows.max(1))
}

/// The last value of the metric in every finished run, by row in the order of the file.
fn by_row<'a>(rung: &Rung, runs: &[&'a PlannedRun], outcomes: &[Outcome]) -> Vec<(&'a str, Vec<f64>)> {
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for (run, outcome) in runs.iter().zip(outcomes) {
        let value = (outcome.state == State::Finished).then(|| last_value(run, &rung.metric)).flatten();
        match rows.last_mut().filter(|(row, _)| *row == run.row) {
            Some((_, values)) => values.extend(value),
            None => rows.push((&run.row, value.into_iter().collect())),
        }
    }
    rows
}

/// The best of the arms' last values: validations are on users that the test never sees.
fn last_value(run: &PlannedRun, metric: &str) -> Option<f64> {
    let metrics = load::load(&run.dir).ok()?.metrics;
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    for row in metrics.iter().filter(|row| row.key == metric) {
        let arm = reports::arm::ArmStage::parse(&row.stage).map_or("", |stage| stage.arm);
        last.insert(arm, row.value);
    }
    last.into_values().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_rows_survives_and_never_none() {
        assert_eq!(
            [(4, 0.5), (5, 0.5), (9, 1.0 / 3.0), (3, 0.01), (1, 0.5), (0, 0.5)].map(|(n, s)| kept(n, s)),
            [2, 3, 3, 1, 1, 1]
        );
    }
}
