//! Histories as packed token rows.

use crate::catalog::Catalog;
use crate::history::Context;
use crate::ids::UserId;
use crate::kernels::Packing;
use crate::vocab::{PAD, Vocab};

/// Encoder input of some users: their tokens one user after the other, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderBatch {
    /// All tokens.
    pub tokens: Vec<u32>,
    /// The tokens of each user, at least 1.
    pub packing: Packing,
    /// Tokens that belong to one item: its codes.
    pub tokens_per_item: usize,
    /// The items themselves, counted from 1; 0 stands for an empty context. Empty for rows of bare tokens.
    pub items: Vec<u32>,
    /// When each item was consumed, in seconds; 0 where nobody knows.
    pub times: Vec<i64>,
    /// Whose the rows are. Empty for rows of bare tokens.
    pub users: Vec<Option<UserId>>,
}

impl EncoderBatch {
    /// The last `max_items` items of each context, as tokens. An empty context becomes one item of pad tokens, so that
    /// attention over it is defined.
    ///
    /// # Panics
    /// If there is no context.
    pub fn new(contexts: &[Context<'_>], max_items: usize, catalog: &Catalog) -> Self {
        let vocab = Vocab::of(catalog);
        assert!(!contexts.is_empty(), "a batch has at least one user");
        let (mut items, mut times, levels) = (Vec::new(), Vec::new(), vocab.levels());
        let rows = contexts.iter().map(|context| {
            let recent = context.last(max_items);
            if recent.items.is_empty() {
                items.push(0);
                times.push(0);
                return vec![PAD; levels];
            }
            items.extend(recent.items.iter().map(|item| item.index() as u32 + 1));
            times.extend((0..recent.items.len()).map(|position| recent.time(position)));
            recent.items.iter().flat_map(|&item| vocab.tokens(catalog.semantic_id(item))).collect()
        });
        let batch = Self::of(rows);
        let users = contexts.iter().map(|context| context.user).collect();
        Self { items, times, users, tokens_per_item: levels, ..batch }
    }
    /// The items of each user.
    pub fn item_packing(&self) -> Packing {
        Packing::of(self.packing.lengths().map(|tokens| tokens / self.tokens_per_item))
    }
    /// Rows of bare tokens, one per item.
    pub fn of(rows: impl Iterator<Item = Vec<u32>>) -> Self {
        let (mut tokens, mut lengths) = (Vec::new(), Vec::new());
        for row in rows {
            lengths.push(row.len());
            tokens.extend(row);
        }
        Self {
            times: vec![0; tokens.len()],
            tokens,
            packing: Packing::of(lengths),
            tokens_per_item: 1,
            items: Vec::new(),
            users: Vec::new(),
        }
    }
}
