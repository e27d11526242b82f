//! The settings of directories.

use std::{fmt, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

use super::HttpListen;
use crate::{
    model::StoreName,
    sources::{DirectorySource, FileBounds, SourceOf},
};

/// The settings of directories.
#[derive(Debug, Clone)]
pub struct DirectorySettings {
    /// The stores that have a directory, and where its rows come from.
    pub sources: Vec<SourceOf>,
    /// Time after which a directory that its source did not confirm decides nothing.
    pub max_age: Duration,
    /// Bounds on directories of files.
    pub bounds: FileBounds,
    /// Changes that a directory keeps for `Watch`.
    pub kept_changes: NonZeroUsize,
    /// The address at which `DirectoryService` is served.
    pub listen: HttpListen,
    /// The file with the tokens of which callers of `DirectoryService` send one.
    pub token_file: Option<PathBuf>,
    /// The file with the connection string of PostgreSQL, which all its sources share.
    pub postgres_url_file: Option<PathBuf>,
    /// Interval at which PostgreSQL is asked for changes.
    pub poll: Duration,
    /// Interval at which all rows of PostgreSQL are compared, at most.
    pub compare: Duration,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            max_age: Duration::from_secs(24 * 60 * 60),
            bounds: FileBounds::default(),
            kept_changes: const { NonZeroUsize::new(100_000).unwrap() },
            listen: HttpListen::Off,
            token_file: None,
            postgres_url_file: None,
            poll: Duration::from_millis(100),
            compare: Duration::from_secs(60 * 60),
        }
    }
}

/// The text names no directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no directory: write `STORE=embedded`, `STORE=files:/folder` or `STORE=postgres`"
)]
pub struct SourceError(String);

impl FromStr for SourceOf {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || SourceError(text.chars().take(80).collect());
        let (store, source) = text.split_once('=').ok_or_else(error)?;
        let store: StoreName = store.parse().map_err(|_| error())?;
        let source = match source.split_once(':') {
            None if source == "embedded" => DirectorySource::Embedded,
            None if source == "postgres" => DirectorySource::Postgres { schema: None },
            Some(("postgres", schema)) if !schema.is_empty() => {
                DirectorySource::Postgres { schema: Some(schema.to_owned()) }
            }
            Some(("files", path)) if !path.is_empty() => DirectorySource::Files(path.into()),
            _ => return Err(error()),
        };
        Ok(Self { store, source })
    }
}

impl fmt::Display for SourceOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.store, self.source)
    }
}
