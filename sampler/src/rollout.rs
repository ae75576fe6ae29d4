//! Candidates of many users by any [`Method`], in shards.
//!
//! Users are decoded in fixed batches, and a shard takes whole batches: a user's candidates come from the same computation,
//! bit for bit, however many shards there are.

use crate::candidate::Candidate;
use crate::method::Method;
use crate::proposals::{Request, propose};
use crate::recommend::{Recommender, Seen};
use policy::history::Context;
use policy::ids::ItemId;
use policy::model::Dropout;
use policy::random::Key;

/// Beams and draws are this much wider than the group, so that leaving out seen items still fills it.
const OVERSAMPLING: usize = 2;

/// What to find.
#[derive(Clone, Copy, Debug)]
pub struct Rollouts<'a> {
    /// How.
    pub method: Method,
    /// Candidates per user.
    pub group: usize,
    /// The source of each user's draws, one per context; a beam draws nothing.
    pub keys: &'a [Key],
    /// Which users.
    pub shard: Shard,
}

/// Part `index` of `count`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Whether the batch of this number belongs to it.
    pub const fn holds(self, batch: usize) -> bool {
        batch % self.count == self.index
    }
}

/// Users of a shard whose candidates are found together.
pub struct Batch<'r> {
    recommender: &'r Recommender<'r>,
    contexts: &'r [Context<'r>],
    users: &'r [usize],
    wanted: &'r Rollouts<'r>,
}

impl Recommender<'_> {
    /// Up to `group` unseen candidates of each context of the shard, most probable first; `None` for those of other shards.
    /// `each` returns what a batch's candidates are, from wherever it knows that ([`Batch::decode`] finds them), and may stop
    /// the work. Which users make up a batch, and so every bit of the result, depends on `contexts` alone.
    ///
    /// # Errors
    /// Whatever `each` returns.
    ///
    /// # Panics
    /// If there is not one key per context, or `each` returns another number of lists than there are users in the batch.
    pub fn rollouts<E>(
        &self,
        contexts: &[Context<'_>],
        wanted: &Rollouts<'_>,
        mut each: impl FnMut(&Batch<'_>) -> Result<Vec<Vec<Candidate>>, E>,
    ) -> Result<Vec<Option<Vec<Candidate>>>, E> {
        assert_eq!(contexts.len(), wanted.keys.len(), "one key per context");
        let mut candidates = vec![None; contexts.len()];
        for (_, users) in
            self.batches(contexts).into_iter().enumerate().filter(|(batch, _)| wanted.shard.holds(*batch))
        {
            let found = each(&Batch { recommender: self, contexts, users: &users, wanted })?;
            assert_eq!(found.len(), users.len(), "one list for every user of the batch");
            for (&user, found) in users.iter().zip(found) {
                candidates[user] = Some(found);
            }
        }
        Ok(candidates)
    }
}

impl Batch<'_> {
    /// The candidates, in the order of the batch.
    pub fn decode(&self) -> Vec<Vec<Candidate>> {
        let Self { recommender, wanted, .. } = *self;
        let batch: Vec<Context<'_>> = self.users.iter().map(|&user| self.contexts[user]).collect();
        let encoded = recommender.encode(&batch, Dropout::Off);
        let width = wanted.group * OVERSAMPLING;
        let mut found = if wanted.method == Method::Beam {
            recommender.found(&encoded, (&batch, Seen::Excluded), width)
        } else {
            let keys: Vec<Key> = self.users.iter().map(|&user| wanted.keys[user]).collect();
            let exclude: Vec<&[ItemId]> = batch.iter().map(|context| context.items).collect();
            let request = Request { method: wanted.method, width, exclude: &exclude, keys: &keys };
            propose(&recommender.scorer(), &recommender.codebook.trie, &encoded, &request)
        };
        for list in &mut found {
            list.truncate(wanted.group);
            if wanted.method != Method::Beam {
                list.sort_by(|a, b| b.log_prob().total_cmp(&a.log_prob()).then(a.item.cmp(&b.item)));
            }
        }
        found
    }
}
