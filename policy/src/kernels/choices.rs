//! Log-probabilities of chosen columns: what decoding under a trie needs of a head. A chunk's logits never leave the
//! cache, and deep in a trie, where a prefix has a handful of continuations, only their columns are multiplied.

use super::buffer::Buffer;
use super::packing::{Lanes, parts};
use super::products::{matrix, matrix_mut, product};
use super::{composed, on_cpu, vector};
use burn::prelude::*;
use faer::Accum;
use rayon::prelude::*;
use std::ops::Range;

/// A product of one state with one column costs about this many times its share of a matrix product.
const SINGLE_COST: usize = 12;

/// Which columns a row may choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Those of row `i` are `columns[starts[i]..starts[i + 1]]`; one more than rows.
    pub starts: Vec<u32>,
    /// Ascending within a row.
    pub columns: Vec<u32>,
}

impl Choices {
    /// The columns of a row.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.columns[self.range(&(row..row + 1))]
    }
    /// Where the choices of neighbouring rows are.
    pub fn range(&self, rows: &Range<usize>) -> Range<usize> {
        self.starts[rows.start] as usize..self.starts[rows.end] as usize
    }
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }
}

/// Over what probabilities are normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// The row's choices, which lie within these columns.
    Choices(Range<usize>),
    /// These columns.
    Columns(Range<usize>),
}

impl Normalization {
    fn columns(&self) -> &Range<usize> {
        let (Self::Choices(columns) | Self::Columns(columns)) = self;
        columns
    }
}

/// `log_softmax(scale * x_i W^T)` at every choice of every state, without gradient.
///
/// # Shapes
/// - `states`: `[n, d]`, `head`: `[v, d]`, `choices`: `n` rows; result: as many values as choices.
///
/// # Panics
/// If the tensors are not `f32`.
pub fn choice_log_probs(
    [states, head]: [Tensor<2>; 2],
    choices: &Choices,
    over: &Normalization,
    scale: f64,
) -> Vec<f32> {
    let (d, columns) = (head.dims()[1], over.columns().clone());
    let head = head.slice([columns, 0..d]);
    let scorer = if on_cpu(&states.device()) {
        Scorer {
            x: values(states),
            source: Source::Head(values(head), d),
            choices,
            over,
            scale: scale as f32,
        }
    } else {
        let logits = values(composed::linear(states, head).mul_scalar(scale));
        Scorer { x: logits, source: Source::Logits, choices, over, scale: 1.0 }
    };
    scorer.run()
}

fn values(x: Tensor<2>) -> Vec<f32> {
    x.into_data().try_into_vec::<f32>().expect("weights and states are f32")
}

/// Where logits come from.
enum Source {
    /// A product with these columns of the head, of this width.
    Head(Vec<f32>, usize),
    /// They are given.
    Logits,
}

struct Scorer<'a> {
    /// States, or logits.
    x: Vec<f32>,
    source: Source,
    choices: &'a Choices,
    over: &'a Normalization,
    scale: f32,
}

impl Scorer<'_> {
    fn run(&self) -> Vec<f32> {
        let mut log_probs = vec![0.0; self.choices.columns.len()];
        let plan = Lanes::tokens(self.choices.rows());
        let outputs = parts(&mut log_probs, plan.chunks.iter().map(|rows| self.choices.range(rows).len()));
        plan.chunks.par_iter().zip(outputs).for_each(|(rows, out)| self.chunk(rows, out));
        log_probs
    }

    fn chunk(&self, rows: &Range<usize>, mut out: &mut [f32]) {
        let wide = self.over.columns().len();
        let few = self.choices.range(rows).len() * SINGLE_COST < rows.len() * wide;
        let buffer;
        let logits = match &self.source {
            Source::Head(head, d) if few && matches!(self.over, Normalization::Choices(_)) => {
                return self.single_products(rows, (head, *d), out);
            }
            Source::Head(head, d) => {
                buffer = self.product(rows, head, *d);
                &*buffer
            }
            Source::Logits => &self.x[rows.start * wide..rows.end * wide],
        };
        for (row, logits) in rows.clone().zip(logits.chunks_exact(wide)) {
            let columns = self.choices.row(row);
            let own = out.split_off_mut(..columns.len()).expect("sized by the choices");
            for (out, column) in own.iter_mut().zip(columns) {
                *out = logits[*column as usize - self.over.columns().start];
            }
            let normalizer = match self.over {
                Normalization::Choices(_) => vector::log_sum_exp(own),
                Normalization::Columns(_) => vector::log_sum_exp(logits),
            };
            subtract(own, normalizer);
        }
    }

    fn product(&self, rows: &Range<usize>, head: &[f32], d: usize) -> Buffer {
        let wide = self.over.columns().len();
        let mut logits = Buffer::stale(rows.len() * wide);
        let states = matrix(&self.x[rows.start * d..rows.end * d], d);
        let head = matrix(head, d).transpose();
        product(matrix_mut(&mut logits, wide), states, head, Accum::Replace, self.scale);
        logits
    }

    fn single_products(&self, rows: &Range<usize>, (head, d): (&[f32], usize), mut out: &mut [f32]) {
        let first = self.over.columns().start as u32;
        for row in rows.clone() {
            let columns = self.choices.row(row);
            let own = out.split_off_mut(..columns.len()).expect("sized by the choices");
            let columns: Vec<u32> = columns.iter().map(|column| column - first).collect();
            vector::dots(&self.x[row * d..(row + 1) * d], (head, &columns), self.scale, own);
            let normalizer = vector::log_sum_exp(own);
            subtract(own, normalizer);
        }
    }
}

fn subtract(logits: &mut [f32], normalizer: f32) {
    for logit in logits {
        *logit -= normalizer;
    }
}
