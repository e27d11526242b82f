//! The command line.

mod test;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "humbaba", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that policy stores are valid.
    Validate(validate::ValidateArgs),
    /// Run the tests of policy stores.
    Test(test::TestArgs),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Validate(args) }) => validate::run(args),
        Ok(Cli { command: Command::Test(args) }) => test::run(args),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 64 } else { 0 })
        }
    }
}
