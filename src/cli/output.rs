//! Printing.

use std::{
    env,
    io::{self, IsTerminal, Write as _},
};

use clap::ValueEnum;
use serde::Serialize;

use super::CliError;

/// The form in which a command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Human,
    /// One JSON object, for programs
    Json,
}

/// Prints to the standard output. A reader that stops early is no failure, and must not change a
/// command's exit code: a deny stays a deny.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::io("cannot write to the standard output")(error))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(value);
    let json = json.map_err(|error| CliError::Failure(format!("cannot write JSON: {error}")))?;
    print(&format!("{json}\n"))
}

/// Returns whether to write in colours there: on a terminal, unless `NO_COLOR` is set and not empty
/// (<https://no-color.org>), or `CLICOLOR` is 0, or the terminal is dumb. `CLICOLOR_FORCE` wants
/// them in a pipe, too (<https://bixense.com/clicolors>).
pub(super) fn has_colours(stream: &impl IsTerminal) -> bool {
    let is = |name: &str, value: &str| env::var_os(name).is_some_and(|set| set == value);
    let is_set = |name: &str| env::var_os(name).is_some_and(|set| !set.is_empty());
    if is_set("NO_COLOR") {
        return false;
    }
    if is_set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") {
        return true;
    }
    stream.is_terminal() && !is("CLICOLOR", "0") && !is("TERM", "dumb")
}

/// Returns a number with its noun.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
