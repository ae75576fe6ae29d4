//! Policies on disk: `config.json` and `model.safetensors`. T5 and Qwen3 are in Hugging Face's layout, so that the weights of
//! a run are what a serving stack loads, without any conversion; other architectures name their parameters as the module does.

use crate::model::{EncoderAttention, Policy, PolicyConfig, Qwen3Config, SizeError, T5Config};
use crate::random::Key;
use crate::weights::{self, WeightsError};
use burn::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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

/// `config.json` as `transformers` reads it. The constants are part of the contract: tied embeddings are also
/// T5's switch for scaling logits by `d_model^-0.5`.
#[derive(Serialize, Deserialize)]
struct HuggingFaceConfig {
    architectures: Vec<String>,
    model_type: String,
    #[serde(flatten)]
    sizes: T5Config,
    feed_forward_proj: String,
    tie_word_embeddings: bool,
    is_encoder_decoder: bool,
    use_cache: bool,
    pad_token_id: u32,
    eos_token_id: u32,
    decoder_start_token_id: u32,
    torch_dtype: String,
}

impl HuggingFaceConfig {
    fn new(sizes: &T5Config) -> Self {
        // With a causal encoder, users or branches it is not T5: under another name `transformers` refuses it instead of
        // computing something else.
        let (architecture, model_type) = match (sizes.encoder_attention, sizes.is_plain()) {
            (EncoderAttention::Bidirectional, true) => ("T5ForConditionalGeneration", "t5"),
            (EncoderAttention::Bidirectional, false) => ("ExtendedT5", "extended-t5"),
            (EncoderAttention::Causal, _) => ("CausalEncoderT5", "causal-encoder-t5"),
        };
        Self {
            architectures: vec![architecture.into()],
            model_type: model_type.into(),
            sizes: sizes.clone(),
            feed_forward_proj: "relu".into(),
            tie_word_embeddings: true,
            is_encoder_decoder: true,
            use_cache: true,
            pad_token_id: 0,
            eos_token_id: 1,
            decoder_start_token_id: 0,
            torch_dtype: "float32".into(),
        }
    }
}

/// `config.json` of a policy that only this program knows.
#[derive(Serialize, Deserialize)]
struct OwnFile<T> {
    architectures: Vec<String>,
    model_type: String,
    #[serde(flatten)]
    sizes: T,
}

/// `model_type` of a policy with item-level context.
const ITEM_CONTEXT: &str = "item-context";
/// `model_type` of a policy with a lazy decoder.
const LAZY_DECODER: &str = "lazy-decoder";
/// `model_type` of an encoder-decoder with experts.
const ONEREC_MOE: &str = "onerec-moe";

/// `config.json` of a kind with its class.
fn own_json<T: Serialize>((model_type, class): (&str, &str), sizes: &T) -> serde_json::Result<Vec<u8>> {
    let architectures = vec![class.into()];
    serde_json::to_vec_pretty(&OwnFile { architectures, model_type: model_type.into(), sizes })
}

fn own_sizes<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    Ok(serde_json::from_slice::<OwnFile<T>>(json)?.sizes)
}

/// `config.json` of a decoder-only policy as `transformers` reads it. The constants say what the model does not have.
#[derive(Serialize, Deserialize)]
struct Qwen3File {
    architectures: Vec<String>,
    model_type: String,
    #[serde(flatten)]
    sizes: Qwen3Config,
    hidden_act: String,
    attention_bias: bool,
    use_sliding_window: bool,
    max_position_embeddings: usize,
    bos_token_id: u32,
    eos_token_id: u32,
    torch_dtype: String,
}

/// `model_type` of a decoder-only policy.
const QWEN3: &str = "qwen3";
/// The same with users, which `transformers` does not know.
const USER_QWEN3: &str = "user-qwen3";
/// Rotary positions have no end: what `transformers` takes for Qwen3 where nothing is said.
const MAX_POSITIONS: usize = 32_768;

impl Qwen3File {
    fn new(sizes: &Qwen3Config) -> Self {
        let (architecture, model_type) =
            if sizes.user_buckets == 0 { ("Qwen3ForCausalLM", QWEN3) } else { ("UserQwen3", USER_QWEN3) };
        Self {
            architectures: vec![architecture.into()],
            model_type: model_type.into(),
            sizes: sizes.clone(),
            hidden_act: "silu".into(),
            attention_bias: false,
            use_sliding_window: false,
            max_position_embeddings: MAX_POSITIONS,
            bos_token_id: 0,
            eos_token_id: 1,
            torch_dtype: "float32".into(),
        }
    }
}

/// What tells the kinds of `config.json` apart.
#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

fn to_json(config: &PolicyConfig) -> serde_json::Result<Vec<u8>> {
    match config {
        PolicyConfig::T5(config) => serde_json::to_vec_pretty(&HuggingFaceConfig::new(config)),
        PolicyConfig::ItemContext(sizes) => own_json((ITEM_CONTEXT, "ItemContext"), sizes),
        PolicyConfig::LazyDecoder(sizes) => own_json((LAZY_DECODER, "LazyDecoder"), sizes),
        PolicyConfig::OneRecMoe(sizes) => own_json((ONEREC_MOE, "OneRecMoe"), sizes),
        PolicyConfig::Qwen3(sizes) => serde_json::to_vec_pretty(&Qwen3File::new(sizes)),
    }
}

fn from_json(json: &[u8]) -> serde_json::Result<PolicyConfig> {
    Ok(match serde_json::from_slice::<ModelType>(json)?.model_type.as_str() {
        ITEM_CONTEXT => PolicyConfig::ItemContext(own_sizes(json)?),
        LAZY_DECODER => PolicyConfig::LazyDecoder(own_sizes(json)?),
        ONEREC_MOE => PolicyConfig::OneRecMoe(own_sizes(json)?),
        QWEN3 | USER_QWEN3 => PolicyConfig::Qwen3(serde_json::from_slice::<Qwen3File>(json)?.sizes),
        _ => PolicyConfig::T5(serde_json::from_slice::<HuggingFaceConfig>(json)?.sizes),
    })
}

/// How a policy's parameters are called in the file.
fn naming(model: &Policy) -> weights::Naming {
    match model {
        Policy::T5(_) => name,
        Policy::ItemContext(_) | Policy::LazyDecoder(_) | Policy::OneRecMoe(_) => weights::dotted,
        Policy::Qwen3(_) => qwen3_name,
    }
}

/// Writes a policy into a directory that its caller commits.
///
/// # Errors
/// If a file cannot be written.
pub fn write(model: &Policy, config: &PolicyConfig, dir: &Path) -> Result<(), CheckpointError> {
    let path = dir.join(CONFIG);
    let json = to_json(config).map_err(|source| CheckpointError::Config { path: path.clone(), source })?;
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
    let config = from_json(&json).map_err(|source| CheckpointError::Config { path: path.clone(), source })?;
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

/// Hugging Face's name of the parameter at a path.
fn name(path: &[String]) -> String {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts[..] {
        [stack, "relative_attention_bias", leaf] => {
            format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.{leaf}")
        }
        [stack, "block", block, part, ref rest @ ..] => {
            format!("{stack}.block.{block}.{}.{}", layer(stack, part), rest.join("."))
        }
        _ => parts.join("."),
    }
}

/// Hugging Face's name of the parameter of a [`Policy::Qwen3`]: all but the head are the base model's.
fn qwen3_name(path: &[String]) -> String {
    let name = weights::dotted(path);
    if name.starts_with("lm_head") { name } else { format!("model.{name}") }
}

/// Sub-block names in T5's order: self-attention, cross-attention (decoder only), feed-forward.
fn layer(stack: &str, part: &str) -> String {
    let feed_forward = if stack == "decoder" { 2 } else { 1 };
    match part {
        "self_attention" => "layer.0.SelfAttention".into(),
        "self_attention_norm" => "layer.0.layer_norm".into(),
        "cross_attention" => "layer.1.EncDecAttention".into(),
        "cross_attention_norm" => "layer.1.layer_norm".into(),
        "feed_forward" => format!("layer.{feed_forward}.DenseReluDense"),
        "feed_forward_norm" => format!("layer.{feed_forward}.layer_norm"),
        other => unreachable!("T5 blocks have no part {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let written = to_json(&from_json(&golden).unwrap()).unwrap();
        let [golden, written] =
            [golden, written].map(|json| serde_json::from_slice::<serde_json::Value>(&json).unwrap());
        assert_eq!(written, golden);
    }

    #[test]
    fn names_are_those_of_hugging_face() {
        let bytes = weights::to_bytes(&testing::model(&Device::flex()), name).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let names = tensors.names();
        for name in [
            "shared.weight",
            "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            "encoder.block.1.layer.0.SelfAttention.q.weight",
            "encoder.block.1.layer.1.DenseReluDense.wi.weight",
            "encoder.block.0.layer.1.layer_norm.weight",
            "encoder.final_layer_norm.weight",
            "decoder.block.1.layer.1.EncDecAttention.o.weight",
            "decoder.block.1.layer.2.DenseReluDense.wo.weight",
            "decoder.block.0.layer.2.layer_norm.weight",
        ] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        // 1 shared + 2 x (bias + final norm) + 2 encoder blocks x 8 + 2 decoder blocks x 13.
        assert_eq!(names.len(), 1 + 4 + 16 + 26);
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
        let other = T5Config { d_ff: 32, ..testing::t5_config() };
        let json = serde_json::to_vec(&HuggingFaceConfig::new(&other)).unwrap();
        std::fs::write(dir.path().join(CONFIG), json).unwrap();
        let error = cause(dir.path());
        assert!(error.contains("DenseReluDense.wi.weight is F32 [24, 16], expected F32 [32, 16]"), "{error}");
    }
}
