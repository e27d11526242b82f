//! `humbaba man`: man pages.

use std::{fs, path::PathBuf};

use super::{CliError, Exit, output};

/// Write man pages, one for each command
///
/// They say what `--help` says.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  humbaba man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder to write to; it is made where it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &ManArgs, command: clap::Command) -> Result<Exit, CliError> {
    let folder = &args.folder;
    let cannot = || CliError::io(format!("cannot write to `{}`", folder.display()));
    fs::create_dir_all(folder).map_err(cannot())?;
    clap_mangen::generate_to(command, folder).map_err(cannot())?;
    let count = fs::read_dir(folder).map_err(cannot())?.count();
    output::print(&format!(
        "{} in {}\n",
        output::counted(count, "file", "files"),
        folder.display()
    ))?;
    Ok(Exit::Ok)
}
