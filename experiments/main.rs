//! The `recalign` binary: parse, run, print the error chain, exit code.

use clap::Parser as _;
use recalign::{cli::Cli, commands, console};
use std::io::Write as _;
use std::process::ExitCode;

/// Training allocates and frees large buffers all the time; glibc would return each of them to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    console::init(cli.verbosity());
    let Err(error) = commands::execute(cli.command) else {
        return ExitCode::SUCCESS;
    };
    let code = commands::exit::code(&error);
    if code != commands::exit::DONE {
        let causes = error
            .chain()
            .skip(1)
            .fold(String::new(), |causes, cause| causes + "\n  caused by: " + &cause.to_string());
        // Nowhere is left to report that stderr is closed.
        let message = format!("error: {error}{causes}");
        drop(writeln!(std::io::stderr(), "{}", commands::output::printable(&message)));
    }
    ExitCode::from(code)
}
