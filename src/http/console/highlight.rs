//! Cedar's text in the parts that a page colours.

use std::mem;

/// Characters of a line that are shown.
const LINE_LENGTH: usize = 2_000;

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinePart<'a> {
    pub text: &'a str,
    pub kind: PartKind,
}

/// The kinds of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Plain,
    Comment,
    Text,
    Keyword,
    Forbid,
    Annotation,
    Type,
}

impl PartKind {
    /// Returns the class of the element that is coloured; empty for plain text.
    pub fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Comment => "co",
            Self::Text => "st",
            Self::Keyword => "kw",
            Self::Forbid => "fo",
            Self::Annotation => "an",
            Self::Type => "ty",
        }
    }
}

const KEYWORDS: &[&str] = &[
    "permit",
    "when",
    "unless",
    "in",
    "is",
    "has",
    "like",
    "if",
    "then",
    "else",
    "true",
    "false",
    "principal",
    "action",
    "resource",
    "context",
    "entity",
    "namespace",
    "type",
    "appliesTo",
    "enum",
    "tags",
];

/// Returns the lines of a text in their parts. What is no Cedar is coloured oddly at worst.
pub(super) fn lines(text: &str) -> Vec<Vec<LinePart<'_>>> {
    let mut lines = Vec::new();
    let mut line = LineBuilder::default();
    let mut rest = text;
    while let Some((part, after)) =
        rest.split_at_checked(length_of_part(rest)).filter(|(part, _)| !part.is_empty())
    {
        let kind = kind_of(part, after);
        // A text or a comment may go over several lines.
        for (at, piece) in part.split('\n').enumerate() {
            if at > 0 {
                lines.push(mem::take(&mut line).parts);
            }
            line.push(piece, kind);
        }
        rest = after;
    }
    if !line.parts.is_empty() {
        lines.push(line.parts);
    }
    lines
}

/// A line that is being made, cut where it is too long.
#[derive(Default)]
struct LineBuilder<'a> {
    parts: Vec<LinePart<'a>>,
    length: usize,
}

impl<'a> LineBuilder<'a> {
    fn push(&mut self, text: &'a str, kind: PartKind) {
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() || self.length > LINE_LENGTH {
            return;
        }
        let left = LINE_LENGTH - self.length;
        self.length += text.chars().count();
        match text.char_indices().nth(left) {
            None => self.parts.push(LinePart { text, kind }),
            Some((end, _)) => {
                self.length = LINE_LENGTH + 1;
                self.parts.push(LinePart { text: text.get(..end).unwrap_or_default(), kind });
                self.parts.push(LinePart { text: " …", kind: PartKind::Comment });
            }
        }
    }
}

/// Returns the bytes of the part with which a text begins.
fn length_of_part(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    let until = |is_end: &dyn Fn(char) -> bool| {
        let rest = text.char_indices().skip(1);
        rest.filter(|(_, c)| is_end(*c)).map(|(at, _)| at).next().unwrap_or(text.len())
    };
    if text.starts_with("//") {
        return until(&|c| c == '\n');
    }
    match first {
        '"' => length_of_string(text),
        '@' => until(&|c| !is_of_name(c)),
        c if is_of_name(c) => {
            let mut length = until(&|c| !is_of_name(c));
            // A path of names is one part.
            while let Some(after) = text.get(length..).and_then(|rest| rest.strip_prefix("::")) {
                let name = after.find(|c| !is_of_name(c)).unwrap_or(after.len());
                length += 2 + name;
                if name == 0 {
                    break;
                }
            }
            length
        }
        _ => {
            // A slash that begins no comment stands for itself.
            until(&|c| c == '"' || c == '@' || c == '/' || is_of_name(c))
        }
    }
}

fn length_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn kind_of(part: &str, after: &str) -> PartKind {
    match part.chars().next() {
        Some('/') if part.starts_with("//") => PartKind::Comment,
        Some('"') if after.trim_start().starts_with(':') => PartKind::Type,
        Some('"') => PartKind::Text,
        Some('@') => PartKind::Annotation,
        _ if part == "forbid" => PartKind::Forbid,
        _ if KEYWORDS.contains(&part) => PartKind::Keyword,
        _ if part.contains("::") => PartKind::Type,
        _ => PartKind::Plain,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let line = |parts: Vec<LinePart<'_>>| {
            let parts = parts.iter().map(|part| match part.kind.class() {
                "" => part.text.to_owned(),
                class => format!("[{class} {}]", part.text),
            });
            parts.collect()
        };
        lines(text).into_iter().map(line).collect()
    }

    #[test]
    fn the_parts_of_a_policy() {
        let policy = "@id(\"a // b\")\npermit (principal is A::B, action) // why\nwhen { 1 / 2 == \"x\\\"y\" };";
        let expected = [
            "[an @id]([st \"a // b\"])",
            "[kw permit] ([kw principal] [kw is] [ty A::B], [kw action]) [co // why]",
            "[kw when] { 1 / 2 == [st \"x\\\"y\"] };",
        ];
        assert_eq!(shown(policy), expected);
    }

    #[test]
    fn nothing_is_lost_of_any_text_but_the_ends_of_very_long_lines() {
        for text in
            ["", "\n\n", "\"", "\"\\", "é::", "@", "/", "a::b::", "\r\n x", "\"two\nlines\""]
        {
            let parts = lines(text).concat();
            let all: String = parts.iter().map(|part| part.text).collect();
            assert_eq!(all, text.replace(['\n', '\r'], ""), "{text:?}");
        }
        let long = format!("{}\nlast", "x".repeat(10 * LINE_LENGTH));
        let cut = lines(&long);
        assert!(cut.first().unwrap().len() == 2 && cut.len() == 2);
    }
}
