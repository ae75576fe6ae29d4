//! The distribution functions behind tests: normal and Student's t, from the incomplete beta and gamma functions.
//!
//! Accurate to about 1e-12, which the tests check against scipy.

/// Iterations after which a continued fraction or series is as good as it gets.
const MOST_TERMS: usize = 500;
/// Relative change below which it has converged.
const CONVERGED: f64 = 1e-16;
/// Stands in for a denominator of zero (modified Lentz).
const TINY: f64 = 1e-300;

/// Logarithm of the gamma function for positive `x`: Lanczos' approximation (g = 7, nine terms).
fn ln_gamma(x: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let shifted = x + 7.5;
    let sum = TERMS.iter().zip(1..).fold(FIRST, |sum, (term, index)| sum + term / (x + f64::from(index)));
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * shifted.ln() - shifted + sum.ln()
}

/// The regularised incomplete beta function `I_x(a, b)` by its continued fraction (DLMF 8.17.22).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return f64::from(u8::from(x >= 1.0));
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges fast on this side of the mean; the other side is its mirror.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..MOST_TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = value;
        for numerator in [even, odd] {
            d = 1.0 / away(1.0 + numerator * d);
            c = away(1.0 + numerator / c);
            value *= c * d;
        }
        if (value / before - 1.0).abs() < CONVERGED {
            break;
        }
    }
    value
}

/// Chance that Student's t with `df` degrees of freedom is further from zero than `t`.
pub(super) fn student_two_sided(t: f64, df: f64) -> f64 {
    incomplete_beta(df / (df + t * t), df / 2.0, 0.5)
}

/// Chance that Student's t is below `t`.
fn student_cdf(t: f64, df: f64) -> f64 {
    let tail = 0.5 * student_two_sided(t, df);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The value that Student's t stays below with chance `p` in `[1/2, 1)`.
pub(super) fn student_quantile(p: f64, df: f64) -> f64 {
    bisect(p, |t| student_cdf(t, df))
}

/// Chance that a standard normal is further from zero than `x`.
pub(super) fn normal_two_sided(x: f64) -> f64 {
    upper_gamma_half(0.5 * x * x)
}

/// Chance that a standard normal is below `x`.
fn normal_cdf(x: f64) -> f64 {
    let tail = 0.5 * normal_two_sided(x);
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The value that a standard normal stays below with chance `p` in `[1/2, 1)`.
pub(super) fn normal_quantile(p: f64) -> f64 {
    bisect(p, normal_cdf)
}

/// The regularised upper incomplete gamma function `Q(1/2, x)`: by its series below 1.5, by its continued fraction above.
fn upper_gamma_half(x: f64) -> f64 {
    const A: f64 = 0.5;
    if x <= 0.0 {
        return 1.0;
    }
    let front = (A * x.ln() - x - ln_gamma(A)).exp();
    if x < A + 1.0 {
        let mut term = 1.0 / A;
        let mut sum = term;
        for n in 1..MOST_TERMS {
            term *= x / (A + n as f64);
            sum += term;
            if term < CONVERGED * sum {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    let mut b = x + 1.0 - A;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut value = d;
    for n in 1..MOST_TERMS {
        let numerator = -(n as f64) * (n as f64 - A);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        value *= c * d;
        if (c * d - 1.0).abs() < CONVERGED {
            break;
        }
    }
    front * value
}

/// Inverts an increasing function with `f(0) = 1/2` at `p >= 1/2`.
fn bisect(p: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while f(high) < p && high < 1e12 {
        (low, high) = (high, 2.0 * high);
    }
    // Halving a double 100 times leaves nothing between the ends.
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if f(middle) < p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}
