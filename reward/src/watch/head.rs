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
/// Parts of a number below this share of it are not written when predicting.
const FINEST: f32 = 1e-3;
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
                above.chunks_exact(thresholds.len()).map(|above| median(above, thresholds, means)).collect()
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

/// Where the chance to be exceeded falls below one half: linear between thresholds and from 0 to the first; the mean above the
/// last. What minimises the mean absolute error is the median; the mean of a skewed time is far above it.
fn median(above: &[f32], thresholds: &[f64], means: &[f64]) -> f32 {
    let Some(at) = above.iter().position(|&p| p < 0.5) else { return means[means.len() - 1] as f32 };
    let (low, p_low) = if at == 0 { (0.0, 1.0) } else { (thresholds[at - 1], f64::from(above[at - 1])) };
    let (high, p_high) = (thresholds[at], f64::from(above[at]));
    (low + (high - low) * (p_low - 0.5) / (p_low - p_high)) as f32
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

/// The median of the numbers that the decoder writes, which is what the mean absolute error asks for.
///
/// Written largest token first, numbers stand in the order of their tokens (the end of a number before any token, tokens by
/// value), so that the median is found token by token: the one in which the cumulative probability passes the level that is left. The
/// published decoding, greedy with a window averaged around each choice, finds a mode: of skewed times, whose likeliest part
/// of the scale may hold a tenth of them, that is a number that few exceed or few fall short of.
fn generate(decoder: &Decoder, states: &Tensor<2>, values: &[f32]) -> Vec<f32> {
    let lists = states.dims()[0];
    let tokens = decoder.tokens();
    let mut numbers = vec![Number::default(); lists];
    for place in 0..decoder.places() - 1 {
        let so_far: Vec<i64> = numbers.iter().flat_map(|number| number.tokens.iter().copied()).collect();
        let before = (place > 0).then(|| decoder.embed(so_far, [lists, place]));
        let logits = decoder.logits(states.clone(), before).slice([0..lists, place..place + 1, 0..tokens]);
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for (number, logits) in numbers.iter_mut().zip(logits.chunks_exact(tokens)) {
            number.write(logits, values);
        }
        if numbers.iter().all(|number| number.ended) {
            break;
        }
    }
    numbers.into_iter().map(|number| number.sum).collect()
}

/// A number on its way to the median.
#[derive(Clone)]
struct Number {
    tokens: Vec<i64>,
    sum: f32,
    /// The share of the numbers that begin with these tokens and are to lie below.
    level: f64,
    ended: bool,
}

impl Default for Number {
    fn default() -> Self {
        Self { tokens: Vec::new(), sum: 0.0, level: 0.5, ended: false }
    }
}

impl Number {
    /// One token more; the end after the end. `logits` are of tokens by rising value and of the end.
    fn write(&mut self, logits: &[f32], values: &[f32]) {
        let end = values.len();
        // Tokens never rise.
        let most = self.tokens.last().map_or(end, |&last| (last as usize + 1).min(end));
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |token: usize| f64::from(logits[token] - largest).exp();
        let total = weight(end) + (0..most).map(weight).sum::<f64>();
        let mut left = self.level * total;
        let chosen = std::iter::once(end).chain(0..most).find(|&token| {
            let found = left < weight(token);
            left -= if found { 0.0 } else { weight(token) };
            found
        });
        // Rounding may leave nothing to find: the largest.
        let token = chosen.unwrap_or(most - 1);
        self.level = (left / weight(token)).clamp(0.0, 1.0);
        self.ended |= token == end;
        if !self.ended {
            self.sum += values[token];
            self.ended = values[token] < FINEST * self.sum;
        }
        self.tokens.push(if self.ended { end as i64 } else { token as i64 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens 1, 10, 100 and the end; the second token is written given the first.
    #[test]
    fn the_median_is_found_token_by_token() {
        let values = [1.0, 10.0, 100.0];
        let logits = |p: [f32; 4]| p.map(f32::ln);
        let mut number = Number::default();
        // The end has .1, 1 has .2, 10 has .3: one half lies in 10, two thirds of its way up.
        number.write(&logits([0.2, 0.3, 0.4, 0.1]), &values);
        assert_eq!((number.tokens.clone(), number.sum), (vec![1], 10.0));
        assert!((number.level - 2.0 / 3.0).abs() < 1e-6, "{}", number.level);
        // 100 cannot follow 10; two thirds of what is left, .2 + .2 + .4, lie in the last.
        number.write(&logits([0.2, 0.4, 0.2, 0.2]), &values);
        assert_eq!((number.tokens.clone(), number.sum), (vec![1, 1], 20.0));
        number.write(&logits([0.01, 0.01, 0.01, 0.97]), &values);
        assert!(number.ended && (number.sum - 20.0).abs() < 1e-6);
    }

    #[test]
    fn the_median_between_thresholds_is_linear() {
        let (thresholds, means) = ([10.0, 20.0], [5.0, 15.0, 40.0]);
        let at = |above: [f32; 2]| median(&above, &thresholds, &means);
        assert!((at([0.7, 0.3]) - 15.0).abs() < 1e-4);
        assert!((at([0.25, 0.1]) - 10.0 * 0.5 / 0.75).abs() < 1e-4);
        assert!((at([0.9, 0.8]) - 40.0).abs() < 1e-4);
    }
}
