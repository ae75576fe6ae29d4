//! How good is it? The built-in world with known truth, reward models, and the judges that pairs, rollouts and
//! reports are scored with.
//!
//! Three judges matter: the *proxy* (its scores make the training signal), the *held-out* judge (other users, other
//! seed; never trained against) and, in the built-in world, the *oracle*. All implement [`judge::Judge`].
//!
//! Shape legend: `b` sessions of a step, `c` lists (observed and sampled sessions), `m` items of a list, `h` items of
//! a history, `n` distinct items of a step, `f` item features, `s` feedback signals, `d` width, `q` pooling queries,
//! `x` heads, `p` width of a side (what of a pair depends on one of the two), `t` width of a tower, or tokens of a number.

pub mod batch;
pub mod calibration;
pub mod checkpoint;
pub mod context;
pub mod ensemble;
pub mod features;
pub mod fusion;
pub mod judge;
pub mod labels;
pub mod model;
pub mod model_judge;
pub mod off_policy;
pub mod propensity;
pub mod quality;
pub mod ranking;
pub mod reasoning;
pub mod rule;
pub mod satisfaction;
pub mod scenario;
pub mod similarity;
pub mod statistics;
pub mod training;
pub mod watch;
pub mod world;

#[cfg(test)]
mod testing;
