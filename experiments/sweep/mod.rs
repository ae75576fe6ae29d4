//! A sweep: rows of experiments with several seeds each, run one after the other or some at a time, compared on one page.
//!
//! [`mod@file`] is what is written by hand, [`plan`] the runs it stands for, [`execute`] runs them as ordinary run directories,
//! [`collect`] gathers what they measured. Everything about a single run is [`crate::pipeline`]'s business.

mod child;
pub mod collect;
pub mod estimate;
pub mod execute;
pub mod file;
mod grid;
pub(crate) mod outdated;
pub mod plan;
pub mod random;
mod search;
mod weights;
