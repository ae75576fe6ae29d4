//! What Prometheus reads: counts, durations, sizes; nothing about users.

use super::codes::Reading;
use crate::export::diff::AnswerDifference;
use crate::run::memory;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper ends of the buckets of durations, in seconds.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper ends of the buckets of batch sizes.
const SIZES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// The service's figures.
#[derive(Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    durations: Mutex<BTreeMap<&'static str, Histogram>>,
    batches: Mutex<Histogram>,
    answers: Mutex<Histogram>,
    skipped: AtomicU64,
    codes: [AtomicU64; 3],
    unlogged: AtomicU64,
    reloads: [AtomicU64; 2],
    shadow: Mutex<Option<AnswerDifference>>,
}

#[derive(Clone, Debug, Default)]
struct Histogram {
    /// Of values up to each bucket's end, not cumulated; the last holds the rest.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, value: f64, ends: &[f64]) {
        self.counts.resize(ends.len() + 1, 0);
        self.counts[ends.partition_point(|end| *end < value)] += 1;
        self.sum += value;
    }

    fn write(&self, text: &mut String, name: &str, (labels, ends): (&str, &[f64])) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut sum = 0;
        for (end, count) in ends.iter().map(ToString::to_string).chain(["+Inf".into()]).zip(&self.counts) {
            sum += count;
            line(text, &format!("{name}_bucket{{{labels}{comma}le=\"{end}\"}}"), sum as f64);
        }
        line(text, &format!("{name}_sum{{{labels}}}"), self.sum);
        line(text, &format!("{name}_count{{{labels}}}"), sum as f64);
    }
}

impl Metrics {
    /// A request was answered or refused.
    pub fn request(&self, route: &'static str, status: u16, duration: Duration) {
        *locked(&self.requests).entry((route, status)).or_default() += 1;
        locked(&self.durations).entry(route).or_default().add(duration.as_secs_f64(), &SECONDS);
    }
    /// A batch was computed.
    pub fn batch(&self, size: usize, duration: Duration) {
        locked(&self.batches).add(size as f64, &SIZES);
        locked(&self.answers).add(duration.as_secs_f64(), &SECONDS);
    }
    /// Items of histories that the catalog does not have.
    pub fn skipped(&self, items: usize) {
        self.skipped.fetch_add(items as u64, Ordering::Relaxed);
    }
    /// A history was read by whose codes it has, or refused.
    pub(super) fn read<E>(&self, reading: &Result<Reading, E>) {
        let place = match reading {
            Ok(Reading::Ids) => return,
            Ok(Reading::Current) => 0,
            Ok(Reading::Old) => 1,
            Err(_) => 2,
        };
        self.codes[place].fetch_add(1, Ordering::Relaxed);
    }
    /// A line of the access log was given up: its reader is too slow.
    pub fn unlogged(&self) {
        self.unlogged.fetch_add(1, Ordering::Relaxed);
    }
    /// The directory was loaded again, or was refused.
    pub fn reloaded<T, E>(&self, outcome: &Result<T, E>) {
        self.reloads[usize::from(outcome.is_err())].fetch_add(1, Ordering::Relaxed);
    }
    /// How far the shadow agrees.
    pub fn shadow(&self, agreement: AnswerDifference) {
        *locked(&self.shadow) = Some(agreement);
    }
    /// How far the shadow agrees so far.
    pub fn shadow_agreement(&self) -> Option<AnswerDifference> {
        *locked(&self.shadow)
    }

    /// The text that Prometheus reads. `policy` answers now; `waiting` histories wait or are being answered.
    pub fn text(&self, policy: &str, waiting: usize) -> String {
        let mut text = String::new();
        head(&mut text, "recalign_info", "gauge", "The weights that answer.");
        line(
            &mut text,
            &format!("recalign_info{{policy=\"{policy}\",version=\"{}\"}}", env!("CARGO_PKG_VERSION")),
            1.0,
        );
        head(&mut text, "recalign_requests_total", "counter", "Requests by route and status.");
        for ((route, status), count) in locked(&self.requests).iter() {
            line(
                &mut text,
                &format!("recalign_requests_total{{route=\"{route}\",status=\"{status}\"}}"),
                *count as f64,
            );
        }
        head(&mut text, "recalign_request_seconds", "histogram", "Time to answer, by route.");
        for (route, histogram) in locked(&self.durations).iter() {
            histogram.write(&mut text, "recalign_request_seconds", (&format!("route=\"{route}\""), &SECONDS));
        }
        head(&mut text, "recalign_batch_size", "histogram", "Histories that were answered together.");
        locked(&self.batches).write(&mut text, "recalign_batch_size", ("", &SIZES));
        head(&mut text, "recalign_batch_seconds", "histogram", "Time to compute a batch.");
        locked(&self.answers).write(&mut text, "recalign_batch_seconds", ("", &SECONDS));
        self.write_counts(&mut text, waiting);
        self.write_shadow(&mut text);
        text
    }

    fn write_counts(&self, text: &mut String, waiting: usize) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        head(text, "recalign_queue_histories", "gauge", "Histories that wait or are being answered.");
        line(text, "recalign_queue_histories", waiting as f64);
        head(
            text,
            "recalign_skipped_items_total",
            "counter",
            "Items of histories that the catalog does not have.",
        );
        line(text, "recalign_skipped_items_total", count(&self.skipped));
        head(
            text,
            "recalign_code_requests_total",
            "counter",
            "Histories with codes, by whose codes they are.",
        );
        for (codes, counter) in ["current", "old", "refused"].iter().zip(&self.codes) {
            line(text, &format!("recalign_code_requests_total{{codes=\"{codes}\"}}"), count(counter));
        }
        head(
            text,
            "recalign_unlogged_requests_total",
            "counter",
            "Lines of the access log that were given up.",
        );
        line(text, "recalign_unlogged_requests_total", count(&self.unlogged));
        head(text, "recalign_reloads_total", "counter", "Times the directory was loaded again.");
        for (outcome, counter) in ["done", "refused"].iter().zip(&self.reloads) {
            line(text, &format!("recalign_reloads_total{{outcome=\"{outcome}\"}}"), count(counter));
        }
        if let Some(bytes) = memory::now() {
            head(text, "process_resident_memory_bytes", "gauge", "Memory that the process holds.");
            line(text, "process_resident_memory_bytes", bytes as f64);
        }
    }

    fn write_shadow(&self, text: &mut String) {
        let Some(AnswerDifference { requests, same_first, overlap, score_drift }) = self.shadow_agreement()
        else {
            return;
        };
        for (name, value, help) in [
            ("requests", requests as f64, "Requests that the shadow answered too."),
            ("same_first", same_first, "Share of them with the same first item."),
            ("overlap", overlap, "Mean share of the shown items that the shadow shows too."),
            (
                "score_drift",
                score_drift,
                "Mean absolute difference of log-probabilities of items that both show.",
            ),
        ] {
            head(text, &format!("recalign_shadow_{name}"), "gauge", help);
            line(text, &format!("recalign_shadow_{name}"), value);
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes everything");
}

fn line(text: &mut String, series: &str, value: f64) {
    writeln!(text, "{} {value}", series.replace("{}", "")).expect("a string takes everything");
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts are whole after every statement, whatever happened to the thread.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_the_ends_belong_to_them() {
        let mut histogram = Histogram::default();
        for size in [1.0, 2.0, 2.0, 500.0] {
            histogram.add(size, &SIZES);
        }
        let mut text = String::new();
        histogram.write(&mut text, "size", ("", &SIZES));
        for expected in
            ["size_bucket{le=\"1\"} 1\n", "size_bucket{le=\"2\"} 3\n", "size_bucket{le=\"128\"} 3\n"]
        {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(text.ends_with("size_bucket{le=\"+Inf\"} 4\nsize_sum 505\nsize_count 4\n"), "{text}");
    }
}
