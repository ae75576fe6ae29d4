//! The built-in world: a simulator whose truth is known, so that what a judge believes can be compared with what is.
//!
//! Everything is a function of [`WorldConfig`]; randomness is counter-based per item and per user, so the number of
//! threads changes nothing, and a user can be simulated without the others. In short:
//!
//! - **Items** (`items`): groups hold topics, topics hold items; an item has a latent vector, two attributes, a
//!   brand, a quality, a duration, a popularity and a release time. The last-released items are cold.
//! - **Users** (`users`): two to four interests whose weights drift (an Ornstein-Uhlenbeck process on the log
//!   weights), tastes for attributes and brands, a preferred duration (patience), activity, restlessness.
//! - **Truth** (`person`, `feedback`, `slates`): a utility of (user, state, item) that falls with fatigue from repeated
//!   topics and rises when an item continues the previous one; every feedback signal has a closed-form expectation given
//!   the utility, for single items and for slates that users leave.
//! - **Log** (`logger`): what users saw and did under a logging policy that favours popular items and continuations
//!   of the last one, so imitating the log is not the best that can be done. By default users pick one item at a time;
//!   with [`WorldConfig::feed`] a service shows slates, with position bias and session ends.
//! - **Flaws**: [`ClickBait`] inflates what is logged and not what is true.

mod bayes;
mod blueprint;
mod config;
mod feedback;
mod items;
mod logger;
mod math;
mod oracle;
mod person;
mod posterior;
mod simulator;
mod slates;
mod users;
mod weighted;
mod words;

pub use bayes::BayesJudge;
pub use config::{ClickBait, Dynamics, Exposure, Feed, Marginals, Signals, WorldConfig, WorldError};
pub use feedback::{Feedback, SIGNALS};
pub use logger::Impression;
pub use oracle::OracleJudge;
pub use posterior::LogJudge;
pub use simulator::{Foreseen, Simulator};

use person::Person;
use policy::history::Log;
use policy::ids::UserId;
use rayon::prelude::*;
use users::{Drifting, User};

/// A generated world: its truth and the log its logging policy left behind.
#[derive(Clone, Debug)]
pub struct World {
    simulator: Simulator,
    users: Vec<User>,
    log: Log,
}

impl World {
    /// The world of this configuration.
    ///
    /// # Panics
    /// If [`WorldConfig::check`] refuses the configuration.
    pub fn generate(config: &WorldConfig) -> Self {
        let simulator = Simulator::new(config);
        let ids = || (0..config.users).into_par_iter().map(UserId::new);
        let users = ids().map(|user| simulator.user(user)).collect();
        let log = Log {
            histories: ids().map(|user| simulator.history(user)).collect(),
            num_items: config.items,
            signals: simulator.signal_names(),
        };
        Self { simulator, users, log }
    }

    /// What users did, with every feedback signal of [`WorldConfig::signals`].
    pub fn log(&self) -> &Log {
        &self.log
    }
    /// The items, and what happens to any user.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }
    /// The items and the log, when the truth is not needed any more.
    pub fn into_parts(self) -> (Simulator, Log) {
        (self.simulator, self.log)
    }

    fn person(&self, user: UserId) -> Person<'_> {
        Person { simulator: &self.simulator, user: &self.users[user.index()], id: user }
    }
    fn state(&self, user: UserId, known: usize) -> Drifting {
        self.person(user).after(&self.log.history(user).items[..known])
    }
}

#[cfg(test)]
mod tests;
