//! Loops over `f32`, compiled for the machine's vector units at run time.
//!
//! Sums run in 16 fixed lanes, so a result depends neither on the instruction set nor on the thread count
//! beyond fused multiply-add rounding.
#![expect(
    clippy::inline_always,
    reason = "a body must be inlined into the function compiled for the vector unit"
)]
#![expect(clippy::needless_range_loop, reason = "see sum_of")]

/// A function whose body is compiled for every vector unit and chosen at run time. A plain closure would do, were it
/// certain to be inlined: where it is not, `mul_add` becomes a library call per element.
macro_rules! vectorized {
    ($(#[$doc:meta])* fn $name:ident<'a>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        pub(in crate::kernels) fn $name<'a>($($arg: $type),*) $(-> $out)? {
            struct Call<'a> {
                $($arg: $type,)*
            }
            impl<'a> pulp::NullaryFnOnce for Call<'a> {
                type Output = vectorized!(@out $($out)?);
                #[inline(always)]
                fn call(self) -> Self::Output {
                    let Self { $($arg,)* } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Call { $($arg,)* })
        }
    };
    (@out $out:ty) => { $out };
    (@out) => { () };
}

mod adamw;
mod decoding;
mod elementwise;
mod norm;
mod softmax;

pub(super) use adamw::{AdamWState, AdamWStep, adamw};
pub(super) use decoding::{CachedRow, attend_cached, dots};
pub(super) use elementwise::{add, add_update, dropped, relu, relu_backward, silu, silu_backward};
pub(super) use norm::{Normalized, rms_norm, rms_norm_backward, sum_of_squares};
pub(super) use softmax::{
    ScoreBias, Scores, Smoothed, log_sum_exp, softmax, softmax_backward, target_log_prob,
    target_log_prob_backward,
};

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
