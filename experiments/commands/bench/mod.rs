//! `recalign bench`: the canonical workloads, timed in this process. Sizes are those of `canonical`, the arithmetic
//! operations those of `flops`; `experiments/bench/peers.py` compares with other implementations.

mod beam;
mod canonical;
mod dec;
mod dpo;
mod epoch;
mod flops;
mod gemm;
mod grpo;
mod harness;
mod ingest;
mod judge;
mod kmeans;
mod learner;
mod options;
mod output;
mod scaling;
mod train;
mod trie;

use super::output::print;
use crate::cli::{BenchArgs, Workload};
use crate::threads::in_pool;
use anyhow::Context as _;
use harness::Outcome;

/// Times the workload, then (so that it disturbs neither time nor memory) the matrix products that its speed is
/// compared with, and prints a record per case.
///
/// # Errors
/// An option that the workload does not have; a number that is not finite; a file cannot be written.
pub(super) fn bench(arguments: &BenchArgs) -> anyhow::Result<()> {
    options::check(arguments)?;
    if let Some(threads) = arguments.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        pool.build_global().context("cannot start the threads")?;
    }
    let outcomes = in_pool(|| outcomes(arguments))?;
    let peak = outcomes.iter().any(Outcome::computes).then(gemm::peak).transpose()?;
    let records: Vec<_> = outcomes.iter().map(|outcome| output::Record::new(outcome, peak)).collect();
    print(&if arguments.json { output::json_lines(&records)? } else { output::table(&records) })
}

fn outcomes(arguments: &BenchArgs) -> anyhow::Result<Vec<Outcome>> {
    let (timing, write) = (options::timing(arguments), arguments.write.as_deref());
    let one = |outcome: anyhow::Result<Outcome>| Ok(vec![outcome?]);
    match arguments.workload {
        Workload::Gemm => gemm::run(timing),
        Workload::Train => one(train::run(timing, arguments.dropout, write)),
        Workload::Dec => one(dec::run(timing, arguments.dropout)),
        Workload::Beam => one(beam::run(timing, write)),
        Workload::Dpo => one(dpo::run(timing, arguments.reference)),
        Workload::Grpo => one(grpo::run(timing)),
        Workload::Kmeans => one(kmeans::run(timing)),
        Workload::Ingest => one(ingest::run(timing, rayon::current_num_threads())),
        Workload::Judge => one(judge::run(timing)),
        Workload::Trie => one(trie::run(timing)),
        Workload::Epoch => one(epoch::run(arguments, timing.warmup)),
        Workload::Scaling => scaling::run(timing, write),
    }
}
