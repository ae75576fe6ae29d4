//! Evaluation outside of a run: the same measures, nothing written.

use super::NamedPolicy;
use super::systems::System;
use super::users::TestUsers;
use crate::config::Evaluate;
use crate::stages::bench::Bench;
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use reports::schema::SystemResult;
use sampler::recommend::Seen;

/// Which users, and how their lists are measured.
pub struct Outside<'a> {
    section: &'a Evaluate,
    users: TestUsers<'a>,
    bench: &'a Bench,
}

impl<'a> Outside<'a> {
    /// These users, in the order of the lists.
    pub fn new(users: Vec<UserId>, section: &'a Evaluate, bench: &'a Bench) -> Self {
        Self { section, users: TestUsers::these(users, bench), bench }
    }
    /// As many random test users as the configuration says.
    pub fn sample(section: &'a Evaluate, bench: &'a Bench) -> Self {
        Self { section, users: TestUsers::new(section, bench, Key::new(0).named("evaluate")), bench }
    }
    /// Number of users.
    pub fn users(&self) -> usize {
        self.users.len()
    }
    /// Lists of items, one per user, best first.
    pub fn lists(&self, name: &str, lists: &[Vec<ItemId>]) -> SystemResult {
        self.measure((name, "recommendations"), lists)
    }
    fn measure(&self, (name, role): (&str, &'static str), lists: &[Vec<ItemId>]) -> SystemResult {
        let system = System::new(name, role, lists, (self.section, &self.users, self.bench));
        let seed = Key::new(0).named("bootstrap").bits();
        system.result(&self.users.slices, (self.section.resamples, seed))
    }
    /// What a policy shows that reads and writes as in `own`, over the same users and items.
    pub fn policy(&self, policy: &NamedPolicy, own: &Bench) -> SystemResult {
        let recommender = own.recommender(&policy.model);
        let width = self.section.beam_width;
        let going_on = |_| Ok::<_, std::convert::Infallible>(());
        let Ok(lists) = recommender.lists(&self.users.contexts, width, Seen::Excluded, going_on);
        self.measure((&policy.name, "policy"), &lists)
    }
}
