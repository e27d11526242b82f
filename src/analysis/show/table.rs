//! A matrix as a table of text.

use std::fmt::Write as _;

use super::notes::{NOT_PROVED, Notes, clauses};
use crate::{
    analysis::{Cell, CellPolicy, Matrix},
    testing::Expected,
};

/// Columns of text that a table with whole names may take.
const WIDTH: usize = 120;

/// The colours of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// For a terminal.
    Ansi,
    /// For a pipe.
    None,
}

/// Writes a matrix as a table: `yes`, `-`, and `if` with the number of its condition. Conditions
/// follow. Where the names of the columns are too long they are numbered.
#[must_use]
pub fn matrix_as_table(matrix: &Matrix, colours: Colours) -> String {
    let notes = Notes::of(matrix);
    let actions = matrix.rows.iter().map(|row| row.action.chars().count());
    let first = actions.max().unwrap_or_default().max("action".len());
    let whole: usize = matrix.columns.iter().map(|column| column.chars().count().max(6) + 2).sum();
    let numbered = first + whole > WIDTH;
    let names: Vec<String> = if numbered {
        (1..=matrix.columns.len()).map(|number| format!("[{number}]")).collect()
    } else {
        matrix.columns.clone()
    };
    let width = |name: &str| name.chars().count().max(6);
    let mut text = String::new();
    if numbered {
        for (name, column) in names.iter().zip(&matrix.columns) {
            let _ = writeln!(text, "{name:>4} {column}");
        }
    }
    for scope in matrix.scopes() {
        let _ = write!(text, "\n{scope}\n{:first$}", "action");
        for name in &names {
            let _ = write!(text, "  {name:width$}", width = width(name));
        }
        trim_line(&mut text);
        for row in matrix.rows.iter().filter(|row| row.scope == scope) {
            let _ = write!(text, "{:first$}", row.action);
            for (name, column) in names.iter().zip(&matrix.columns) {
                let cell = matrix.cell(row, column);
                let shown = cell.map(|cell| shown(cell, &notes)).unwrap_or_default();
                let padded = format!("{shown:width$}", width = width(name));
                let _ = write!(text, "  {}", coloured(&padded, cell, colours));
            }
            trim_line(&mut text);
        }
    }
    if matrix.cells().any(|(_, _, cell)| !cell.is_proved()) {
        let _ = writeln!(text, "\n?: {NOT_PROVED}");
    }
    write_conditions(&mut text, &notes);
    text
}

/// Writes the conditions with the policies of each, and then each text of clauses once.
fn write_conditions(text: &mut String, notes: &Notes<'_>) {
    let mut texts: Vec<String> = Vec::new();
    let mut named = |policy: &CellPolicy| {
        let open = clauses(policy);
        if open.is_empty() {
            return policy.id.clone();
        }
        let place = texts.iter().position(|known| *known == open).unwrap_or_else(|| {
            texts.push(open);
            texts.len() - 1
        });
        format!("{} [{}]", policy.id, letters(place))
    };
    let mut conditions = String::new();
    for note in notes.iter() {
        let _ = write!(conditions, "{:>4}", note.number);
        for (word, policies) in [("if", note.permits), ("unless", note.forbids)] {
            let policies: Vec<_> = policies.iter().map(&mut named).collect();
            if !policies.is_empty() {
                let _ = write!(conditions, " {word} {}", policies.join(" or "));
            }
        }
        conditions.push('\n');
    }
    if !conditions.is_empty() {
        let _ = write!(text, "\nconditions\n{conditions}");
    }
    if !texts.is_empty() {
        text.push_str("\nwhere\n");
    }
    for (place, open) in texts.iter().enumerate() {
        let _ = writeln!(text, "{:>4} {open}", letters(place));
    }
}

/// Returns a, b, …, z, aa, ab, …
fn letters(mut number: usize) -> String {
    let mut letters = String::new();
    loop {
        let letter = u8::try_from(number % 26).unwrap_or_default();
        letters.insert(0, char::from(b'a' + letter));
        match (number / 26).checked_sub(1) {
            Some(rest) => number = rest,
            None => return letters,
        }
    }
}

fn trim_line(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn shown(cell: &Cell, notes: &Notes<'_>) -> String {
    let word = match cell.value {
        Expected::Allow => "yes",
        Expected::Deny => "-",
        Expected::Cond => "if",
    };
    let number = notes.number(cell).map(|number| number.to_string()).unwrap_or_default();
    let blank = if number.is_empty() { "" } else { " " };
    let doubt = if cell.is_proved() { "" } else { "?" };
    format!("{word}{blank}{number}{doubt}")
}

fn coloured(padded: &str, cell: Option<&Cell>, colours: Colours) -> String {
    let Some(cell) = cell.filter(|_| colours == Colours::Ansi) else { return padded.to_owned() };
    let code = match cell.value {
        Expected::Allow => "32",
        Expected::Deny => "2",
        Expected::Cond => "33",
    };
    format!("\u{1b}[{code}m{padded}\u{1b}[0m")
}
