//! Beam search: 32 users, width 32, probabilities over the whole vocabulary and only then the trie, as `generate` with
//! a prefix function has it.

use super::canonical::{self, WIDTH};
use super::flops;
use super::harness::{Case, Outcome, Timing};
use crate::run::commit::write_file;
use burn::prelude::*;
use policy::batch::EncoderBatch;
use policy::checkpoint;
use policy::ids::ItemId;
use policy::log_prob::{LogProbSpace, Scorer, Support};
use policy::model::{Dropout, Policy};
use sampler::beam::{Search, beam_search};
use sampler::candidate::Candidate;
use sampler::recommend::Codebook;
use serde_json::Value;
use std::path::Path;

const USERS: usize = 32;

/// Times searches, the encoder included. `write` receives the policy, the requests and the lists.
pub(super) fn run(timing: Timing, write: Option<&Path>) -> anyhow::Result<Outcome> {
    let device = Device::flex();
    let codebook = canonical::codebook()?;
    let model = canonical::policy(&codebook, &device)?;
    let histories = canonical::histories(USERS, &codebook);
    let (seconds, lists) =
        timing.steps(Vec::new(), |_| Ok(search((&model, &codebook), &histories, WIDTH)))?;
    if let Some(dir) = write {
        write_case(dir, (&model, &codebook), &lists)?;
    }
    let case = Case {
        workload: "W-beam",
        variant: "recalign".into(),
        unit: "users",
        units: USERS as f64,
        gflop_per_unit: Some(flops::beam()),
    };
    Ok(Outcome::new(case, seconds, [("users", USERS.into()), ("beam", WIDTH.into())]))
}

/// The `width` best items of each user.
pub(super) fn search(
    (model, codebook): (&Policy, &Codebook),
    histories: &EncoderBatch,
    width: usize,
) -> Vec<Vec<Candidate>> {
    let nothing: Vec<&[ItemId]> = vec![&[]; histories.packing.rows()];
    let support = Support::new(LogProbSpace::Full, &codebook.trie);
    let scorer = Scorer { model, vocab: &codebook.vocab, support };
    let encoded = model.encode(histories, Dropout::Off);
    beam_search(&scorer, &codebook.trie, &encoded, &Search { width, exclude: &nothing })
}

/// What `experiments/bench/check_beam.py` compares with.
fn write_case(
    dir: &Path,
    (model, codebook): (&Policy, &Codebook),
    lists: &[Vec<Candidate>],
) -> anyhow::Result<()> {
    checkpoint::write(model, &canonical::config(codebook), dir)?;
    let tokens =
        |item: ItemId| -> Vec<u32> { codebook.vocab.tokens(codebook.catalog.semantic_id(item)).collect() };
    let ranked = |list: &Vec<Candidate>| -> Vec<Value> {
        let entry = |c: &Candidate| serde_json::json!({ "tokens": tokens(c.item), "score": c.log_prob() });
        list.iter().map(entry).collect()
    };
    let case = serde_json::json!({
        "inputs": canonical::history_tokens(USERS, codebook),
        "catalog": (0..codebook.catalog.num_items()).map(|item| tokens(ItemId::new(item))).collect::<Vec<_>>(),
        "lists": lists.iter().map(ranked).collect::<Vec<_>>(),
    });
    write_file(&dir.join("beam.json"), &serde_json::to_vec(&case)?)
}
