//! What holds for every policy: padding, grouping, caching, causality; and that each computes what it says.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::batch::EncoderBatch;
use crate::catalog::Catalog;
use crate::history::Context;
use crate::ids::{ItemId, SemanticId, UserId};
use crate::kernels::Targets;
use crate::random::Key;
use crate::testing;
use burn::prelude::*;
use burn::tensor::Tolerance;

fn batch(histories: &[&[usize]]) -> EncoderBatch {
    let items: Vec<Vec<ItemId>> =
        histories.iter().map(|items| items.iter().copied().map(ItemId::new).collect()).collect();
    batch_at(&items, |position| 1000 * (position * position) as i64)
}

/// With the time of every position.
fn batch_at(histories: &[Vec<ItemId>], time: impl Fn(usize) -> i64) -> EncoderBatch {
    let longest = histories.iter().map(Vec::len).max().unwrap_or_default();
    let times: Vec<i64> = (0..longest).map(time).collect();
    let contexts: Vec<Context<'_>> =
        histories.iter().map(|items| Context { user: None, items, times: &times[..items.len()] }).collect();
    EncoderBatch::new(&contexts, 8, &testing::catalog())
}

fn assert_close(a: Tensor<2>, b: Tensor<2>, most: f32) {
    a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(most));
}

/// Rows `rows` of each of `groups` groups of `per` rows.
fn rows_of(states: Tensor<2>, per: usize, rows: std::ops::Range<usize>) -> Tensor<2> {
    let [n, d] = states.dims();
    let count = rows.len();
    states.reshape([n / per, per, d]).slice([0..n / per, rows, 0..d]).reshape([n / per * count, d])
}

#[test]
fn neighbours_in_a_batch_change_nothing() {
    for model in testing::policies(&Device::flex()) {
        let decoded = |histories: &[&[usize]]| {
            let encoded = model.encode(&batch(histories), Dropout::Off);
            let inputs = [0, 4, 9].repeat(histories.len());
            model.decode(&encoded, &inputs, histories.len(), Dropout::Off).slice([0..3, 0..16])
        };
        assert_close(decoded(&[&[3, 1]]), decoded(&[&[3, 1], &[], &[0, 2, 4, 4, 1]]), 1e-6);
    }
}

#[test]
fn grouped_rows_decode_as_if_each_had_its_own_encoding() {
    let inputs = [0, 4, 9, 0, 5, 11, 0, 2, 8, 0, 3, 10];
    for model in testing::policies(&Device::flex()) {
        let shared = model.encode(&batch(&[&[3, 1], &[2]]), Dropout::Off);
        let repeated = model.encode(&batch(&[&[3, 1], &[3, 1], &[2], &[2]]), Dropout::Off);
        let decode = |encoded| model.decode(encoded, &inputs, 4, Dropout::Off);
        assert_close(decode(&shared), decode(&repeated), 1e-5);
    }
}

#[test]
fn cached_decoding_equals_teacher_forcing() {
    for model in testing::policies(&Device::flex()) {
        cached_equals_forced(&model, [[0, 4, 9], [0, 5, 11], [0, 2, 8], [0, 3, 10]]);
    }
}

/// Two items, each behind a start token, and the first code of a third.
#[test]
fn cached_decoding_equals_teacher_forcing_over_several_items() {
    let rows = [[0, 4, 9, 13, 0, 2], [0, 5, 11, 9, 0, 4], [0, 2, 8, 12, 0, 5], [0, 3, 10, 9, 0, 2]];
    for model in testing::policies(&Device::flex()) {
        if !model.writes_all_codes_at_once() {
            cached_equals_forced(&model, rows);
        }
    }
}

/// Rows of two users, two of each.
fn cached_equals_forced<const T: usize>(model: &Policy, rows: [[u32; T]; 4]) {
    let encoded = model.encode(&batch(&[&[3, 1, 2], &[4]]), Dropout::Off);
    let full = model.decode(&encoded, &rows.concat(), 4, Dropout::Off);
    let mut cache = model.start(&encoded);
    // Start from one row per user, fan out to two: the cache follows.
    let first = model.step(&[0, 0], &mut cache);
    cache.reorder(&[0, 0, 1, 1]);
    let first = first.select(0, Tensor::from_ints([0, 0, 1, 1], &Device::flex()));
    assert_close(first, rows_of(full.clone(), T, 0..1), 1e-5);
    for position in 1..T {
        let tokens: Vec<u32> = rows.iter().map(|row| row[position]).collect();
        let state = model.step(&tokens, &mut cache);
        assert_close(state, rows_of(full.clone(), T, position..position + 1), 1e-5);
    }
}

#[test]
fn later_codes_do_not_change_earlier_states() {
    for model in testing::policies(&Device::flex()) {
        let encoded = model.encode(&batch(&[&[3, 1]]), Dropout::Off);
        let states = |last| model.decode(&encoded, &[0, 4, last], 1, Dropout::Off).slice([0..2, 0..16]);
        // Not bit for bit: an expert that is sent another number of tokens may sum in another order.
        assert_close(states(9), states(11), 5e-7);
    }
}

#[test]
fn an_empty_history_is_defined() {
    for model in testing::policies(&Device::flex()) {
        let encoded = model.encode(&batch(&[&[]]), Dropout::Off);
        let states = model.decode(&encoded, &[0, 4, 9], 1, Dropout::Off).into_data();
        assert!(states.iter::<f32>().all(f32::is_finite));
    }
}

/// One causal encoding read by prefixes is the encoding of every prefix by itself, in value and gradient.
#[test]
fn a_shared_causal_encoding_equals_an_encoding_per_prefix() {
    let histories: [&[usize]; 2] = [&[3, 1, 2, 0], &[4, 4]];
    let prefixes = [vec![1, 2, 4], vec![2]];
    let single: Vec<&[usize]> =
        histories.iter().zip(&prefixes).flat_map(|(row, all)| all.iter().map(|&n| &row[..n])).collect();
    let inputs = [0, 4, 9].repeat(single.len());
    for model in testing::causal_policies(&Device::flex().autodiff()) {
        let loss = |encoded: &Encoded| {
            let states = model.decode(encoded, &inputs, single.len(), Dropout::Off);
            let targets = Targets::among(0..16, (0..12).collect());
            model.target_log_probs(states, targets)
        };
        let shared = loss(&model.encode(&batch(&histories), Dropout::Off).read_prefixes(&prefixes));
        let separate = loss(&model.encode(&batch(&single), Dropout::Off));
        shared.to_data().assert_approx_eq::<f32>(&separate.to_data(), Tolerance::absolute(1e-5));
        for (shared, separate) in gradients(&model, &shared).iter().zip(&gradients(&model, &separate)) {
            shared.assert_approx_eq::<f32>(separate, Tolerance::absolute(1e-4));
        }
    }
}

/// Of every matrix of the policy.
fn gradients(model: &Policy, log_probs: &Tensor<1>) -> Vec<TensorData> {
    struct Collect<'a>(&'a burn::tensor::Gradients, Vec<TensorData>);
    impl burn::module::ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            self.1.extend(param.val().grad(self.0).map(Tensor::into_data));
        }
    }
    let grads = log_probs.clone().sum().backward();
    let mut collect = Collect(&grads, Vec::new());
    model.visit(&mut collect);
    assert!(collect.1.len() > 10, "{} gradients", collect.1.len());
    collect.1
}

#[test]
fn the_same_key_gives_the_same_weights_on_any_device_mode() {
    let (plain, autodiff) = (Device::flex(), Device::flex().autodiff());
    let a = crate::checkpoint::fingerprint(&testing::model(&plain));
    assert_eq!(a, crate::checkpoint::fingerprint(&testing::model(&autodiff)));
}

#[test]
fn every_position_is_sent_to_as_many_experts_in_every_block() {
    let mut with_experts = 0;
    for model in testing::policies(&Device::flex()) {
        let encoded = model.encode(&batch(&[&[3, 1], &[2]]), Dropout::Off);
        let loads = model.expert_loads(&encoded, &[0, 4, 9, 0, 5, 11], 2);
        assert_eq!(loads.is_empty(), !model.has_experts());
        with_experts += usize::from(model.has_experts());
        for block in &loads {
            assert_eq!(
                (block.len(), block.iter().sum::<usize>()),
                (5, 2 * 6),
                "2 of 5 experts for 6 positions"
            );
        }
    }
    assert!(with_experts > 0);
}

/// Inputs and logits that another implementation computed from the weights of `tests/golden/NAME`.
struct Golden {
    model: Policy,
    expected: serde_json::Value,
}

impl Golden {
    fn read(name: &str) -> Self {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
        let (model, _) = crate::checkpoint::read(&dir, &Device::flex()).unwrap();
        let expected = std::fs::read(dir.join("expected.json")).unwrap();
        Self { model, expected: serde_json::from_slice(&expected).unwrap() }
    }
    /// What the file says under a key, if anything.
    fn read_as<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.expected.get(key).map(|value| serde_json::from_value(value.clone()).unwrap())
    }
    fn table(&self, key: &str) -> Vec<Vec<u32>> {
        self.read_as(key).unwrap()
    }
    /// With the histories' items, and their users and times where the file has them.
    fn check_items(&self, catalog: &Catalog) {
        let items = |row: &Vec<u32>| row.iter().map(|&item| ItemId::new(item as usize)).collect();
        let histories: Vec<Vec<ItemId>> = self.table("histories").iter().map(items).collect();
        let nothing = || vec![Vec::new(); histories.len()];
        let times: Vec<Vec<i64>> = self.read_as("times").unwrap_or_else(nothing);
        let users: Vec<Option<usize>> = self.read_as("users").unwrap_or(vec![None; histories.len()]);
        let context = |row: usize| Context {
            user: users[row].map(UserId::new),
            items: &histories[row],
            times: &times[row],
        };
        let contexts: Vec<Context<'_>> = (0..histories.len()).map(context).collect();
        self.check(&EncoderBatch::new(&contexts, 8, catalog));
    }
    fn check(&self, batch: &EncoderBatch) {
        let encoded = self.model.encode(batch, Dropout::Off);
        let inputs = self.table("decoder_inputs");
        let states = self.model.decode(&encoded, &inputs.concat(), inputs.len(), Dropout::Off);
        let wanted: Vec<Vec<Vec<f32>>> = self.read_as("logits").unwrap();
        let wanted = wanted.concat();
        let shape = [wanted.len(), wanted[0].len()];
        let logits = self.model.logits(states, 0..shape[1]).into_data();
        let wanted = TensorData::new(wanted.concat(), shape);
        logits.assert_approx_eq::<f32>(&wanted, Tolerance::absolute(2e-5));
    }
}

/// `tests/golden/make_t5.py`, by Hugging Face's implementation.
#[test]
fn logits_equal_those_of_transformers() {
    let golden = Golden::read("t5");
    let lengths: Vec<usize> = golden.read_as("lengths").unwrap();
    let rows = golden.table("inputs").into_iter().zip(lengths).map(|(row, length)| row[..length].to_vec());
    golden.check(&EncoderBatch::of(rows));
}

/// `tests/golden/make_qwen3.py`, by Hugging Face's implementation of the whole sequence; `make_onerec_moe.py`, in plain
/// PyTorch.
#[test]
fn logits_over_code_tokens_equal_those_of_python() {
    for name in ["qwen3", "qwen3_untied", "onerec_moe"] {
        let golden = Golden::read(name);
        golden.check(&EncoderBatch::of(golden.table("histories").into_iter()));
    }
}

/// `tests/golden/make_item_context.py` and `make_lazy_decoder.py`, in plain PyTorch; `make_discrec.py`, in PyTorch and
/// `transformers`; the others by `make_item_context_choices.py`, in `NumPy`.
#[test]
fn logits_over_items_equal_those_of_python() {
    let by_pytorch = ["item_context", "item_context_hstu", "item_context_hstu_time", "lazy_decoder"];
    let more = ["lazy_decoder_shared", "discrec"];
    let by_numpy = ["item_context_parallel", "item_context_users", "item_context_hstu_seconds"];
    for name in by_pytorch.into_iter().chain(more).chain(by_numpy) {
        Golden::read(name).check_items(&testing::catalog());
    }
    let atoms: Vec<SemanticId> = (0..5).map(|item| SemanticId::new(vec![item])).collect();
    for name in ["sasrec", "hstu_id"] {
        Golden::read(name).check_items(&Catalog::new(atoms.clone(), vec![5]).unwrap());
    }
}

/// Two users in buckets of their own tell apart equal histories; nobody is a third, and no policy without buckets sees any.
#[test]
fn histories_begin_with_their_users_where_there_are_buckets() {
    let items = [3, 1].map(ItemId::new);
    let of = |user| Context { user, items: &items, times: &[5, 9] };
    let batch = EncoderBatch::new(
        &[None, Some(0), Some(1)].map(|user| of(user.map(UserId::new))),
        8,
        &testing::catalog(),
    );
    for mut config in testing::configs() {
        let model = Policy::new(&config, Key::new(5), &Device::flex()).unwrap();
        let encoded = model.encode(&batch, Dropout::Off);
        let states = model.decode(&encoded, &[0, 4, 9].repeat(3), 3, Dropout::Off).into_data();
        let states: Vec<f32> = states.iter::<f32>().collect();
        let rows: Vec<&[f32]> = states.chunks(3 * 16).collect();
        // Not bit for bit: an expert that is sent another number of tokens may sum in another order.
        let differ = |a: usize, b: usize| rows[a].iter().zip(rows[b]).any(|(a, b)| (a - b).abs() > 1e-5);
        let different = [differ(0, 1), differ(0, 2), differ(1, 2)];
        assert_eq!(different, [*testing::user_buckets(&mut config) > 0; 3], "{config:?}");
    }
}

#[test]
fn only_the_time_between_items_counts_and_only_where_it_is_read() {
    let history = vec![[3, 1, 2].map(ItemId::new).to_vec()];
    let hours = |position: usize| 3600 * position as i64;
    for (config, model) in testing::configs().iter().zip(testing::policies(&Device::flex())) {
        let reads_times = matches!(config, PolicyConfig::ItemContext(c) if c.attention_bias.reads_times());
        let states = |time: &dyn Fn(usize) -> i64| {
            model.encode(&batch_at(&history, time), Dropout::Off).states.into_data()
        };
        assert_eq!(states(&hours), states(&|position| 1_700_000_000 + hours(position)));
        assert_eq!(states(&hours) == states(&|position| 24 * hours(position)), !reads_times, "{config:?}");
    }
}
