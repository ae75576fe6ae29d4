//! Watch time as a number: three heads on the state of a point-wise reward model, and how their numbers are judged.
//!
//! Watch times are skewed over four orders of magnitude, so what a head is trained to say matters more than its size:
//! one number ([`Kind::Regression`]), the chance to exceed each of a row of thresholds ([`Kind::Ordinal`]), or the number
//! written as a sum of a few tokens, large ones first ([`Kind::Generative`]; Generative Regression, 2412.20211). The last two
//! learn the whole distribution of the time, and predict its median.

pub mod codec;
mod decoder;
mod head;
pub mod metrics;
pub mod vocabulary;

pub use codec::Codec;
pub(crate) use head::{Lesson, WatchHead};

use serde::{Deserialize, Serialize};

/// How watch time is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One number, Huber loss.
    Regression,
    /// The chance to exceed each of [`codec::THRESHOLDS`] quantiles.
    Ordinal,
    /// A sequence of tokens that sum up to the number.
    Generative,
}

#[cfg(test)]
mod tests;
