//! Which options a workload has, and their defaults.

use super::harness::Timing;
use crate::cli::{BenchArgs, Reference, Workload};
use std::path::Path;

/// Refuses options that would be ignored.
///
/// # Errors
/// Such an option is given, or one is out of range.
pub(super) fn check(arguments: &BenchArgs) -> anyhow::Result<()> {
    use Workload::{Beam, Dec, Dpo, Epoch, Scaling, Train};
    anyhow::ensure!((0.0..1.0).contains(&arguments.dropout), "--dropout must be at least 0 and below 1");
    let given = [
        (arguments.dropout != 0.0, "--dropout", &[Train, Dec][..]),
        (arguments.reference != Reference::Recomputed, "--reference", &[Dpo]),
        (arguments.write.is_some(), "--write", &[Train, Beam, Scaling, Epoch]),
        (arguments.config.is_some(), "--config", &[Epoch]),
        (!arguments.overrides.is_empty(), "--set", &[Epoch]),
        (arguments.batches.is_some(), "--batches", &[Epoch]),
    ];
    for (_, option, workloads) in given.into_iter().filter(|(given, ..)| *given) {
        let names: Vec<_> = workloads.iter().map(|workload| format!("{workload:?}").to_lowercase()).collect();
        anyhow::ensure!(
            workloads.contains(&arguments.workload),
            "{option} is an option of {}, other workloads have none",
            names.join(", ")
        );
    }
    anyhow::ensure!(
        arguments.runs.is_none() || arguments.workload != Epoch,
        "--runs is not an option of epoch, which runs every batch once; use --batches"
    );
    anyhow::ensure!(
        arguments.write.as_deref().is_none_or(Path::is_dir),
        "--write needs a directory that is there"
    );
    Ok(())
}

/// The options, or what the workload does without them.
pub(super) fn timing(arguments: &BenchArgs) -> Timing {
    let default = match arguments.workload {
        Workload::Scaling => Timing { warmup: 1, runs: 3 },
        _ => Timing { warmup: 3, runs: 8 },
    };
    Timing {
        warmup: arguments.warmup.unwrap_or(default.warmup),
        runs: arguments.runs.map_or(default.runs, std::num::NonZeroUsize::get),
    }
}
