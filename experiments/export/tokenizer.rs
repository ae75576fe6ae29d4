//! The tokens as a `tokenizers` file: one word per (level, code), `<s0_17>`; an item is its words in order.
//!
//! There is no unknown word: text that is no code is an error in `tokenizers`, not silently something else.

use crate::run::{commit, to_json};
use policy::ids::Code;
use policy::vocab::{END, PAD, Vocab};
use serde_json::{Map, Value, json};
use std::path::Path;

const PAD_WORD: &str = "<pad>";
const END_WORD: &str = "</s>";

/// Writes the tokenizer's three files.
pub(super) fn write(vocab: &Vocab, dir: &Path) -> anyhow::Result<()> {
    let files = [
        ("tokenizer.json", tokenizer(vocab)),
        (
            "tokenizer_config.json",
            json!({
                "tokenizer_class": "PreTrainedTokenizerFast",
                "pad_token": PAD_WORD,
                "eos_token": END_WORD,
                "clean_up_tokenization_spaces": false,
            }),
        ),
        ("special_tokens_map.json", json!({ "pad_token": PAD_WORD, "eos_token": END_WORD })),
    ];
    for (file, json) in files {
        commit::write_file(&dir.join(file), &to_json(&json)?)?;
    }
    Ok(())
}

fn tokenizer(vocab: &Vocab) -> Value {
    let special = |id: u32, word: &str| {
        json!({
            "id": id, "content": word, "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(PAD, PAD_WORD), special(END, END_WORD)],
        "normalizer": null,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "WhitespaceSplit" },
            { "type": "Split", "pattern": { "Regex": "<[^>]*>" }, "behavior": "Isolated", "invert": false },
        ] },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": words(vocab), "unk_token": "<unknown>" },
    })
}

/// Every token has a word, those that only fill the vocabulary up too.
fn words(vocab: &Vocab) -> Map<String, Value> {
    let mut words = vec![PAD_WORD.to_owned(), END_WORD.to_owned()];
    for level in 0..vocab.levels() {
        words.extend((0..vocab.level_size(level)).map(|code| word(level, code as Code)));
    }
    words.extend((words.len()..vocab.size()).map(|token| format!("<unused_{token}>")));
    words.into_iter().zip(0u32..).map(|(word, token)| (word, token.into())).collect()
}

/// The word of a code.
fn word(level: usize, code: Code) -> String {
    format!("<s{level}_{code}>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::catalog::Catalog;
    use policy::ids::SemanticId;

    #[test]
    fn every_token_of_the_vocabulary_has_one_word() {
        let catalog = Catalog::new(vec![SemanticId::new([1, 2])], vec![4, 9]).unwrap();
        let vocab = Vocab::of(&catalog);
        let words = words(&vocab);
        let mut tokens: Vec<u64> = words.values().map(|token| token.as_u64().unwrap()).collect();
        tokens.sort_unstable();
        assert!(tokens.into_iter().eq(0..vocab.size() as u64));
        assert_eq!(words["<s0_3>"], vocab.token(0, 3));
        assert_eq!(words["<s1_8>"], vocab.token(1, 8));
    }
}
