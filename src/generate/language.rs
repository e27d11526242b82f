//! The languages to write in.

use super::Vocabulary;

/// A language to write in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python 3.8 or later.
    Python,
    /// TypeScript 4 or later.
    TypeScript,
    /// Rust with `humbaba::client`.
    Rust,
}

impl Language {
    /// Its name, as it is given to `humbaba generate --lang`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::TypeScript => "typescript",
            Self::Rust => "rust",
        }
    }
}

/// The command that writes a file again, for its head.
pub(super) fn command(vocabulary: &Vocabulary, language: Language) -> String {
    format!("humbaba generate --lang {} {}", language.name(), vocabulary.store)
}
