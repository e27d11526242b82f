//! Errors of an embedded directory's database.

use std::{io, path::PathBuf};

use rusqlite::ErrorCode;

/// The database of a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// Another process has it.
    #[error(
        "another process uses `{}`: stop it, or give this one another folder with `data`",
        .0.display()
    )]
    Locked(PathBuf),
    /// The database is gone, and part of it is still there.
    #[error(
        "`{}` is missing, but its log `{}` is there: restore the database from a backup, or remove \
         the log to begin with an empty directory",
        database.display(), log.display()
    )]
    Missing {
        /// The database.
        database: PathBuf,
        /// Its write-ahead log.
        log: PathBuf,
    },
    /// The file system fails.
    #[error("cannot {doing} `{}`: {error}", path.display())]
    Io {
        /// The operation.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// SQLite fails.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The database was made by another version of Humbaba.
    #[error(
        "it has the format {0}, which this version of Humbaba does not know: use the version that \
         wrote it"
    )]
    Format(i64),
    /// A write failed, and then finding out what became of it.
    #[error(
        "nobody knows whether the last write is on disk ({0}): start the process again, which reads \
         the database anew"
    )]
    Unknown(String),
    /// Another program removed, replaced or changed the database while it was in use.
    #[error(
        "{0}: another program did that while the database was in use. Nothing is written any more; \
         stop the process, put the right file in its place (`humbaba directory restore`), and start \
         again"
    )]
    Foreign(String),
    /// Another program wrote to the database just now.
    #[error("another program uses the database at this moment: try again")]
    Touched,
    /// The content of the database is not what was written.
    #[error("{0}")]
    Damaged(String),
}

impl DatabaseError {
    pub fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }

    pub fn foreign(what: &str) -> Self {
        Self::Foreign(what.to_owned())
    }

    /// Returns the same error about a database that is in use, of which the content was right before.
    pub fn while_in_use(self) -> Self {
        let is_damage = match &self {
            Self::Damaged(_) | Self::Format(_) => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
            _ => false,
        };
        if is_damage { Self::Foreign(format!("its content was changed ({self})")) } else { self }
    }

    pub fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { doing, path, error }
    }
}
