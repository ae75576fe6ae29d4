//! Grouped-query attention (Ainslie et al. 2023, 2305.13245) of decoder rows to a prefix of a memory and to themselves,
//! under one softmax.
//!
//! Composed of burn's operations on rows of one length: keys and values of a memory are not repeated for the rows that
//! read it, nor those of a group for its heads.

use super::config::SizeError;
use crate::kernels::HIDDEN;
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use std::ops::Range;

/// How heads share keys and values.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupedHeads {
    /// Query heads.
    pub(super) count: usize,
    /// Heads of keys and values; each serves `count / groups` neighbouring query heads.
    pub(super) groups: usize,
    /// Width of a head.
    pub(super) width: usize,
}

/// Keys and values that rows attend to. Axes: `b` rows, `g` groups, `k` keys.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// `[b, g, k, dk]`.
    key: Tensor<4>,
    /// `[b, g, k, dk]`.
    value: Tensor<4>,
    /// Added to the scores, broadcast to `[b, g, q, k]`; absent where everything is seen.
    hidden: Option<Tensor<4>>,
}

impl GroupedHeads {
    /// Checks that heads share evenly.
    ///
    /// # Errors
    /// If they do not.
    pub(super) fn check(self) -> Result<(), SizeError> {
        let Self { count: heads, groups, .. } = self;
        if heads.is_multiple_of(groups) { Ok(()) } else { Err(SizeError::Groups { heads, groups }) }
    }

    /// `key`, `value`: `[b * k, g dk]`.
    pub(super) fn source(
        self,
        rows: usize,
        [key, value]: [Tensor<2>; 2],
        hidden: Option<Tensor<4>>,
    ) -> Source {
        let split = |x: Tensor<2>| {
            let keys = x.dims()[0] / rows;
            x.reshape([rows, keys, self.groups, self.width]).swap_dims(1, 2)
        };
        Source { key: split(key), value: split(value), hidden }
    }

    /// What hides later positions of rows of `t` tokens from earlier ones, `[1, 1, h / g * t, t]`.
    pub(super) fn causal(self, t: usize, device: &Device) -> Tensor<4> {
        let per = self.count / self.groups;
        let positions = (0..per).flat_map(|_| 0..t);
        let seen = positions.flat_map(|query| (0..t).map(move |key| key <= query));
        mask(seen, [1, 1, per * t, t], device)
    }

    /// Attended values of every query.
    ///
    /// # Shapes
    /// - `query`: `[n, h dk]`, the tokens of a row side by side, result: the same;
    /// - `own`: one row per row of queries;
    /// - `memory`: one row per reader, whose rows are neighbours.
    pub(super) fn attend(self, query: Tensor<2>, own: &Source, memory: Option<&Source>) -> Tensor<2> {
        let (n, rows) = (query.dims()[0], own.key.dims()[0]);
        let (t, per) = (n / rows, self.count / self.groups);
        let query = query.reshape([rows, t, self.groups, per, self.width]).permute([0, 2, 3, 1, 4]);
        let query = query.reshape([rows, self.groups, per * t, self.width]);
        let query = query.mul_scalar((self.width as f64).powf(-0.5));
        let attended = match memory {
            None => activation::softmax(own.scores(query), 3).matmul(own.value.clone()),
            Some(memory) => jointly(query, own, memory),
        };
        let attended = attended.reshape([rows, self.groups, per, t, self.width]).permute([0, 3, 1, 2, 4]);
        attended.reshape([n, self.count * self.width])
    }
}

impl Source {
    /// `query`: `[b, g, q, dk]`, result `[b, g, q, k]`.
    fn scores(&self, query: Tensor<4>) -> Tensor<4> {
        let scores = query.matmul(self.key.clone().transpose());
        match &self.hidden {
            Some(hidden) => scores + hidden.clone(),
            None => scores,
        }
    }
}

/// One softmax over the keys of both.
fn jointly(query: Tensor<4>, own: &Source, memory: &Source) -> Tensor<4> {
    let (rows, readers) = (own.key.dims()[0], memory.key.dims()[0]);
    let of_memory = by_row(memory.scores(by_reader(query.clone(), readers)), rows);
    let [_, groups, queries, seen] = of_memory.dims();
    let of_own = own.scores(query);
    let all = seen + of_own.dims()[3];
    let shares = activation::softmax(Tensor::cat(vec![of_memory, of_own], 3), 3);
    let part = |keys: Range<usize>| shares.clone().slice([0..rows, 0..groups, 0..queries, keys]);
    let of_memory = by_reader(part(0..seen), readers).matmul(memory.value.clone());
    by_row(of_memory, rows) + part(seen..all).matmul(own.value.clone())
}

/// `[rows, g, q, w]` to `[readers, g, rows / readers * q, w]`.
fn by_reader(x: Tensor<4>, readers: usize) -> Tensor<4> {
    let [rows, groups, queries, width] = x.dims();
    let per = rows / readers;
    let x: Tensor<5> = x.reshape([readers, per, groups, queries, width]);
    x.swap_dims(1, 2).reshape([readers, groups, per * queries, width])
}

/// The way back.
fn by_row(x: Tensor<4>, rows: usize) -> Tensor<4> {
    let [readers, groups, queries, width] = x.dims();
    let per = rows / readers;
    let x: Tensor<5> = x.reshape([readers, groups, per, queries / per, width]);
    x.swap_dims(1, 2).reshape([rows, groups, queries / per, width])
}

/// What hides keys behind the end of each row of these lengths, `[b, 1, 1, longest]`.
pub(super) fn padding(rows: &[Range<usize>], longest: usize, device: &Device) -> Tensor<4> {
    let seen = rows.iter().flat_map(|row| (0..longest).map(|key| key < row.len()));
    mask(seen, [rows.len(), 1, 1, longest], device)
}

fn mask(seen: impl Iterator<Item = bool>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = seen.map(|seen| if seen { 0.0 } else { HIDDEN }).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
