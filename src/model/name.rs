//! The names of policy stores and revisions.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::Serialize;
use smol_str::SmolStr;

/// The name of a policy store: the name of its folder.
///
/// One to 63 characters: lower-case letters, digits, `-` and `_`, beginning with a letter or digit,
/// so that it is also a valid metric label, file name and DNS label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StoreName(SmolStr);

/// A text that cannot name a policy store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a policy store: use 1 to 63 lower-case letters, digits, `-` or `_`, beginning with a letter or digit"
)]
pub struct StoreNameError(String);

impl StoreName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreName {
    type Err = StoreNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let valid = text.len() <= 63
            && text.starts_with(word)
            && text.chars().all(|c| word(c) || c == '-' || c == '_');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(StoreNameError(text.chars().take(80).collect()))
        }
    }
}

impl Borrow<str> for StoreName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names exactly which policies and stored entities decided: 32 hexadecimal digits, the beginning
/// of a SHA-256 over the store's schema, policies, links and entities with their file names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision([u8; 32]);

impl Revision {
    /// Makes a revision of a digest's first 32 hexadecimal digits.
    pub(crate) fn from_hex(hex: &str) -> Self {
        let mut digits = [b'0'; 32];
        for (digit, byte) in digits.iter_mut().zip(hex.bytes()) {
            *digit = byte;
        }
        Self(digits)
    }

    /// Returns the revision as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
