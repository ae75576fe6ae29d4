//! Peak memory of a stage, as Linux counts it. Nothing that a stage computes may depend on it.

use std::fs;

/// The line of the peak.
const PEAK: &str = "VmHWM:";

/// Watches the most memory the process holds from now on.
#[derive(Clone, Copy, Debug)]
pub struct PeakMemory {
    /// Whether the system forgot the peak of earlier work; without that nothing could be said of this stage.
    reset: bool,
}

impl PeakMemory {
    /// Starts now.
    pub fn start() -> Self {
        // proc(5): writing 5 sets the peak resident size to the current one.
        Self { reset: fs::write("/proc/self/clear_refs", "5").is_ok() }
    }

    /// The peak in bytes; `None` where the system does not tell.
    pub fn bytes(self) -> Option<u64> {
        self.reset.then(of_process)?
    }
}

/// The most bytes the process has held, since it began or since the system forgot; `None` where it does not tell.
pub fn of_process() -> Option<u64> {
    parse_status(&fs::read_to_string("/proc/self/status").ok()?, PEAK)
}

/// The bytes the process holds now; `None` where the system does not tell.
pub fn now() -> Option<u64> {
    parse_status(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// `VmHWM` and `VmRSS` are in units of 1024 bytes.
fn parse_status(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(parse_status("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n", PEAK), Some(2_097_152));
        assert_eq!(parse_status("VmPeak:\t 9 kB\n", PEAK), None);
        assert_eq!(parse_status("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n", PEAK), Some(2 << 20));
        assert_eq!(parse_status("Name:\tx\n", PEAK), None);
    }
}
