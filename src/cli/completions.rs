use clap_complete::Shell;

use super::{CliError, Exit, output};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  humbaba completions bash > /etc/bash_completion.d/humbaba")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, mut command: clap::Command) -> Result<Exit, CliError> {
    // Into memory first: the generator panics where its writer fails, e.g. on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "humbaba", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
