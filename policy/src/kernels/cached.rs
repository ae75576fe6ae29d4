//! Self-attention of the newest position of every row to the positions before it, without copying what came before:
//! a row remembers which row of each earlier position it continues.

use super::heads::Heads;
use super::vector::{self, CachedRow};
use super::{composed, on_cpu};
use burn::prelude::*;
use burn::tensor::TensorData;
use rayon::prelude::*;
use std::sync::Arc;

/// Projections of one position, `[rows, 3 h dk]`: queries, keys, values.
#[derive(Clone, Debug)]
enum Projected {
    Host(Arc<TensorData>),
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
    #[cfg(test)]
    pub(super) fn positions(&self) -> &[Arc<[u32]>] {
        &self.positions
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
    /// Attends from the newest position, whose projections `qkv` are remembered.
    ///
    /// # Shapes
    /// - `qkv`: `[r, 3 h dk]`, `bias`: `[h, 1, positions]`, `ancestry`: as many positions, the newest included; result
    ///   `[r, h dk]`.
    ///
    /// # Panics
    /// If the numbers of positions differ.
    pub fn attend(
        &mut self,
        qkv: Tensor<2>,
        bias: Option<Tensor<3>>,
        heads: &Heads,
        ancestry: &Ancestry,
    ) -> Tensor<2> {
        let device = qkv.device();
        self.positions.push(if on_cpu(&device) {
            Projected::Host(Arc::new(qkv.into_data()))
        } else {
            Projected::Device(Box::new(qkv))
        });
        assert_eq!(self.positions.len(), ancestry.len(), "positions of the cache and of the ancestry");
        let devices: Option<Vec<&Tensor<2>>> = self
            .positions
            .iter()
            .map(|p| if let Projected::Device(x) = p { Some(&**x) } else { None })
            .collect();
        if let Some(positions) = devices {
            return composed::cached_attention(&positions, bias, heads, &ancestry.positions);
        }
        let positions: Vec<&[f32]> = self.positions.iter().map(Projected::host).collect();
        let bias = bias.map(Tensor::into_data);
        let bias = bias.as_ref().map(|bias| bias.as_slice::<f32>().expect("biases are f32"));
        let rows = ancestry.positions[0].len();
        let out = on_host(&positions, bias, heads, &ancestry.positions);
        let inner = out.len() / rows;
        Tensor::from_data(TensorData::new(out, [rows, inner]), &device)
    }
}

impl Projected {
    fn host(&self) -> &[f32] {
        match self {
            Self::Host(data) => data.as_slice().expect("projections are f32"),
            Self::Device(_) => unreachable!("a cache lives in one place"),
        }
    }
}

fn on_host(positions: &[&[f32]], bias: Option<&[f32]>, heads: &Heads, ancestry: &[Arc<[u32]>]) -> Vec<f32> {
    /// Rows per task.
    const ROWS: usize = 64;
    let newest = positions[positions.len() - 1];
    let rows = ancestry[0].len();
    let inner = newest.len() / rows / 3;
    let mut out = vec![0.0; rows * inner];
    out.par_chunks_mut(ROWS * inner).enumerate().for_each(|(task, out)| {
        let mut past = Vec::with_capacity(positions.len());
        let mut scores = vec![0.0; positions.len()];
        for (index, out) in out.chunks_exact_mut(inner).enumerate() {
            let row = task * ROWS + index;
            past.clear();
            past.extend(positions.iter().zip(ancestry).map(|(position, ancestor)| {
                &position[3 * inner * ancestor[row] as usize..][inner..3 * inner]
            }));
            let query = &newest[3 * inner * row..][..inner];
            let row = CachedRow { query, past: &past, bias, scale: heads.scale, scores: &mut scores };
            vector::attend_cached(row, heads.count, out);
        }
    });
    out
}
