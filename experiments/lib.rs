//! `recalign`: aligns generative recommenders with what users value.
//!
//! [`pipeline`] is the whole method, top to bottom; [`stages`] are its steps; [`run`] is everything around a step:
//! the run directory, resuming, hashes. [`cli`] and [`commands`] are what the user types.

pub mod cli;
pub mod commands;
pub mod config;
pub mod console;
pub mod data;
pub mod device;
pub mod export;
mod guarded;
pub mod pipeline;
pub mod progress;
pub mod run;
pub mod serve;
pub mod stages;
pub mod sweep;
mod threads;
pub mod ui;
