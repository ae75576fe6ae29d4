//! How much may be asked, held and waited for.

use std::time::Duration;

/// Longest time between the first byte of a request's head and its last, and between requests of a connection.
pub const HEADER_TIME: Duration = Duration::from_secs(10);
/// Longest time for a request's body.
pub const BODY_TIME: Duration = Duration::from_secs(10);
/// Items of a history, a blocklist, an allow-list or a list of candidates, at most.
pub const MOST_ITEMS: usize = 1000;
/// After a signal, new connections are still served for this long: who routes requests here must have noticed.
pub const LINGER: Duration = Duration::from_millis(500);
/// After that, requests may take this long to end.
pub const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Limits that depend on the machine and its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Histories answered together, and in one request, at most.
    pub batch: usize,
    /// How long the oldest request of a batch waits for others.
    pub wait: Duration,
    /// Histories that may be ahead of a request, waiting or being answered; with more it is refused with 429. A batch by default: it
    /// is answered while the next one gathers.
    pub queue: usize,
    /// A request that is not answered after this time is refused with 503.
    pub time: Duration,
    /// Widest beam and longest list.
    pub beam: usize,
    /// Largest body in bytes; more is refused with 413.
    pub body: usize,
    /// Open connections; more wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch: 64,
            wait: Duration::from_millis(2),
            queue: 64,
            time: Duration::from_secs(2),
            beam: 100,
            body: 1 << 20,
            connections: 1024,
        }
    }
}
