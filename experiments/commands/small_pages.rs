//! Memory of processes that serve: pages of 4 KiB.
//!
//! A service holds many small things for a short time. Spread over huge pages (2 MiB) they took twice the memory, which went on
//! growing for minutes as parts of more of these were touched, and saved 2 to 4 % of the time. Training is the other way round, so it is
//! this process alone that does without.

#[cfg(target_os = "linux")]
pub(super) use linux::ensure;

#[cfg(not(target_os = "linux"))]
pub(super) fn ensure() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    use tracing::warn;

    /// What the allocator reads when a process starts, and only then: whether it asks the system for huge pages.
    const HUGE_PAGES: &str = "MIMALLOC_ALLOW_THP";

    /// Replaces the process by itself with huge pages off, unless the environment says something about them.
    pub(in super::super) fn ensure() {
        if std::env::var_os(HUGE_PAGES).is_none() {
            let error = again();
            warn!("memory will be in huge pages, about twice as much; start with {HUGE_PAGES}=0: {error}");
        }
    }

    /// Returns only if it fails.
    fn again() -> io::Error {
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return error,
        };
        Command::new(program).args(std::env::args_os().skip(1)).env(HUGE_PAGES, "0").exec()
    }
}
