//! `humbaba serve`.

mod addresses;
mod certificate;
pub(super) mod file_handles;
mod first_load;
pub(super) mod flags;
pub(super) mod listeners;
mod log_writer;
mod logging;
pub(super) mod options;
pub(super) mod prerequisites;
mod process;
mod serving;
mod signals;
mod solver;
mod stop_times;
mod tokens;

pub use stop_times::longest_stop;

use std::{path::PathBuf, time::Instant};

use super::{CliError, Exit, output};
use crate::{program, settings::print, store::STACK_BYTES};
use flags::ServeFlags;
use stop_times::LOG_LINES;

/// Serve decisions (the default command)
///
/// Loads policy stores, decides over gRPC, and reloads a store when a file of it changes. SIGHUP
/// looks for changes at once; SIGTERM and SIGINT stop the process once the calls that have begun
/// are answered, another one a second or more later at once.
///
/// Spans and metrics are sent to a collector where the standard `OTEL_…` environment variables ask
/// for it, e.g. `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317`.
///
/// Settings come from flags, then from the environment (`HUMBABA_LISTEN`; for `limits.entities`
/// `HUMBABA_LIMITS__ENTITIES`), then from the file that `--config` or `HUMBABA_CONFIG` names, then
/// from defaults.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  humbaba serve --policies ./policies --listen 127.0.0.1:8180 --listen unix:/run/humbaba.sock
  humbaba serve --print-config > humbaba.toml")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    flags: ServeFlags,
    /// Print the settled settings as a configuration file, with where each comes from, and exit
    #[arg(long)]
    print_config: bool,
    /// Write the addresses that were bound to this file as JSON: `{"grpc": […], "http": …, "web": …}`,
    /// with `directory` where there is one
    #[arg(long, value_name = "FILE")]
    addr_file: Option<PathBuf>,
}

pub(super) fn run(args: &ServeArgs, started: Instant) -> Result<Exit, CliError> {
    let settled = args.flags.settle()?;
    if args.print_config {
        output::print(&print(&settled))?;
        return Ok(Exit::Ok);
    }
    let settings = settled.settings;
    let started_log = logging::init(&settings.log);
    let (log, mut log_writer) = started_log.map_err(CliError::io("cannot start the log"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build();
    let runtime = runtime.map_err(CliError::io("cannot start the runtime"))?;
    let result = runtime.block_on(process::serve(
        &settings,
        log,
        &log_writer,
        args.addr_file.as_deref(),
        started,
    ));
    // Not waiting for a load that was interrupted.
    runtime.shutdown_background();
    // Nor for a proof: a solver that is busy would outlive this process.
    program::end_all();
    // An error goes the way of the log, for nobody may read the standard error.
    let exit = result.unwrap_or_else(|error| error.tell(&mut log_writer));
    log_writer.finish(LOG_LINES);
    Ok(exit)
}
