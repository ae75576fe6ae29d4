//! Loops over rows of `f32`, compiled for the machine's vector units at run time.
//!
//! Sums run in 16 fixed lanes, so a result depends neither on the instruction set nor on the thread count
//! beyond fused multiply-add rounding.
#![expect(
    clippy::inline_always,
    reason = "a body must be inlined into the function compiled for the vector unit"
)]

use crate::random::Key;
use pulp::{Arch, NullaryFnOnce};

/// A function whose body is compiled for every vector unit and chosen at run time. A plain closure would do, were it
/// certain to be inlined: where it is not, `mul_add` becomes a library call per element.
macro_rules! vectorized {
    ($(#[$doc:meta])* fn $name:ident<'a>($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        pub(super) fn $name<'a>($($arg: $type),*) {
            struct Call<'a> {
                $($arg: $type,)*
            }
            impl<'a> NullaryFnOnce for Call<'a> {
                type Output = ();
                #[inline(always)]
                fn call(self) {
                    let Self { $($arg,)* } = self;
                    $body
                }
            }
            Arch::new().dispatch(Call { $($arg,)* });
        }
    };
}

const LANES: usize = 16;

/// `e^x` for `x <= 0`, to about 2 ulp, in arithmetic that vectorises (libm's is scalar).
///
/// Below -30 it returns 0. Beside the 1 that every softmax row contains, 1e-13 is far under the rounding of `f32`; kept, such
/// values breed denormal numbers in the products that follow, and those slow a matrix kernel down several times.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to an integer kept in the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    const NEGLIGIBLE: f32 = -30.0;
    let negligible = x < NEGLIGIBLE;
    let x = x.max(NEGLIGIBLE);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts keeps the reduced argument exact.
    let r = n.mul_add(-0.693_145_75, x);
    let r = n.mul_add(-1.428_606_8e-6, r);
    // Minimax polynomial of e^r on [-ln2/2, ln2/2].
    let p = 1.987_569_1e-4_f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let p = p.mul_add(r * r, r) + 1.0;
    let e = p * f32::from_bits(shifted.to_bits().wrapping_shl(23).wrapping_add(0x3f80_0000));
    if negligible { 0.0 } else { e }
}

#[inline(always)]
fn fold(x: &[f32], init: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [init; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, *value);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(init, f)
}

#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            lanes[lane] = x[lane].mul_add(y[lane], lanes[lane]);
        }
    }
    lanes.iter().sum::<f32>() + x_rest.iter().zip(y_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
    fold(x, f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
}

/// Softmax in place; returns the log of the normaliser.
#[inline(always)]
fn softmax_row(row: &mut [f32]) -> f32 {
    let max = maximum(row);
    for value in row.iter_mut() {
        *value = exp(*value - max);
    }
    let sum = fold(row, 0.0, |a, b| a + b);
    let scale = sum.recip();
    for value in row.iter_mut() {
        *value *= scale;
    }
    sum.ln() + max
}

/// The rows of one head's scores inside a buffer of row stride `stride`.
#[derive(Clone, Copy)]
pub(super) struct Scores {
    /// Rows used.
    pub(super) queries: usize,
    /// Columns used.
    pub(super) keys: usize,
    /// Distance between rows.
    pub(super) stride: usize,
    /// Row `i` uses only columns `0..=i`.
    pub(super) causal: bool,
}

impl Scores {
    #[inline(always)]
    fn visible(self, row: usize) -> usize {
        if self.causal { (row + 1).min(self.keys) } else { self.keys }
    }
}

vectorized! {
    /// Scores (plus `bias`, same layout) to probabilities, in place; hidden columns become zero.
    fn softmax<'a>(scores: &'a mut [f32], bias: Option<&'a [f32]>, layout: Scores) {
        for i in 0..layout.queries {
            let visible = layout.visible(i);
            let row = &mut scores[i * layout.stride..][..layout.stride];
            let (row, hidden) = row.split_at_mut(visible);
            hidden.fill(0.0);
            if let Some(bias) = bias {
                for (value, bias) in row.iter_mut().zip(&bias[i * layout.stride..]) {
                    *value += bias;
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
            let (start, visible) = (i * layout.stride, layout.visible(i));
            let probs = &probs[start..][..visible];
            let (grads, hidden) = grads[start..][..layout.stride].split_at_mut(visible);
            hidden.fill(0.0);
            let mean = dot(probs, grads);
            for (grad, p) in grads.iter_mut().zip(probs) {
                *grad = p * (*grad - mean);
            }
        }
    }
}

vectorized! {
    /// `out += x`.
    fn add<'a>(out: &'a mut [f32], x: &'a [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += x;
        }
    }
}

vectorized! {
    /// Normalises rows of `gain.len()`.
    fn rms_norm<'a>(x: &'a [f32], gain: &'a [f32], epsilon: f32, out: &'a mut [f32]) {
        let width = gain.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let scale = (dot(x, x) / width as f32 + epsilon).sqrt().recip();
            for ((out, x), gain) in out.iter_mut().zip(x).zip(gain) {
                *out = x * scale * gain;
            }
        }
    }
}

/// What the backward pass of [`rms_norm`] reads.
#[derive(Clone, Copy)]
pub(super) struct RmsNormSaved<'a> {
    pub(super) x: &'a [f32],
    pub(super) gain: &'a [f32],
    pub(super) epsilon: f32,
}

vectorized! {
    /// Gradient of [`rms_norm`]: writes `dx`, adds to `dgain`.
    fn rms_norm_backward<'a>(saved: RmsNormSaved<'a>, dy: &'a [f32], dx: &'a mut [f32], dgain: &'a mut [f32]) {
        let RmsNormSaved { x, gain, epsilon } = saved;
        let width = gain.len();
        let mut scaled = vec![0.0; width];
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
        for ((x, dy), dx) in rows {
            let scale = (dot(x, x) / width as f32 + epsilon).sqrt().recip();
            for i in 0..width {
                scaled[i] = dy[i] * gain[i];
                dgain[i] += dy[i] * x[i] * scale;
            }
            let along = dot(&scaled, x) * scale * scale / width as f32;
            for i in 0..width {
                dx[i] = scale * (scaled[i] - x[i] * along);
            }
        }
    }
}

vectorized! {
    /// The row becomes its softmax, `out` the log of its summed exponentials.
    fn log_sum_exp<'a>(row: &'a mut [f32], out: &'a mut f32) {
        *out = softmax_row(row);
    }
}

vectorized! {
    /// Rows of logits become probabilities; `out` receives the log-probability of each row's target.
    fn target_log_prob<'a>(logits: &'a mut [f32], targets: &'a [usize], out: &'a mut [f32]) {
        let width = logits.len() / targets.len();
        for ((row, &target), out) in logits.chunks_exact_mut(width).zip(targets).zip(out) {
            let logit = row[target];
            *out = logit - softmax_row(row);
        }
    }
}

vectorized! {
    /// Gradient of [`target_log_prob`]: `dlogits = g * (onehot - p)`, in place over the probabilities.
    fn target_log_prob_backward<'a>(probs: &'a mut [f32], targets: &'a [usize], grads: &'a [f32]) {
        let width = probs.len() / targets.len();
        for ((row, &target), &grad) in probs.chunks_exact_mut(width).zip(targets).zip(grads) {
            for value in row.iter_mut() {
                *value *= -grad;
            }
            row[target] += grad;
        }
    }
}

vectorized! {
    /// Multiplies by an inverted dropout mask; element `i` of `x` is element `offset + i` of the mask.
    fn dropout<'a>(x: &'a mut [f32], rate: f32, key: Key, offset: usize) {
        let threshold = (f64::from(rate) * 2f64.powi(32)) as u64;
        let keep = (1.0 - rate).recip();
        for (i, value) in x.iter_mut().enumerate() {
            let dropped = (key.at((offset + i) as u64).bits() >> 32) < threshold;
            *value *= if dropped { 0.0 } else { keep };
        }
    }
}
