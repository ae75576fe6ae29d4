//! Self-attention of the newest position of every row to the positions before it, without copying what came before:
//! a row remembers which row of each earlier position it continues.

use super::buffer::Buffer;
use super::heads::Heads;
use super::operator::{Fused, Input, Keep, Operator, Output};
use super::packing::{Lanes, parts};
use super::parallel::{copied, zeros};
use super::products::Weight;
use super::vector::{self, CachedRow};
use super::{Block, SelfAttentionInput, composed, on_cpu};
use burn::backend::Dispatch;
use burn::prelude::*;
use burn::tensor::Shape;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Projections of one position, `[rows, 3 h dk]`: queries, keys, values.
#[derive(Clone, Debug)]
enum Projected {
    Host(Arc<OnceLock<Vec<f32>>>),
    Device(Box<Tensor<2>>),
}

/// Keys and values of the positions so far, of one block.
#[derive(Clone, Debug, Default)]
pub struct PastKeysValues {
    positions: Vec<Projected>,
}

/// For every position, the row each current row continues.
#[derive(Clone, Debug, Default)]
pub struct Ancestry {
    positions: Vec<Arc<[u32]>>,
}

impl Ancestry {
    /// Adds a position with one new row per current row.
    pub fn advance(&mut self, rows: usize) {
        self.positions.push((0..rows as u32).collect());
    }
    /// Makes row `i` continue what was row `rows[i]`.
    pub fn reorder(&mut self, rows: &[u32]) {
        for position in &mut self.positions {
            *position = rows.iter().map(|&row| position[row as usize]).collect();
        }
    }
    /// The row of a position that each current row continues.
    pub fn rows(&self, position: usize) -> &[u32] {
        &self.positions[position]
    }
    /// Number of positions.
    pub fn len(&self) -> usize {
        self.positions.len()
    }
    /// Whether there is no position yet.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }
}

impl PastKeysValues {
    /// `x + attention(rms_norm(x)) W_o` of the newest position, whose projections are remembered. Decoding is not trained:
    /// there is no gradient, and `block.mask` is not used.
    ///
    /// # Shapes
    /// - `input`: `x [r, d]` and `bias [h, 1, positions]`; `ancestry`: as many positions, the newest included; result
    ///   `[r, d]`.
    ///
    /// # Panics
    /// If the numbers of positions differ, or there is no bias.
    pub fn attend(&mut self, input: SelfAttentionInput, block: &Block, ancestry: &Ancestry) -> Tensor<2> {
        assert_eq!(self.positions.len() + 1, ancestry.len(), "positions of the cache and of the ancestry");
        let SelfAttentionInput { x, gain, qkv, out, bias } = input;
        let bias = bias.expect("cached decoding has relative positions");
        if !on_cpu(&x.device()) {
            let normalized = composed::rms_norm(x.clone(), gain, block.epsilon);
            self.positions.push(Projected::Device(Box::new(composed::linear(normalized, qkv))));
            let positions: Vec<&Tensor<2>> = self.positions.iter().map(Projected::device).collect();
            let attended = composed::cached_attention(&positions, bias, &block.heads, &ancestry.positions);
            return x + composed::linear(attended, out);
        }
        let newest = Arc::new(OnceLock::new());
        let operator = CachedSelfAttention {
            past: self.positions.iter().map(Projected::host).collect(),
            newest: Arc::clone(&newest),
            ancestry: ancestry.positions.clone(),
            heads: block.heads,
            epsilon: block.epsilon as f32,
        };
        self.positions.push(Projected::Host(newest));
        Tensor::from_dispatch(Dispatch::fused_5(
            x.into_dispatch(),
            gain.into_dispatch(),
            qkv.into_dispatch(),
            out.into_dispatch(),
            bias.into_dispatch(),
            operator,
        ))
    }
}

impl Projected {
    fn host(&self) -> Arc<OnceLock<Vec<f32>>> {
        match self {
            Self::Host(values) => Arc::clone(values),
            Self::Device(_) => unreachable!("a cache lives in one place"),
        }
    }
    fn device(&self) -> &Tensor<2> {
        match self {
            Self::Device(values) => values,
            Self::Host(_) => unreachable!("a cache lives in one place"),
        }
    }
}

/// The operator on the CPU; besides its output it leaves the newest projections behind.
#[derive(Clone, Debug)]
struct CachedSelfAttention {
    past: Vec<Arc<OnceLock<Vec<f32>>>>,
    newest: Arc<OnceLock<Vec<f32>>>,
    ancestry: Vec<Arc<[u32]>>,
    heads: Heads,
    epsilon: f32,
}

struct Tensors<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    qkv: Weight<'a>,
    out: Weight<'a>,
    bias: &'a [f32],
    past: Vec<&'a [f32]>,
}

impl CachedSelfAttention {
    fn chunk(&self, tensors: &Tensors<'_>, rows: &Range<usize>, (out, projected): (&mut [f32], &mut [f32])) {
        let (d, inner) = (tensors.gain.len(), tensors.out.inputs);
        let (mut hidden, mut attended) = (Buffer::stale(rows.len() * d), Buffer::stale(rows.len() * inner));
        vector::rms_norm(&tensors.x[rows.start * d..rows.end * d], tensors.gain, self.epsilon, &mut hidden);
        tensors.qkv.apply(&hidden, projected);
        let mut past: Vec<&[f32]> = Vec::with_capacity(self.ancestry.len());
        let mut scores = vec![0.0; self.heads.count * self.ancestry.len()];
        let own = projected.chunks_exact(3 * inner).zip(attended.chunks_exact_mut(inner));
        for (row, (newest, attended)) in rows.clone().zip(own) {
            past.clear();
            past.extend(tensors.past.iter().zip(&self.ancestry).map(|(position, ancestors)| {
                &position[3 * inner * ancestors[row] as usize..][inner..3 * inner]
            }));
            past.push(&newest[inner..]);
            let row = CachedRow {
                query: &newest[..inner],
                past: &past,
                bias: tensors.bias,
                scale: self.heads.scale,
                scores: &mut scores,
            };
            vector::attend_cached(row, self.heads.count, attended);
        }
        tensors.out.apply(&attended, &mut hidden);
        vector::add_update(out, &hidden, None);
    }
}

impl Operator<5> for CachedSelfAttention {
    fn forward(&self, [x, gain, qkv, out, bias]: [Input<'_>; 5], _: Keep) -> Output {
        let (d, inner) = (x.width, out.width);
        let tensors = Tensors {
            x: x.values,
            gain: gain.values,
            qkv: Weight { values: qkv.values, inputs: d },
            out: Weight { values: out.values, inputs: inner },
            bias: bias.values,
            past: self
                .past
                .iter()
                .map(|past| past.get().expect("earlier positions are projected"))
                .map(Vec::as_slice)
                .collect(),
        };
        let rows = x.values.len() / d;
        let (mut values, mut projected) = (copied(x.values), zeros(rows * 3 * inner));
        let plan = Lanes::tokens(rows);
        let outs = parts(&mut values, plan.chunks.iter().map(|rows| rows.len() * d));
        let projections = parts(&mut projected, plan.chunks.iter().map(|rows| rows.len() * 3 * inner));
        plan.chunks
            .par_iter()
            .zip(outs.into_par_iter().zip(projections))
            .for_each(|(rows, parts)| self.chunk(&tensors, rows, parts));
        self.newest.set(projected).expect("an operator runs once");
        Output { values, shape: Shape::from([rows, d]), saved: Vec::new() }
    }
    fn backward(&self, _: [Input<'_>; 5], _: &[Buffer], _: Vec<f32>) -> [Vec<f32>; 5] {
        panic!("cached decoding has no gradient; train with teacher forcing")
    }
}
