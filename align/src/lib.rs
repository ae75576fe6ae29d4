//! Turns scored candidates into a gradient: pairs and advantages (plain Rust), then losses (tensors).
//!
//! Losses are pure functions of log-probabilities that `policy::log_prob` computed; they read no clock, no file
//! and no random numbers, and return a [`loss::LossOutput`]. Three words are used everywhere: the *policy* is
//! being trained, the *behavior* policy sampled the candidates, the *reference* is the frozen anchor.
//!
//! Shapes: `r` rows (one per candidate, pair or target), `l` tokens of a row.

pub mod advantage;
pub mod divergence;
pub mod dpo;
pub mod duration;
pub mod format;
pub mod grpo;
pub mod ipa;
pub mod kl;
pub mod loss;
pub mod ntp;
pub mod objective;
pub mod pair_rule;
pub mod pairs;
pub mod preferences;
pub mod reference_free;
pub mod rewarding;
pub mod softmax_dpo;
pub mod surrogate;
pub mod tokens;

#[cfg(test)]
mod testing;
