//! The path of a field of a record.

use std::{fmt, str::FromStr};

/// Fields that may be hidden. The others say that there was a decision, and which.
const ROOTS: &[&str] = &[
    "action",
    "caller",
    "context",
    "entities",
    "errors",
    "principal",
    "resource",
    "role_assignments",
];

/// The path of a field of a record: `context.email`, `principal.id`, `entities.attrs.name`. A step into a
/// list is a step into each of its elements. A name with other characters than letters, digits, `_` and
/// `-` is written `context["a.b"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordField {
    text: String,
    steps: Vec<String>,
}

/// A text that is not the path of a field that may be hidden.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordFieldError {
    /// The text is not a path.
    #[error(
        "`{0}` is not the path of a field: write e.g. `context.email` or `context[\"e.mail\"]`"
    )]
    Syntax(String),
    /// The path begins with a field that does not exist or cannot be hidden.
    #[error("`{path}` cannot be hidden: paths begin with one of {}", ROOTS.join(", "))]
    Root {
        /// The path as it was written.
        path: String,
    },
}

impl RecordField {
    /// The names on the way to the field, at least one.
    pub(super) fn steps(&self) -> &[String] {
        &self.steps
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for RecordField {
    type Err = RecordFieldError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || RecordFieldError::Syntax(text.chars().take(80).collect());
        let steps = steps(text).ok_or_else(syntax)?;
        if !steps.first().is_some_and(|root| ROOTS.contains(&root.as_str())) {
            return Err(RecordFieldError::Root { path: text.chars().take(80).collect() });
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

impl fmt::Display for RecordField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn steps(text: &str) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('[').filter(|_| !steps.is_empty()) {
            let mut names = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
            steps.push(names.next()?.ok()?);
            rest = quoted.get(names.byte_offset()..)?.strip_prefix(']')?;
            continue;
        }
        let name = if steps.is_empty() { rest } else { rest.strip_prefix('.')? };
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (name, more) = name.split_at_checked(end)?;
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        steps.push(name.to_owned());
        rest = more;
    }
    (!steps.is_empty()).then_some(steps)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn paths() {
        for (text, expected) in [
            ("context", &["context"][..]),
            ("context.email", &["context", "email"]),
            ("entities.attrs.first-name", &["entities", "attrs", "first-name"]),
            (r#"context["a.b"]["\"]"].c"#, &["context", "a.b", "\"]", "c"]),
        ] {
            assert_eq!(text.parse::<RecordField>().unwrap().steps(), expected, "{text}");
        }
        for text in [
            "",
            ".",
            "context.",
            "context..a",
            ".context",
            "context[a]",
            "context[\"a\"",
            "[\"context\"]",
            "con text",
        ] {
            let error = text.parse::<RecordField>().unwrap_err();
            assert!(matches!(error, RecordFieldError::Syntax(_)), "{text}: {error}");
        }
        for text in ["decision", "store", "decision_id", "entitys.attrs"] {
            let error = text.parse::<RecordField>().unwrap_err();
            assert!(matches!(error, RecordFieldError::Root { .. }), "{text}: {error}");
        }
    }
}
