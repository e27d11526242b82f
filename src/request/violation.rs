//! Violations: bad input, with the path of the field.

use std::fmt;

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, in the names of the gRPC contract, e.g.
    /// `entities[2].attributes.team`.
    pub field: String,
    /// The fault, and what to send instead.
    pub description: String,
    /// The limit that is exceeded, by the name of its setting, e.g. `entities`.
    pub limit: Option<&'static str>,
}

impl Violation {
    /// Marks a violation as one of a limit.
    #[must_use]
    pub fn of_limit(self, limit: &'static str) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

/// The path of a field as a list of steps from the innermost outwards. It lives on the stack and
/// becomes text only when something is wrong.
#[derive(Debug, Clone, Copy)]
pub enum FieldPath<'a> {
    /// A field of the request.
    Field(&'a str),
    /// A field of a message.
    Of(&'a FieldPath<'a>, &'a str),
    /// An element of a list.
    Index(&'a FieldPath<'a>, usize),
}

impl FieldPath<'_> {
    /// Returns a violation at this path.
    pub fn violation(&self, description: impl Into<String>) -> Violation {
        Violation { field: self.to_string(), description: description.into(), limit: None }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Of(parent, name) if is_plain(name) => write!(f, "{parent}.{name}"),
            Self::Of(parent, name) => write!(f, "{parent}[{:?}]", shorten(name)),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Returns the beginning of a text that a caller sent, short enough to be shown back to them.
pub(crate) fn shorten(text: &str) -> String {
    shorten_to(80, text)
}

/// Returns the first characters of a text, and `…` where there are more.
pub(crate) fn shorten_to(shown: usize, text: &str) -> String {
    if text.chars().nth(shown).is_none() {
        return text.to_owned();
    }
    text.chars().take(shown).chain(['…']).collect()
}
