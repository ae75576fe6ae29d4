//! Exponential moving average of weights (Polyak & Juditsky 1992; decays of this form: Tarvainen & Valpola 2017).

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;

/// Weights that follow those of a training: `average <- decay average + (1 - decay) weights` after every step.
pub struct Average<M> {
    module: M,
}

/// The decay of update `n`, from 1, of an average that starts at random weights: `min(decay, n / (n + 9))`, so that early
/// averages forget the start sooner.
pub fn ramped(decay: f64, update: u64) -> f64 {
    decay.min(update as f64 / (update as f64 + 9.0))
}

impl<M: Module> Average<M> {
    /// Starts at `module`, which autodiff does not track.
    pub fn new(module: M) -> Self {
        Self { module }
    }

    /// Moves towards `module`, of the same architecture, keeping `decay` of itself.
    #[must_use]
    pub fn toward(self, module: &M, decay: f64) -> Self {
        let mut taken = Take(Vec::new());
        module.visit(&mut taken);
        let mut step = Step { decay, latest: taken.0.into_iter() };
        Self { module: self.module.map(&mut step) }
    }

    /// The average.
    pub fn module(&self) -> &M {
        &self.module
    }
}

/// The values of all parameters, in their order.
struct Take(Vec<Tensor<1>>);

impl ModuleVisitor for Take {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let tensor = if tensor.device().is_autodiff() { tensor.inner() } else { tensor };
        self.0.push(tensor.flatten(0, D - 1));
    }
}

struct Step {
    decay: f64,
    latest: std::vec::IntoIter<Tensor<1>>,
}

impl ModuleMapper for Step {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let latest = self.latest.next().expect("parameters are visited in one order");
        let decay = self.decay;
        param.map(|tensor| {
            let shape = tensor.dims();
            tensor.mul_scalar(decay) + latest.reshape(shape).mul_scalar(1.0 - decay)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn values<M: Module>(module: &M) -> Vec<f32> {
        let mut taken = Take(Vec::new());
        module.visit(&mut taken);
        taken.0.iter().flat_map(|tensor| tensor.to_data().iter::<f32>().collect::<Vec<_>>()).collect()
    }

    #[test]
    fn the_average_is_the_weighted_sum_of_what_was_seen() {
        let (start, end) = (testing::model(&Device::flex()), testing::other_model(&Device::flex()));
        let mut average = Average::new(start.clone());
        for update in 1..=3 {
            average = average.toward(&end, ramped(0.25, update));
        }
        // Decays 1/10, 2/11 and 1/4: the start's share is their product.
        let share = 0.1 * (2.0 / 11.0) * 0.25;
        for ((average, start), end) in values(average.module()).iter().zip(values(&start)).zip(values(&end)) {
            let expected = share * f64::from(start) + (1.0 - share) * f64::from(end);
            assert!((f64::from(*average) - expected).abs() < 1e-6, "{average} is not {expected}");
        }
    }

    #[test]
    fn weights_under_autodiff_are_averaged_like_plain_ones() {
        let (plain, tracked) = (testing::model(&Device::flex()), testing::model(&Device::flex().autodiff()));
        let of =
            |module: &crate::model::Policy| values(Average::new(plain.clone()).toward(module, 0.5).module());
        assert_eq!(of(&plain), of(&tracked));
    }
}
