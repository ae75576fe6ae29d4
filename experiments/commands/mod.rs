//! The verbs of the command line.

mod bench;
mod doctor;
pub mod exit;
mod inspect;
mod output;
mod run;
mod signals;
mod simulate;
mod sweep;
mod table;
mod verify;

use crate::cli::Command;
use crate::run::publish;
use output::print;
use std::path::PathBuf;

/// Executes a verb; its result goes to stdout, everything else to stderr.
///
/// # Errors
/// What the verb reports; [`exit::code`] tells how the process ends.
pub fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Sweep(arguments) => sweep::sweep(&arguments),
        Command::Report { runs } => report(&runs),
        Command::Verify { run } => verify::verify(&run),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Doctor { device } => doctor::doctor(device),
    }
}

fn report(runs: &[PathBuf]) -> anyhow::Result<()> {
    for run in runs {
        let path = publish::republish(run)?;
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}
