//! Timing of one step after the other: wall clock, CPU time, peak memory.

use crate::run::clock::Stopwatch;
use crate::run::memory;
use serde_json::{Map, Value};

/// How often a step runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Steps that are not counted: caches, allocator and threads come to rest.
    pub(super) warmup: usize,
    /// Steps that are.
    pub(super) runs: usize,
}

/// Seconds per step.
#[derive(Clone, Debug)]
pub(super) struct Seconds {
    pub(super) wall: Vec<f64>,
    /// User and system time of the process, in ticks of 10 ms.
    pub(super) cpu: Vec<f64>,
}

impl Timing {
    /// For steps that take seconds: no warm-up, a third of the repetitions.
    pub(super) const fn of_long_steps(self) -> Self {
        Self { warmup: 0, runs: self.runs.div_ceil(3) }
    }
    /// Runs the steps on a state that passes from one to the next; the time and the last state.
    ///
    /// # Errors
    /// Those of `step`.
    pub(super) fn steps<S>(
        self,
        mut state: S,
        mut step: impl FnMut(S) -> anyhow::Result<S>,
    ) -> anyhow::Result<(Seconds, S)> {
        for _ in 0..self.warmup {
            state = step(state)?;
        }
        let mut seconds = Seconds { wall: Vec::new(), cpu: Vec::new() };
        for _ in 0..self.runs {
            let watch = Stopwatch::start();
            state = step(state)?;
            seconds.wall.push(watch.seconds());
            // A difference of ticks, without the rounding of the subtraction.
            seconds.cpu.push((watch.cpu_seconds() * 100.0).round() / 100.0);
        }
        Ok((seconds, state))
    }
}

/// What one step of a case does.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The name that the peers' records have too.
    pub(super) workload: &'static str,
    /// Tells cases of one workload apart.
    pub(super) variant: String,
    /// What is counted.
    pub(super) unit: &'static str,
    /// Units per step.
    pub(super) units: f64,
    /// 10^9 arithmetic operations per unit, where matrix products dominate.
    pub(super) gflop_per_unit: Option<f64>,
}

/// A timed case.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) case: Case,
    pub(super) seconds: Seconds,
    /// Largest resident size of the process so far, MiB.
    pub(super) peak_memory: Option<f64>,
    /// What else the case tells: losses, sizes, settings.
    pub(super) details: Map<String, Value>,
}

impl Outcome {
    /// Reads the peak memory now: at the end of the timed steps.
    pub(super) fn new<const N: usize>(case: Case, seconds: Seconds, details: [(&str, Value); N]) -> Self {
        let details = details.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        let peak_memory = memory::of_process().map(|bytes| bytes as f64 / f64::from(1 << 20));
        Self { case, seconds, peak_memory, details }
    }
    /// Milliseconds per unit of the fastest step.
    pub(super) fn milliseconds(&self) -> f64 {
        1e3 * least(&self.seconds.wall) / self.case.units
    }
    /// A number among the details.
    pub(super) fn detail(&self, key: &str) -> Option<f64> {
        self.details.get(key)?.as_f64()
    }
    /// Whether its speed can be compared with that of matrix products.
    pub(super) fn computes(&self) -> bool {
        self.case.gflop_per_unit.is_some()
    }
}

/// Processes that wanted to run during the last minute, on average.
pub(super) fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Mean of the upper and the lower middle.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    f64::midpoint(values[(values.len() - 1) / 2], values[middle])
}

/// The least value.
pub(super) fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn warm_up_steps_run_but_are_not_counted() {
        let (seconds, steps) = Timing { warmup: 2, runs: 3 }.steps(0, |steps| Ok(steps + 1)).unwrap();
        assert_eq!((seconds.wall.len(), seconds.cpu.len(), steps), (3, 3, 5));
    }

    #[test]
    fn medians_of_even_and_odd_counts() {
        assert_eq!(median(&[4.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 8.0]), 3.0);
        assert_eq!(least(&[4.0, 1.0, 2.0]), 1.0);
    }
}
