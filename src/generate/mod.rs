//! Writes the words of a policy store as constants and types of a programming language, so that a
//! misspelt action, role or entity type does not compile or type-check.
//!
//! The text is a function of the schema and the language. Names that two of the store's words would
//! share are told apart, or refused: no word takes another's name silently.

mod comment;
mod identifiers;
mod language;
mod python;
mod rust;
mod typescript;
mod vocabulary;

pub use identifiers::NameClash;
pub use language::Language;
pub use vocabulary::Vocabulary;

/// Writes a module for the words of a store.
///
/// # Errors
/// Two of its words would have one name, however they are spelled.
pub fn generate(vocabulary: &Vocabulary, language: Language) -> Result<String, NameClash> {
    match language {
        Language::Python => python::write(vocabulary),
        Language::TypeScript => typescript::write(vocabulary),
        Language::Rust => rust::write(vocabulary),
    }
}
