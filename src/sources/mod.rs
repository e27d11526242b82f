//! The sources of the rows of directories: files, the sidecar's own database, PostgreSQL.
//!
//! A source waits until its store is loaded, puts the first state of its directory in force, and then
//! each change as a whole. What it cannot read leaves the last state in force.

mod embedded;
mod error;
mod files;
mod options;
mod postgres;
mod reads_the_same;
mod row_key;
mod row_problems;

pub use error::SourceStartError;
pub use options::{FileBounds, SourceOptions};
pub use postgres::{look_at_postgres, schema as postgres_schema};

pub use embedded::{EmbeddedDirectory, RestoreError, WriteError, look_at_embedded, restore};
pub use files::{FolderRows, read_folder};

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use self::reads_the_same::reads_the_same;
use crate::{model::StoreName, reload::Live};

/// A store that has a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOf {
    /// The store.
    pub store: StoreName,
    /// The source of the rows.
    pub source: DirectorySource,
}

/// The source of the rows of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectorySource {
    /// A folder of files.
    Files(PathBuf),
    /// The sidecar's own database, in the folder of the setting `data`.
    Embedded,
    /// PostgreSQL, at the connection string of `directory.postgres_url_file`.
    Postgres {
        /// The schema in which the tables are, where it is not `humbaba`.
        schema: Option<String>,
    },
}

impl fmt::Display for DirectorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(path) => write!(f, "files:{}", path.display()),
            Self::Embedded => f.write_str("embedded"),
            Self::Postgres { schema: None } => f.write_str("postgres"),
            Self::Postgres { schema: Some(schema) } => write!(f, "postgres:{schema}"),
        }
    }
}

/// The running sources. Dropping them ends them.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<files::FilesSource>,
    embedded: BTreeMap<StoreName, EmbeddedDirectory>,
    postgres: Vec<postgres::PostgresSource>,
}

impl Sources {
    /// Returns the directories that the sidecar keeps itself, by store.
    #[must_use]
    pub fn embedded(&self) -> &BTreeMap<StoreName, EmbeddedDirectory> {
        &self.embedded
    }

    /// Has the rows read again, as SIGHUP does.
    pub fn hint(&self) {
        self.files.iter().for_each(files::FilesSource::hint);
    }
}

/// Announces the directories, so that their stores decide nothing until each has a first state.
pub fn announce(sources: &[SourceOf], options: &SourceOptions, live: &Live) {
    for SourceOf { store, source } in sources {
        let kept_changes = options.followed_changes;
        live.add_directory(store, &source.to_string(), options.max_age, kept_changes);
    }
}

/// Begins to follow the sources.
///
/// # Errors
/// One of them cannot start, whatever its rows.
pub fn start(
    sources: &[SourceOf],
    options: &SourceOptions,
    live: &Arc<Live>,
) -> Result<Sources, SourceStartError> {
    let mut running = Sources::default();
    for SourceOf { store, source } in sources {
        match source {
            DirectorySource::Files(folder) => {
                running.files.push(files::start(store, folder, options, live)?);
            }
            DirectorySource::Embedded => {
                let directory = embedded::start(store, options, live)?;
                running.embedded.insert(store.clone(), directory);
            }
            DirectorySource::Postgres { schema } => {
                running.postgres.push(postgres::start(store, schema.as_deref(), options, live)?);
            }
        }
    }
    Ok(running)
}
