//! The command line: a file or a folder for each subcommand, and files that several of them share.
//! Everything here is wiring; what a command does is done by the modules that it uses.

mod check;
mod check_record;
mod completions;
mod diff;
mod diff_people;
mod diff_report;
#[cfg(feature = "prove")]
mod diff_solver;
mod directory;
mod doctor;
mod exit;
mod fmt;
mod folder_at;
mod generate;
mod healthcheck;
mod http_get;
mod import;
mod init;
mod interrupt;
mod man;
mod matrix;
mod new_store;
mod output;
mod progress;
#[cfg(feature = "prove")]
mod prove;
#[cfg(feature = "prove")]
mod prove_report;
mod recorded;
mod remote;
mod review;
mod serve;
mod server_address;
mod setting_flags;
mod settings_page;
mod shadow_report;
mod solver_flags;
mod source;
mod stores;
mod test;
mod text_file;
mod tls_flags;
mod token_flag;
mod validate;
mod verdict;
mod watch;

pub use exit::{CliError, Exit};
pub use serve::longest_stop;

use std::{ffi::OsString, io, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand, error::ErrorKind};

const EXIT_CODES: &str = "\
Exit codes:
  0   ok
  1   failure
  2   deny, or a failed check
  3   invalid policies
  64  bad configuration, usage or input

Examples:
  humbaba --policies ./policies
  humbaba check --store hitkeep --principal 'User::\"alice\"' --action site.view \\
      --resource 'Site::\"42\"' --role viewer";

/// An authorization sidecar: Cedar policy stores from a folder, decided over gRPC
///
/// Loads Cedar policy stores from a folder, reloads them when a file changes, and answers who may
/// do what. Without a subcommand it serves, as `humbaba serve` does.
#[derive(Debug, Parser)]
#[command(
    name = "humbaba",
    version,
    args_conflicts_with_subcommands = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    serve: serve::ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Check(check::CheckArgs),
    Validate(validate::ValidateArgs),
    Test(test::TestArgs),
    Matrix(matrix::MatrixArgs),
    Diff(diff::DiffArgs),
    Review(review::ReviewArgs),
    Watch(watch::WatchArgs),
    Fmt(fmt::FmtArgs),
    Init(init::InitArgs),
    Import(import::ImportArgs),
    Generate(generate::GenerateArgs),
    #[cfg(feature = "prove")]
    Prove(prove::ProveArgs),
    Directory(directory::DirectoryArgs),
    Doctor(Box<doctor::DoctorArgs>),
    Healthcheck(healthcheck::HealthcheckArgs),
    ShadowReport(shadow_report::ShadowReportArgs),
    Completions(completions::CompletionsArgs),
    Settings(settings_page::SettingsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// Returns whether the command may start other programs. Of `serve`, which heeds signals by itself,
    /// it says nothing.
    fn starts_programs(&self) -> bool {
        match self {
            Self::Diff(_) | Self::Matrix(_) | Self::Doctor(_) => true,
            #[cfg(feature = "prove")]
            Self::Prove(_) => true,
            _ => false,
        }
    }
}

/// Runs the command that the arguments name. `started` is when the process did.
pub fn run(arguments: impl IntoIterator<Item = OsString>, started: Instant) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return not_run(&error).into(),
    };
    if cli.command.as_ref().is_some_and(Command::starts_programs)
        && let Err(error) = interrupt::end_programs_on_signal()
    {
        return CliError::io("cannot wait for signals")(error).tell(&mut io::stderr()).into();
    }
    let result = match cli.command {
        None => serve::run(&cli.serve, started),
        Some(Command::Serve(args)) => serve::run(&args, started),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Validate(args)) => validate::run(&args),
        Some(Command::Test(args)) => test::run(&args),
        Some(Command::Matrix(args)) => matrix::run(&args),
        Some(Command::Diff(args)) => diff::run(&args),
        Some(Command::Review(args)) => review::run(&args),
        Some(Command::Watch(args)) => watch::run(&args),
        Some(Command::Fmt(args)) => fmt::run(&args),
        Some(Command::Init(args)) => init::run(&args),
        Some(Command::Import(args)) => import::run(&args),
        Some(Command::Generate(args)) => generate::run(&args),
        #[cfg(feature = "prove")]
        Some(Command::Prove(args)) => prove::run(&args),
        Some(Command::Directory(args)) => directory::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Healthcheck(args)) => healthcheck::run(&args),
        Some(Command::ShadowReport(args)) => shadow_report::run(&args),
        Some(Command::Completions(args)) => completions::run(&args, command()),
        Some(Command::Settings(args)) => settings_page::run(&args),
        Some(Command::Man(args)) => man::run(&args, command()),
    };
    interrupt::wait_if_ending();
    result.unwrap_or_else(|error| error.tell(&mut io::stderr())).into()
}

/// Help that was asked for, or a mistake in the arguments.
fn not_run(error: &clap::Error) -> Exit {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
        _ => Exit::Usage,
    }
}

fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        super::command().debug_assert();
    }
}
