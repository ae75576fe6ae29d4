use super::batch::{Batch, NegativeSampler, Negatives};
use super::judge::{SessionJudge, Trained};
use super::model::{ListInput, SessionModel, SessionModelConfig, UserInput, binary_cross_entropy};
use crate::context::Context;
use crate::fusion::Fusion;
use crate::judge::{Judge, Request, Score};
use crate::labels::Session;
use crate::testing::{self, Rule};
use crate::training::model_config;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use std::sync::Arc;

fn close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    assert!(a.iter().zip(b).all(|(x, y)| (x - y).abs() <= tolerance), "{a:?}\n{b:?}");
}
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
/// Deterministic numbers in [-1, 1].
fn filler<const D: usize>(shape: [usize; D], salt: u64) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> =
        (0..count as u64).map(|i| (Key::new(salt).at(i).unit() * 2.0 - 1.0) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}
fn config() -> SessionModelConfig {
    SessionModelConfig { features: 4, signals: 2, width: 8, history_items: 6, heads: 2 }
}
fn model() -> SessionModel {
    SessionModel::new(&config(), Key::new(1), &Device::flex())
}

#[test]
fn the_order_of_a_list_does_not_matter() {
    let (items, users) = (filler([1, 4, 8], 1), filler([1, 8], 2));
    let mask = || Tensor::ones([1, 4], &Device::flex());
    let order = Tensor::<1, Int>::from_data(TensorData::new(vec![2_i64, 0, 3, 1], [4]), &Device::flex());
    let logits = |items| values(model().logits(ListInput { items, mask: mask(), users: users.clone() }));
    close(&logits(items.clone()), &logits(items.select(1, order)), 1e-5);
}

#[test]
fn padding_and_what_it_holds_change_nothing() {
    let (items, users) = (filler([2, 3, 8], 1), filler([2, 8], 2));
    let alone =
        ListInput { items: items.clone(), mask: Tensor::ones([2, 3], &Device::flex()), users: users.clone() };
    let mask = Tensor::from_data([[1.0, 1.0, 1.0, 0.0, 0.0]; 2], &Device::flex());
    let padded = ListInput { items: Tensor::cat(vec![items, filler([2, 2, 8], 9) * 50.0], 1), mask, users };
    close(&values(model().logits(alone)), &values(model().logits(padded)), 1e-5);
}

#[test]
fn a_list_of_one_is_the_same_alone_and_padded() {
    let (items, users) = (filler([2, 1, 8], 1), filler([2, 8], 2));
    let input = |items, mask| ListInput { items, mask, users: users.clone() };
    let alone = model().logits(input(items.clone(), Tensor::ones([2, 1], &Device::flex())));
    let mask = Tensor::from_data([[1.0, 0.0]; 2], &Device::flex());
    let padded = model().logits(input(Tensor::cat(vec![items, filler([2, 1, 8], 4)], 1), mask));
    close(&values(alone), &values(padded), 1e-5);
}

#[test]
fn the_user_vector_ignores_padding_and_survives_an_empty_history() {
    let (items, seen) = (filler([1, 3, 8], 1), filler([1, 3, 2], 2));
    let user =
        |items, behaviour, mask| values(model().users(UserInput { items, behaviour: Some(behaviour), mask }));
    let alone = user(items.clone(), seen.clone(), Tensor::ones([1, 3], &Device::flex()));
    let mask = Tensor::from_data([[1.0, 1.0, 1.0, 0.0]], &Device::flex());
    let padded = user(
        Tensor::cat(vec![items, filler([1, 1, 8], 8)], 1),
        Tensor::cat(vec![seen, filler([1, 1, 2], 7)], 1),
        mask,
    );
    close(&alone, &padded, 1e-5);
    let empty =
        |salt| user(filler([1, 2, 8], salt), filler([1, 2, 2], salt), Tensor::zeros([1, 2], &Device::flex()));
    close(&empty(3), &empty(4), 0.0);
}

#[test]
fn cross_entropy_equals_hand_values_and_stays_finite_at_extremes() {
    let loss = |logits: [[f32; 2]; 1], labels: [[f32; 2]; 1]| {
        let device = Device::flex();
        values(binary_cross_entropy(Tensor::from_data(logits, &device), Tensor::from_data(labels, &device)))
            [0]
    };
    // logit ln 3 is probability 3/4: -ln(3/4) - ln(1/2).
    assert!((loss([[3.0_f32.ln(), 0.0]], [[1.0, 0.0]]) - (4.0_f32 / 3.0 * 2.0).ln()).abs() < 1e-6);
    assert!((loss([[1e4, -1e4]], [[0.0, 1.0]]) - 2e4).abs() < 1.0);
    assert!(loss([[1e4, -1e4]], [[1.0, 0.0]]).abs() < 1e-6);
}

/// The gradient of every parameter, in visiting order.
struct Gradients<'a>(&'a GradientsParams, Vec<Vec<f32>>);
impl ModuleVisitor for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.push(self.0.get::<D>(param.id).map(values).unwrap_or_default());
    }
}
/// Adds `by` to one element of one parameter.
struct Nudge {
    parameter: usize,
    element: usize,
    by: f32,
    visited: usize,
}
impl ModuleMapper for Nudge {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.visited += 1;
        if self.visited - 1 != self.parameter {
            return param;
        }
        param.map(|old| {
            let (shape, device) = (old.dims(), old.device());
            let mut nudged = values(old);
            nudged[self.element] += self.by;
            Tensor::from_data(TensorData::new(nudged, shape), &device).require_grad()
        })
    }
}

fn batch(context: &Context) -> Batch {
    let session = |user, start, length| Session { user: UserId::new(user), start, length };
    let sampler = NegativeSampler::new(context.log());
    let negatives = Negatives { sampler: &sampler, per_session: 1, key: Key::new(2) };
    // Lists of different lengths, so that padding takes part.
    Batch::new(context, &[session(0, 3, 3), session(1, 1, 1), session(2, 8, 2)], negatives)
}

/// Central differences of the whole loss - item tower, history, pooling, attention, heads - in f32: the step is 2e-2
/// (the model is smooth), the bound 1e-3 + 2 % of the gradient.
#[test]
fn gradients_equal_finite_differences_for_every_parameter_tensor() {
    for rule in [Rule::LikeByFeature, Rule::SeeByFeature] {
        let context = testing::context(&testing::log(8, rule), 8);
        let device = Device::flex().autodiff();
        let model = SessionModel::new(&model_config(&context, 8), Key::new(3), &device);
        let loss = |model: &SessionModel| {
            let (logits, labels) = batch(&context).forward(model, &device);
            binary_cross_entropy(logits, labels)
        };
        let grads = GradientsParams::from_grads(loss(&model).backward(), &model);
        let mut gradients = Gradients(&grads, Vec::new());
        model.visit(&mut gradients);
        assert!(gradients.1.len() >= 17);
        for (parameter, gradient) in gradients.1.iter().enumerate() {
            assert!(!gradient.is_empty(), "parameter {parameter} has no gradient");
            let largest =
                (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()));
            for element in [largest.unwrap(), gradient.len() / 2] {
                let at = |by| {
                    let mut nudge = Nudge { parameter, element, by, visited: 0 };
                    f64::from(values(loss(&model.clone().map(&mut nudge)))[0])
                };
                let difference = (at(2e-2) - at(-2e-2)) / 4e-2;
                let exact = f64::from(gradient[element]);
                assert!(
                    (difference - exact).abs() < 1e-3 + 0.02 * exact.abs(),
                    "parameter {parameter}, element {element}: {difference} against {exact}"
                );
            }
        }
    }
}

fn judge(context: &Arc<Context>) -> SessionJudge {
    let model = SessionModel::new(&model_config(context, 8), Key::new(3), &Device::flex().autodiff());
    let trained = Trained { name: "proxy".into(), model, fusion: Fusion::default() };
    SessionJudge::new(trained, context.clone(), &Device::flex()).unwrap()
}
fn request(user: usize, known: usize, candidates: &[ItemId]) -> Request<'_> {
    Request { user: UserId::new(user), known, candidates }
}
fn fused(scores: &[Score]) -> Vec<f32> {
    scores.iter().map(|score| score.fused).collect()
}

#[test]
fn scores_are_the_same_together_and_one_by_one() {
    let context = Arc::new(testing::context(&testing::log(8, Rule::LikeByFeature), 8));
    let judge = judge(&context);
    let items: Vec<_> = (0..testing::ITEMS).map(ItemId::new).collect();
    // Histories of different lengths, an empty one, and a request without candidates.
    let together = judge.score(&[
        request(0, 10, &items),
        request(1, 0, &items),
        request(2, 3, &[]),
        request(2, 3, &items),
    ]);
    assert_eq!(together.iter().map(Vec::len).collect::<Vec<_>>(), [60, 60, 0, 60]);
    for (scores, (user, known)) in
        [&together[0], &together[1], &together[3]].into_iter().zip([(0, 10), (1, 0), (2, 3)])
    {
        let alone: Vec<f32> = items
            .iter()
            .flat_map(|item| fused(&judge.score(&[request(user, known, std::slice::from_ref(item))])[0]))
            .collect();
        close(&fused(scores), &alone, 1e-6);
        assert!(scores.iter().all(|score| score.heads.iter().all(|p| (0.0..=1.0).contains(p))));
    }
    assert!(judge.score(&[]).is_empty());
}

#[test]
fn nothing_after_the_known_interactions_is_looked_at() {
    let mut log = testing::log(8, Rule::LikeByFeature);
    let items: Vec<_> = (0..testing::ITEMS).map(ItemId::new).collect();
    // Fitted on another user, so that only the history can carry the change.
    let scores = |log: &policy::history::Log| {
        let context = Arc::new(testing::context(log, 1));
        fused(&judge(&context).score(&[request(5, 4, &items)])[0])
    };
    let before = scores(&log);
    log.histories[5].items[4..].reverse();
    log.histories[5].feedback[4..].fill(1.0);
    close(&before, &scores(&log), 0.0);
}

#[test]
fn sampled_items_are_ones_the_user_has_not_seen() {
    let log = testing::log(8, Rule::SeeByFeature);
    let sampler = NegativeSampler::new(&log);
    let mut rng = Key::new(1).rng();
    let user = UserId::new(3);
    for _ in 0..500 {
        assert!(!log.train_items(user).contains(&sampler.draw(&log, user, &mut rng)));
    }
}
