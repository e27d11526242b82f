//! The rows of the directory of a running Humbaba.

use std::sync::Arc;

use super::client::{CallError, ConnectionFlags, DirectoryClient};
use crate::{
    cli::{CliError, server_address::ServerAddress},
    directory::{Assignment, AssignmentKey, Change, Directory},
    grpc::read_changes,
    model::{StoreName, Timestamp, Uid},
    proto::{self, directory_change::Change as Sent},
    request::{Grant, RequestLimits},
    sources::FolderRows,
    store::PolicyStore,
};

/// Times that a directory is listed, in the hope that it does not change meanwhile.
const TRIES: usize = 3;

/// The versions that the pages of a list show.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct ListedVersions {
    first: String,
    last: String,
}

/// The rows that a running Humbaba holds for a store.
#[derive(Debug)]
pub(in crate::cli) struct DirectoryRows {
    rows: Vec<Change>,
    /// The versions that show these rows.
    pub versions: ListedVersions,
}

/// The rows that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum RowsWanted {
    Assignments,
    All,
}

impl ListedVersions {
    fn add(&mut self, version: String) {
        if self.first.is_empty() {
            self.first.clone_from(&version);
        }
        self.last = version;
    }

    /// Returns the version, or the first and the last.
    pub(in crate::cli) fn as_list(&self) -> Vec<&str> {
        if self.first == self.last { vec![&self.first] } else { vec![&self.first, &self.last] }
    }

    /// Says so where the directory changed while it was listed.
    pub(in crate::cli) fn warn(&self) {
        if let [first, last] = self.as_list().as_slice() {
            eprintln!("the directory changed while it was listed: from version {first} to {last}");
        }
    }
}

/// Lists assignments, page by page.
pub(super) async fn assignments(
    client: &mut DirectoryClient,
    connection: &ConnectionFlags,
    mut question: proto::ListAssignmentsRequest,
    versions: &mut ListedVersions,
) -> Result<Vec<proto::RoleAssignment>, CallError> {
    let mut rows = Vec::new();
    loop {
        let request = connection.request(question.clone())?;
        let page = client.list_assignments(request).await?.into_inner();
        rows.extend(page.assignments);
        versions.add(page.directory_version);
        if page.next_page_token.is_empty() {
            return Ok(rows);
        }
        question.page_token = page.next_page_token;
    }
}

/// Lists entities, page by page.
async fn entities(
    client: &mut DirectoryClient,
    connection: &ConnectionFlags,
    mut question: proto::ListEntitiesRequest,
    versions: &mut ListedVersions,
) -> Result<Vec<proto::Entity>, CallError> {
    let mut rows = Vec::new();
    loop {
        let request = connection.request(question.clone())?;
        let page = client.list_entities(request).await?.into_inner();
        rows.extend(page.entities);
        versions.add(page.directory_version);
        if page.next_page_token.is_empty() {
            return Ok(rows);
        }
        question.page_token = page.next_page_token;
    }
}

impl DirectoryRows {
    /// Reads the rows that a running Humbaba holds for a store, those included that do not fit its
    /// policies. Where the directory changes meanwhile they are read again, and where it changes each
    /// time they are rows of several versions.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub(in crate::cli) fn read(
        server: &ServerAddress,
        connection: &ConnectionFlags,
        store: &StoreName,
        wanted: RowsWanted,
        limits: &RequestLimits,
    ) -> Result<Self, CliError> {
        connection.ask(server, async |mut client| {
            let mut tries = 1;
            loop {
                let read = read_once(&mut client, connection, store, wanted, limits).await?;
                if tries == TRIES || read.versions.as_list().len() == 1 {
                    return Ok(read);
                }
                tries += 1;
            }
        })
    }

    /// Returns the rows as they fit a store.
    pub(in crate::cli) fn of_store(
        &self,
        store: &PolicyStore,
        limits: &RequestLimits,
    ) -> FolderRows {
        let (schema, stored) = (Arc::clone(store.schema_arc()), Arc::clone(store.stored_arc()));
        let empty = Directory::new(schema, stored, limits.clone());
        let (directory, faults) = empty.apply(&self.rows);
        let described = faults.into_iter().filter(|fault| !fault.description.is_empty());
        let problems = described.filter_map(|fault| {
            let of = match self.rows.get(fault.index)? {
                Change::Put(Assignment { key, .. }) | Change::Delete(key) => {
                    format!("{}, {} of {}", key.principal, key.role, key.scope)
                }
                Change::PutEntity(row) => row.uid.to_string(),
                Change::DeleteEntity(uid) => uid.to_string(),
            };
            Some(format!("{of}: `{}`: {}", fault.field, fault.description))
        });
        let problem_count = directory.counts().ignored;
        FolderRows { problems: problems.collect(), problem_count, directory }
    }
}

async fn read_once(
    client: &mut DirectoryClient,
    connection: &ConnectionFlags,
    store: &StoreName,
    wanted: RowsWanted,
    limits: &RequestLimits,
) -> Result<DirectoryRows, CallError> {
    let mut versions = ListedVersions::default();
    let question = proto::ListAssignmentsRequest {
        policy_store: store.to_string(),
        include_ineffective: true,
        ..proto::ListAssignmentsRequest::default()
    };
    let listed = assignments(client, connection, question, &mut versions).await?;
    let mut rows: Vec<_> = listed.into_iter().map(|row| Change::Put(assignment(row))).collect();
    if wanted == RowsWanted::All {
        let question = proto::ListEntitiesRequest {
            policy_store: store.to_string(),
            include_ineffective: true,
            ..proto::ListEntitiesRequest::default()
        };
        let listed = entities(client, connection, question, &mut versions).await?;
        let put = |entity| proto::DirectoryChange { change: Some(Sent::PutEntity(entity)) };
        let read = read_changes(listed.into_iter().map(put).collect(), limits);
        rows.extend(read.map_err(|violations| {
            let first = violations.first().map(ToString::to_string).unwrap_or_default();
            CliError::Failure(format!("the entities of the server cannot be read: {first}"))
        })?);
    }
    Ok(DirectoryRows { rows, versions })
}

fn assignment(row: proto::RoleAssignment) -> Assignment {
    let uid = |uid: Option<proto::EntityUid>| {
        let uid = uid.unwrap_or_default();
        Uid::new(uid.r#type, uid.id)
    };
    let grant = row.grant.unwrap_or_default();
    Assignment {
        key: AssignmentKey { principal: uid(row.principal), role: row.role, scope: uid(row.scope) },
        expires_at: row.expires_at.map(|at| moment(&at)),
        grant: Grant {
            granted_at: grant.granted_at.map(|at| moment(&at)),
            granted_by: grant.granted_by,
            reason: grant.reason,
        },
    }
}

/// Returns a moment of a message, to the millisecond.
pub(super) fn moment(sent: &prost_types::Timestamp) -> Timestamp {
    let millis = sent.seconds.saturating_mul(1_000);
    Timestamp::from_millis(millis.saturating_add(i64::from(sent.nanos / 1_000_000)))
}
