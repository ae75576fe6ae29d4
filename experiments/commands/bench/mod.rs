//! `recalign bench`: the canonical workloads, timed in this process. Sizes are those of `canonical`, the arithmetic
//! operations those of `flops`; `experiments/bench/peers.py` compares with other implementations.

mod beam;
mod canonical;
mod dec;
mod dpo;
mod flops;
mod gemm;
mod grpo;
mod harness;
mod ingest;
mod kmeans;
mod learner;
mod output;
mod train;
mod trie;

use super::output::print;
use crate::cli::{BenchArgs, Workload};
use anyhow::Context as _;
use harness::{Outcome, Timing};
use std::path::Path;

/// Times the workload, then (so that it disturbs neither time nor memory) the matrix products that its speed is
/// compared with, and prints a record per case.
///
/// # Errors
/// An option that the workload does not have; a number that is not finite; a file cannot be written.
pub(super) fn bench(arguments: &BenchArgs) -> anyhow::Result<()> {
    check(arguments)?;
    if let Some(threads) = arguments.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        pool.build_global().context("cannot start the threads")?;
    }
    let timing = Timing { warmup: arguments.warmup, runs: arguments.runs.get() };
    let outcomes = outcomes(arguments, timing)?;
    let peak = outcomes.iter().any(Outcome::computes).then(gemm::peak).transpose()?;
    let records: Vec<_> = outcomes.iter().map(|outcome| output::Record::new(outcome, peak)).collect();
    print(&if arguments.json { output::json_lines(&records)? } else { output::table(&records) })
}

fn outcomes(arguments: &BenchArgs, timing: Timing) -> anyhow::Result<Vec<Outcome>> {
    let write = arguments.write.as_deref();
    let one = |outcome: anyhow::Result<Outcome>| Ok(vec![outcome?]);
    match arguments.workload {
        Workload::Gemm => gemm::run(timing),
        Workload::Train => one(train::run(timing, arguments.dropout, write)),
        Workload::Dec => one(dec::run(timing, arguments.dropout)),
        Workload::Beam => one(beam::run(timing, write)),
        Workload::Dpo => one(dpo::run(timing)),
        Workload::Grpo => one(grpo::run(timing)),
        Workload::Kmeans => one(kmeans::run(timing)),
        Workload::Ingest => one(ingest::run(timing, rayon::current_num_threads())),
        Workload::Trie => one(trie::run(timing)),
    }
}

/// Refuses options that would be ignored.
fn check(arguments: &BenchArgs) -> anyhow::Result<()> {
    let workload = arguments.workload;
    anyhow::ensure!((0.0..1.0).contains(&arguments.dropout), "--dropout must be at least 0 and below 1");
    anyhow::ensure!(
        arguments.dropout == 0.0 || matches!(workload, Workload::Train | Workload::Dec),
        "--dropout is an option of train and dec, other workloads have none"
    );
    anyhow::ensure!(
        arguments.write.as_deref().is_none_or(Path::is_dir),
        "--write needs a directory that is there"
    );
    anyhow::ensure!(
        arguments.write.is_none() || matches!(workload, Workload::Train | Workload::Beam),
        "--write is an option of train and beam, whose results can be compared"
    );
    Ok(())
}
