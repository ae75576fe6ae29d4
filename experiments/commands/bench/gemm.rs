//! Matrix products alone, by the library that the kernels use: what the other workloads can reach at best.

use super::canonical;
use super::harness::{Case, Outcome, Timing};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use std::hint::black_box;

/// Rows, inner size and columns: a large cube, then the shapes of training and of decoding.
const SHAPES: [[usize; 3]; 5] =
    [[1024, 1024, 1024], [5120, 128, 512], [5120, 512, 128], [5120, 128, 128], [320, 128, 512]];
/// GFLOP per step: long enough for the clock.
const STEP: f64 = 20.0;
/// The same for [`peak`], which only looks for the fastest step: short ones, of which some are not disturbed.
const PEAK_STEP: f64 = 1.0;
const PEAK_TIMING: Timing = Timing { warmup: 1, runs: 20 };

/// Every shape.
pub(super) fn run(timing: Timing) -> anyhow::Result<Vec<Outcome>> {
    SHAPES.iter().map(|&shape| time(shape, STEP, timing)).collect()
}

/// GFLOP/s of the fastest step of any shape, in this process and with these threads.
pub(super) fn peak() -> anyhow::Result<f64> {
    let mut peak = 0.0;
    for shape in SHAPES {
        let outcome = time(shape, PEAK_STEP, PEAK_TIMING)?;
        peak = outcome.seconds.wall.iter().map(|seconds| outcome.case.units / seconds).fold(peak, f64::max);
    }
    Ok(peak)
}

fn time([m, k, n]: [usize; 3], gflop: f64, timing: Timing) -> anyhow::Result<Outcome> {
    let per_product = 2.0 * (m * k * n) as f64 / 1e9;
    let products = (gflop / per_product).ceil();
    let (left, right) = (random(m, k, "left"), random(k, n, "right"));
    let (seconds, _) = timing.steps(Mat::zeros(m, n), |mut out| {
        for _ in 0..products as usize {
            let (left, right) = (black_box(&left), black_box(&right));
            matmul(out.as_mut(), Accum::Replace, left, right, 1.0, Par::rayon(0));
        }
        Ok(out)
    })?;
    let case = Case {
        workload: "W-gemm",
        variant: format!("faer_{m}x{k}x{n}"),
        unit: "GFLOP",
        units: per_product * products,
        gflop_per_unit: Some(1.0),
    };
    Ok(Outcome::new(case, seconds, []))
}

fn random(rows: usize, columns: usize, name: &str) -> Mat<f32> {
    let key = canonical::key().named(name);
    let value = |row, column| key.at((row * columns + column) as u64).unit() as f32 - 0.5;
    Mat::from_fn(rows, columns, value)
}
