//! The clock of stages. Nothing that a stage computes may depend on it.

use serde::{Deserialize, Serialize};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Ticks per second in `/proc/self/stat`: `USER_HZ`, which Linux fixes at 100 towards programs.
const TICKS: f64 = 100.0;

/// Wall-clock and CPU time since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    cpu: f64,
}

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu_seconds() }
    }
    /// Wall-clock seconds.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
    /// CPU seconds of the process, user and system; 0 where the system does not tell.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds() - self.cpu
    }
}

/// Time a stage has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// CPU seconds of the process.
    pub cpu_seconds: f64,
}

impl Spent {
    /// With what the watch shows.
    #[must_use]
    pub fn and(self, watch: &Stopwatch) -> Self {
        Self { seconds: self.seconds + watch.seconds(), cpu_seconds: self.cpu_seconds + watch.cpu_seconds() }
    }
}

/// The clock that waiting is measured with.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for logs.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn cpu_seconds() -> f64 {
    std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| parse_stat(&stat)).unwrap_or(0.0)
}

/// User and system time are fields 14 and 15; the second field may hold spaces, but ends at the last bracket.
fn parse_stat(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_spaces_and_brackets() {
        let stat = "1 (a ) b) R 2 3 4 5 6 7 8 9 10 11 250 150 14 15";
        assert_eq!(parse_stat(stat), Some(4.0));
    }
}
