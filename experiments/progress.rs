//! How far long work has come: bars with ETA on a terminal, otherwise a line now and then. All of it on stderr.

use crate::console::bars;
use crate::run::clock::Stopwatch;
use crate::run::live::{At, Broadcast};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::info;

/// Shorter work shows nothing.
const SHOWN_AFTER: f64 = 2.0;
/// Seconds between plain lines: often enough to see life, rare enough for a log file.
const LINE_EVERY: f64 = 10.0;

/// Progress of one piece of work; dropping it ends the display.
pub struct Progress {
    label: String,
    total: u64,
    watch: Stopwatch,
    shown: Mutex<Shown>,
    live: Option<Arc<Broadcast>>,
}

#[derive(Default)]
struct Shown {
    done: u64,
    bar: Option<ProgressBar>,
    /// Seconds after the start when the last plain line was written.
    last_line: f64,
}

impl Progress {
    /// Work of `total` units (0 = unknown), for example `"steps"`.
    pub fn new(label: &str, total: u64) -> Self {
        Self { label: label.into(), total, watch: Stopwatch::start(), shown: Mutex::default(), live: None }
    }

    /// Also tells whoever watches the run directory.
    #[must_use]
    pub(crate) fn told_to(mut self, live: Arc<Broadcast>) -> Self {
        self.live = Some(live);
        self
    }

    /// `units` more are done.
    pub fn inc(&self, units: u64) {
        // A display is no reason to fail, whatever happened to another thread.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.done += units;
        let seconds = self.watch.seconds();
        if let Some(live) = &self.live {
            let (label, done, total) = (self.label.clone(), shown.done, self.total);
            live.progress(&At { label, done, total, seconds });
        }
        if let Some(bar) = &shown.bar {
            bar.set_position(shown.done);
        } else if seconds >= SHOWN_AFTER
            && let Some(bars) = bars()
        {
            shown.bar = Some(bars.add(self.bar(shown.done)));
        } else if seconds - shown.last_line >= LINE_EVERY {
            shown.last_line = seconds;
            info!("{}", line(&self.label, (shown.done, self.total), seconds));
        }
    }

    fn bar(&self, done: u64) -> ProgressBar {
        let template = "{msg} {wide_bar} {pos}/{len} {elapsed} elapsed, {eta} left";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        ProgressBar::new(self.total)
            .with_style(style)
            .with_message(self.label.clone())
            .with_position(done)
            .with_elapsed(std::time::Duration::from_secs_f64(self.watch.seconds()))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let shown = self.shown.get_mut().ok().and_then(|shown| shown.bar.take());
        if let Some(bar) = shown {
            bar.finish_and_clear();
        }
    }
}

fn line(label: &str, (done, total): (u64, u64), seconds: f64) -> String {
    if total == 0 {
        return format!("{label}: {done}");
    }
    let left = total.saturating_sub(done) as f64 * seconds / done.max(1) as f64;
    format!("{label}: {done}/{total}, {} left", duration(left))
}

/// Seconds in words: `42s`, `3m10s`, `2h05m`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_and_how_long() {
        assert_eq!(line("pretrain", (1200, 5000), 60.0), "pretrain: 1200/5000, 3m10s left");
        assert_eq!(line("scan", (7, 0), 60.0), "scan: 7");
        assert_eq!(line("start", (0, 10), 0.0), "start: 0/10, 0s left");
    }

    #[test]
    fn durations_are_short_words() {
        assert_eq!([0.4, 59.6, 3599.0, 7505.0].map(duration), ["0s", "1m00s", "59m59s", "2h05m"]);
    }
}
