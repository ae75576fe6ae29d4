//! Fused operators against their composed definitions, forward and backward, and against finite differences.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::random::Key;
use burn::tensor::{TensorData, Tolerance};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Flattened random values.
fn random(len: usize, seed: u64) -> Tensor<1> {
    let key = Key::new(seed);
    let values: Vec<f32> = (0..len as u64).map(|i| (key.at(i).unit() * 2.0 - 1.0) as f32).collect();
    Tensor::from_data(TensorData::new(values, [len]), &device())
}

/// Value and gradients of random inputs of these lengths, under a fixed random weighting of the output.
fn value_and_grads<const O: usize>(
    lengths: &[usize],
    f: impl Fn(&[Tensor<1>]) -> Tensor<O>,
) -> Vec<TensorData> {
    let inputs: Vec<_> =
        lengths.iter().zip(1..).map(|(&len, seed)| random(len, seed).require_grad()).collect();
    let out = f(&inputs);
    let weights = random(out.shape().num_elements(), 99).reshape(out.dims());
    let grads = (out.clone() * weights).sum().backward();
    let mut all = vec![out.into_data()];
    all.extend(inputs.iter().map(|x| x.grad(&grads).unwrap().into_data()));
    all
}

/// Asserts that fused and composed agree in value and in every gradient.
fn assert_equal<const O: usize>(
    lengths: &[usize],
    fused: impl Fn(&[Tensor<1>]) -> Tensor<O>,
    composed: impl Fn(&[Tensor<1>]) -> Tensor<O>,
) {
    let (fused, composed) = (value_and_grads(lengths, fused), value_and_grads(lengths, composed));
    for (fused, composed) in fused.iter().zip(&composed) {
        fused.assert_approx_eq::<f32>(composed, Tolerance::absolute(5e-5));
    }
}

fn mask(seed: u64) -> Mask {
    Mask::new(0.3, Key::new(seed).named("test"))
}

/// Rows of one token, rows longer than a block of queries, more tokens than a chunk, more than one lane.
fn packings() -> Vec<Packing> {
    vec![
        Packing::of([1]),
        Packing::of([5, 1, 7]),
        Packing::of([90, 3, 70, 140, 1, 64, 65]),
        Packing::uniform(60, 4),
    ]
}

fn block(visible: Visible, scale: f32, mask: Option<Mask>) -> Block {
    Block { heads: Heads { count: 2, scale, visible }, epsilon: 1e-6, mask }
}

const D: usize = 6;
const INNER: usize = 8;

fn self_input(x: &[Tensor<1>], tokens: usize, longest: usize) -> SelfAttentionInput {
    SelfAttentionInput {
        x: x[0].clone().reshape([tokens, D]),
        gain: x[1].clone(),
        qkv: x[2].clone().reshape([3 * INNER, D]),
        out: x[3].clone().reshape([D, INNER]),
        bias: x.get(4).map(|bias| bias.clone().reshape([2, longest, longest])),
    }
}

#[test]
fn self_attention_equals_its_composition() {
    for packing in packings() {
        let (tokens, longest) = (packing.tokens(), packing.longest());
        for (visible, scale, mask) in [(Visible::All, 1.0, None), (Visible::Past, 0.5, Some(mask(1)))] {
            let block = block(visible, scale, mask);
            let lengths = [tokens * D, D, 3 * INNER * D, D * INNER, 2 * longest * longest];
            for lengths in [&lengths[..4], &lengths] {
                assert_equal(
                    lengths,
                    |x| self_attention(self_input(x, tokens, longest), &packing, &block),
                    |x| composed::self_attention(self_input(x, tokens, longest), &packing, &block),
                );
            }
        }
    }
}

/// Everybody reads everything; and readers of prefixes, as many as a row is long, one of them or none.
fn readers(memory: &Packing) -> [Readers; 2] {
    let prefixes: Vec<Vec<usize>> = memory
        .lengths()
        .enumerate()
        .map(|(row, length)| match row % 3 {
            0 => (1..=length).step_by(3).collect(),
            1 => vec![length],
            _ => Vec::new(),
        })
        .collect();
    [Readers::whole(memory.clone()), Readers::of_prefixes(memory.clone(), &prefixes)]
}

#[test]
fn cross_attention_equals_its_composition() {
    for (memory, (queries, mask)) in
        packings().into_iter().flat_map(|memory| [(memory.clone(), (1, None)), (memory, (5, Some(mask(2))))])
    {
        for readers in readers(&memory) {
            let (tokens, block) = (readers.count() * queries, block(Visible::All, 1.0, mask));
            let input = |x: &[Tensor<1>]| CrossAttentionInput {
                x: x[0].clone().reshape([tokens, D]),
                gain: x[1].clone(),
                query: x[2].clone().reshape([INNER, D]),
                out: x[3].clone().reshape([D, INNER]),
                keys_values: x[4].clone().reshape([memory.tokens(), 2 * INNER]),
            };
            assert_equal(
                &[tokens * D, D, INNER * D, D * INNER, memory.tokens() * 2 * INNER],
                |x| cross_attention(input(x), &readers, &block),
                |x| composed::cross_attention(input(x), &readers, &block),
            );
        }
    }
}

#[test]
fn feed_forward_equals_its_composition() {
    for (tokens, masks) in [(1, None), (700, None), (333, Some([mask(3), mask(4)]))] {
        let input = |x: &[Tensor<1>]| FeedForwardInput {
            x: x[0].clone().reshape([tokens, D]),
            gain: x[1].clone(),
            inner: x[2].clone().reshape([20, D]),
            outer: x[3].clone().reshape([D, 20]),
        };
        assert_equal(
            &[tokens * D, D, 20 * D, D * 20],
            |x| feed_forward(input(x), 1e-6, masks),
            |x| composed::feed_forward(input(x), 1e-6, masks),
        );
    }
}

#[test]
fn linear_rms_norm_gather_and_dropout_equal_their_compositions() {
    let two = |x: &[Tensor<1>]| (x[0].clone().reshape([700, 12]), x[1].clone().reshape([20, 12]));
    assert_equal(
        &[700 * 12, 20 * 12],
        |x| linear(two(x).0, two(x).1),
        |x| composed::linear(two(x).0, two(x).1),
    );
    let x = |x: &[Tensor<1>]| x[0].clone().reshape([350, 24]);
    assert_equal(
        &[350 * 24, 24],
        |t| rms_norm(x(t), t[1].clone(), 1e-6),
        |t| composed::rms_norm(x(t), t[1].clone(), 1e-6),
    );
    let rows: Vec<u32> = (0..500).map(|i| i * i % 37).collect();
    let table = |x: &[Tensor<1>]| x[0].clone().reshape([40, 5]);
    assert_equal(&[200], |x| gather(table(x), &rows), |x| composed::gather(table(x), &rows));
    assert_equal(&[200], |x| silu(table(x) * 9.0), |x| burn::tensor::activation::silu(table(x) * 9.0));
    let wide = |x: &[Tensor<1>]| x[0].clone().reshape([5000, 8]);
    assert_equal(
        &[40_000],
        |x| dropout(wide(x), Some(mask(5))),
        |x| composed::dropout(wide(x), Some(mask(5))),
    );
}

fn targets(rows: usize, columns: std::ops::Range<usize>, legal: Option<Choices>) -> Targets {
    let targets = (0..rows).map(|row| match &legal {
        Some(legal) => legal.row(row)[row % legal.row(row).len()],
        None => (row * 7 % columns.len()) as u32,
    });
    let targets = targets.collect();
    Targets { legal, ..Targets::among(columns, targets) }
}

#[test]
fn target_log_prob_equals_its_composition() {
    let rows = 400;
    let mut some = Choices { starts: vec![0], columns: Vec::new() };
    for row in 0..rows as u32 {
        some.columns.extend((0..9).filter(|column| (row + column) % (1 + row % 5) == 0));
        some.starts.push(some.columns.len() as u32);
    }
    let smoothed = Targets { smoothing: 0.1, ..targets(rows, 1..12, None) };
    let hard = [targets(rows, 0..13, None), targets(rows, 2..11, None), targets(rows, 2..11, Some(some))];
    for targets in hard.into_iter().chain([smoothed]) {
        let input = |x: &[Tensor<1>]| (x[0].clone().reshape([rows, 6]), x[1].clone().reshape([13, 6]));
        let operator = target_log_prob::TargetLogProb {
            columns: targets.columns.clone(),
            targets: targets.targets.clone().into(),
            scale: 0.7,
            smoothing: targets.smoothing as f32,
            legal: targets.legal.clone().map(Arc::new),
        };
        assert_equal(
            &[rows * 6, 13 * 6],
            |x| target_log_prob(input(x).0, input(x).1, targets.clone(), 0.7),
            |x| composed::target_log_prob(input(x).0, input(x).1, &operator),
        );
    }
}

#[test]
fn choices_have_the_log_probs_of_targets() {
    let (states, head) =
        (random(300 * 6, 1).inner().reshape([300, 6]), random(60 * 6, 2).inner().reshape([60, 6]));
    // Rows with many choices, where the whole head is multiplied, and rows with one or two.
    for most in [40, 2] {
        let mut choices = Choices { starts: vec![0], columns: Vec::new() };
        for row in 0..300 {
            choices.columns.extend((0..=row % most).map(|choice| 10 + (choice * 7 + row) % 41));
            let start = choices.starts[row as usize] as usize;
            choices.columns[start..].sort_unstable();
            choices.starts.push(choices.columns.len() as u32);
        }
        let relative: Vec<u32> = choices.columns.iter().map(|column| column - 10).collect();
        let legal = Choices { columns: relative, ..choices.clone() };
        for (over, columns, legal) in [
            (Normalization::Choices(10..51), 10..51, Some(legal)),
            (Normalization::Columns(0..60), 0..60, None),
        ] {
            let found = choice_log_probs([states.clone(), head.clone()], &choices, &over, 0.7);
            for row in [0, 1, 3, 38, 77, 299] {
                let range = choices.range(&(row..row + 1));
                for (column, found) in choices.columns[range.clone()].iter().zip(&found[range]) {
                    let mut targets = vec![0; 300];
                    targets[row] = column - columns.start as u32;
                    if let Some(legal) = &legal {
                        (0..300)
                            .filter(|other| *other != row)
                            .for_each(|other| targets[other] = legal.row(other)[0]);
                    }
                    let targets =
                        Targets { legal: legal.clone(), ..Targets::among(columns.clone(), targets) };
                    let expected = target_log_prob(states.clone(), head.clone(), targets, 0.7).into_data();
                    let expected = expected.as_slice::<f32>().unwrap()[row];
                    assert!((found - expected).abs() < 1e-5, "{over:?} row {row}: {found} is not {expected}");
                }
            }
        }
    }
}

#[test]
fn log_probs_survive_extreme_logits() {
    let states = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &device());
    let head = Tensor::<2>::from_floats([[1e4, -1e9], [-1e4, 2.0], [0.0, -1e9]], &device());
    let targets = Targets::among(0..3, vec![1, 1]);
    let out = target_log_prob(states, head, targets, 1.0).into_data().try_to_vec::<f32>().unwrap();
    assert!((out[0] + 2e4).abs() < 1.0 && out[1].abs() < 1e-6, "{out:?}");
    assert!(log_sum_exp(&[]).is_infinite());
    let row: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin() * 5.0).collect();
    let exact = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
    assert!((f64::from(log_sum_exp(&row)) - exact).abs() < 1e-5);
    assert!((log_sum_exp(&[1e4, 1e4]) - (1e4 + 2f32.ln())).abs() < 1e-2);
}

#[test]
fn cached_attention_equals_self_attention_of_whole_rows() {
    // Three positions: two rows, of which 150 continue, in another order each time.
    let block = block(Visible::Past, 0.5, None);
    let weights: Vec<Tensor<1>> = [D, 3 * INNER * D, D * INNER, 18]
        .iter()
        .zip(40..)
        .map(|(&len, seed)| random(len, seed).inner())
        .collect();
    let input = |x: Tensor<2>, bias: Tensor<3>| SelfAttentionInput {
        x,
        gain: weights[0].clone(),
        qkv: weights[1].clone().reshape([3 * INNER, D]),
        out: weights[2].clone().reshape([D, INNER]),
        bias: Some(bias),
    };
    let bias = weights[3].clone().reshape([2, 3, 3]);
    let (mut past, mut ancestry) = (PastKeysValues::default(), Ancestry::default());
    let (mut histories, mut newest): (Vec<Tensor<2>>, Vec<Tensor<2>>) = (Vec::new(), Vec::new());
    for (position, rows) in [(0, 2), (1, 150), (2, 150)] {
        let x = random(rows * D, 60 + position as u64).inner().reshape([rows, D]);
        let continued: Vec<u32> = (0..rows as u32)
            .map(|row| row * 3 % histories.last().map_or(1, |x| x.dims()[0]) as u32)
            .collect();
        ancestry.reorder(&continued);
        ancestry.advance(rows);
        histories = histories.iter().map(|x| gather(x.clone(), &continued)).collect();
        histories.push(x.clone());
        let own = bias.clone().slice([0..2, position..position + 1, 0..position + 1]);
        newest.push(past.attend(input(x, own), &block, &ancestry));
    }
    let whole = Tensor::stack::<3>(histories, 1).reshape([450, D]);
    let whole = composed::self_attention(input(whole, bias), &Packing::uniform(150, 3), &block);
    let last = whole.reshape([150, 3, D]).slice([0..150, 2..3, 0..D]).reshape([150, D]);
    newest[2].to_data().assert_approx_eq::<f32>(&last.into_data(), Tolerance::absolute(1e-5));
}

/// The derivation is checked once without autodiff's help: the gradient of a chain of all operators.
#[test]
fn gradients_equal_finite_differences() {
    let packing = Packing::of([3, 4]);
    let readers = Readers::of_prefixes(Packing::of([2, 5]), &[vec![2], vec![1, 5]]);
    let block = block(Visible::Past, 1.0, None);
    let rest: Vec<Tensor<1>> =
        [D, 3 * INNER * D, D * INNER, 32, D, INNER * D, D * INNER, 14 * INNER, D, 60, 60, 30]
            .iter()
            .zip(20..)
            .map(|(&len, seed)| random(len, seed))
            .collect();
    let loss = |x: Tensor<1>| {
        let input = self_input(&[&[x], &rest[..4]].concat(), 7, 4);
        let x = self_attention(input, &packing, &block).slice([0..6, 0..D]);
        let cross = CrossAttentionInput {
            x,
            gain: rest[4].clone(),
            query: rest[5].clone().reshape([INNER, D]),
            out: rest[6].clone().reshape([D, INNER]),
            keys_values: rest[7].clone().reshape([7, 2 * INNER]),
        };
        let forward = FeedForwardInput {
            x: cross_attention(cross, &readers, &self::block(Visible::All, 1.0, None)),
            gain: rest[8].clone(),
            inner: rest[9].clone().reshape([10, D]),
            outer: rest[10].clone().reshape([D, 10]),
        };
        let states = feed_forward(forward, 1e-6, None);
        let targets = Targets::among(0..5, vec![0, 4, 2, 3, 1, 4]);
        target_log_prob(states, rest[11].clone().reshape([5, D]), targets, 1.0).sum()
    };
    let x = random(7 * D, 11).require_grad();
    let analytic = x.grad(&loss(x.clone()).backward()).unwrap().into_data().try_to_vec::<f32>().unwrap();
    let base = x.into_data().try_to_vec::<f32>().unwrap();
    for i in 0..base.len() {
        let at = |delta: f32| {
            let mut moved = base.clone();
            moved[i] += delta;
            let moved = Tensor::<1>::from_data(TensorData::new(moved, [base.len()]), &device());
            f64::from(loss(moved).into_scalar::<f32>())
        };
        let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
        assert!((numeric - f64::from(analytic[i])).abs() < 1e-2, "value {i}: {numeric} vs {}", analytic[i]);
    }
}

#[test]
fn adamw_equals_pytorch() {
    // torch 2: AdamW(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05), gradients [0.5, -1, 0] then [0.25, 2, 0],
    // worked by hand: after one update p = 0.995 p - 0.1 sign(g).
    let device = Device::flex();
    let mut param = Tensor::<1>::from_floats([1.0, 2.0, 3.0], &device);
    let zeros = || Flat::new(vec![0.0; 3], &device);
    let mut moments = Moments { first: zeros(), second: zeros() };
    let update = |step| AdamW {
        learning_rate: 0.1,
        weight_decay: 0.05,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        grad_scale: 1.0,
        step,
    };
    param = update(1).apply(param, Flat::new(vec![0.5, -1.0, 0.0], &device), &mut moments);
    let first: Vec<f32> = Flat::of(param.clone()).values();
    assert!(
        first.iter().zip([0.895, 2.09, 2.985]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
        "{first:?}"
    );
    param = update(2).apply(param, Flat::new(vec![0.25, 2.0, 0.0], &device), &mut moments);
    let expected =
        [1.0, 2.0, 3.0].iter().zip([[0.5, 0.25], [-1.0, 2.0], [0.0, 0.0]]).map(|(p, g): (&f64, [f64; 2])| {
            let p = 0.995 * p - 0.1 * f64::from(g[0] != 0.0) * g[0].signum();
            let m = (0.09 * g[0] + 0.1 * g[1]) / (1.0 - 0.81);
            let v = (0.999e-3 * g[0] * g[0] + 1e-3 * g[1] * g[1]) / (1.0 - 0.998_001);
            0.995 * p - 0.1 * m / (v.sqrt() + 1e-8)
        });
    for (value, expected) in Flat::of(param).values().iter().zip(expected) {
        assert!((f64::from(*value) - expected).abs() < 5e-6, "{value} against {expected}");
    }
}
