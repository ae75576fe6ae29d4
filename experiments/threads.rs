//! Where work runs.

/// Runs `work` on a thread of the pool. Called from outside, every parallel operator would hand its tasks over, sleep and
/// be woken again; from inside, the calling thread takes its share at once.
pub(crate) fn in_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::join(work, || ()).0
}
