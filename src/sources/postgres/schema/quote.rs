//! Names and text in SQL.

/// Returns a name as SQL writes it.
pub(in crate::sources::postgres) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns text as SQL writes it.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
