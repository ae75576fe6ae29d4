//! `config.json`, `model.safetensors` and `generation_config.json`, from those of a run's checkpoint.

use super::description::Layout;
use crate::run::{commit, to_json};
use anyhow::Context as _;
use half::bf16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Number format of exported weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    /// 32-bit floats: the run's weights, bit for bit
    #[default]
    F32,
    /// bfloat16: half the size, rounded to nearest even
    Bf16,
}

/// Writes the weights of the checkpoint in `from` into `to`.
pub(super) fn write(from: &Path, to: &Path, layout: Layout, precision: Precision) -> anyhow::Result<()> {
    let read = |file: &str| {
        let path = from.join(file);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (weights, config) = (read("model.safetensors")?, read("config.json")?);
    let mut config: Value =
        serde_json::from_slice(&config).context("the policy's config.json is not JSON")?;
    let weights = match precision {
        Precision::F32 => weights,
        Precision::Bf16 => {
            if config.get("torch_dtype").is_some() {
                config["torch_dtype"] = json!("bfloat16");
            }
            rounded(&weights).context("cannot round the policy's weights")?
        }
    };
    commit::write_file(&to.join("model.safetensors"), &weights)?;
    commit::write_file(&to.join("config.json"), &to_json(&config)?)?;
    match layout {
        Layout::Native => Ok(()),
        Layout::HuggingFace => {
            commit::write_file(&to.join("generation_config.json"), &to_json(&generation(&config))?)
        }
    }
}

/// Greedy defaults. There is no end token: a semantic ID ends by its length, and `generate` must not stop before.
/// `transformers` 5 makes the decoder's cache with as many layers as the encoder has, and fails where the decoder has more;
/// for a few codes decoding does without.
fn generation(config: &Value) -> Value {
    let cached = config.get("num_decoder_layers").is_none_or(|layers| *layers == config["num_layers"]);
    let mut generation =
        json!({ "do_sample": false, "num_beams": 1, "pad_token_id": 0, "use_cache": cached });
    for key in ["decoder_start_token_id", "bos_token_id"] {
        if let Some(token) = config.get(key) {
            generation[key] = token.clone();
        }
    }
    generation
}

/// The same tensors in bfloat16.
fn rounded(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        anyhow::ensure!(view.dtype() == Dtype::F32, "{name} is {:?}, expected F32", view.dtype());
        let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let rounded: Vec<u8> = values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect();
        tensors.push((name.to_owned(), view.shape().to_vec(), rounded));
    }
    tensors.sort();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        TensorView::new(Dtype::BF16, shape.clone(), bytes).map(|view| (name, view))
    });
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, Some(metadata))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_names_and_shapes_and_goes_to_the_nearest_even() {
        // 1 + 2^-8 lies between 1 and 1 + 2^-7: the tie goes to the even mantissa, 1.
        let values: Vec<u8> = [1.0 + 2f32.powi(-8), 1.0 + 3.0 * 2f32.powi(-8), -2.5]
            .into_iter()
            .flat_map(f32::to_le_bytes)
            .collect();
        let view = TensorView::new(Dtype::F32, vec![1, 3], &values).unwrap();
        let bytes = rounded(&safetensors::serialize([("a", view)], None).unwrap()).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let view = file.tensor("a").unwrap();
        let found: Vec<f32> =
            view.data().as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect();
        assert_eq!((view.dtype(), view.shape()), (Dtype::BF16, &[1, 3][..]));
        assert_eq!(found, [1.0, 1.0 + 2f32.powi(-6), -2.5]);
    }
}
