//! Policies on disk: `config.json` and `model.safetensors`. T5 and Qwen3 are in Hugging Face's layout, so that the weights of
//! a run are what a serving stack loads, without any conversion; other architectures name their parameters as the module does.

mod names;
mod sizes;

use crate::model::{Policy, PolicyConfig, SizeError};
use crate::random::Key;
use crate::weights::{self, WeightsError};
use burn::prelude::*;
use names::naming;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The file of a policy's sizes.
pub const CONFIG: &str = "config.json";
/// The file of a policy's weights.
pub const WEIGHTS: &str = "model.safetensors";

/// Why a checkpoint cannot be read or written.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// A file could not be read or written.
    #[error("cannot access {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// `config.json` is not a policy's configuration.
    #[error("{path} is not the configuration of a policy")]
    Config {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// `config.json` has impossible sizes.
    #[error("{path} describes an impossible policy")]
    Sizes {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: SizeError,
    },
    /// `model.safetensors` is damaged, or is not what `config.json` describes.
    #[error("cannot load {path}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: WeightsError,
    },
}

/// Writes a policy into a directory that its caller commits.
///
/// # Errors
/// If a file cannot be written.
pub fn write(model: &Policy, config: &PolicyConfig, dir: &Path) -> Result<(), CheckpointError> {
    let path = dir.join(CONFIG);
    let json =
        sizes::to_json(config).map_err(|source| CheckpointError::Config { path: path.clone(), source })?;
    std::fs::write(&path, json).map_err(|source| CheckpointError::Io { path, source })?;
    let path = dir.join(WEIGHTS);
    let bytes = weights::to_bytes(model, naming(model))
        .map_err(|source| CheckpointError::Weights { path: path.clone(), source })?;
    std::fs::write(&path, bytes).map_err(|source| CheckpointError::Io { path, source })
}

/// Identifies a policy by its weights: SHA-256 over names, shapes and values, as in the file [`WEIGHTS`] of [`write()`].
///
/// # Panics
/// If weights cannot be read back from the device.
pub fn fingerprint(model: &Policy) -> String {
    let bytes = weights::to_bytes(model, naming(model)).expect("names are unique and shapes fit their data");
    let mut hex = String::new();
    for byte in Sha256::digest(bytes) {
        write!(hex, "{byte:02x}").expect("a string takes everything");
    }
    hex
}

/// Reads a policy.
///
/// # Errors
/// If a file is missing or damaged, or a tensor is missing, unknown, of another shape, or not finite.
pub fn read(dir: &Path, device: &Device) -> Result<(Policy, PolicyConfig), CheckpointError> {
    let path = dir.join(CONFIG);
    let json = read_file(&path)?;
    let config =
        sizes::from_json(&json).map_err(|source| CheckpointError::Config { path: path.clone(), source })?;
    let bytes = read_file(&dir.join(WEIGHTS))?;
    let model = check_sizes(&config, bytes.len())
        .and_then(|()| Policy::new(&config, Key::new(0), device))
        .map_err(|source| CheckpointError::Sizes { path, source })?;
    let path = dir.join(WEIGHTS);
    let naming = naming(&model);
    let model = weights::from_bytes(model, &bytes, naming)
        .map_err(|source| CheckpointError::Weights { path, source })?;
    Ok((model, config))
}

/// Refuses sizes that no file of so many bytes holds, before a policy of these sizes is made.
fn check_sizes(config: &PolicyConfig, bytes: usize) -> Result<(), SizeError> {
    let (parameters, held) = (config.least_parameters(), bytes / size_of::<f32>());
    if parameters > held as f64 {
        return Err(SizeError::MoreThanWeights { parameters, held });
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    std::fs::read(path).map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::T5Config;
    use crate::testing;

    #[test]
    fn every_policy_survives_the_round_trip_bit_for_bit() {
        for config in testing::configs() {
            let dir = tempfile::tempdir().unwrap();
            let model = Policy::new(&config, Key::new(3), &Device::flex()).unwrap();
            write(&model, &config, dir.path()).unwrap();
            let (loaded, read) = read(dir.path(), &Device::flex()).unwrap();
            assert_eq!(read, config);
            assert_eq!(fingerprint(&loaded), fingerprint(&model));
        }
    }

    /// What `transformers` was checked with is what is written.
    #[test]
    fn the_configuration_of_qwen3_is_the_golden_one() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/qwen3");
        let golden = std::fs::read(dir.join(CONFIG)).unwrap();
        let written = sizes::to_json(&sizes::from_json(&golden).unwrap()).unwrap();
        let [golden, written] =
            [golden, written].map(|json| serde_json::from_slice::<serde_json::Value>(&json).unwrap());
        assert_eq!(written, golden);
    }

    fn cause(dir: &Path) -> String {
        let error = read(dir, &Device::flex()).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    }

    #[test]
    fn damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let model = testing::model(&Device::flex());
        write(&model, &testing::config(), dir.path()).unwrap();
        let weights = dir.path().join(WEIGHTS);
        let bytes = std::fs::read(&weights).unwrap();

        std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
        assert!(matches!(read(dir.path(), &Device::flex()), Err(CheckpointError::Weights { .. })));

        let mut poisoned = bytes.clone();
        let end = poisoned.len();
        poisoned[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&weights, poisoned).unwrap();
        let error = cause(dir.path());
        assert!(error.contains("holds NaN at position"), "{error}");

        std::fs::write(&weights, bytes).unwrap();
        let other = PolicyConfig::T5(T5Config { d_ff: 32, ..testing::t5_config() });
        let json = sizes::to_json(&other).unwrap();
        std::fs::write(dir.path().join(CONFIG), json).unwrap();
        let error = cause(dir.path());
        assert!(error.contains("DenseReluDense.wi.weight is F32 [24, 16], expected F32 [32, 16]"), "{error}");
    }
}
