//! A run's policy as a directory that serving teams load, check and run.
//!
//! `t5` (with a bidirectional encoder) and `qwen3` are in Hugging Face's layout; what that cannot express is a native bundle,
//! the same files without those that only `transformers` reads. Either way [`verify`] re-hashes every file, loads the
//! weights and replays the golden requests, and [`bundle::Bundle`] is what `recalign serve` runs. [`assign`] gives semantic IDs to
//! items that come after the run, [`migrate`] tells what another directory's semantic IDs move.
//!
//! | file | what it is |
//! |---|---|
//! | `config.json model.safetensors generation_config.json` | the weights, tied or not as the policy is |
//! | `tokenizer.json tokenizer_config.json special_tokens_map.json` | one word per (level, code): `<s0_17>` |
//! | `serving.json` | [`description::Description`]: how histories become tokens, and what to search with |
//! | `sid_map.parquet` | `item`, `raw_id`, `code_0`, `code_1`, ... |
//! | `sid_trie.safetensors` | which code may follow which: [`tables`] |
//! | `codebooks.safetensors` | the codebooks and the rule by which new items get codes |
//! | `reference_io.safetensors` | golden requests and what this program answers: [`golden`] |
//! | `judge/` | the proxy judge, to choose among candidates when they are served |
//! | `README.md recommend.py` | model card; recommending with `transformers` alone |
//! | `manifest.json SHA256SUMS` | hashes of all files, and of the stages they come from |

mod added;
pub mod assign;
pub mod bundle;
mod card;
pub mod description;
pub mod diff;
pub mod golden;
pub mod manifest;
pub mod migrate;
mod place;
mod safetensor;
mod source;
pub mod tables;
mod tokenizer;
pub mod verify;
mod weights;
mod writer;

pub use source::{PRETRAINED, Requests};
pub use weights::Precision;
pub use writer::{Export, export};
