//! The kernels one by one, forward, at the sizes of `recalign bench`: `cargo bench -p policy`. Whole workloads are what
//! counts; this tells where in them time goes.

use burn::prelude::*;
use burn::tensor::{Distribution, TensorData};
use divan::Bencher;
use policy::kernels::{self, Attend, AttentionInput};
use policy::random::Key;

/// 64 histories of 80 tokens.
const BATCH: usize = 64;
const TOKENS: usize = 80;
const ROWS: usize = BATCH * TOKENS;
const WIDTH: usize = 128;
const INNER: usize = 512;
const HEADS: usize = 4;
/// 64 targets of 5 tokens, over 1040 tokens.
const TARGETS: usize = 320;
const VOCABULARY: usize = 1040;

fn main() {
    divan::main();
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

#[divan::bench(args = [(WIDTH, INNER), (INNER, WIDTH), (WIDTH, WIDTH)])]
fn linear(bencher: Bencher, (inputs, outputs): (usize, usize)) {
    let (x, weight) = (random([ROWS, inputs]), random([outputs, inputs]));
    bencher.bench_local(|| kernels::linear(x.clone(), weight.clone()));
}

#[divan::bench]
fn rms_norm(bencher: Bencher) {
    let (x, gain) = (random([ROWS, WIDTH]), random([WIDTH]));
    bencher.bench_local(|| kernels::rms_norm(x.clone(), gain.clone(), 1e-6));
}

#[divan::bench]
fn attention(bencher: Bencher) {
    let [query, key, value] = [(); 3].map(|()| random([BATCH, TOKENS, WIDTH]));
    let input = AttentionInput { query, key, value, bias: Some(random([HEADS, TOKENS, TOKENS])) };
    let attend = Attend::Within(vec![TOKENS; BATCH].into());
    bencher.bench_local(|| kernels::attention(input.clone(), HEADS, &attend));
}

#[divan::bench]
fn target_log_prob(bencher: Bencher) {
    let targets: Vec<i64> = (0..TARGETS as i64).collect();
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [TARGETS]), &Device::flex());
    let logits = random([TARGETS, VOCABULARY]);
    bencher.bench_local(|| kernels::target_log_prob(logits.clone(), targets.clone()));
}

#[divan::bench]
fn log_sum_exp(bencher: Bencher) {
    let row: Vec<f32> = random([VOCABULARY]).into_data().iter::<f32>().collect();
    bencher.bench_local(|| kernels::log_sum_exp(row.iter().copied()));
}

#[divan::bench(args = [WIDTH, INNER])]
fn dropout(bencher: Bencher, width: usize) {
    let x = random([ROWS, width]);
    bencher.bench_local(|| kernels::dropout(x.clone(), 0.1, Key::new(1)));
}
