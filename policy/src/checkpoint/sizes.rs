//! `config.json`: what kind of policy it is, and its sizes.

use crate::model::{EncoderAttention, PolicyConfig, Qwen3Config, T5Config};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `config.json` as `transformers` reads it. The constants are part of the contract: tied embeddings are also
/// T5's switch for scaling logits by `d_model^-0.5`.
#[derive(Serialize, Deserialize)]
struct T5File {
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

impl T5File {
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

/// `config.json` of a policy.
pub(super) fn to_json(config: &PolicyConfig) -> serde_json::Result<Vec<u8>> {
    match config {
        PolicyConfig::T5(config) => serde_json::to_vec_pretty(&T5File::new(config)),
        PolicyConfig::ItemContext(sizes) => own_json((ITEM_CONTEXT, "ItemContext"), sizes),
        PolicyConfig::LazyDecoder(sizes) => own_json((LAZY_DECODER, "LazyDecoder"), sizes),
        PolicyConfig::OneRecMoe(sizes) => own_json((ONEREC_MOE, "OneRecMoe"), sizes),
        PolicyConfig::Qwen3(sizes) => serde_json::to_vec_pretty(&Qwen3File::new(sizes)),
    }
}

/// The sizes that a `config.json` tells.
pub(super) fn from_json(json: &[u8]) -> serde_json::Result<PolicyConfig> {
    Ok(match serde_json::from_slice::<ModelType>(json)?.model_type.as_str() {
        ITEM_CONTEXT => PolicyConfig::ItemContext(own_sizes(json)?),
        LAZY_DECODER => PolicyConfig::LazyDecoder(own_sizes(json)?),
        ONEREC_MOE => PolicyConfig::OneRecMoe(own_sizes(json)?),
        QWEN3 | USER_QWEN3 => PolicyConfig::Qwen3(serde_json::from_slice::<Qwen3File>(json)?.sizes),
        _ => PolicyConfig::T5(serde_json::from_slice::<T5File>(json)?.sizes),
    })
}
