//! Read histories, and who looks at which part of them.

use crate::kernels::{Packing, Readers};
use burn::prelude::*;

/// Encoder states of some users, and who reads them.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// `[n, d]`, one user after the other.
    pub states: Tensor<2>,
    /// Which decoder rows see which states: at first one reader per user, who sees all.
    pub readers: Readers,
    /// States before the first item.
    states_before: usize,
    /// States of one item.
    states_per_item: usize,
}

impl Encoded {
    /// States packed by user, each read as a whole.
    pub(super) fn new(states: Tensor<2>, packing: Packing, states_per_item: usize) -> Self {
        Self { states, readers: Readers::whole(packing), states_before: 0, states_per_item }
    }
    /// The same where every history begins with so many states that are of no item.
    pub(super) fn behind(self, states_before: usize) -> Self {
        Self { states_before, ..self }
    }
    /// Number of readers: of users, unless prefixes were asked for.
    pub fn readers(&self) -> usize {
        self.readers.count()
    }
    /// The first `users` users.
    #[must_use]
    pub fn first(self, users: usize) -> Self {
        let (readers, d) = (self.readers.first(users), self.states.dims()[1]);
        Self { states: self.states.slice([0..readers.memory().tokens(), 0..d]), readers, ..self }
    }
    /// Read by one reader per prefix: `prefixes[user]` are numbers of items. With a causal encoder each reader sees what
    /// an encoding of that prefix alone would be.
    ///
    /// # Panics
    /// If there is not one list per user, or a prefix is empty or longer than the user's history.
    #[must_use]
    pub fn read_prefixes(self, prefixes: &[Vec<usize>]) -> Self {
        let seen = |items: &usize| self.states_before + items * self.states_per_item;
        let states = |items: &Vec<usize>| items.iter().map(seen).collect();
        let prefixes: Vec<Vec<usize>> = prefixes.iter().map(states).collect();
        Self { readers: Readers::of_prefixes(self.readers.memory().clone(), &prefixes), ..self }
    }
}
