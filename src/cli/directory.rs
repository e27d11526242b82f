use clap::Subcommand;

use super::{CliError, Exit, directory_schema};

/// Work on the directory of a store
#[derive(Debug, clap::Args)]
pub(super) struct DirectoryArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Schema(directory_schema::SchemaArgs),
}

pub(super) fn run(args: &DirectoryArgs) -> Result<Exit, CliError> {
    match &args.command {
        Command::Schema(args) => directory_schema::run(args),
    }
}
