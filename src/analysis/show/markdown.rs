//! A matrix as Markdown.

use std::fmt::Write as _;

use super::notes::{NOT_PROVED, Notes, clauses, word};
use crate::analysis::{CellPolicy, Matrix};

/// Writes a matrix as Markdown: a table for each scope, and the conditions.
#[must_use]
pub fn matrix_as_markdown(store: &str, matrix: &Matrix) -> String {
    let notes = Notes::of(matrix);
    let mut text = format!("# {store}\n");
    for scope in matrix.scopes() {
        let _ = write!(text, "\n## {}\n\n| action |", escaped(scope));
        for column in &matrix.columns {
            let _ = write!(text, " {} |", escaped(column));
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(matrix.columns.len()));
        text.push('\n');
        for row in matrix.rows.iter().filter(|row| row.scope == scope) {
            let _ = write!(text, "| {} |", escaped(&row.action));
            for column in &matrix.columns {
                let Some(cell) = matrix.cell(row, column) else {
                    text.push_str("  |");
                    continue;
                };
                let _ = write!(text, " {}", word(cell));
                if let Some(number) = notes.number(cell) {
                    let _ = write!(text, " ({number})");
                }
                if !cell.is_proved() {
                    let _ = write!(text, ", {NOT_PROVED}");
                }
                text.push_str(" |");
            }
            text.push('\n');
        }
    }
    if notes.iter().next().is_some() {
        text.push_str("\n## Conditions\n");
    }
    for note in notes.iter() {
        let _ = writeln!(text, "\n{}.", note.number);
        let mut list = |word: &str, policies: &[CellPolicy]| {
            for policy in policies {
                let _ = write!(text, "   - {word} `{}`", policy.id);
                if !policy.doc.is_empty() {
                    let _ = write!(text, ": {}", policy.doc);
                }
                let open = clauses(policy);
                if !open.is_empty() {
                    let _ = write!(text, " When `{open}`");
                }
                text.push('\n');
            }
        };
        list("allowed by", note.permits);
        list("unless", note.forbids);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
