//! A judge's weights as safetensors, named by their place in the model (`attention.query`, `heads.0.hidden.weight`).

use crate::model::{ModelConfig, RewardModel};
use burn::prelude::*;
use policy::random::Key;
use policy::weights::{WeightsError, dotted};

/// The part that every model has is not named: a file holds one model.
fn naming(path: &[String]) -> String {
    dotted(&path.iter().filter(|part| *part != "encoder").cloned().collect::<Vec<_>>())
}

/// The weights of a model.
///
/// # Errors
/// If they cannot be laid out as safetensors.
pub fn to_bytes(model: &RewardModel) -> Result<Vec<u8>, WeightsError> {
    policy::weights::to_bytes(model, naming)
}

/// The model of these weights.
///
/// # Errors
/// If the bytes are damaged, or a tensor is missing, unknown, of another shape or type, or not finite.
pub fn from_bytes(bytes: &[u8], config: &ModelConfig, device: &Device) -> Result<RewardModel, WeightsError> {
    policy::weights::from_bytes(RewardModel::new(config, Key::new(0), device), bytes, naming)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    fn config() -> ModelConfig {
        ModelConfig {
            kind: Kind::Session,
            features: 3,
            signals: 2,
            width: 4,
            history_items: 5,
            heads: 2,
            identities: 0,
            watch: None,
        }
    }
    fn bytes() -> Vec<u8> {
        to_bytes(&RewardModel::new(&config(), Key::new(1), &Device::flex())).unwrap()
    }
    fn problem(bytes: &[u8], config: &ModelConfig) -> String {
        from_bytes(bytes, config, &Device::flex()).unwrap_err().to_string()
    }

    #[test]
    fn weights_survive_the_round_trip_bit_for_bit() {
        let loaded = from_bytes(&bytes(), &config(), &Device::flex()).unwrap();
        assert_eq!(to_bytes(&loaded).unwrap(), bytes());
    }

    #[test]
    fn damage_is_named() {
        assert_eq!(problem(&bytes()[..100], &config()), "not a complete safetensors file");
        let wider = ModelConfig { features: 7, ..config() };
        let found = problem(&bytes(), &wider);
        assert!(found.contains("item.hidden.weight is F32 [3, 4], expected F32 [7, 4]"), "{found}");
        let more = ModelConfig { heads: 3, ..config() };
        assert!(problem(&bytes(), &more).contains("heads.2.hidden.weight is missing"));
        let fewer = ModelConfig { heads: 1, ..config() };
        assert!(problem(&bytes(), &fewer).contains("tensors where"));
    }

    #[test]
    fn a_weight_that_is_not_finite_is_named() {
        let mut bytes = bytes();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        let found = problem(&bytes, &config());
        assert!(found.contains("holds NaN at position"), "{found}");
    }
}
