//! The few special functions the closed forms need.

/// The logistic function.
#[inline]
pub(super) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The standard normal distribution function, relative error below 1.2e-7 everywhere: the Chebyshev fit of the
/// complementary error function in Press et al., Numerical Recipes (section 6.2, `erfcc`).
pub(super) fn normal_cdf(x: f64) -> f64 {
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let z = x.abs() * std::f64::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let fit = C.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let tail = 0.5 * t * (fit - z * z).exp();
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// `E[min(exp(N(mu, sigma)), cap)]`.
pub(super) fn capped_log_normal_mean(mu: f64, sigma: f64, cap: f64) -> f64 {
    let distance = (cap.ln() - mu) / sigma;
    (mu + sigma * sigma / 2.0).exp() * normal_cdf(distance - sigma) + cap * (1.0 - normal_cdf(distance))
}

/// The inner product of two vectors of one width, summed from the first element to the last.
#[inline]
pub(super) fn dot<const N: usize>(a: &[f32; N], b: &[f32; N]) -> f32 {
    let mut sum = 0.0;
    for i in 0..N {
        sum += a[i] * b[i];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_function_equals_tabulated_values() {
        // Abramowitz and Stegun, table 26.1.
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_746), (-1.0, 0.158_655_254), (2.5, 0.993_790_335)] {
            assert!((normal_cdf(x) - p).abs() < 2e-7, "{x}: {}", normal_cdf(x));
        }
        assert!((normal_cdf(-6.0) / 9.865_876e-10 - 1.0).abs() < 1e-5);
    }

    #[test]
    fn the_capped_mean_has_its_limits() {
        // No cap: the log-normal mean. A cap far below the mass: the cap.
        assert!((capped_log_normal_mean(0.3, 0.5, 1e9) - (0.3_f64 + 0.125).exp()).abs() < 1e-6);
        assert!((capped_log_normal_mean(20.0, 0.5, 2.0) - 2.0).abs() < 1e-6);
    }
}
