//! The watch-time heads: what they learn from, and what they say.

use super::codec::Codec;
use super::decoder::Decoder;
use super::vocabulary::Vocabulary;
use crate::model::binary_cross_entropy;
use crate::model::layers::{Init, Mlp};
use burn::prelude::*;
use burn::tensor::{TensorData, activation};
use policy::random::Key;

/// Weight of the cross-entropy of tokens beside the error of their sum (published).
const TOKENS: f64 = 10.0;
/// Tokens on either side of the chosen one over which a part of the number is averaged. The published window is 20 wide, for
/// a vocabulary of unknown size; ours grow by a fifth to a third from token to token, and a mean over a factor of ten is
/// no longer near the choice.
const WINDOW: usize = 2;
/// Share of true tokens shown in the first step of training, and how it decays per step (published).
const SHOWN: f64 = 0.5;
const DECAY: f64 = 0.9999;

/// A head that predicts watch time from states.
#[allow(clippy::large_enum_variant, reason = "a model has one, and its weights are elsewhere")]
#[derive(Module, Debug)]
pub(crate) enum WatchHead {
    /// Regression, ordinal: one pass.
    Direct(Mlp),
    /// Generative: token by token.
    Generative(Decoder),
}

/// What a step of training adds to the examples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lesson {
    /// Steps taken so far.
    pub(crate) step: u64,
    /// Randomness of this step.
    pub(crate) key: Key,
}

impl WatchHead {
    pub(crate) fn new(width: usize, codec: &Codec, init: Init<'_>) -> Self {
        match codec {
            Codec::Regression { .. } => Self::Direct(Mlp::new([width, width, 1], 0.0, init)),
            Codec::Ordinal { thresholds, .. } => {
                Self::Direct(Mlp::new([width, width, thresholds.len().max(1)], 0.0, init))
            }
            Codec::Generative(vocabulary) => {
                Self::Generative(Decoder::new(width, [vocabulary.len(), vocabulary.longest()], init))
            }
        }
    }

    /// Mean loss of these watch times.
    ///
    /// # Shapes
    /// `states: [c, d]`; one time per state; output `[1]`.
    pub(crate) fn loss(
        &self,
        states: Tensor<2>,
        (codec, times): (&Codec, &[f32]),
        lesson: Lesson,
    ) -> Tensor<1> {
        match (self, codec) {
            (Self::Direct(mlp), Codec::Ordinal { thresholds, .. }) => {
                let above = |time: &f32| {
                    let time = f64::from(*time);
                    thresholds.iter().map(move |&threshold| f32::from(time > threshold)).collect::<Vec<_>>()
                };
                let labels: Vec<f32> = times.iter().flat_map(above).collect();
                let shape = [times.len(), thresholds.len()];
                let labels = Tensor::from_data(TensorData::new(labels, shape), &states.device());
                binary_cross_entropy(mlp.apply(states), labels).div_scalar(thresholds.len() as f64)
            }
            (Self::Direct(mlp), _) => huber(&mlp.apply(states), targets(times, codec.scale())),
            (Self::Generative(decoder), Codec::Generative(vocabulary)) => {
                let examples = Examples::new(vocabulary, times, decoder.places());
                generative_loss(decoder, states, (&examples, codec.scale()), lesson)
            }
            (Self::Generative(_), _) => unreachable!("a head is built from its codec"),
        }
    }

    /// The watch time of every state.
    pub(crate) fn predict(&self, states: Tensor<2>, codec: &Codec) -> Vec<f32> {
        let numbers = |tensor: Tensor<2>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
        match (self, codec) {
            (Self::Direct(mlp), Codec::Ordinal { thresholds, means }) => {
                let above = numbers(activation::sigmoid(mlp.apply(states)));
                above.chunks_exact(thresholds.len()).map(|above| expected(above, means)).collect()
            }
            (Self::Direct(mlp), _) => {
                let scale = codec.scale();
                numbers(mlp.apply(states))
                    .into_iter()
                    .map(|y| (f64::from(y) * scale).max(0.0) as f32)
                    .collect()
            }
            (Self::Generative(decoder), Codec::Generative(vocabulary)) => {
                generate(decoder, &states, &vocabulary.values())
            }
            (Self::Generative(_), _) => unreachable!("a head is built from its codec"),
        }
    }
}

/// `m_0 + sum_k P(y > threshold_k) (m_k - m_{k-1})`.
fn expected(above: &[f32], means: &[f64]) -> f32 {
    let steps = means.windows(2).map(|pair| pair[1] - pair[0]);
    (means[0] + above.iter().zip(steps).map(|(&p, step)| f64::from(p) * step).sum::<f64>()) as f32
}

fn targets(times: &[f32], scale: f64) -> Vec<f32> {
    times.iter().map(|&time| (f64::from(time) / scale) as f32).collect()
}

/// Huber loss with threshold 1, mean over rows.
///
/// # Shapes
/// `predictions: [c, 1]`; output `[1]`.
fn huber(predictions: &Tensor<2>, targets: Vec<f32>) -> Tensor<1> {
    let shape = predictions.dims();
    let error = (predictions.clone()
        - Tensor::from_data(TensorData::new(targets, shape), &predictions.device()))
    .abs();
    let small = error.clone().clamp_max(1.0);
    // e^2 / 2 up to 1, e - 1/2 above: with s = min(e, 1) both are s (e - s / 2).
    (small.clone() * (error - small.mul_scalar(0.5))).mean()
}

/// Watch times as tokens.
struct Examples {
    /// `[c * t]`: tokens, then ends up to the width.
    tokens: Vec<i64>,
    /// `[c, t]`: 1 for a token and the end, 0 after it.
    mask: Vec<f32>,
    /// Rising, the end is worth 0.
    values: Vec<f32>,
    times: Vec<f32>,
    lists: usize,
    places: usize,
}

impl Examples {
    fn new(vocabulary: &Vocabulary, times: &[f32], most: usize) -> Self {
        let written: Vec<_> = times.iter().map(|&time| vocabulary.encode(f64::from(time))).collect();
        let places = written.iter().map(|tokens| tokens.len() + 1).max().unwrap_or(1).min(most);
        let (mut tokens, mut mask) = (Vec::new(), Vec::new());
        for number in &written {
            let ends = places - number.len();
            tokens.extend(number.iter().map(|&token| token as i64));
            tokens.extend(std::iter::repeat_n(vocabulary.len() as i64, ends));
            mask.extend(std::iter::repeat_n(1.0, number.len() + 1));
            mask.extend(std::iter::repeat_n(0.0, ends - 1));
        }
        let mut values = vocabulary.values();
        values.push(0.0);
        Self { tokens, mask, values, times: times.to_vec(), lists: times.len(), places }
    }
    /// The tokens before every place but the first.
    fn before(&self) -> Vec<i64> {
        self.tokens.chunks_exact(self.places).flat_map(|row| row[..self.places - 1].to_vec()).collect()
    }
}

/// `10 CE + Huber`. With a chance that grows with the steps, a place sees the mean embedding of what would have been
/// predicted before it instead of the true token: the curriculum with embedding mixup. Predictions come from one pass
/// with true tokens, without gradients (two-pass scheduled sampling), where the paper decodes step by step.
fn generative_loss(
    decoder: &Decoder,
    states: Tensor<2>,
    (examples, scale): (&Examples, f64),
    lesson: Lesson,
) -> Tensor<1> {
    let Examples { lists, places, .. } = *examples;
    let device = states.device();
    let before = (places > 1).then(|| {
        let shape = [lists, places - 1];
        let truth = decoder.embed(examples.before(), shape);
        let predicted = decoder.logits(states.clone().detach(), Some(truth.clone().detach())).detach();
        let predicted = predicted.slice([0..lists, 0..places - 1, 0..decoder.tokens()]);
        let mixed = decoder.mix(activation::softmax(predicted, 2));
        let shown = SHOWN * DECAY.powf(lesson.step as f64);
        let draw = |at: u64| f32::from(lesson.key.at(at).unit() < shown);
        let kept: Vec<f32> = (0..(lists * (places - 1)) as u64).map(draw).collect();
        let kept = Tensor::<2>::from_data(TensorData::new(kept, shape), &device).unsqueeze_dim::<3>(2);
        mixed.clone() + (truth - mixed) * kept
    });
    let logits = decoder.logits(states, before);
    let mask = Tensor::<2>::from_data(TensorData::new(examples.mask.clone(), [lists, places]), &device);
    let chosen = TensorData::new(examples.tokens.clone(), [lists, places, 1]);
    let log_probs = activation::log_softmax(logits, 2);
    let chosen = log_probs.clone().gather(2, Tensor::<3, Int>::from_data(chosen, &device));
    let tokens_loss = -(chosen.reshape([lists, places]) * mask.clone()).sum() / mask.clone().sum();
    let values = Tensor::<1>::from_data(targets(&examples.values, scale).as_slice(), &device);
    let expected = (log_probs.exp() * values.unsqueeze()).sum_dim(2).reshape([lists, places]) * mask;
    tokens_loss * TOKENS + huber(&expected.sum_dim(1), targets(&examples.times, scale))
}

/// Greedy tokens; each adds the mean value of its window under the probabilities there (the windowed soft argmax).
fn generate(decoder: &Decoder, states: &Tensor<2>, values: &[f32]) -> Vec<f32> {
    let lists = states.dims()[0];
    let (tokens, end) = (decoder.tokens(), values.len());
    let mut written: Vec<Vec<i64>> = vec![Vec::new(); lists];
    let mut numbers = vec![0.0; lists];
    let mut open = vec![true; lists];
    for place in 0..decoder.places() - 1 {
        let so_far: Vec<i64> = written.concat();
        let before = (place > 0).then(|| decoder.embed(so_far, [lists, place]));
        let logits = decoder.logits(states.clone(), before).slice([0..lists, place..place + 1, 0..tokens]);
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for (list, logits) in logits.chunks_exact(tokens).enumerate() {
            let best = (0..tokens).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(end);
            open[list] &= best != end;
            if open[list] {
                numbers[list] += soft_argmax(&logits[..end], values, best);
            }
            written[list].push(best as i64);
        }
        if !open.contains(&true) {
            break;
        }
    }
    numbers
}

/// The mean value under the softmax of the logits around `best`.
fn soft_argmax(logits: &[f32], values: &[f32], best: usize) -> f32 {
    let window = best.saturating_sub(WINDOW)..(best + WINDOW + 1).min(logits.len());
    let weights: Vec<f64> =
        logits[window.clone()].iter().map(|&x| f64::from(x - logits[best]).exp()).collect();
    let sum: f64 = weights.iter().zip(&values[window]).map(|(w, &value)| w * f64::from(value)).sum();
    (sum / weights.iter().sum::<f64>()) as f32
}
