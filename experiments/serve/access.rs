//! The access log: one JSON object per request on a writer of its own, without paths, ids or anything a user sent.

use super::metrics::Metrics;
use serde::Serialize;
use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Lines that may wait for a slow reader; more are given up and counted.
const WAITING: usize = 4096;

/// A line.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Seconds since 1970.
    pub time: f64,
    /// HTTP method.
    pub method: &'static str,
    /// The route, not what was asked for.
    pub route: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Time to answer.
    pub seconds: f64,
}

/// Where lines go.
#[derive(Clone)]
pub struct AccessLog(Option<SyncSender<Line>>);

impl AccessLog {
    /// No log.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Lines go to `out`, on a thread that ends with the last [`AccessLog`].
    pub fn to(mut out: impl Write + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel::<Line>(WAITING);
        std::thread::spawn(move || {
            for line in receiver {
                let Ok(mut text) = serde_json::to_vec(&line) else { continue };
                text.push(b'\n');
                // Who reads the log may go away; the service goes on.
                if out.write_all(&text).and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
        });
        Self(Some(sender))
    }

    /// Logs a line, or gives it up rather than wait.
    pub fn write(&self, line: Line, metrics: &Metrics) {
        if self.0.as_ref().is_some_and(|sender| sender.try_send(line).is_err()) {
            metrics.unlogged();
        }
    }
}
