//! A matrix as HTML.

use std::fmt::Write as _;

use super::notes::{NOT_PROVED, Notes, clauses, word};
use crate::analysis::{Cell, CellPolicy, Matrix};

pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--allow:#0a6b2d;--cond:#8a5300;--deny:#6b6b6b;--line:#bbb}
@media (prefers-color-scheme:dark){:root{--allow:#6fd48f;--cond:#f0b35a;--deny:#9a9a9a;--line:#555}}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem;max-width:none}
table{border-collapse:collapse;margin:0 0 2rem}
caption{text-align:left;font-weight:600;font-size:1.15rem;padding:.5rem 0}
th,td{border:1px solid var(--line);padding:.25rem .5rem;text-align:left;vertical-align:top}
thead th{position:sticky;top:0;background:Canvas}
tbody th{font-weight:500;position:sticky;left:0;background:Canvas}
td small{display:block;color:GrayText}
.allow{color:var(--allow);font-weight:600}.cond{color:var(--cond);font-weight:600}
.deny{color:var(--deny)}
code{font-size:.92em}
li{margin:.35rem 0}
@media print{body{margin:0}thead th,tbody th{position:static}tr{break-inside:avoid}}";

/// Writes a matrix as one page of HTML that needs nothing else: for an audit file, a screen, a
/// printer or a screen reader. `title` says what it is of.
#[must_use]
pub fn matrix_as_html(title: &str, revision: &str, matrix: &Matrix) -> String {
    let notes = Notes::of(matrix);
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p>Computed from the policies of the revision <code>{}</code>. A condition is \
         explained below the tables; under each answer stand the policies that make it.</p>\n",
        escaped(revision)
    );
    for scope in matrix.scopes() {
        let _ = write!(
            page,
            "<table>\n<caption>{}</caption>\n<thead>\n<tr><th scope=\"col\">action</th>",
            escaped(scope)
        );
        for column in &matrix.columns {
            let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(column));
        }
        page.push_str("</tr>\n</thead>\n<tbody>\n");
        for row in matrix.rows.iter().filter(|row| row.scope == scope) {
            let _ = write!(page, "<tr><th scope=\"row\"><code>{}</code>", escaped(&row.action));
            if !row.label.is_empty() {
                let _ = write!(page, "<br><small>{}</small>", escaped(&row.label));
            }
            page.push_str("</th>");
            for column in &matrix.columns {
                page.push_str("<td>");
                if let Some(cell) = matrix.cell(row, column) {
                    write_cell(&mut page, cell, &notes);
                }
                page.push_str("</td>");
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody>\n</table>\n");
    }
    if notes.iter().next().is_some() {
        page.push_str("<h2>Conditions</h2>\n<ol>\n");
    }
    for note in notes.iter() {
        let _ = write!(page, "<li id=\"c{}\"><ul>", note.number);
        for (word, policies) in [("allowed by", note.permits), ("unless", note.forbids)] {
            for policy in policies {
                write_policy(&mut page, word, policy);
            }
        }
        page.push_str("</ul></li>\n");
    }
    if notes.iter().next().is_some() {
        page.push_str("</ol>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn write_cell(page: &mut String, cell: &Cell, notes: &Notes<'_>) {
    let word = word(cell);
    let _ = write!(page, "<span class=\"{word}\">{word}</span>");
    if let Some(number) = notes.number(cell) {
        let _ = write!(page, " <a href=\"#c{number}\">condition {number}</a>");
    }
    if !cell.is_proved() {
        let _ = write!(page, " <em>{NOT_PROVED}</em>");
    }
    let ids: Vec<_> = cell.policies.iter().map(|policy| escaped(&policy.id)).collect();
    if !ids.is_empty() {
        let _ = write!(page, "<small>{}</small>", ids.join(", "));
    }
}

fn write_policy(page: &mut String, word: &str, policy: &CellPolicy) {
    let _ = write!(page, "<li>{word} <strong>{}</strong>", escaped(&policy.id));
    if !policy.doc.is_empty() {
        let _ = write!(page, ": {}", escaped(&policy.doc));
    }
    let open = clauses(policy);
    if !open.is_empty() {
        let _ = write!(page, " When <code>{}</code>", escaped(&open));
    }
    page.push_str("</li>");
}

pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}
