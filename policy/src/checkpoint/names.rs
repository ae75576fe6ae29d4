//! Names of parameters in `model.safetensors`.

use crate::model::Policy;
use crate::weights;

/// How a policy's parameters are called in the file.
pub(super) fn naming(model: &Policy) -> weights::Naming {
    match model {
        Policy::T5(_) => t5_name,
        Policy::ItemContext(_) | Policy::LazyDecoder(_) | Policy::OneRecMoe(_) => weights::dotted,
        Policy::Qwen3(_) => qwen3_name,
    }
}

/// Hugging Face's name of the parameter at a path.
fn t5_name(path: &[String]) -> String {
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
    use burn::prelude::Device;

    #[test]
    fn names_are_those_of_hugging_face() {
        let bytes = weights::to_bytes(&testing::model(&Device::flex()), t5_name).unwrap();
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
}
