//! The verbs of the command line.

mod arena;
mod bench;
pub(crate) mod compare;
mod doctor;
mod evaluate;
pub mod exit;
mod export;
pub(crate) mod import;
pub(crate) mod inspect;
mod label;
pub mod output;
mod page;
mod publish;
mod rollout;
mod run;
mod serve;
mod signals;
mod simulate;
mod small_pages;
mod sweep;
mod table;
mod ui;
mod verify;
pub(crate) mod watch;

use crate::cli::Command;
use crate::run::publish::republish;
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
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Watch(arguments) => watch::watch(&arguments),
        Command::Ui(arguments) => ui::ui(&arguments),
        Command::Report { runs } => report(&runs),
        Command::Verify { run, recompute } => verify::verify(&run, recompute.as_deref()),
        Command::Evaluate(arguments) => evaluate::evaluate(&arguments),
        Command::Rollout(arguments) => rollout::rollout(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Arena(arguments) => arena::arena(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Import(arguments) => import::import(&arguments),
        Command::Publish(arguments) => publish::publish(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Label(arguments) => label::label(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Doctor { device } => doctor::doctor(device),
    }
}

fn report(runs: &[PathBuf]) -> anyhow::Result<()> {
    for run in runs {
        let path = republish(run)?;
        print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}
