//! `ListEntities`, and what the command line makes of it.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use humbaba::proto::{
    Entity, ListAssignmentsRequest, ListAssignmentsResponse, ListEntitiesRequest,
    ListEntitiesResponse, WatchRequest, WatchResponse, WriteRequest, WriteResponse,
    directory_change::Change,
    directory_service_server::{DirectoryService, DirectoryServiceServer},
};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    cli::{POLICIES, SCHEMA, policies, run, write_store},
    support::{
        ask::{Knowing as _, assignment_of, entity, fields, text},
        directory_client::{DirectoryClient, address, change, directory, put, sidecar, write},
    },
};

fn put_entity(entity: Entity) -> humbaba::proto::DirectoryChange {
    change(Change::PutEntity(entity))
}

/// The names of entities, page by page: `User alice`.
async fn listed(
    client: &mut DirectoryClient,
    mut question: ListEntitiesRequest,
) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let page = client.list_entities(question.clone()).await.unwrap().into_inner();
        let names = page.entities.into_iter().map(|entity| {
            let uid = entity.uid.unwrap();
            format!("{} {}", uid.r#type, uid.id)
        });
        pages.push(names.collect());
        if page.next_page_token.is_empty() {
            return pages;
        }
        question.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn entities_are_listed_by_page_and_type() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &["--set", "limits.page_items=3"]);
    let mut client = directory(&running);
    let alice = entity("User::alice").attribute("email", text("alice@example.org"));
    let users = ["b", "c", "d", "e"].map(|id| put_entity(entity(&format!("User::{id}"))));
    write(&mut client, users).await;
    let version = write(
        &mut client,
        [
            put_entity(alice.within("Group::staff")),
            put_entity(entity("Group::staff")),
            // Who has no row of its own is no entity that is listed.
            put("User::aaron", "viewer", "Site::1"),
        ],
    )
    .await;

    let all = ListEntitiesRequest { page_size: 9, ..ListEntitiesRequest::default() };
    let first = client.list_entities(all.clone()).await.unwrap().into_inner();
    assert_eq!(first.directory_version, version);
    let alice = &first.entities[1];
    assert_eq!(alice.attributes["email"], text("alice@example.org"));
    assert_eq!(alice.parents[0].id, "staff");
    let expected = vec![
        vec!["Guard::Group staff", "Guard::User alice", "Guard::User b"],
        vec!["Guard::User c", "Guard::User d", "Guard::User e"],
    ];
    assert_eq!(listed(&mut client, all.clone()).await, expected);
    let of_type = |name: &str| ListEntitiesRequest { r#type: name.to_owned(), ..all.clone() };
    assert_eq!(listed(&mut client, of_type("Group")).await, [["Guard::Group staff"]]);
    let users = listed(&mut client, of_type("Guard::User")).await.concat();
    assert_eq!(users.len(), 5);
    assert_eq!(listed(&mut client, of_type("Site")).await, [[""; 0]]);

    // A token is one of its own question.
    let token = first.next_page_token;
    for (page_token, name) in
        [(token.clone(), "User"), (token[..20].to_owned(), ""), ("x".into(), "")]
    {
        let other = ListEntitiesRequest { page_token, ..of_type(name) };
        assert_eq!(fields(&client.list_entities(other).await.unwrap_err()), ["page_token"]);
    }
    let other = ListAssignmentsRequest { page_token: token, ..ListAssignmentsRequest::default() };
    assert_eq!(fields(&client.list_assignments(other).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn a_page_of_large_entities_has_fewer() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let limits = ["--set", "limits.message_bytes=20000", "--set", "limits.text_bytes=15000"];
    let running = sidecar(folder.path(), data.path(), &limits);
    let mut client = directory(&running);
    for (id, bytes) in [("a", 3_000), ("b", 3_000), ("c", 3_000), ("d", 3_000), ("e", 14_000)] {
        let large = entity(&format!("User::{id}")).attribute("email", text(&"x".repeat(bytes)));
        write(&mut client, [put_entity(large)]).await;
    }
    let pages = listed(&mut client, ListEntitiesRequest::default()).await;
    let sizes: Vec<_> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 1, 1]);
}

#[tokio::test]
async fn entities_that_do_not_fit_are_listed_where_they_are_asked_for() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    let alice = entity("User::alice").attribute("email", text("alice@example.org"));
    write(&mut client, [put_entity(alice), put_entity(entity("User::bob"))]).await;
    let schema = folder.path().join("guard/schema.cedarschema");
    fs::write(&schema, SCHEMA.replace("{ email?: String }", "{ mail?: String }")).unwrap();
    let effective = ListEntitiesRequest::default();
    crate::support::wait::until("the schema is in force", async || {
        listed(&mut client, effective.clone()).await == [["Guard::User bob"]]
    })
    .await;
    let all = ListEntitiesRequest { include_ineffective: true, ..effective };
    let page = client.list_entities(all).await.unwrap().into_inner();
    assert_eq!(page.entities[0].attributes["email"], text("alice@example.org"));
    assert_eq!(page.entities.len(), 2);
}

/// A state of the policies in which viewers edit too.
fn looser() -> TempDir {
    let folder = TempDir::new().unwrap();
    let more = "permit (principal, action == Guard::Action::\"edit\", resource) \
                when { principal in resource.viewer };\n";
    write_store(folder.path(), "guard", &format!("{POLICIES}{more}"));
    folder
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[tokio::test]
async fn a_change_is_judged_with_the_people_of_a_running_directory() {
    let (old, new, data) = (policies(&["guard"]), looser(), TempDir::new().unwrap());
    let running = sidecar(old.path(), data.path(), &["--set", "limits.page_items=1"]);
    let mut client = directory(&running);
    let changes = [
        put("User::bob", "viewer", "Site::1"),
        put("User::bob", "viewer", "Site::2"),
        put("User::dave", "editor", "Site::1"),
        put("Group::staff", "viewer", "Site::2"),
        put_entity(entity("User::erin").within("Group::staff")),
    ];
    let version = write(&mut client, changes).await;
    let server = address(&running);
    let args = ["diff", path(old.path()), path(new.path()), "--server", &server];
    let ended = run(&args);
    assert_eq!(ended.code, 2, "{ended:?}");
    for line in [
        "  Guard::User::\"bob\" gains edit on 2, e.g. Guard::Site::\"1\"\n".to_owned(),
        "  Guard::User::\"erin\" gains edit on Guard::Site::\"2\"\n".to_owned(),
        format!("  people judged with version {version} of the directory\n"),
    ] {
        assert!(ended.out.contains(&line), "{line}: {}", ended.out);
    }
    assert!(!ended.out.contains("dave"), "{}", ended.out);
    let markdown = run(&[&args[..], &["--format", "markdown"]].concat());
    assert!(markdown.out.contains(&format!("judged with version {version}")), "{}", markdown.out);
    let json = run(&[&args[..], &["--format", "json"]].concat());
    let json: Json = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["stores"][0]["directory_versions"], serde_json::json!([version]));
    assert_eq!(json["stores"][0]["people"].as_array().unwrap().len(), 2);

    let both = run(&[&args[..], &["--directory", path(old.path())]].concat());
    assert_eq!(both.code, 64, "{both:?}");
    // A store that has no directory there is not judged without people.
    let (other, copy) = (policies(&["other"]), policies(&["other"]));
    let ended = run(&["diff", path(other.path()), path(copy.path()), "--server", &server]);
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("other"), "{}", ended.err);
}

/// A directory of which the first lists each show another version on each page.
struct Changing {
    lists: usize,
    asked: AtomicUsize,
}

#[tonic::async_trait]
impl DirectoryService for Changing {
    async fn list_assignments(
        &self,
        request: Request<ListAssignmentsRequest>,
    ) -> Result<Response<ListAssignmentsResponse>, Status> {
        let is_first = request.get_ref().page_token.is_empty();
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        let version = if asked / 2 < self.lists { format!("v{asked}") } else { "last".to_owned() };
        let user = if is_first { "User::bob" } else { "User::carol" };
        Ok(Response::new(ListAssignmentsResponse {
            assignments: vec![assignment_of(user, "viewer", "Site::1")],
            next_page_token: if is_first { "more".to_owned() } else { String::new() },
            directory_version: version,
        }))
    }

    async fn list_entities(
        &self,
        _: Request<ListEntitiesRequest>,
    ) -> Result<Response<ListEntitiesResponse>, Status> {
        let asked = self.asked.load(Ordering::Relaxed) - 1;
        let version = if asked / 2 < self.lists { format!("v{asked}") } else { "last".to_owned() };
        Ok(Response::new(ListEntitiesResponse { directory_version: version, ..Default::default() }))
    }

    async fn write(&self, _: Request<WriteRequest>) -> Result<Response<WriteResponse>, Status> {
        Err(Status::unimplemented("nobody writes here"))
    }

    type WatchStream = tokio_stream::Empty<Result<WatchResponse, Status>>;

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody follows here"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_changes_while_it_is_read_is_read_again_or_said_to_change() {
    let (old, new) = (policies(&["guard"]), looser());
    for (lists, said) in [
        (0, "people judged with version last of the directory"),
        (2, "people judged with version last of the directory"),
        (9, "a directory that changed while it was read, from version v4 to v5"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let service = DirectoryServiceServer::new(Changing { lists, asked: AtomicUsize::new(0) });
        let serving = Server::builder().add_service(service);
        let serving = tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        let args = ["diff", path(old.path()), path(new.path()), "--server", &server];
        let ended = tokio::task::block_in_place(|| run(&args));
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.out.contains(said), "{lists}: {}", ended.out);
        // Those of the list that counts, each once.
        assert!(ended.out.contains("\"bob\" gains edit on Guard::Site"), "{}", ended.out);
        assert!(ended.out.contains("\"carol\" gains edit on Guard::Site"), "{}", ended.out);
        serving.abort();
    }
}
