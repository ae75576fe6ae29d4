//! Loops over `f32`, compiled for the machine's vector units at run time.
//!
//! Sums run in 16 fixed lanes, so a result depends neither on the instruction set nor on the thread count
//! beyond fused multiply-add rounding.
#![expect(
    clippy::inline_always,
    reason = "a body must be inlined into the function compiled for the vector unit"
)]
#![expect(clippy::needless_range_loop, reason = "see sum_of")]

use super::mask::Mask;
use pulp::{Arch, NullaryFnOnce};

/// A function whose body is compiled for every vector unit and chosen at run time. A plain closure would do, were it
/// certain to be inlined: where it is not, `mul_add` becomes a library call per element.
macro_rules! vectorized {
    ($(#[$doc:meta])* fn $name:ident<'a>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        pub(super) fn $name<'a>($($arg: $type),*) $(-> $out)? {
            struct Call<'a> {
                $($arg: $type,)*
            }
            impl<'a> NullaryFnOnce for Call<'a> {
                type Output = vectorized!(@out $($out)?);
                #[inline(always)]
                fn call(self) -> Self::Output {
                    let Self { $($arg,)* } = self;
                    $body
                }
            }
            Arch::new().dispatch(Call { $($arg,)* })
        }
    };
    (@out $out:ty) => { $out };
    (@out) => { () };
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

/// The sum of `f` over three rows of one length, in lanes that are added up in a fixed order.
///
/// Loops here run over indices: iterator adapters are functions of their own, which a function compiled for the vector
/// unit may call instead of inlining them.
#[inline(always)]
fn sum_of([x, y, z]: [&[f32]; 3], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let ((xs, x_rest), (ys, y_rest), (zs, z_rest)) =
        (x.as_chunks::<LANES>(), y.as_chunks::<LANES>(), z.as_chunks::<LANES>());
    let (ys, zs) = (&ys[..xs.len()], &zs[..xs.len()]);
    for i in 0..xs.len() {
        for lane in 0..LANES {
            lanes[lane] += f(xs[i][lane], ys[i][lane], zs[i][lane]);
        }
    }
    for i in 0..x_rest.len() {
        lanes[i] += f(x_rest[i], y_rest[i], z_rest[i]);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
fn dot_lanes(x: &[f32], y: &[f32]) -> f32 {
    sum_of([x, y, x], |x, y, _| x * y)
}

#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for i in 0..chunks.len() {
        for lane in 0..LANES {
            let value = chunks[i][lane];
            lanes[lane] = if lanes[lane] > value { lanes[lane] } else { value };
        }
    }
    for i in 0..rest.len() {
        lanes[i] = if lanes[i] > rest[i] { lanes[i] } else { rest[i] };
    }
    let mut most = f32::NEG_INFINITY;
    for lane in 0..LANES {
        most = if most > lanes[lane] { most } else { lanes[lane] };
    }
    most
}

/// Softmax in place; returns the log of the normaliser.
#[inline(always)]
fn softmax_row(row: &mut [f32]) -> f32 {
    let max = maximum(row);
    for i in 0..row.len() {
        row[i] = exp(row[i] - max);
    }
    let sum = sum_of([row, row, row], |x, _, _| x);
    let scale = sum.recip();
    for i in 0..row.len() {
        row[i] *= scale;
    }
    sum.ln() + max
}

/// A block of one head's scores, `[queries, keys]`.
#[derive(Clone, Copy)]
pub(super) struct Scores {
    pub(super) queries: usize,
    pub(super) keys: usize,
    /// Row `i` uses only columns `0..=first + i`, where given.
    pub(super) causal_from: Option<usize>,
}

impl Scores {
    #[inline(always)]
    fn visible(self, row: usize) -> usize {
        self.causal_from.map_or(self.keys, |first| (first + row + 1).min(self.keys))
    }
}

/// What is added to a block of scores: a table whose rows are `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct ScoreBias<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
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
    /// `out += x`.
    fn add<'a>(out: &'a mut [f32], x: &'a [f32]) {
        let x = &x[..out.len()];
        for i in 0..out.len() {
            out[i] += x[i];
        }
    }
}

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

vectorized! {
    /// The sum of squares of a stretch short enough for `f32`.
    fn sum_of_squares<'a>(x: &'a [f32]) -> f32 {
        dot_lanes(x, x)
    }
}

vectorized! {
    /// Normalises rows of `gain.len()`.
    fn rms_norm<'a>(x: &'a [f32], gain: &'a [f32], epsilon: f32, out: &'a mut [f32]) {
        let width = gain.len();
        for row in 0..x.len() / width {
            let x = &x[row * width..(row + 1) * width];
            let out = &mut out[row * width..(row + 1) * width];
            let scale = (dot_lanes(x, x) / width as f32 + epsilon).sqrt().recip();
            for i in 0..width {
                out[i] = x[i] * scale * gain[i];
            }
        }
    }
}

/// What the backward pass of [`rms_norm`] reads.
#[derive(Clone, Copy)]
pub(super) struct Normalized<'a> {
    pub(super) x: &'a [f32],
    pub(super) gain: &'a [f32],
    pub(super) epsilon: f32,
}

vectorized! {
    /// Gradient of [`rms_norm`], added to `dx` and `dgain`.
    fn rms_norm_backward<'a>(saved: Normalized<'a>, dy: &'a [f32], dx: &'a mut [f32], dgain: &'a mut [f32]) {
        let Normalized { x, gain, epsilon } = saved;
        let width = gain.len();
        let dgain = &mut dgain[..width];
        for row in 0..x.len() / width {
            let x = &x[row * width..(row + 1) * width];
            let dy = &dy[row * width..(row + 1) * width];
            let dx = &mut dx[row * width..(row + 1) * width];
            let scale = (dot_lanes(x, x) / width as f32 + epsilon).sqrt().recip();
            let along = sum_of([dy, gain, x], |dy, gain, x| dy * gain * x) * scale * scale / width as f32;
            for i in 0..width {
                dx[i] += scale * (dy[i] * gain[i] - x[i] * along);
            }
            for i in 0..width {
                dgain[i] += dy[i] * x[i] * scale;
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

vectorized! {
    /// Rows of logits become probabilities; `out` receives the log-probability of each row's target.
    fn target_log_prob<'a>(logits: &'a mut [f32], targets: &'a [u32], out: &'a mut [f32]) {
        let width = logits.len() / targets.len();
        for i in 0..targets.len() {
            let row = &mut logits[i * width..(i + 1) * width];
            let logit = row[targets[i] as usize];
            out[i] = logit - softmax_row(row);
        }
    }
}

vectorized! {
    /// Gradient of [`target_log_prob`]: `dlogits = g * (onehot - p)`.
    fn target_log_prob_backward<'a>(probs: &'a [f32], targets: &'a [u32], grads: &'a [f32], out: &'a mut [f32]) {
        let width = probs.len() / targets.len();
        for i in 0..targets.len() {
            let (probs, grad) = (&probs[i * width..(i + 1) * width], grads[i]);
            let out = &mut out[i * width..(i + 1) * width];
            for j in 0..width {
                out[j] = -grad * probs[j];
            }
            out[targets[i] as usize] += grad;
        }
    }
}

vectorized! {
    /// `x * mask`; element `i` of `x` is element `offset + i` of the mask.
    fn dropped<'a>(x: &'a [f32], mask: Mask, offset: usize, out: &'a mut [f32]) {
        let x = &x[..out.len()];
        for i in 0..out.len() {
            out[i] = x[i] * mask.factor((offset + i) as u32);
        }
    }
}

vectorized! {
    /// `out += update * mask`, indexed as in [`dropped`].
    fn add_update<'a>(out: &'a mut [f32], update: &'a [f32], masked: Option<(Mask, usize)>) {
        let update = &update[..out.len()];
        match masked {
            Some((mask, offset)) => {
                for i in 0..out.len() {
                    out[i] += update[i] * mask.factor((offset + i) as u32);
                }
            }
            None => {
                for i in 0..out.len() {
                    out[i] += update[i];
                }
            }
        }
    }
}

vectorized! {
    /// `max(x, 0) * mask` in place, indexed as in [`dropped`].
    fn relu<'a>(x: &'a mut [f32], masked: Option<(Mask, usize)>) {
        match masked {
            Some((mask, offset)) => {
                for i in 0..x.len() {
                    x[i] = x[i].max(0.0) * mask.factor((offset + i) as u32);
                }
            }
            None => {
                for i in 0..x.len() {
                    x[i] = x[i].max(0.0);
                }
            }
        }
    }
}

vectorized! {
    /// Gradient of [`relu`] in place: a value that is zero was negative or dropped, any other was scaled by `scale`.
    fn relu_backward<'a>(grad: &'a mut [f32], hidden: &'a [f32], scale: f32) {
        let hidden = &hidden[..grad.len()];
        for i in 0..grad.len() {
            grad[i] = if hidden[i] > 0.0 { grad[i] * scale } else { 0.0 };
        }
    }
}

/// One update's constants; see [`super::AdamW`].
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamWStep {
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    pub(super) epsilon: f32,
    /// Factor of the gradient (clipping).
    pub(super) grad_scale: f32,
    /// Factor of the parameter (decoupled weight decay).
    pub(super) keep: f32,
    /// Learning rate over the first moment's bias correction.
    pub(super) rate: f32,
    /// One over the square root of the second moment's bias correction.
    pub(super) root_scale: f32,
}

/// A parameter with its moments.
pub(super) struct AdamWState<'a> {
    pub(super) param: &'a mut [f32],
    pub(super) first: &'a mut [f32],
    pub(super) second: &'a mut [f32],
}

vectorized! {
    /// One AdamW update in place.
    fn adamw<'a>(state: AdamWState<'a>, grad: &'a [f32], step: AdamWStep) {
        let n = grad.len();
        let (param, first, second) = (&mut state.param[..n], &mut state.first[..n], &mut state.second[..n]);
        for i in 0..n {
            let grad = grad[i] * step.grad_scale;
            first[i] = step.beta1 * first[i] + (1.0 - step.beta1) * grad;
            second[i] = step.beta2 * second[i] + (1.0 - step.beta2) * grad * grad;
            let update = first[i] / (second[i].sqrt() * step.root_scale + step.epsilon);
            param[i] = step.keep * param[i] - step.rate * update;
        }
    }
}

/// A query with the keys and values of its own past, latest last.
pub(super) struct CachedRow<'a> {
    /// `[h * dk]`.
    pub(super) query: &'a [f32],
    /// `[2 * h * dk]` per position, keys left of values.
    pub(super) past: &'a [&'a [f32]],
    /// `[h, positions]`.
    pub(super) bias: &'a [f32],
    /// Factor of the scores.
    pub(super) scale: f32,
    /// `[h, positions]`, overwritten.
    pub(super) scores: &'a mut [f32],
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
