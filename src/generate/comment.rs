//! Comments in the written text.

/// Returns the lines of a comment. Characters that end a line in some language do so in all, and
/// those that turn the direction of writing are left out: compilers refuse them.
pub(super) fn lines(text: &str) -> Vec<String> {
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let lines = text.split(ends_line).map(|line| line.replace(turns, "").trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Returns each line of a comment behind a prefix.
pub(super) fn behind(prefix: &str, text: &str) -> String {
    lines(text).iter().map(|line| format!("{prefix}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_comment_ends_where_it_should() {
        assert_eq!(
            super::behind("# ", "one\r\ntwo\u{2028}import os\n\n\u{202e} three"),
            "# one\n# two\n# import os\n# three\n"
        );
    }
}
