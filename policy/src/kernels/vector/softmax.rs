//! Softmax and what is made of it: attention weights, normalisers, log-probabilities.

use super::{dot_lanes, exp, maximum, softmax_row, sum_of};

/// A block of one head's scores, `[queries, keys]`.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Scores {
    pub(in crate::kernels) queries: usize,
    pub(in crate::kernels) keys: usize,
    /// Row `i` uses only columns `0..=first + i`, where given.
    pub(in crate::kernels) causal_from: Option<usize>,
}

impl Scores {
    #[inline(always)]
    fn visible(self, row: usize) -> usize {
        self.causal_from.map_or(self.keys, |first| (first + row + 1).min(self.keys))
    }
}

/// What is added to a block of scores: a table whose rows are `stride` apart.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct ScoreBias<'a> {
    pub(in crate::kernels) values: &'a [f32],
    pub(in crate::kernels) stride: usize,
}

vectorized! {
    /// Scores plus bias to probabilities, in place; hidden columns become zero.
    fn softmax<'a>(scores: &'a mut [f32], bias: Option<ScoreBias<'a>>, layout: Scores) {
        for i in 0..layout.queries {
            let visible = layout.visible(i);
            let row = &mut scores[i * layout.keys..(i + 1) * layout.keys];
            for hidden in visible..layout.keys {
                row[hidden] = 0.0;
            }
            let row = &mut row[..visible];
            if let Some(bias) = bias {
                let bias = &bias.values[i * bias.stride..i * bias.stride + visible];
                for j in 0..visible {
                    row[j] += bias[j];
                }
            }
            softmax_row(row);
        }
    }
}

vectorized! {
    /// Gradient of the probabilities to gradient of the scores, in place: `ds = p * (dp - <dp, p>)`.
    fn softmax_backward<'a>(probs: &'a [f32], grads: &'a mut [f32], layout: Scores) {
        for i in 0..layout.queries {
            let (start, visible) = (i * layout.keys, layout.visible(i));
            let probs = &probs[start..start + visible];
            let grads = &mut grads[start..start + layout.keys];
            for hidden in visible..layout.keys {
                grads[hidden] = 0.0;
            }
            let grads = &mut grads[..visible];
            let mean = dot_lanes(probs, grads);
            for j in 0..visible {
                grads[j] = probs[j] * (grads[j] - mean);
            }
        }
    }
}

vectorized! {
    /// The log of the row's summed exponentials; negative infinity of nothing.
    fn log_sum_exp<'a>(row: &'a [f32]) -> f32 {
        let max = maximum(row);
        if max == f32::NEG_INFINITY {
            return max;
        }
        sum_of([row, row, row], |x, _, _| exp(x - max)).ln() + max
    }
}

/// Targets of rows, each of which leaves `smoothing` of its place to all columns together.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Smoothed<'a> {
    pub(in crate::kernels) targets: &'a [u32],
    pub(in crate::kernels) smoothing: f32,
}

vectorized! {
    /// Rows of logits become probabilities; `out` receives the log-probability of each row's target.
    fn target_log_prob<'a>(logits: &'a mut [f32], of: Smoothed<'a>, out: &'a mut [f32]) {
        let width = logits.len() / of.targets.len();
        for i in 0..of.targets.len() {
            let row = &mut logits[i * width..(i + 1) * width];
            let mut logit = row[of.targets[i] as usize];
            if of.smoothing > 0.0 {
                let row = &*row;
                let mean = sum_of([row, row, row], |x, _, _| x) / width as f32;
                logit += of.smoothing * (mean - logit);
            }
            out[i] = logit - softmax_row(row);
        }
    }
}

vectorized! {
    /// Gradient of [`target_log_prob`]: `dlogits = g * ((1 - s) onehot + s / v - p)`.
    fn target_log_prob_backward<'a>(probs: &'a [f32], of: Smoothed<'a>, grads: &'a [f32], out: &'a mut [f32]) {
        let width = probs.len() / of.targets.len();
        let everywhere = of.smoothing / width as f32;
        for i in 0..of.targets.len() {
            let (probs, grad) = (&probs[i * width..(i + 1) * width], grads[i]);
            let out = &mut out[i * width..(i + 1) * width];
            for j in 0..width {
                out[j] = grad * (everywhere - probs[j]);
            }
            out[of.targets[i] as usize] += grad * (1.0 - of.smoothing);
        }
    }
}
