//! What a policy reads beyond items and writes beyond one must suit its architecture.

use super::Check;
use crate::config::{Architecture, Config, EncoderInput, Model, Pretrain};
use policy::model::{CodeDecoder, ContextBlock, ItemEmbedding};

/// What it reads.
pub(super) fn model(model: &Model, check: &mut Check) {
    attention_bias(model, check);
    encoder_input(model, check);
    item_dropout(model, check);
}

/// Only HSTU blocks know of times.
fn attention_bias(model: &Model, check: &mut Check) {
    let hstu = model.architecture == Architecture::ItemContext && model.context_block == ContextBlock::Hstu;
    if model.attention_bias.reads_times() && !hstu {
        let message = "`model.attention_bias` other than \"position\" needs `model.architecture` = \"item-context\" and \
                       `model.context_block` = \"hstu\": other blocks know of places alone";
        check.between_keys("model.attention_bias", message.into(), "model.context_block");
    }
}

/// The others read items, or have no encoder.
fn encoder_input(model: &Model, check: &mut Check) {
    let of_codes = matches!(model.architecture, Architecture::T5 | Architecture::OneRecMoe);
    if model.encoder_input != EncoderInput::Codes && !of_codes {
        let message = "`model.encoder_input` = \"two-branches\" needs an encoder that reads codes: `model.architecture` = \"t5\" \
                       or \"onerec-moe\"";
        check.between_keys("model.encoder_input", message.into(), "model.architecture");
    }
}

/// Codes alone are what is left when an item's own vector is forgotten.
fn item_dropout(model: &Model, check: &mut Check) {
    check.within("model.item_dropout", model.item_dropout, 0.0..=0.95);
    let reads_items = matches!(model.architecture, Architecture::ItemContext | Architecture::LazyDecoder)
        && model.item_embedding == ItemEmbedding::CodesAndItem;
    if model.item_dropout > 0.0 && !reads_items {
        let message = "`model.item_dropout` needs items with vectors of their own: `model.item_embedding` = \"codes-and-item\" and \
                       `model.architecture` = \"item-context\" or \"lazy-decoder\"";
        check.between_keys("model.item_dropout", message.into(), "model.item_embedding");
    }
}

/// What it writes.
pub(super) fn sessions(model: &Model, pretrain: &Pretrain, check: &mut Check) {
    let Some(sessions) = &pretrain.sessions else { return };
    check.within("pretrain.sessions.items", sessions.items, 1..=64);
    check.within("pretrain.sessions.gap", sessions.gap.unwrap_or(1), 1..=1_000_000_000);
    if let Some(watched) = &sessions.watched {
        check.that("pretrain.sessions.watched.above", watched.above.is_finite(), watched.above, "finite");
    }
    let all_at_once =
        model.architecture == Architecture::ItemContext && model.code_decoder == CodeDecoder::Parallel;
    if all_at_once && sessions.items > 1 {
        let message = "`pretrain.sessions` needs a decoder whose items depend on those before them: `model.code_decoder` = \
                       \"depth\", or another architecture";
        check.between_keys("pretrain.sessions", message.into(), "model.code_decoder");
    }
}

/// Pruning is measured on items, one by one.
pub(super) fn pruning(config: &Config, check: &mut Check) {
    let least = config.evaluate.min_consistency;
    if least > 0.0 && config.pretrain.session_items() > 1 {
        let message = format!(
            "`evaluate.min_consistency` = {least} prunes searches of single items; a policy of `pretrain.sessions` writes several"
        );
        check.between_keys("evaluate.min_consistency", message, "pretrain.sessions");
    }
}
