//! The one integration test binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod alarms;
mod arena;
mod cli;
mod config;
mod directories;
mod evaluate;
mod export;
mod faults;
mod gauge;
#[cfg(feature = "webgpu")]
mod gpu;
mod hostile;
mod import;
mod ingest;
mod inspect;
mod kills;
mod label;
mod migrate;
mod objectives;
mod off_policy;
mod peers;
mod pipeline;
mod pretraining;
mod resume;
mod scaling;
mod serve;
mod simulate;
mod support;
mod sweep;
mod ui;
