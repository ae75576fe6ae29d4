//! Records of timed cases: JSON with the keys of the peers' scripts, or a table.

use super::harness::{Outcome, least, load, median};
use crate::commands::table;
use serde::Serialize;
use serde_json::{Map, Value};

/// One line of `--json`. Keys are those that the peers' scripts print, plus `peak_gflops` and `peak_fraction`.
#[derive(Serialize)]
pub(super) struct Record {
    workload: &'static str,
    variant: String,
    threads: usize,
    unit: String,
    /// Units per second of the fastest step.
    best: f64,
    /// Units per second of the median step.
    median: f64,
    step_s_min: f64,
    step_s_median: f64,
    cpu_s_median: f64,
    cpu_s_min: f64,
    runs: usize,
    /// Largest resident size at the end of the timed steps, MiB.
    maxrss_mb: Option<f64>,
    /// Processes that wanted to run during the last minute.
    loadavg: Option<f64>,
    #[serde(flatten)]
    speed: Option<Speed>,
    version: &'static str,
    #[serde(flatten)]
    details: Map<String, Value>,
}

/// Of cases whose operations are counted.
#[derive(Serialize)]
struct Speed {
    gflop_per_unit: f64,
    gflops_best: f64,
    gflops_median: f64,
    /// The fastest matrix product in this process.
    peak_gflops: Option<f64>,
    /// `gflops_best` over `peak_gflops`: best over best.
    peak_fraction: Option<f64>,
}

impl Record {
    /// The record of a case; `peak` is the speed of matrix products in GFLOP/s.
    pub(super) fn new(outcome: &Outcome, peak: Option<f64>) -> Self {
        let (case, seconds) = (&outcome.case, &outcome.seconds);
        let (fastest, middle) = (least(&seconds.wall), median(&seconds.wall));
        let speed = case.gflop_per_unit.map(|gflop_per_unit| {
            let gflops = |step: f64| case.units * gflop_per_unit / step;
            Speed {
                gflop_per_unit,
                gflops_best: gflops(fastest),
                gflops_median: gflops(middle),
                peak_gflops: peak,
                peak_fraction: peak.map(|peak| gflops(fastest) / peak),
            }
        });
        Self {
            workload: case.workload,
            variant: case.variant.clone(),
            threads: rayon::current_num_threads(),
            unit: format!("{}/s", case.unit),
            best: case.units / fastest,
            median: case.units / middle,
            step_s_min: fastest,
            step_s_median: middle,
            cpu_s_median: median(&seconds.cpu),
            cpu_s_min: least(&seconds.cpu),
            runs: seconds.wall.len(),
            maxrss_mb: outcome.peak_memory,
            loadavg: load(),
            speed,
            version: env!("CARGO_PKG_VERSION"),
            details: outcome.details.clone(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let optional = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
        };
        let speed = self.speed.as_ref();
        vec![
            format!("{} {}", self.workload, self.variant),
            self.unit.clone(),
            format!("{:.2}", self.best),
            format!("{:.2}", self.median),
            format!("{:.3}", self.cpu_s_median),
            optional(speed.map(|speed| speed.gflops_best), 1),
            optional(speed.and_then(|speed| speed.peak_fraction), 2),
            optional(self.maxrss_mb, 0),
        ]
    }
}

/// One JSON object per line.
///
/// # Errors
/// Never for finite numbers.
pub(super) fn json_lines(records: &[Record]) -> anyhow::Result<String> {
    records.iter().map(|record| Ok(serde_json::to_string(record)? + "\n")).collect()
}

/// A table for people.
pub(super) fn table(records: &[Record]) -> String {
    let header = ["case", "unit", "best", "median", "cpu s", "GFLOP/s", "of peak", "MiB"];
    let rows: Vec<_> = records.iter().map(Record::cells).collect();
    table::render(&header, &rows)
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Case, Seconds};
    use super::*;

    fn record(gflop_per_unit: Option<f64>) -> Value {
        let case = Case { workload: "W-x", variant: "v".into(), unit: "rows", units: 8.0, gflop_per_unit };
        let seconds = Seconds { wall: vec![2.0, 1.0, 4.0], cpu: vec![3.0, 3.0, 5.0] };
        let outcome = Outcome::new(case, seconds, [("loss", 0.5.into())]);
        serde_json::to_value(Record::new(&outcome, Some(32.0))).unwrap()
    }

    #[test]
    fn rates_come_from_the_fastest_and_the_median_step() {
        let record = record(Some(4.0));
        for (key, value) in [
            ("best", 8.0),
            ("median", 4.0),
            ("step_s_min", 1.0),
            ("cpu_s_median", 3.0),
            ("gflops_best", 32.0),
            ("gflops_median", 16.0),
            ("peak_fraction", 1.0),
            ("loss", 0.5),
        ] {
            assert_eq!(record[key], value, "{key}");
        }
        assert_eq!(record["unit"], "rows/s");
    }

    #[test]
    fn a_case_without_counted_operations_has_no_speed() {
        assert_eq!(record(None).get("gflops_best"), None);
    }
}
