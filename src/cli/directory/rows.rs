//! The rows of the directory of a running Humbaba.

use std::sync::Arc;

use super::client::{Client, ConnectionFlags, Failure};
use crate::{
    cli::{CliError, server_address::ServerAddress},
    directory::{Assignment, AssignmentKey, Change, Directory},
    model::{Timestamp, Uid},
    proto,
    request::{Grant, RequestLimits},
    sources::FolderRows,
    store::PolicyStore,
};

/// Lists assignments, page by page, and returns them with the version of the last page.
pub(super) async fn list(
    client: &mut Client,
    connection: &ConnectionFlags,
    mut question: proto::ListAssignmentsRequest,
) -> Result<(Vec<proto::RoleAssignment>, String), Failure> {
    let (mut rows, mut version) = (Vec::new(), String::new());
    loop {
        let request = connection.request(question.clone())?;
        let page = client.list_assignments(request).await?.into_inner();
        rows.extend(page.assignments);
        if !version.is_empty() && version != page.directory_version {
            eprintln!("the directory may have changed while it was listed");
        }
        version = page.directory_version;
        if page.next_page_token.is_empty() {
            return Ok((rows, version));
        }
        question.page_token = page.next_page_token;
    }
}

/// Reads all assignments that a running Humbaba holds for a store, those included that grant nothing.
///
/// # Errors
/// The server does not answer, or refuses.
pub(in crate::cli) fn read_assignments(
    server: &ServerAddress,
    connection: &ConnectionFlags,
    store: &PolicyStore,
    limits: &RequestLimits,
) -> Result<FolderRows, CliError> {
    let question = proto::ListAssignmentsRequest {
        policy_store: store.name().to_string(),
        include_ineffective: true,
        ..proto::ListAssignmentsRequest::default()
    };
    let listing = connection
        .ask(server, async |mut client| Ok(list(&mut client, connection, question).await?.0))?;
    let changes: Vec<_> = listing.into_iter().map(|row| Change::Put(assignment(row))).collect();
    let (schema, stored) = (Arc::clone(store.schema_arc()), Arc::clone(store.stored_arc()));
    let (directory, faults) = Directory::new(schema, stored, limits.clone()).apply(&changes);
    let problems = faults.into_iter().map(|fault| match changes.get(fault.index) {
        Some(Change::Put(Assignment { key, .. })) => format!(
            "{}, {} of {}: `{}`: {}",
            key.principal, key.role, key.scope, fault.field, fault.description
        ),
        _ => fault.description,
    });
    let problem_count = directory.counts().ignored;
    Ok(FolderRows { directory, problems: problems.collect(), problem_count })
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
