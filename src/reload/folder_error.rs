//! Errors of reading a policies folder.

use std::{io, path::PathBuf};

use crate::model::{Problem, StoreNameError};

/// A policies folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system says no.
    #[error("cannot read `{path}`: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The file system's error.
        error: io::Error,
    },
    /// There is no store in it.
    #[error("`{0}` holds no policy store: a store is a folder in it with a `*.cedarschema`")]
    Empty(PathBuf),
    /// It could be one store or a folder of stores.
    #[error(
        "`{path}` is ambiguous: `{file}` makes it one store, and `{store}` in it is a store of its own; \
         move the file into a store's folder, or the folder elsewhere"
    )]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// The schema file in it.
        file: String,
        /// The store's folder in it.
        store: String,
    },
    /// A folder in it looks like a store but cannot be one under its name.
    #[error("cannot load `{path}`: {error}; rename the folder")]
    Misnamed {
        /// The folder.
        path: PathBuf,
        /// The fault of the name.
        error: StoreNameError,
    },
    /// A store in it cannot be read as a whole: a file is too large, a pipe, unreadable.
    #[error("{}", lines(.0))]
    Unreadable(Vec<Problem>),
    /// It never held still while it was read.
    #[error("`{0}` keeps changing while it is read: try again when nothing writes to it")]
    Unsettled(PathBuf),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
