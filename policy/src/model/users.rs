//! The user as a token before the history (TIGER, Rajput et al. 2023, 2305.05065): who it is, hashed into a few buckets, so
//! that there are embeddings for any number of users.
//!
//! Departures: the hash is of the user's place in the log, and an embedding of its own, which nothing trains, stands for
//! whoever is not in the log.

use super::layers::Table;
use crate::ids::UserId;
use crate::kernels::{self, Packing};
use crate::random::Key;
use burn::prelude::*;

/// What histories begin with: a token of the user, or nothing.
#[derive(Module, Debug)]
pub(super) struct Users {
    /// A row per bucket, the first for nobody, `[buckets + 1, d]`; `None` without buckets.
    embedding: Option<Table>,
}

impl Users {
    /// `std`: standard deviation of the initial embeddings.
    pub(super) fn new(buckets: usize, (d, std): (usize, f64), key: Key, device: &Device) -> Self {
        let table = || Table::new([buckets + 1, d], std, key.named("users"), device);
        Self { embedding: (buckets > 0).then(table) }
    }

    /// Tokens before the first item.
    pub(super) fn tokens(&self) -> usize {
        usize::from(self.embedding.is_some())
    }

    /// `x [n, d]` with what its rows begin with, and how it is packed then. `users`: whose the rows are; of none, nobody's.
    pub(super) fn before(
        &self,
        x: Tensor<2>,
        packing: &Packing,
        users: &[Option<UserId>],
    ) -> (Tensor<2>, Packing) {
        let Some(table) = &self.embedding else { return (x, packing.clone()) };
        let rows = packing.rows();
        let buckets = table.weight.dims()[0] - 1;
        let named: Vec<u32> =
            (0..rows).map(|row| bucket(users.get(row).copied().flatten(), buckets)).collect();
        let both = Tensor::cat(vec![table.rows(&named), x], 0);
        let row = |row: usize| std::iter::once(row).chain(packing.row(row).map(move |at| rows + at));
        let order: Vec<u32> = (0..rows).flat_map(row).map(|at| at as u32).collect();
        (kernels::gather(both, &order), Packing::of(packing.lengths().map(|length| length + 1)))
    }

    /// One value per position of `packing`, and for what its rows begin with that of their first position.
    pub(super) fn values<T: Copy>(&self, of: &[T], packing: &Packing) -> Vec<T> {
        let row = |row: usize| {
            let own = &of[packing.row(row)];
            std::iter::repeat_n(own[0], self.tokens()).chain(own.iter().copied())
        };
        (0..packing.rows()).flat_map(row).collect()
    }
}

/// The embedding of a user: from 1 on, 0 for nobody.
fn bucket(user: Option<UserId>, buckets: usize) -> u32 {
    let hash = |user: UserId| Key::new(0).named("user").at(user.index() as u64).bits();
    user.map_or(0, |user| 1 + (hash(user) % buckets as u64) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_spread_over_the_buckets_and_nobody_has_their_own() {
        let mut counts = [0; 11];
        for user in 0..10_000 {
            counts[bucket(Some(UserId::new(user)), 10) as usize] += 1;
        }
        // A binomial count of 10,000 draws with probability 0.1 has standard deviation 30.
        assert!(counts[0] == 0 && counts[1..].iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(bucket(None, 10), 0);
    }
}
