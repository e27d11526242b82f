//! Escapes in the strings of Cedar's language.

use std::ops::Range;

use rustc_literal_escaper::unescape_str;

/// Returns the bytes of the first escape that Cedar does not know, or of a bare carriage return, in the
/// text between two quotes. A pattern has the escape `\*` besides. Texts that callers send are looked
/// through before Cedar reads them: for each such escape its parser keeps a copy of the whole text.
pub fn unknown_escape(text: &str, is_pattern: bool) -> Option<Range<usize>> {
    let mut first = None;
    unescape_str(text, |range, read| {
        let is_star = is_pattern && text.get(range.clone()) == Some("\\*");
        if first.is_none() && !is_star && read.is_err_and(|error| error.is_fatal()) {
            first = Some(range);
        }
    });
    first
}
