//! What decoding row by row needs.

use super::{dot_lanes, exp};

vectorized! {
    /// `scale` times the inner products of `x` with some rows of a table.
    fn dots<'a>(x: &'a [f32], table: (&'a [f32], &'a [u32]), scale: f32, out: &'a mut [f32]) {
        let (values, rows) = table;
        let rows = &rows[..out.len()];
        for i in 0..out.len() {
            let row = rows[i] as usize * x.len();
            out[i] = scale * dot_lanes(x, &values[row..row + x.len()]);
        }
    }
}

/// A query with the keys and values of its own past, latest last.
pub(in crate::kernels) struct CachedRow<'a> {
    /// `[h * dk]`.
    pub(in crate::kernels) query: &'a [f32],
    /// `[2 * h * dk]` per position, keys left of values.
    pub(in crate::kernels) past: &'a [&'a [f32]],
    /// `[h, positions]`.
    pub(in crate::kernels) bias: &'a [f32],
    /// Factor of the scores.
    pub(in crate::kernels) scale: f32,
    /// `[h, positions]`, overwritten.
    pub(in crate::kernels) scores: &'a mut [f32],
}

vectorized! {
    /// Attention of one query per head to a handful of positions. The exponentials of all heads are taken together: those
    /// of one head would not fill a vector.
    fn attend_cached<'a>(row: CachedRow<'a>, heads: usize, out: &'a mut [f32]) {
        let CachedRow { query, past, bias, scale, scores } = row;
        let (inner, dk, positions) = (query.len(), query.len() / heads, past.len());
        let (bias, scores) = (&bias[..heads * positions], &mut scores[..heads * positions]);
        for head in 0..heads {
            let (start, end) = (head * dk, (head + 1) * dk);
            let mut most = f32::NEG_INFINITY;
            for position in 0..positions {
                let score = dot_lanes(&query[start..end], &past[position][start..end]) * scale
                    + bias[head * positions + position];
                scores[head * positions + position] = score;
                most = if score > most { score } else { most };
            }
            for position in 0..positions {
                scores[head * positions + position] -= most;
            }
        }
        for i in 0..scores.len() {
            scores[i] = exp(scores[i]);
        }
        for head in 0..heads {
            let (start, end) = (head * dk, (head + 1) * dk);
            let weights = &scores[head * positions..(head + 1) * positions];
            let mut sum = 0.0;
            for position in 0..positions {
                sum += weights[position];
            }
            let out = &mut out[start..end];
            for i in 0..dk {
                out[i] = 0.0;
            }
            for position in 0..positions {
                let (weight, value) =
                    (weights[position] / sum, &past[position][inner + start..inner + end]);
                for i in 0..dk {
                    out[i] = weight.mul_add(value[i], out[i]);
                }
            }
        }
    }
}
