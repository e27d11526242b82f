//! `humbaba import`: a policy store made of a table.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{CliError, Exit, new_store, output, progress::QuietFlag, setting_flags::SettingFlags};
use crate::{
    import::{self, Imported, Renamed},
    model::Problem,
};

/// Make a policy store of a table that you have
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  humbaba import csv roles.csv ./policies/documents --scope Document")]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Csv(CsvArgs),
}

/// Make a policy store of a spreadsheet of roles by actions
///
/// The first line names the roles, and each line below it an action. The column of the actions is
/// called `action`, or is the first. Columns called `scope`, `label`, `condition` and `source` are
/// no roles. A cell is
///
///   allow      `allow`, `yes`, `y`, `x`, `true`, `1`, `✓`
///   deny       nothing, `deny`, `no`, `n`, `false`, `0`, `-`, `✗`
///   condition  `cond`, with its words in the column `condition`, or any other words
///
/// The store has a schema, a policy file for all actions that the same roles may do, the table as
/// its matrix, and tests. A condition becomes `context has condition_1 && context.condition_1`, to
/// be replaced by what its words say. An action that stands in several scopes gets the scope in
/// front of its name.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  humbaba import csv roles.csv ./policies/documents --scope Document"
)]
struct CsvArgs {
    /// The spreadsheet: UTF-8, with commas, semicolons or tabs
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder to write to; it must be empty, or not there yet
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The entity type that roles are held on
    #[arg(long, value_name = "TYPE", default_value = import::DEFAULT_SCOPE)]
    scope: String,
    #[command(flatten)]
    quiet: QuietFlag,
    #[command(flatten)]
    settings: SettingFlags,
}

pub(super) fn run(args: &ImportArgs) -> Result<Exit, CliError> {
    match &args.from {
        From::Csv(args) => csv(args),
    }
}

fn csv(args: &CsvArgs) -> Result<Exit, CliError> {
    let bounds = args.settings.settle(Vec::new())?.settings.bounds;
    if let Some(fault) = import::scope_fault(&args.scope) {
        return Err(CliError::Usage(format!("--scope: {fault}")));
    }
    let name = new_store::name(&args.folder)?;
    let shown = args.file.display().to_string();
    let bytes = read(&args.file, bounds.file_bytes)
        .map_err(|error| CliError::Usage(format!("cannot read `{shown}`: {error}")))?;
    let progress = args.quiet.progress(format!("reading {shown}"));
    let imported = import::csv(name, &shown, &bytes, &args.scope, &bounds).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(Problem::render).collect();
        CliError::Usage(format!("no store can be made of `{shown}`\n{}", problems.concat()))
    })?;
    drop(progress);
    if !args.quiet.quiet {
        output::print(&summary(&imported))?;
    }
    let written = new_store::write(&args.folder, &imported.files)?;
    if !args.quiet.quiet {
        output::print(&written)?;
    }
    Ok(Exit::Ok)
}

/// Reads a file of at most that many bytes.
fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        let message = format!("it has more than {most} bytes (`bounds.file_bytes`)");
        return Err(io::Error::other(message));
    }
    Ok(bytes)
}

/// The changes that were made to names and conditions of the spreadsheet.
fn summary(imported: &Imported) -> String {
    let Imported { roles, actions, conditions, .. } = imported;
    let mut text = String::new();
    let renamed = |one: &&Renamed| one.written != one.name;
    for role in roles.iter().filter(renamed) {
        let _ = writeln!(text, "the column `{}` is the role `{}`", role.written, role.name);
    }
    for action in actions.iter().filter(renamed) {
        let _ = writeln!(text, "the action `{}` is `{}`", action.written, action.name);
    }
    for (number, words) in (1..).zip(conditions) {
        let _ = writeln!(text, "`context.condition_{number}` stands for: {words}");
    }
    let _ = writeln!(
        text,
        "{}, {}, {}",
        output::counted(roles.len(), "role", "roles"),
        output::counted(actions.len(), "action", "actions"),
        output::counted(conditions.len(), "condition", "conditions"),
    );
    text
}
