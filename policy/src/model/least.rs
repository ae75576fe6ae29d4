//! How many parameters a configuration asks for at least: what a file of weights is held against before anything of that
//! size is made.

use super::{CodeDecoder, ContextBlock, HeadWeights, ItemEmbedding, PolicyConfig, T5Config};

/// Products of sizes from a file overflow integers; as an estimate they need not be exact.
fn product(sizes: &[usize]) -> f64 {
    sizes.iter().map(|&size| size as f64).product()
}

/// A block's projections of queries and its way into the feed-forward layer.
fn blocks(layers: usize, [width, inner, feed_forward]: [usize; 3]) -> f64 {
    product(&[layers, width, inner]) + product(&[layers, width, feed_forward])
}

fn t5(c: &T5Config) -> f64 {
    let stacks = [c.num_layers, c.num_decoder_layers].map(|layers| {
        product(&[layers, c.d_model, c.num_heads, c.d_kv]) + product(&[layers, c.d_model, c.d_ff])
    });
    product(&[c.vocab_size, c.d_model])
        + stacks.iter().sum::<f64>()
        + product(&[c.relative_attention_num_buckets, c.num_heads])
}

impl PolicyConfig {
    /// A lower bound of the number of parameters, of the order of the number itself.
    pub fn least_parameters(&self) -> f64 {
        match self {
            Self::T5(config) => t5(config),
            Self::OneRecMoe(config) => {
                t5(&T5Config { d_ff: 0, ..config.t5.clone() })
                    + product(&[config.experts.num_experts, config.t5.d_model, config.t5.d_ff])
            }
            Self::Qwen3(c) => {
                let sizes =
                    [c.hidden_size, c.num_attention_heads.saturating_mul(c.head_dim), c.intermediate_size];
                product(&[c.vocab_size, c.hidden_size]) + blocks(c.num_hidden_layers, sizes)
            }
            Self::LazyDecoder(c) => {
                let items = if c.item_embedding == ItemEmbedding::CodesAndItem { c.num_items } else { 0 };
                let head = if c.head == HeadWeights::Own { c.vocab_size } else { 0 };
                product(&[c.vocab_size, c.d_model])
                    + product(&[items, c.d_model])
                    + product(&[head, c.d_model])
                    + blocks(c.num_layers, [c.d_model, c.num_heads.saturating_mul(c.d_head), c.d_ff])
            }
            Self::ItemContext(c) => {
                let items = if c.item_embedding == ItemEmbedding::CodesAndItem { c.num_items } else { 0 };
                let feed_forward = if c.context_block == ContextBlock::Transformer { c.d_ff } else { 0 };
                let levels = if c.code_decoder == CodeDecoder::Parallel { c.levels } else { 0 };
                let inner = c.num_heads.saturating_mul(c.d_kv);
                product(&[c.vocab_size, c.d_model])
                    + product(&[items, c.d_model])
                    + product(&[levels, c.d_model, c.d_model])
                    + blocks(c.num_layers, [c.d_model, inner, feed_forward])
                    + blocks(c.num_decoder_layers, [c.d_model, inner, c.d_ff])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;
    use crate::weights::{dotted, to_bytes};
    use burn::prelude::Device;

    #[test]
    fn the_bound_lies_below_the_parameters_of_every_architecture_and_not_far_below() {
        for config in testing::configs() {
            let model =
                crate::model::Policy::new(&config, crate::random::Key::new(1), &Device::flex()).unwrap();
            let parameters = to_bytes(&model, dotted).unwrap().len() as f64 / 4.0;
            let least = config.least_parameters();
            assert!(least <= parameters && 20.0 * least > parameters, "{config:?}: {least} of {parameters}");
        }
    }
}
