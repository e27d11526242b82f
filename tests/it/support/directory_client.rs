//! A sidecar that keeps the directory of a store itself, and clients of it.

use std::path::Path;

use humbaba::proto::{
    DirectoryChange, ListAssignmentsRequest, RoleAssignment, WriteRequest,
    authorization_service_client::AuthorizationServiceClient, directory_change::Change,
    directory_service_client::DirectoryServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use super::ask::assignment_of;
use crate::cli_sidecar::Sidecar;

/// A client of the directory service.
pub type DirectoryClient = DirectoryServiceClient<Channel>;

/// A sidecar of the store `guard` that keeps its directory in `data`, and serves `DirectoryService` on
/// a Unix socket, unless it is told where.
pub fn sidecar(policies: &Path, data: &Path, more: &[&str]) -> Sidecar {
    let listen = format!("unix:{}", data.join("directory.sock").display());
    let mut arguments = vec!["--directory", "guard=embedded", "--data", data.to_str().unwrap()];
    if !more.contains(&"--directory-listen") {
        arguments.extend(["--directory-listen", listen.as_str()]);
    }
    arguments.extend(more);
    Sidecar::start(policies, &arguments)
}

/// The address of the directory service.
pub fn address(sidecar: &Sidecar) -> String {
    let address = sidecar.addresses["directory"].as_str().unwrap();
    if address.starts_with("unix:") { address.to_owned() } else { format!("http://{address}") }
}

pub fn channel(address: &str) -> Channel {
    Endpoint::from_shared(address.to_owned()).unwrap().connect_lazy()
}

pub fn directory(sidecar: &Sidecar) -> DirectoryClient {
    DirectoryServiceClient::new(channel(&address(sidecar)))
}

pub fn decisions(sidecar: &Sidecar) -> AuthorizationServiceClient<Channel> {
    AuthorizationServiceClient::new(channel(&sidecar.tcp()))
}

/// Somebody holds that role on that scope from now on.
pub fn put(principal: &str, role: &str, scope: &str) -> DirectoryChange {
    change(Change::PutAssignment(assignment_of(principal, role, scope)))
}

/// Somebody does not hold that role on that scope any more.
pub fn delete(principal: &str, role: &str, scope: &str) -> DirectoryChange {
    change(Change::DeleteAssignment(assignment_of(principal, role, scope)))
}

pub fn change(change: Change) -> DirectoryChange {
    DirectoryChange { change: Some(change) }
}

pub fn changes(changes: impl IntoIterator<Item = DirectoryChange>) -> WriteRequest {
    WriteRequest { changes: changes.into_iter().collect(), ..WriteRequest::default() }
}

/// Makes changes, and returns the version with them.
pub async fn write(
    client: &mut DirectoryClient,
    all: impl IntoIterator<Item = DirectoryChange>,
) -> String {
    client.write(changes(all)).await.unwrap().into_inner().directory_version
}

/// All assignments, page by page, and the version.
pub async fn list(client: &mut DirectoryClient) -> (Vec<RoleAssignment>, String) {
    let mut question =
        ListAssignmentsRequest { include_ineffective: true, ..ListAssignmentsRequest::default() };
    let mut rows = Vec::new();
    loop {
        let page = client.list_assignments(question.clone()).await.unwrap().into_inner();
        rows.extend(page.assignments);
        if page.next_page_token.is_empty() {
            return (rows, page.directory_version);
        }
        question.page_token = page.next_page_token;
    }
}

/// An assignment in few words: `alice editor 42`.
pub fn named(row: &RoleAssignment) -> String {
    let id = |uid: &Option<humbaba::proto::EntityUid>| uid.clone().unwrap().id;
    format!("{} {} {}", id(&row.principal), row.role, id(&row.scope))
}

pub async fn names(client: &mut DirectoryClient) -> Vec<String> {
    list(client).await.0.iter().map(named).collect()
}
