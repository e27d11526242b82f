//! Printing.

use std::io::{self, Write as _};

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

/// Prints to the standard output. That nobody reads to the end is no failure, and it must not
/// change a command's exit code: a deny stays a deny.
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

/// Returns a number with its noun.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
