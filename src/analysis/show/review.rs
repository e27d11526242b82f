//! A review as a table of text.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::{
    analysis::{Finding, FindingKind, Review, ReviewRow, RowState},
    directory::rows::COLUMNS,
    model::Timestamp,
};

/// Characters of a cell of the table; longer ones are cut.
const CELL: usize = 48;

/// The columns of the table and of the page, with what stands in them.
pub(super) const SHOWN: [&str; 8] =
    ["scope", "role", "principal", "since", "until", "by", "reason", "state"];

/// Returns what stands in the columns of [`SHOWN`] for a row.
pub(super) fn shown(row: &ReviewRow) -> [String; SHOWN.len()] {
    let assignment = &row.assignment;
    let (key, grant) = (&assignment.key, &assignment.grant);
    [
        key.scope.to_string(),
        key.role.clone(),
        key.principal.to_string(),
        moment(grant.granted_at),
        moment(assignment.expires_at),
        grant.granted_by.clone(),
        grant.reason.clone(),
        row.state.word().to_owned(),
    ]
}

/// Writes a review as a table for a terminal, the findings below it.
#[must_use]
pub fn review_as_table(review: &Review) -> String {
    let mut text = String::new();
    if !review.rows.is_empty() {
        let head = SHOWN.map(str::to_owned);
        let rows = review.rows.iter().map(|row| shown(row).map(|cell| in_one_cell(&cell)));
        let lines: Vec<_> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..SHOWN.len()).map(width).collect();
        for line in &lines {
            let cells = line.iter().zip(&widths);
            let line: Vec<_> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
            let _ = writeln!(text, "{}", line.join("  ").trim_end());
        }
    }
    if review.findings.is_empty() {
        text.push_str("\nno findings\n");
        return text;
    }
    text.push_str("\nfindings\n");
    for finding in &review.findings {
        let _ = writeln!(text, "  {}", sentence(finding));
        for row in finding.rows.iter().filter_map(|row| review.rows.get(*row)) {
            let key = &row.assignment.key;
            let _ = writeln!(text, "    {} is {} on {}", key.principal, key.role, key.scope);
        }
    }
    text
}

/// Returns a finding as a line.
pub(super) fn sentence(finding: &Finding) -> String {
    let (kind, message) = (finding.kind.word(), in_one_line(&finding.message));
    match finding.about.as_str() {
        "" => format!("{kind}: {message}"),
        about => format!("{kind}: {about}: {message}"),
    }
}

/// Writes the rows of a review as CSV for a spreadsheet: the columns of an assignment, what it grants,
/// and the kinds of findings of which it is one. A finding of no row, such as one that cannot be read, has a
/// line of its own with the finding in words. A cell that a spreadsheet would take for a formula has `'`
/// before it, and control characters are escaped.
///
/// # Errors
/// Those of the writer, of which none is expected.
pub fn review_as_csv(review: &Review) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.iter().chain(&["state", "findings"]))?;
    for (at, row) in review.rows.iter().enumerate() {
        let unfit = (row.state == RowState::Unfit).then_some(FindingKind::BadRow);
        let findings = review.findings_of(at).map(|finding| finding.kind).chain(unfit);
        let findings: Vec<_> = findings.map(FindingKind::word).collect();
        let state = row.state.word().to_owned();
        let cells = columns(row).into_iter().chain([state, findings.join(" ")]);
        writer.write_record(cells.map(|cell| for_spreadsheet(&cell)))?;
    }
    for finding in review.findings.iter().filter(|finding| finding.rows.is_empty()) {
        let empty = [const { String::new() }; COLUMNS.len() + 1];
        let cells = empty.into_iter().chain([sentence(finding)]);
        writer.write_record(cells.map(|cell| for_spreadsheet(&cell)))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes a review of a store as a JSON value: the rows, and the findings with the places of their
/// rows.
#[must_use]
pub fn review_as_json(store: &str, revision: &str, review: &Review) -> Json {
    let rows: Vec<_> = review
        .rows
        .iter()
        .map(|row| {
            let cells = COLUMNS.iter().zip(columns(row));
            let mut json: serde_json::Map<String, Json> = cells
                .map(|(name, cell)| {
                    let value = if cell.is_empty() { Json::Null } else { cell.into() };
                    ((*name).to_owned(), value)
                })
                .collect();
            json.insert("state".to_owned(), row.state.word().into());
            json
        })
        .collect();
    let findings: Vec<_> = review
        .findings
        .iter()
        .map(|finding| {
            json!({
                "kind": finding.kind.word(),
                "about": finding.about,
                "message": finding.message,
                "rows": finding.rows,
            })
        })
        .collect();
    json!({
        "store": store,
        "revision": revision,
        "as_of": review.as_of.to_string(),
        "rows": rows,
        "findings": findings,
    })
}

/// Returns the values of a row in the order of [`COLUMNS`].
fn columns(row: &ReviewRow) -> [String; COLUMNS.len()] {
    let assignment = &row.assignment;
    let (key, grant) = (&assignment.key, &assignment.grant);
    [
        key.principal.type_name.clone(),
        key.principal.id.clone(),
        key.role.clone(),
        key.scope.type_name.clone(),
        key.scope.id.clone(),
        moment(assignment.expires_at),
        moment(grant.granted_at),
        grant.granted_by.clone(),
        grant.reason.clone(),
    ]
}

/// Returns a text that is only a text for a spreadsheet.
fn for_spreadsheet(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        text.push('\'');
    }
    for c in cell.chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

fn moment(moment: Option<Timestamp>) -> String {
    moment.map(|moment| moment.to_string()).unwrap_or_default()
}

/// Replaces what would move the cursor of a terminal.
fn in_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn in_one_cell(text: &str) -> String {
    let text = in_one_line(text);
    if text.chars().count() <= CELL {
        return text;
    }
    let mut cut: String = text.chars().take(CELL - 1).collect();
    cut.push('…');
    cut
}
