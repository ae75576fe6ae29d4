//! The kernels one by one, forward, at the sizes of `recalign bench`: `cargo bench -p policy`. Whole workloads are what
//! counts; this tells where in them time goes.

use burn::prelude::*;
use burn::tensor::Distribution;
use divan::Bencher;
use policy::kernels::{
    self, Block, FeedForwardInput, Heads, Mask, Packing, SelfAttentionInput, Targets, Visible,
};
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
fn self_attention(bencher: Bencher) {
    let input = SelfAttentionInput {
        x: random([ROWS, WIDTH]),
        gain: random([WIDTH]),
        qkv: random([3 * WIDTH, WIDTH]),
        out: random([WIDTH, WIDTH]),
        bias: Some(random([HEADS, TOKENS, TOKENS])),
    };
    let heads = Heads { count: HEADS, scale: 1.0, visible: Visible::All };
    let (packing, block) = (Packing::uniform(BATCH, TOKENS), Block { heads, epsilon: 1e-6, mask: None });
    bencher.bench_local(|| kernels::self_attention(input.clone(), &packing, &block));
}

#[divan::bench]
fn feed_forward(bencher: Bencher) {
    let input = FeedForwardInput {
        x: random([ROWS, WIDTH]),
        gain: random([WIDTH]),
        inner: random([INNER, WIDTH]),
        outer: random([WIDTH, INNER]),
    };
    bencher.bench_local(|| kernels::feed_forward(input.clone(), 1e-6, None));
}

#[divan::bench]
fn target_log_prob(bencher: Bencher) {
    let (states, head) = (random([TARGETS, WIDTH]), random([VOCABULARY, WIDTH]));
    let targets = Targets::among(0..VOCABULARY, (0..TARGETS as u32).collect());
    bencher.bench_local(|| kernels::target_log_prob(states.clone(), head.clone(), targets.clone(), 1.0));
}

#[divan::bench]
fn log_sum_exp(bencher: Bencher) {
    let row: Vec<f32> = random([VOCABULARY]).into_data().iter::<f32>().collect();
    bencher.bench_local(|| kernels::log_sum_exp(&row));
}

#[divan::bench(args = [WIDTH, INNER])]
fn dropout(bencher: Bencher, width: usize) {
    let (x, mask) = (random([ROWS, width]), Mask::new(0.1, Key::new(1)));
    bencher.bench_local(|| kernels::dropout(x.clone(), Some(mask)));
}
