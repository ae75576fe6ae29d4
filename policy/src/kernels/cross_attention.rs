//! `x + dropout(attention(rms_norm(x) W_q, memory) W_o)`: the cross-attention part of a decoder block, as one operator.
//! Decoder rows read the memory of their user, or a prefix of it; the memory is projected once and never repeated.

use super::buffer::Buffer;
use super::heads::{Heads, Row, RowGrads};
use super::mask::{self, Mask};
use super::operator::{Input, Keep, Operator, Output};
use super::packing::{Lanes, parts};
use super::parallel::{Chunk, Sums, backward_lanes, copied, forward_chunks, zeros};
use super::products::{Weight, matrix, matrix_mut};
use super::readers::Readers;
use super::vector::{self, Normalized};
use burn::tensor::Shape;
use faer::Accum;
use std::ops::Range;

/// Everything but the tensors: `x [n, d]` with the tokens of a reader side by side, as many for every reader; `gain [d]`,
/// `query [h dk, d]`, `out [d, h dk]`, and the projected memory `[m, 2 h dk]`, keys left of values.
#[derive(Clone, Debug)]
pub(super) struct CrossAttention {
    /// Who reads what.
    pub(super) readers: Readers,
    pub(super) heads: Heads,
    pub(super) epsilon: f32,
    pub(super) mask: Option<Mask>,
}

struct Tensors<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    query: Weight<'a>,
    out: Weight<'a>,
    keys_values: &'a [f32],
    /// Decoder tokens of each reader.
    queries: usize,
}

impl<'a> Tensors<'a> {
    fn new([x, gain, query, out, keys_values]: [Input<'a>; 5], readers: &Readers) -> Self {
        Self {
            x: x.values,
            gain: gain.values,
            query: Weight { values: query.values, inputs: x.width },
            out: Weight { values: out.values, inputs: out.width },
            keys_values: keys_values.values,
            queries: x.values.len() / x.width / readers.count(),
        }
    }
    fn width(&self) -> usize {
        self.gain.len()
    }
    fn inner(&self) -> usize {
        self.out.inputs
    }
    /// Tokens of readers.
    fn span(&self, readers: &Range<usize>) -> Range<usize> {
        readers.start * self.queries..readers.end * self.queries
    }
    fn row<'q>(&'q self, query: &'q [f32], memory: Range<usize>) -> Row<'q> {
        let inner = self.inner();
        let memory = matrix(&self.keys_values[memory.start * 2 * inner..memory.end * 2 * inner], 2 * inner);
        Row {
            query: matrix(query, inner),
            key: memory.subcols(0, inner),
            value: memory.subcols(inner, inner),
        }
    }
}

impl CrossAttention {
    fn plan(&self, queries: usize) -> Lanes {
        // Memory costs its share of the attention products; tokens pass through the projections as well.
        let cost = |user| self.readers.seen(user).map(|seen| queries + seen.len() / 8).sum();
        Lanes::new((0..self.readers.memory().rows()).map(cost))
    }
    /// What the readers of users see, reader by reader.
    fn seen(&self, users: &Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
        users.clone().flat_map(|user| self.readers.seen(user))
    }
    fn probs(&self, users: &Range<usize>, queries: usize) -> usize {
        self.seen(users).map(|seen| self.heads.probs(queries, seen.len())).sum()
    }

    fn forward_chunk(&self, tensors: &Tensors<'_>, users: &Range<usize>, out: &mut [f32]) -> Buffer {
        let (d, inner, span) = (tensors.width(), tensors.inner(), tensors.span(&self.readers.of(users)));
        let (tokens, queries) = (span.len(), tensors.queries);
        let mut saved = Buffer::stale(2 * tokens * inner + self.probs(users, queries));
        let mut hidden = Buffer::stale(tokens * d);
        let (query, rest) = saved.split_at_mut(tokens * inner);
        let (attended, mut probs) = rest.split_at_mut(tokens * inner);
        vector::rms_norm(&tensors.x[span.start * d..span.end * d], tensors.gain, self.epsilon, &mut hidden);
        tensors.query.apply(&hidden, query);
        let rows = query.chunks_exact(queries * inner).zip(attended.chunks_exact_mut(queries * inner));
        for (memory, (query, attended)) in self.seen(users).zip(rows) {
            let own = probs.split_off_mut(..self.heads.probs(queries, memory.len())).expect("sized above");
            self.heads.forward(tensors.row(query, memory), None, own, matrix_mut(attended, inner));
        }
        tensors.out.apply(attended, &mut hidden);
        vector::add_update(out, &hidden, self.mask.map(|mask| (mask, span.start * d)));
        saved
    }

    /// `grad` is that of the output and becomes that of `x`.
    fn backward_chunk(
        &self,
        tensors: &Tensors<'_>,
        chunk: &Chunk<'_>,
        (grad, dmemory): (&mut [f32], &mut [f32]),
        [dgain, dquery_weight, dout_weight]: [&mut [f32]; 3],
    ) {
        let readers = self.readers.of(&chunk.rows);
        let (d, inner, span) = (tensors.width(), tensors.inner(), tensors.span(&readers));
        let (tokens, queries) = (span.len(), tensors.queries);
        let (query, rest) = chunk.saved.split_at(tokens * inner);
        let (attended, mut probs) = rest.split_at(tokens * inner);
        let (mut dupdate, mut dattended) = (Buffer::stale(tokens * d), Buffer::stale(tokens * inner));
        let update = mask::before(self.mask, grad, span.start * d, &mut dupdate);
        tensors.out.grad(attended, update, (dout_weight, chunk.accumulate));
        tensors.out.input_grad(update, &mut dattended);
        let mut dquery = Buffer::stale(tokens * inner);
        let first = self.readers.memory().span(&chunk.rows).start;
        let mut own = 0..queries * inner;
        for user in chunk.rows.clone() {
            let whole = self.readers.is_whole(user);
            if !whole {
                let memory = self.readers.memory().row(user);
                dmemory[2 * (memory.start - first) * inner..2 * (memory.end - first) * inner].fill(0.0);
            }
            for memory in self.readers.seen(user) {
                let probs =
                    probs.split_off(..self.heads.probs(queries, memory.len())).expect("saved by forward");
                let mut scratch = Buffer::stale(queries * memory.len());
                let wide = 2 * (memory.start - first) * inner..2 * (memory.end - first) * inner;
                let (key, value) = matrix_mut(&mut dmemory[wide], 2 * inner).split_at_col_mut(inner);
                let accumulate = if whole { Accum::Replace } else { Accum::Add };
                let query_grad = matrix_mut(&mut dquery[own.clone()], inner);
                self.heads.backward(
                    (tensors.row(&query[own.clone()], memory), probs),
                    matrix(&dattended[own.clone()], inner),
                    &mut RowGrads { query: query_grad, key, value, accumulate },
                    (&mut scratch, None),
                );
                own = own.end..own.end + queries * inner;
            }
        }
        let x = &tensors.x[span.start * d..span.end * d];
        vector::rms_norm(x, tensors.gain, self.epsilon, &mut dupdate);
        tensors.query.grad(&dupdate, &dquery, (dquery_weight, chunk.accumulate));
        tensors.query.input_grad(&dquery, &mut dupdate);
        let normalized = Normalized { x, gain: tensors.gain, epsilon: self.epsilon };
        vector::rms_norm_backward(normalized, &dupdate, grad, dgain);
    }
}

impl Operator<5> for CrossAttention {
    fn forward(&self, inputs: [Input<'_>; 5], keep: Keep) -> Output {
        let tensors = Tensors::new(inputs, &self.readers);
        let (d, plan) = (tensors.width(), self.plan(tensors.queries));
        let mut values = copied(tensors.x);
        let tokens = values.len() / d;
        let outputs = parts(
            &mut values,
            plan.chunks.iter().map(|users| tensors.span(&self.readers.of(users)).len() * d),
        );
        let saved =
            forward_chunks(&plan, outputs, keep, |users, out| self.forward_chunk(&tensors, users, out));
        Output { shape: Shape::from([tokens, d]), values, saved }
    }

    fn backward(&self, inputs: [Input<'_>; 5], saved: &[Buffer], mut grad: Vec<f32>) -> [Vec<f32>; 5] {
        let tensors = Tensors::new(inputs, &self.readers);
        let (d, inner, plan) = (tensors.width(), tensors.inner(), self.plan(tensors.queries));
        let mut memory_grad = zeros(tensors.keys_values.len());
        let of_x =
            parts(&mut grad, plan.chunks.iter().map(|users| tensors.span(&self.readers.of(users)).len() * d));
        let memory = |users| 2 * inner * self.readers.memory().span(users).len();
        let of_memory = parts(&mut memory_grad, plan.chunks.iter().map(memory));
        let outputs = of_x.into_iter().zip(of_memory).collect();
        let sizes = [d, inner * d, d * inner];
        let sums = Sums { added: d, multiplied: sizes[1] + sizes[2] };
        let mut sums = backward_lanes(&plan, (saved, outputs), sums, |chunk, out, mut sums| {
            let sums = sizes.map(|size| sums.split_off_mut(..size).expect("sized above"));
            self.backward_chunk(&tensors, &chunk, out, sums);
        });
        let mut query = sums.split_off(d);
        let out = query.split_off(inner * d);
        [grad, sums, query, out, memory_grad]
    }
}
