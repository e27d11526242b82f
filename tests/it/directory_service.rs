//! `DirectoryService`, and decisions with what it wrote.

use std::{fs, path::Path};

use humbaba::proto::{
    IsAuthorizedRequest, ListAssignmentsRequest, RoleAssignment, WatchRequest, WatchResponse,
    WriteRequest, directory_change::Change,
};
use tempfile::TempDir;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    cli::{command, end, policies},
    cli_sidecar::until,
    support::{
        ask::{Knowing as _, ask, assignment_of, entity, fields, is_allow, moment, now, text, uid},
        directory_client::{
            address, change, changes, channel, decisions, delete, directory, list, named, names,
            put, sidecar, write,
        },
        wait,
    },
};

fn edit(version: &str) -> IsAuthorizedRequest {
    IsAuthorizedRequest {
        at_least_version: version.to_owned(),
        ..ask("User::alice", "edit", "Site::42")
    }
}

#[tokio::test]
async fn a_question_is_decided_with_what_was_written_before_it_and_after_a_restart() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let (mut directory_client, mut client) = (directory(&running), decisions(&running));
    assert!(!is_allow(&client.is_authorized(edit("")).await.unwrap().into_inner()));
    let version = write(&mut directory_client, [put("User::alice", "editor", "Site::42")]).await;
    let answer = client.is_authorized(edit(&version)).await.unwrap().into_inner();
    assert!(is_allow(&answer));
    assert_eq!(answer.directory_version, version);
    drop(running);

    let running = sidecar(folder.path(), data.path(), &[]);
    let (mut directory_client, mut client) = (directory(&running), decisions(&running));
    let answer = client.is_authorized(edit(&version)).await.unwrap().into_inner();
    assert!(is_allow(&answer));
    assert_eq!(answer.directory_version, version);
    let version = write(&mut directory_client, [delete("User::alice", "editor", "Site::42")]).await;
    assert!(!is_allow(&client.is_authorized(edit(&version)).await.unwrap().into_inner()));
}

/// Rows that were written without a namespace are rows of the one that the schema gets later.
#[tokio::test]
async fn a_role_that_is_taken_after_the_schema_got_a_namespace_stays_taken() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let store = folder.path().join("guard");
    let files = ["schema.cedarschema", "policies.cedar"].map(|name| store.join(name));
    let qualified = files.each_ref().map(|file| fs::read_to_string(file).unwrap());
    let plain = qualified.each_ref().map(|text| {
        let text = text.replace("Guard::", "").replace("namespace Guard {", "");
        text.strip_suffix("}\n").unwrap_or(&text).to_owned()
    });
    let write_files = |texts: &[String; 2]| {
        files.iter().zip(texts).for_each(|(file, text)| fs::write(file, text).unwrap());
    };
    write_files(&plain);
    let running = sidecar(folder.path(), data.path(), &[]);
    let (mut client, mut decider) = (directory(&running), decisions(&running));
    let rows = [put("User::alice", "editor", "Site::42"), put("User::bob", "viewer", "Site::42")];
    let version = write(&mut client, rows).await;
    let before = decider.is_authorized(edit(&version)).await.unwrap().into_inner();
    assert!(is_allow(&before));

    write_files(&qualified);
    wait::until("the schema has a namespace", async || {
        let answer = decider.is_authorized(edit("")).await.unwrap().into_inner();
        answer.revision != before.revision && is_allow(&answer)
    })
    .await;
    let version = write(&mut client, [delete("User::alice", "editor", "Site::42")]).await;
    assert!(!is_allow(&decider.is_authorized(edit(&version)).await.unwrap().into_inner()));
    drop(running);

    let running = sidecar(folder.path(), data.path(), &[]);
    let (mut client, mut decider) = (directory(&running), decisions(&running));
    assert!(!is_allow(&decider.is_authorized(edit(&version)).await.unwrap().into_inner()));
    assert_eq!(names(&mut client).await, ["bob viewer 42"]);

    write_files(&plain);
    wait::until("the schema has none again", async || {
        let bob = ask("User::bob", "view", "Site::42");
        let answer = decider.is_authorized(bob).await.unwrap().into_inner();
        answer.revision == before.revision && is_allow(&answer)
    })
    .await;
    assert!(!is_allow(&decider.is_authorized(edit("")).await.unwrap().into_inner()));
}

#[tokio::test]
async fn a_write_is_made_as_a_whole_or_not_at_all() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &["--set", "limits.directory_changes=9"]);
    let mut client = directory(&running);
    let before = write(&mut client, [put("User::alice", "viewer", "Site::42")]).await;
    let nobody = RoleAssignment { principal: None, ..assignment_of("User::x", "owner", "Site::1") };
    let good = put("User::bob", "editor", "Site::42");
    for (bad, field) in [
        (put("User::bob", "editr", "Site::42"), "changes[1].put_assignment.role"),
        (put("User::bob", "editor", "Nothing::42"), "changes[1].put_assignment.scope.type"),
        (change(Change::PutAssignment(nobody.clone())), "changes[1].put_assignment.principal"),
        (change(Change::DeleteAssignment(nobody)), "changes[1].delete_assignment.principal"),
        (
            change(Change::PutEntity(entity("User::bob").attribute("phone", text("1")))),
            "changes[1].put_entity.attributes.phone",
        ),
        (humbaba::proto::DirectoryChange { change: None }, "changes[1]"),
    ] {
        let status = client.write(changes([good.clone(), bad])).await.unwrap_err();
        assert_eq!(fields(&status), [field]);
    }
    let many = (0..10).map(|id| put(&format!("User::u{id}"), "viewer", "Site::42"));
    assert_eq!(fields(&client.write(changes(many)).await.unwrap_err()), ["changes"]);
    let (rows, version) = list(&mut client).await;
    assert_eq!(rows.iter().map(named).collect::<Vec<_>>(), ["alice viewer 42"]);
    assert_eq!(version, before);
}

#[tokio::test]
async fn a_write_can_depend_on_the_version() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    let first = write(&mut client, [put("User::alice", "viewer", "Site::1")]).await;
    let request = |if_version: &str, who: &str| WriteRequest {
        if_version: if_version.to_owned(),
        ..changes([put(who, "viewer", "Site::1")])
    };
    let second = client.write(request(&first, "User::bob")).await.unwrap().into_inner();
    let status = client.write(request(&first, "User::carol")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains(&second.directory_version), "{status}");
    let other = client.write(request("0123.4", "User::carol")).await.unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
    let garbage = client.write(request("yesterday", "User::carol")).await.unwrap_err();
    assert_eq!(fields(&garbage), ["if_version"]);
    assert_eq!(names(&mut client).await, ["alice viewer 1", "bob viewer 1"]);
}

#[tokio::test]
async fn a_row_is_one_however_its_types_are_written() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    write(&mut client, [put("User::alice", "viewer", "Site::1")]).await;
    write(&mut client, [put("Guard::User::alice", "viewer", "Guard::Site::1")]).await;
    assert_eq!(names(&mut client).await, ["alice viewer 1"]);
    write(&mut client, [delete("User::alice", "viewer", "Guard::Site::1")]).await;
    assert!(names(&mut client).await.is_empty());
}

#[tokio::test]
async fn entities_that_were_written_decide() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    let alice = entity("User::alice").within("Group::staff");
    let version = write(
        &mut client,
        [change(Change::PutEntity(alice)), put("Group::staff", "editor", "Site::42")],
    )
    .await;
    let mut asked = decisions(&running);
    assert!(is_allow(&asked.is_authorized(edit(&version)).await.unwrap().into_inner()));
    let gone = change(Change::DeleteEntity(uid("User::alice")));
    let version = write(&mut client, [gone]).await;
    assert!(!is_allow(&asked.is_authorized(edit(&version)).await.unwrap().into_inner()));
}

#[tokio::test]
async fn assignments_are_listed_by_page_and_filter() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &["--set", "limits.page_items=4"]);
    let mut client = directory(&running);
    let users = (0..9).map(|id| put(&format!("User::u{id}"), "viewer", "Site::42"));
    write(&mut client, users).await;
    let expired = RoleAssignment {
        expires_at: Some(moment(now() - 1)),
        ..assignment_of("User::u3", "owner", "Site::7")
    };
    write(&mut client, [change(Change::PutAssignment(expired))]).await;

    let mut question = ListAssignmentsRequest { page_size: 5, ..ListAssignmentsRequest::default() };
    let mut found = Vec::new();
    let mut tokens = Vec::new();
    loop {
        let page = client.list_assignments(question.clone()).await.unwrap().into_inner();
        assert!(page.assignments.len() <= 4);
        found.extend(page.assignments.iter().map(named));
        if page.next_page_token.is_empty() {
            break;
        }
        question.page_token = page.next_page_token;
        tokens.push(question.page_token.clone());
    }
    let all: Vec<_> = (0..9).map(|id| format!("u{id} viewer 42")).collect();
    assert_eq!(found, all);

    let ask_for = |principal: &str, scope: &str, role: &str, all| ListAssignmentsRequest {
        principal: (!principal.is_empty()).then(|| uid(principal)),
        scope: (!scope.is_empty()).then(|| uid(scope)),
        role: role.to_owned(),
        include_ineffective: all,
        ..ListAssignmentsRequest::default()
    };
    for (question, expected) in [
        (ask_for("User::u3", "", "", false), vec!["u3 viewer 42"]),
        (ask_for("User::u3", "", "", true), vec!["u3 viewer 42", "u3 owner 7"]),
        (ask_for("", "Site::7", "", true), vec!["u3 owner 7"]),
        (ask_for("", "Guard::Site::42", "owner", true), vec![]),
    ] {
        let page = client.list_assignments(question).await.unwrap().into_inner();
        assert_eq!(page.assignments.iter().map(named).collect::<Vec<_>>(), expected);
    }

    let token = tokens.remove(0);
    let mut damaged = token.clone().into_bytes();
    damaged[3] = if damaged[3] == b'0' { b'1' } else { b'0' };
    let damaged = String::from_utf8(damaged).unwrap();
    for (page_token, role) in
        [(token.clone(), "viewer"), (damaged, ""), ("x".into(), ""), (token[..20].into(), "")]
    {
        let other = ListAssignmentsRequest { page_token, role: role.into(), ..Default::default() };
        assert_eq!(fields(&client.list_assignments(other).await.unwrap_err()), ["page_token"]);
    }
}

async fn next(stream: &mut Streaming<WatchResponse>) -> Result<WatchResponse, Status> {
    let message = tokio::time::timeout(crate::cli_sidecar::DEADLINE, stream.message());
    message.await.expect("in time").map(|message| message.expect("one more"))
}

#[tokio::test]
async fn changes_are_told_in_order_and_each_once() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &["--set", "directory.kept_changes=4"]);
    let mut client = directory(&running);
    let request = |after: &str| WatchRequest { after_version: after.into(), ..Default::default() };
    let before = list(&mut client).await.1;
    let mut from_now = client.watch(request("")).await.unwrap().into_inner();
    let first = next(&mut from_now).await.unwrap();
    assert_eq!((first.directory_version, first.changes.len()), (before.clone(), 0));

    let bob = entity("User::bob").attribute("email", text("bob@example.org")).within("Group::a");
    let writes = [
        vec![put("User::alice", "viewer", "Site::1"), delete("User::x", "owner", "Team::t")],
        vec![change(Change::PutEntity(bob))],
        vec![change(Change::DeleteEntity(uid("User::bob")))],
    ];
    let mut versions = Vec::new();
    for changes in writes.clone() {
        versions.push(write(&mut client, changes).await);
    }
    let mut from_before = client.watch(request(&before)).await.unwrap().into_inner();
    let mut from_first = client.watch(request(&versions[0])).await.unwrap().into_inner();
    for (version, changes) in versions.iter().zip(&writes) {
        for stream in [&mut from_now, &mut from_before] {
            let told = next(stream).await.unwrap();
            assert_eq!(&told.directory_version, version);
            // Types are told in full.
            let text = format!("{:?}", told.changes).replace("Guard::", "");
            assert_eq!(text, format!("{changes:?}"));
        }
    }
    assert_eq!(next(&mut from_first).await.unwrap().directory_version, versions[1]);

    // With these the first version is forgotten.
    write(&mut client, [put("User::c", "viewer", "Site::1"), put("User::d", "viewer", "Site::1")])
        .await;
    let trimmed = client.watch(request(&before)).await.unwrap_err();
    assert_eq!(trimmed.code(), Code::OutOfRange);
    for (version, code) in [
        ("0123456789abcdef.1".to_owned(), Code::FailedPrecondition),
        (format!("{before}99"), Code::FailedPrecondition),
        ("soon".to_owned(), Code::InvalidArgument),
    ] {
        let status = client.watch(request(&version)).await.unwrap_err();
        assert_eq!(status.code(), code, "{version}: {status}");
    }

    // Streams do not keep the process from stopping.
    running.signal("TERM");
    let mut ended = running;
    assert_eq!(ended.code(), 0);
}

#[tokio::test]
async fn open_streams_of_a_directory_and_of_health_are_limited_apart() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let limits = ["--set", "limits.watches=1", "--set", "limits.directory_watches=1"];
    let running = sidecar(folder.path(), data.path(), &limits);
    let (mut client, mut again) = (directory(&running), directory(&running));
    let mut watch = async || client.watch(WatchRequest::default()).await.map(drop);
    let mut health = HealthClient::new(channel(&address(&running)));
    let mut watch_health = async || health.watch(HealthCheckRequest::default()).await;

    let of_health = watch_health().await.unwrap();
    assert_eq!(watch_health().await.unwrap_err().code(), Code::ResourceExhausted);
    let of_directory = again.watch(WatchRequest::default()).await.unwrap();
    assert_eq!(watch().await.unwrap_err().code(), Code::ResourceExhausted);
    drop(of_health);
    wait::until("there is room for a health watch", async || watch_health().await.is_ok()).await;
    assert_eq!(watch().await.unwrap_err().code(), Code::ResourceExhausted);
    drop(of_directory);
    wait::until("there is room for a watch", async || watch().await.is_ok()).await;
}

#[tokio::test]
async fn rows_that_a_reload_leaves_without_a_slot_grant_nothing_until_it_is_back() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    let version = write(&mut client, [put("User::alice", "editor", "Site::42")]).await;
    let schema = folder.path().join("guard/schema.cedarschema");
    let policy = folder.path().join("guard/policies.cedar");
    let (before, policies_before) =
        (fs::read_to_string(&schema).unwrap(), fs::read_to_string(&policy).unwrap());
    fs::write(&schema, before.replace("editor: Role, ", "")).unwrap();
    fs::write(
        &policy,
        policies_before.replace("resource.editor, ", "").replace(", resource.editor", ""),
    )
    .unwrap();
    let mut effective = directory(&running);
    let mut count = async |expected: usize| {
        for _ in 0..2_000 {
            let question = ListAssignmentsRequest::default();
            let page = effective.list_assignments(question).await.unwrap().into_inner();
            if page.assignments.len() == expected {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("waited in vain for {expected} assignments");
    };
    count(0).await;
    let mut asked = decisions(&running);
    assert!(!is_allow(&asked.is_authorized(edit(&version)).await.unwrap().into_inner()));
    assert_eq!(names(&mut client).await, ["alice editor 42"]);
    fs::write(&schema, before).unwrap();
    fs::write(&policy, policies_before).unwrap();
    count(1).await;
    assert!(is_allow(&asked.is_authorized(edit(&version)).await.unwrap().into_inner()));
}

/// Flips a bit in a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.windows(5).position(|bytes| bytes == b"alice").unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_directory_decides_nothing_and_leaves_the_other_stores_alone() {
    let (folder, data) = (policies(&["guard", "other"]), TempDir::new().unwrap());
    let more = ["--directory", "other=embedded"];
    let running = sidecar(folder.path(), data.path(), &more);
    let mut client = directory(&running);
    let request = |store: &str| WriteRequest {
        policy_store: store.into(),
        ..changes([put("User::alice", "editor", "Site::42")])
    };
    client.write(request("guard")).await.unwrap();
    client.write(request("other")).await.unwrap();
    drop(running);
    damage(&data.path().join("directory/guard.sqlite"));

    let running = sidecar(folder.path(), data.path(), &more);
    let mut asked = decisions(&running);
    let of = |store: &str| IsAuthorizedRequest { policy_store: store.into(), ..edit("") };
    let status = asked.is_authorized(of("guard")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("humbaba directory restore"), "{status}");
    assert!(is_allow(&asked.is_authorized(of("other")).await.unwrap().into_inner()));
    let status = directory(&running).write(request("guard")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    until("the log", || running.log().contains("guard.sqlite").then_some(()));
}

#[tokio::test]
async fn a_backup_is_restored_with_versions_of_its_own() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    let before = write(&mut client, [put("User::alice", "editor", "Site::42")]).await;
    let file = data.path().join("directory/guard.sqlite");
    // The file is complete whenever no write is under way.
    let backup = data.path().join("backup");
    fs::copy(&file, &backup).unwrap();
    let after = write(&mut client, [put("User::bob", "editor", "Site::42")]).await;
    let restore = |backup: &Path| {
        let data = data.path().to_str().unwrap();
        let arguments = ["directory", "restore", "--store", "guard", "--data", data];
        end(command(&arguments).arg(backup))
    };
    let ended = restore(&backup);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("another process uses"), "{ended:?}");
    drop(running);
    let damaged = data.path().join("damaged");
    fs::copy(&backup, &damaged).unwrap();
    damage(&damaged);
    assert_eq!(restore(&damaged).code, 1);

    let ended = restore(&backup);
    assert_eq!(ended.code, 0, "{ended:?}");
    let running = sidecar(folder.path(), data.path(), &[]);
    let (rows, version) = list(&mut directory(&running)).await;
    assert_eq!(rows.iter().map(named).collect::<Vec<_>>(), ["alice editor 42"]);
    assert_eq!(version, ended.out.trim());
    for old in [before, after] {
        let status = decisions(&running).is_authorized(edit(&old)).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    }
}

#[test]
fn the_command_writes_and_reads_a_directory() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let server = crate::support::directory_client::address(&running);
    let run = |arguments: &[&str]| {
        let (verb, rest) = arguments.split_first().unwrap();
        end(command(&["directory", verb, "--server", &server, "--store", "guard"]).args(rest))
    };
    let alice = ["User::alice", "editor", r#"Site::"42""#];
    let put = [&["put"][..], &alice, &["--granted-by", "root", "--reason", "ticket 7"]].concat();
    let put = run(&[&put[..], &["--expires-at", "2999-01-01T00:00:00Z"]].concat());
    assert_eq!(put.code, 0, "{put:?}");
    let listed = run(&["list", "--format", "csv"]);
    let lines: Vec<_> = listed.out.lines().collect();
    assert_eq!(
        lines[0],
        "principal_type,principal_id,role,scope_type,scope_id,expires_at,granted_at,granted_by,reason"
    );
    assert!(
        lines[1].starts_with("Guard::User,alice,editor,Guard::Site,42,2999-01-01T00:00:00Z,20"),
        "{listed:?}"
    );
    assert!(lines[1].ends_with(",root,ticket 7"), "{listed:?}");
    let human = run(&["list", "--principal", "User::alice"]).out;
    assert!(
        human.starts_with(r#"Guard::User::"alice" editor Guard::Site::"42" until 2999"#),
        "{human}"
    );
    assert_eq!(run(&["put", "User::alice", "king", "Site::42"]).code, 64);
    let refused = run(&[&["delete"][..], &alice, &["--if-version", "0.1"]].concat());
    assert_eq!(refused.code, 1, "{refused:?}");
    let file = data.path().join("entities.json");
    fs::write(
        &file,
        r#"[{"uid": {"type": "User", "id": "bob"}, "attrs": {"email": "b@x"}, "parents": []}]"#,
    )
    .unwrap();
    assert_eq!(run(&["put", "--entities", file.to_str().unwrap()]).code, 0);
    let deleted = run(&[&["delete"][..], &alice, &["--if-version", put.out.trim()]].concat());
    assert_eq!(deleted.code, 1, "{deleted:?}");
    assert_eq!(run(&[&["delete"][..], &alice].concat()).code, 0);
    assert_eq!(run(&["delete", "--entity", "User::bob"]).code, 0);
    assert_eq!(run(&["list"]).out, "");
    assert_eq!(run(&["list", "--format", "json"]).out, "[]\n");
}
