//! A policy with everything it needs to propose items for histories.

use crate::beam::{Search, pruned_beam_search};
use crate::candidate::Candidate;
use crate::consistency::Pruned;
use crate::exhaustive::pruned_ranking;
use crate::free::{Free, free_beam_search};
use crate::sessions::{Session, session_search};
use crate::trie::Trie;
use policy::batch::EncoderBatch;
use policy::catalog::Catalog;
use policy::history::Context;
use policy::ids::ItemId;
use policy::log_prob::{LogProbSpace, Scorer, Support};
use policy::model::{Dropout, Encoded, Policy};
use policy::vocab::Vocab;
use std::collections::BTreeSet;

/// Users decoded together: enough rows to fill the matrix kernels, few enough to keep the caches small.
const USERS_PER_BATCH: usize = 64;

/// A catalog with its trie and token layout.
#[derive(Clone, Debug)]
pub struct Codebook {
    /// Items and their semantic IDs.
    pub catalog: Catalog,
    /// What may follow what.
    pub trie: Trie,
    /// The token layout.
    pub vocab: Vocab,
}

impl Codebook {
    /// The codebook of a catalog.
    pub fn new(catalog: Catalog) -> Self {
        Self { trie: Trie::new(&catalog), vocab: Vocab::of(&catalog), catalog }
    }
}

/// A policy over a codebook.
#[derive(Clone, Copy)]
pub struct Recommender<'a> {
    /// The weights.
    pub model: &'a Policy,
    /// The items.
    pub codebook: &'a Codebook,
    /// Most recent items the encoder sees.
    pub history_items: usize,
    /// The normalisation of probabilities.
    pub space: LogProbSpace,
    /// Items that a decoding writes when lists are made: 1, or those of a session.
    pub session_items: usize,
}

/// Whether items of the history may be proposed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// They may not (the usual protocol of leave-one-out evaluation).
    Excluded,
    /// They may.
    Allowed,
}

impl<'a> Recommender<'a> {
    /// The one log-probability under this policy.
    pub fn scorer(&self) -> Scorer<'a> {
        let support = Support::new(self.space, &self.codebook.trie);
        Scorer { model: self.model, vocab: &self.codebook.vocab, support }
    }

    /// Reads histories.
    pub fn encode(&self, contexts: &[Context<'_>], dropout: Dropout) -> Encoded {
        let batch = EncoderBatch::new(contexts, self.history_items, &self.codebook.catalog);
        self.model.encode(&batch, dropout)
    }

    /// The `width` most probable candidates of each context, best first. Users of like history length are decoded
    /// together; after each batch `progress` is told how many users are done and may stop the work.
    ///
    /// # Errors
    /// Whatever `progress` returns.
    pub fn candidates<E>(
        &self,
        contexts: &[Context<'_>],
        width: usize,
        seen: Seen,
        progress: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Vec<Vec<Candidate>>, E> {
        self.in_batches(contexts, progress, |encoded, batch| self.found(encoded, (batch, seen), width))
    }

    /// As [`Self::candidates`], but paths whose consistency is below `least` make room for others; see [`crate::consistency`].
    ///
    /// # Errors
    /// Whatever `progress` returns.
    pub fn consistent_candidates<E>(
        &self,
        contexts: &[Context<'_>],
        (width, least): (usize, f64),
        seen: Seen,
        progress: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Vec<Pruned>, E> {
        self.in_batches(contexts, progress, |encoded, batch| {
            self.pruned(encoded, (&Search { width, exclude: &excluded(batch, seen) }, least))
        })
    }

    /// What each context is shown, best first: its candidates or, of a policy that writes sessions, the items of the best of
    /// `width` sessions in their order, then those of the next that are not among them.
    ///
    /// # Errors
    /// Whatever `progress` returns.
    pub fn lists<E>(
        &self,
        contexts: &[Context<'_>],
        width: usize,
        seen: Seen,
        progress: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Vec<Vec<ItemId>>, E> {
        self.in_batches(contexts, progress, |encoded, batch| {
            if self.session_items == 1 {
                return self.found(encoded, (batch, seen), width).iter().map(|list| items(list)).collect();
            }
            let exclude = excluded(batch, seen);
            let search = (&Search { width, exclude: &exclude }, self.session_items);
            let found = session_search(&self.scorer(), &self.codebook.trie, encoded, search);
            found.iter().map(|sessions| in_order(sessions)).collect()
        })
    }

    /// Candidates without the trie, for measuring what it hides; see [`crate::free`].
    ///
    /// # Errors
    /// Whatever `progress` returns.
    pub fn free_candidates<E>(
        &self,
        contexts: &[Context<'_>],
        width: usize,
        seen: Seen,
        progress: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Vec<Free>, E> {
        self.in_batches(contexts, progress, |encoded, batch| {
            let exclude = excluded(batch, seen);
            free_beam_search(
                &self.scorer(),
                &self.codebook.trie,
                encoded,
                &Search { width, exclude: &exclude },
            )
        })
    }

    /// What `search` finds for each context; it is given the encoded histories of a batch, and the batch.
    fn in_batches<T: Clone + Default, E>(
        &self,
        contexts: &[Context<'_>],
        mut progress: impl FnMut(u64) -> Result<(), E>,
        search: impl Fn(&Encoded, &[Context<'_>]) -> Vec<T>,
    ) -> Result<Vec<T>, E> {
        let mut found = vec![T::default(); contexts.len()];
        for users in self.batches(contexts) {
            let batch: Vec<Context<'_>> = users.iter().map(|&user| contexts[user]).collect();
            let results = search(&self.encode(&batch, Dropout::Off), &batch);
            for (&user, result) in users.iter().zip(results) {
                found[user] = result;
            }
            progress(users.len() as u64)?;
        }
        Ok(found)
    }

    /// The `search.width` most probable candidates of each context, best first, all contexts in one batch.
    pub fn ranked(&self, contexts: &[Context<'_>], search: &Search<'_>) -> Vec<Vec<Candidate>> {
        self.search(&self.encode(contexts, Dropout::Off), search)
    }

    /// Numbers of contexts that are decoded together: those of like history length.
    pub(crate) fn batches(&self, contexts: &[Context<'_>]) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..contexts.len()).collect();
        order.sort_by_key(|&user| contexts[user].items.len().min(self.history_items));
        order.chunks(USERS_PER_BATCH).map(<[usize]>::to_vec).collect()
    }

    /// The `width` most probable candidates of the contexts of a batch.
    pub(crate) fn found(
        &self,
        encoded: &Encoded,
        (contexts, seen): (&[Context<'_>], Seen),
        width: usize,
    ) -> Vec<Vec<Candidate>> {
        self.search(encoded, &Search { width, exclude: &excluded(contexts, seen) })
    }

    fn search(&self, encoded: &Encoded, search: &Search<'_>) -> Vec<Vec<Candidate>> {
        self.pruned(encoded, (search, 0.0)).into_iter().map(|found| found.candidates).collect()
    }

    /// Beam search; the whole catalog where codes do not depend on each other.
    fn pruned(&self, encoded: &Encoded, search: (&Search<'_>, f64)) -> Vec<Pruned> {
        if self.model.writes_all_codes_at_once() && self.space == LogProbSpace::Full {
            return pruned_ranking(&self.scorer(), &self.codebook.catalog, encoded, search);
        }
        pruned_beam_search(&self.scorer(), &self.codebook.trie, encoded, search)
    }
}

fn items(candidates: &[Candidate]) -> Vec<ItemId> {
    candidates.iter().map(|candidate| candidate.item).collect()
}

/// Every item of some sessions once, where it comes first.
fn in_order(sessions: &[Session]) -> Vec<ItemId> {
    let mut seen = BTreeSet::new();
    let items = sessions.iter().flat_map(|session| &session.items).copied();
    items.filter(|item| seen.insert(*item)).collect()
}

/// Items not to propose, per context.
fn excluded<'a>(contexts: &[Context<'a>], seen: Seen) -> Vec<&'a [ItemId]> {
    match seen {
        Seen::Excluded => contexts.iter().map(|context| context.items).collect(),
        Seen::Allowed => vec![&[]; contexts.len()],
    }
}
