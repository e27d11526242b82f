//! The source of policy stores.

use std::path::PathBuf;

use super::EMBEDDED;

/// The source of policy stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with one folder for each store.
    Folder(PathBuf),
    /// The stores that the binary carries.
    Embedded,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Embedded => f.write_str(EMBEDDED),
        }
    }
}
