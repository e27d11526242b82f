//! Role assignments as JSON lines.

use std::borrow::Cow;

use serde::Deserialize;

use super::{FileRow, FileRows, RowFileError, RowReader};
use crate::directory::Change;

/// A line of `*.assignments.jsonl`: the [`super::COLUMNS`], to which a test holds the fields. Serde
/// refuses a name that is unknown or there twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssignmentLine<'a> {
    #[serde(borrow)]
    principal_type: Cow<'a, str>,
    #[serde(borrow)]
    principal_id: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    scope_type: Cow<'a, str>,
    #[serde(borrow)]
    scope_id: Cow<'a, str>,
    #[serde(borrow, default)]
    expires_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    granted_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    granted_by: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

/// Reads `*.assignments.jsonl`. Null is as if the name were not there; empty lines are skipped.
pub(super) fn read(reader: &mut RowReader<'_>, text: &str) -> Result<FileRows, RowFileError> {
    let mut read = FileRows::default();
    for (index, text) in text.lines().enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        if read.rows.len() + read.problems.count >= reader.rows {
            return Err(RowFileError::TooManyRows(reader.rows));
        }
        let line = index + 1;
        let written = object(text);
        let assignment = written.and_then(|written| {
            let optional =
                [&written.expires_at, &written.granted_at, &written.granted_by, &written.reason]
                    .map(|value| value.as_deref().unwrap_or_default());
            let [expires_at, granted_at, granted_by, reason] = optional;
            reader.assignment([
                &written.principal_type,
                &written.principal_id,
                &written.role,
                &written.scope_type,
                &written.scope_id,
                expires_at,
                granted_at,
                granted_by,
                reason,
            ])
        });
        match assignment {
            Ok(assignment) => read.rows.push(FileRow { line, change: Change::Put(assignment) }),
            Err(message) => read.problems.add(line, message),
        }
    }
    Ok(read)
}

/// Reads a line. Serde would take an array of nine values too.
fn object(text: &str) -> Result<AssignmentLine<'_>, String> {
    if !text.trim_start().starts_with('{') {
        return Err(
            "the line is no JSON object: write `{\"principal_type\": \"User\", …}`".to_owned()
        );
    }
    serde_json::from_str(text).map_err(|error| message(&error))
}

/// Returns the message of an error with its column; the line is always the first.
fn message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let message: String = message.chars().take(200).collect();
    format!("column {}: {message}", error.column())
}
