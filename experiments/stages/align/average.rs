//! A moving average of the weights of the policy, as its reference.

use burn::prelude::*;
use policy::average::Average;
use policy::checkpoint;
use policy::model::{Policy, PolicyConfig};
use std::path::Path;

/// Where a round leaves the average, below its stage directory.
pub(super) const DIRECTORY: &str = "reference";

/// The average of a round, and how much of itself it keeps in a step.
pub(super) struct MovingReference {
    average: Average<Policy>,
    decay: f64,
}

impl MovingReference {
    /// The average an earlier round of the arm left with `policy`, or the weights of `policy` itself.
    ///
    /// # Errors
    /// A checkpoint cannot be read.
    pub(super) fn of(policy: &Path, decay: f64, device: &Device) -> anyhow::Result<Self> {
        let left = policy.join(DIRECTORY);
        let from = if left.is_dir() { left.as_path() } else { policy };
        Ok(Self { average: Average::new(checkpoint::read(from, device)?.0), decay })
    }

    /// The reference.
    pub(super) fn model(&self) -> &Policy {
        self.average.module()
    }

    /// The average one step later.
    pub(super) fn moved_towards(self, policy: &Policy) -> Self {
        Self { average: self.average.toward(policy, self.decay), ..self }
    }

    /// Writes the average as a checkpoint.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn write(&self, size: &PolicyConfig, dir: &Path) -> anyhow::Result<()> {
        crate::run::commit::create_directory(dir)?;
        Ok(checkpoint::write(self.model(), size, dir)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{ModuleVisitor, Param};
    use policy::model::T5Config;
    use policy::random::Key;

    /// All weights of a policy.
    struct Weights(Vec<f32>);

    impl ModuleVisitor for Weights {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().iter::<f32>());
        }
    }

    #[test]
    fn the_average_moves_by_its_share() {
        let config = PolicyConfig::T5(T5Config {
            vocab_size: 16,
            d_model: 16,
            d_kv: 8,
            d_ff: 16,
            num_heads: 2,
            num_layers: 1,
            num_decoder_layers: 1,
            relative_attention_num_buckets: 8,
            relative_attention_max_distance: 16,
            dropout_rate: 0.0,
            ..T5Config::default()
        });
        let new = |seed| Policy::new(&config, Key::new(seed), &Device::flex()).unwrap();
        let (model, other) = (new(1), new(2));
        let values = |policy: &Policy| {
            let mut weights = Weights(Vec::new());
            policy.visit(&mut weights);
            weights.0
        };
        let (from, towards) = (values(&model), values(&other));
        let average = MovingReference { average: Average::new(model), decay: 0.75 }.moved_towards(&other);
        for ((a, b), found) in from.iter().zip(&towards).zip(values(average.model())) {
            assert!((found - (0.75 * a + 0.25 * b)).abs() < 1e-6);
        }
    }
}
