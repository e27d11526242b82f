//! PostgreSQL, which many sidecars follow: a consistent snapshot of the rows, then every commit in
//! order, found by comparing snapshots.

mod compare;
mod connect;
mod connection_string;
mod follow;
mod follower;
mod known_rows;
mod poll;
mod read;
mod rows;
pub mod schema;
mod shared_keys;
mod triggers;

use std::{path::Path, sync::Arc};

use tokio::{runtime::Handle, task::AbortHandle};

use super::{SourceOptions, SourceStartError};
use crate::{model::StoreName, reload::Live};
use follower::Follower;
use read::Statements;

/// A directory that is followed. Dropping it ends that.
#[derive(Debug)]
pub struct PostgresSource(AbortHandle);

impl Drop for PostgresSource {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to follow a schema of PostgreSQL.
///
/// # Errors
/// There is no connection string, or no runtime.
pub(super) fn start(
    store: &StoreName,
    schema: Option<&str>,
    options: &SourceOptions,
    live: &Arc<Live>,
) -> Result<PostgresSource, SourceStartError> {
    let url_file = options.postgres_url_file.as_deref().map(Path::to_owned).ok_or_else(|| {
        SourceStartError::Setting(format!(
            "`directory.postgres_url_file` is not set: name the file with the connection string, for \
             `{store}` follows PostgreSQL"
        ))
    })?;
    let runtime = Handle::try_current()
        .map_err(|error| SourceStartError::Thread(std::io::Error::other(error)))?;
    let schema = schema.unwrap_or(schema::DEFAULT_SCHEMA);
    let follower = Follower {
        store: store.clone(),
        url_file,
        statements: Statements::new(schema, options.limits.text_bytes),
        limits: options.limits.clone(),
        poll: options.poll,
        compare: options.compare,
        live: Arc::clone(live),
    };
    Ok(PostgresSource(runtime.spawn(follower.run()).abort_handle()))
}

/// Connects once and asks for all that a sidecar reads, but for one row of each table at most. Returns
/// whether there is one. Writes nothing.
///
/// # Errors
/// There is no connection string, or PostgreSQL does not answer as it should, in words for an
/// operator.
pub async fn look_at_postgres(
    schema: Option<&str>,
    options: &SourceOptions,
) -> Result<bool, String> {
    let unset = || "`directory.postgres_url_file` is not set".to_owned();
    let url_file = options.postgres_url_file.as_deref().ok_or_else(unset)?;
    let schema = schema.unwrap_or(schema::DEFAULT_SCHEMA);
    let statements = Statements::new(schema, options.limits.text_bytes);
    let connection = connect::connect(url_file).await?;
    statements.look(&connection.client).await
}
