use super::{Kind, ListInput, ModelConfig, RewardModel, UserInput, binary_cross_entropy, personal_loss};
use crate::batch::{Batch, NegativeSampler, Negatives};
use crate::context::{Context, Sizes};
use crate::features::ItemIdentity;
use crate::fusion::Fusion;
use crate::judge::{Judge, Request, Score};
use crate::labels::Session;
use crate::model_judge::{ModelJudge, Trained};
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
const KINDS: [Kind; 5] = [Kind::Session, Kind::Towers, Kind::Retrieval, Kind::PScore, Kind::Metric];
fn model_of(kind: Kind) -> RewardModel {
    let config = ModelConfig {
        kind,
        features: 4,
        signals: 2,
        width: 8,
        history_items: 6,
        heads: 2,
        identities: 0,
        watch: None,
    };
    RewardModel::new(&config, Key::new(1), &Device::flex())
}
fn model() -> RewardModel {
    model_of(Kind::Session)
}
fn heads(input: ListInput) -> Vec<f32> {
    values(model().outputs(input).heads)
}

#[test]
fn the_order_of_a_list_does_not_matter() {
    let (items, users) = (filler([1, 4, 8], 1), filler([1, 8], 2));
    let mask = || Tensor::ones([1, 4], &Device::flex());
    let order = Tensor::<1, Int>::from_data(TensorData::new(vec![2_i64, 0, 3, 1], [4]), &Device::flex());
    let logits = |items| heads(ListInput { items, mask: mask(), users: users.clone() });
    close(&logits(items.clone()), &logits(items.select(1, order)), 1e-5);
}

#[test]
fn padding_and_what_it_holds_change_nothing() {
    let (items, users) = (filler([2, 3, 8], 1), filler([2, 8], 2));
    let alone =
        ListInput { items: items.clone(), mask: Tensor::ones([2, 3], &Device::flex()), users: users.clone() };
    let mask = Tensor::from_data([[1.0, 1.0, 1.0, 0.0, 0.0]; 2], &Device::flex());
    let padded = ListInput { items: Tensor::cat(vec![items, filler([2, 2, 8], 9) * 50.0], 1), mask, users };
    close(&heads(alone), &heads(padded), 1e-5);
}

#[test]
fn a_list_of_one_is_the_same_alone_and_padded() {
    let (items, users) = (filler([2, 1, 8], 1), filler([2, 8], 2));
    let input = |items, mask| ListInput { items, mask, users: users.clone() };
    let alone = heads(input(items.clone(), Tensor::ones([2, 1], &Device::flex())));
    let mask = Tensor::from_data([[1.0, 0.0]; 2], &Device::flex());
    let padded = heads(input(Tensor::cat(vec![items, filler([2, 1, 8], 4)], 1), mask));
    close(&alone, &padded, 1e-5);
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

fn batch(context: &Context, kind: Kind) -> Batch {
    let session = |user, start, length| Session { user: UserId::new(user), start, length };
    let sampler = NegativeSampler::new(context.log());
    let negatives = Negatives { sampler: &sampler, per_session: 1, key: Key::new(2) };
    // Lists of different lengths, so that padding takes part.
    let lengths = if kind.is_list_wise() { [3, 1, 2] } else { [1; 3] };
    let sessions = [session(0, 3, lengths[0]), session(1, 1, lengths[1]), session(2, 8, lengths[2])];
    Batch::new(context, &sessions, negatives)
}

/// Central differences of the whole loss - item tower, history, pooling, attention, heads - in f32: the step is 2e-2
/// (the model is smooth), the bound 1e-3 + 2 % of the gradient.
#[test]
fn gradients_equal_finite_differences_for_every_parameter_tensor() {
    for (rule, kind) in
        [Rule::LikeByFeature, Rule::SeeByFeature].into_iter().flat_map(|rule| KINDS.map(|kind| (rule, kind)))
    {
        let sizes = Sizes { item_identity: ItemIdentity::Learned, ..testing::sizes() };
        let context = testing::context_of(&testing::log(8, rule), 8, sizes);
        let device = Device::flex().autodiff();
        let model = RewardModel::new(&model_config(&context, kind, 8), Key::new(3), &device);
        let loss = |model: &RewardModel| {
            let (outputs, targets) = batch(&context, kind).forward(model, &device);
            let loss = binary_cross_entropy(outputs.heads, targets.labels.clone());
            match outputs.personal {
                Some(personal) => loss + personal_loss(&personal, targets.labels, &[0.7]),
                None => loss,
            }
        };
        let least = if kind.is_list_wise() { 18 } else { 20 };
        check_gradients(&model, &loss, least);
    }
}

/// Compares the gradient of at least `least` parameter tensors.
fn check_gradients(model: &RewardModel, loss: &dyn Fn(&RewardModel) -> Tensor<1>, least: usize) {
    let grads = GradientsParams::from_grads(loss(model).backward(), model);
    let mut gradients = Gradients(&grads, Vec::new());
    model.visit(&mut gradients);
    assert!(gradients.1.len() >= least, "{} parameters", gradients.1.len());
    for (parameter, gradient) in gradients.1.iter().enumerate() {
        assert!(!gradient.is_empty(), "parameter {parameter} has no gradient");
        let largest = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()));
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

fn judge(context: &Arc<Context>) -> ModelJudge {
    judge_of(context, Kind::Session)
}
fn judge_of(context: &Arc<Context>, kind: Kind) -> ModelJudge {
    let model = RewardModel::new(&model_config(context, kind, 8), Key::new(3), &Device::flex().autodiff());
    let trained = Trained { name: "proxy".into(), model, fusion: Fusion::default() };
    ModelJudge::new(trained, context.clone(), &Device::flex()).unwrap()
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
    let items: Vec<_> = (0..testing::ITEMS).map(ItemId::new).collect();
    for kind in KINDS {
        let judge = judge_of(&context, kind);
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
}

#[test]
fn the_learned_score_is_the_weighted_rate_of_the_targets() {
    // One logit for two targets that disagree: the loss is least where sigmoid(P) is the weighted mean label.
    let labels = || Tensor::<2>::from_data([[1.0, 0.0]], &Device::flex());
    let loss = |logit: f32| {
        let personal = Tensor::<2>::from_data([[logit]], &Device::flex());
        values(personal_loss(&personal, labels(), &[0.75, 0.25]))[0]
    };
    let best = 3.0_f32.ln();
    assert!(loss(best) < loss(best + 0.1) && loss(best) < loss(best - 0.1));
    // -.75 ln .75 - .25 ln .25
    assert!((loss(best) - 0.562_335).abs() < 1e-5);
}

#[test]
fn a_list_that_weighs_two_counts_as_two_and_one_that_weighs_nothing_is_not_there() {
    let device = Device::flex();
    let logits = || Tensor::<2>::from_data([[0.3, -1.0], [2.0, 0.5], [1.0, 1.0]], &device);
    let labels = || Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], &device);
    let weights = Tensor::<2>::from_data([[2.0], [0.0], [1.0]], &device);
    let rows = Tensor::<1, Int>::from_data([0_i64, 0, 2], &device);
    let repeated = binary_cross_entropy(logits().select(0, rows.clone()), labels().select(0, rows));
    let weighted = super::weighted_cross_entropy(logits(), labels(), weights);
    assert!((values(weighted)[0] - values(repeated)[0]).abs() < 1e-6);
}

#[test]
fn p_score_fuses_by_what_it_learned_and_towers_by_the_rule() {
    let context = Arc::new(testing::context(&testing::log(8, Rule::LikeByFeature), 8));
    let items: Vec<_> = (0..testing::ITEMS).map(ItemId::new).collect();
    let scores = |kind| judge_of(&context, kind).score(&[request(0, 5, &items)]).concat();
    assert!(scores(Kind::Towers).iter().all(|score| (score.fused - score.heads[0]).abs() < 1e-6));
    assert!(scores(Kind::PScore).iter().any(|score| (score.fused - score.heads[0]).abs() > 1e-3));
    assert!(judge_of(&context, Kind::PScore).fusion().starts_with("p-score, trained on weighted-sum(ltr=1"));
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
