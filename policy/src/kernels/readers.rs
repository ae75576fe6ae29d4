//! Who reads which part of a packed memory: groups of decoder rows that attend to a prefix of a user's states.

use super::packing::Packing;
use std::ops::Range;
use std::sync::Arc;

/// Readers of a memory with one packed row per user. A user's readers are neighbours, and each sees a prefix of that
/// user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readers {
    memory: Packing,
    /// Readers of each user.
    of_user: Packing,
    /// States that each reader sees.
    seen: Arc<[usize]>,
}

impl Readers {
    /// One reader per user, who sees everything.
    pub fn whole(memory: Packing) -> Self {
        Self { of_user: Packing::uniform(memory.rows(), 1), seen: memory.lengths().collect(), memory }
    }
    /// One reader per prefix.
    ///
    /// # Panics
    /// If there is not one list per user, or a prefix is empty or longer than its row.
    pub fn of_prefixes(memory: Packing, prefixes: &[Vec<usize>]) -> Self {
        assert_eq!(memory.rows(), prefixes.len(), "one list of prefixes per user");
        for (length, prefixes) in memory.lengths().zip(prefixes) {
            assert!(prefixes.iter().all(|prefix| (1..=length).contains(prefix)), "prefixes lie within rows");
        }
        let of_user = Packing::of(prefixes.iter().map(Vec::len));
        Self { memory, of_user, seen: prefixes.concat().into() }
    }
    /// The memory's rows.
    pub fn memory(&self) -> &Packing {
        &self.memory
    }
    /// Number of readers.
    pub fn count(&self) -> usize {
        self.seen.len()
    }
    /// The last state that each reader sees.
    pub fn last(&self) -> Vec<u32> {
        self.all().map(|seen| (seen.end - 1) as u32).collect()
    }
    /// The first `users` users with their readers.
    #[must_use]
    pub fn first(&self, users: usize) -> Self {
        let (memory, of_user) = (self.memory.first(users), self.of_user.first(users));
        Self { seen: self.seen[..of_user.tokens()].into(), memory, of_user }
    }
    /// Readers of neighbouring users.
    pub(super) fn of(&self, users: &Range<usize>) -> Range<usize> {
        self.of_user.span(users)
    }
    /// What each of a user's readers sees, as states of the memory.
    pub(super) fn seen(&self, user: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let start = self.memory.row(user).start;
        self.of_user.row(user).map(move |reader| start..start + self.seen[reader])
    }
    /// What every reader sees.
    pub fn all(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.memory.rows()).flat_map(|user| self.seen(user))
    }
    /// Whether a user has one reader, who sees everything.
    pub(super) fn is_whole(&self, user: usize) -> bool {
        self.of_user.row(user).len() == 1 && self.seen(user).all(|seen| seen == self.memory.row(user))
    }
}
