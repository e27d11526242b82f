//! Directories that are read from files: what a change of a file does to the same question.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use humbaba::{
    proto::{Entity, IsAuthorizedRequest},
    request::RequestLimits,
    sources::{self, DirectorySource, FileBounds, SourceOf, SourceOptions, Sources},
    store::PolicyStore,
};
use tempfile::TempDir;
use tonic::Code;

use crate::{
    cli::{POLICIES, write_store},
    cli_sidecar::{self, Sidecar},
    support::{
        TestServer,
        ask::{Asking as _, Knowing as _, ask, entity, fields},
        followed,
        kubelet::Mount,
        stores,
        wait::until,
    },
};

const SCHEMA: &str = r#"
    @role entity Role;
    entity Group in [Role, Group];
    entity User in [Role, Group];
    entity Site { owner: Role, viewer: Role, locked?: Bool };
    action view, edit appliesTo { principal: User, resource: Site };
"#;
const RULES: &str = r#"
    @id("view") permit (principal, action == Action::"view", resource)
    when { principal in [resource.owner, resource.viewer] };
    @id("edit") permit (principal, action == Action::"edit", resource)
    when { principal in resource.owner };
    @id("locked") forbid (principal, action == Action::"edit", resource)
    when { resource has locked && resource.locked };
"#;
const HEADER: &str = "principal_type,principal_id,role,scope_type,scope_id,expires_at\n";

fn store(settings: &str, schema: &str) -> Arc<PolicyStore> {
    stores::store(
        "shop",
        &[("schema.cedarschema", schema), ("policies.cedar", RULES), ("store.toml", settings)],
    )
}

/// A server of which the directory is a folder.
struct Shop {
    server: TestServer,
    folder: TempDir,
    _sources: Sources,
}

/// Options under which nothing happens by itself within an hour.
fn options() -> SourceOptions {
    SourceOptions { kept_changes: 1, ..followed::options() }
}

impl Shop {
    async fn open(files: &[(&str, &str)]) -> Self {
        Self::with(files, "", |_| ()).await
    }

    async fn with(
        files: &[(&str, &str)],
        settings: &str,
        change: impl FnOnce(&mut SourceOptions),
    ) -> Self {
        let shop = Self::closed(files, settings, change).await;
        until("the directory is loaded", async || {
            shop.server.ask(view("nobody", "0")).await.is_ok()
        })
        .await;
        shop
    }

    async fn closed(
        files: &[(&str, &str)],
        settings: &str,
        change: impl FnOnce(&mut SourceOptions),
    ) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut options = options();
        change(&mut options);
        let server = TestServer::start([store(settings, SCHEMA)]).await;
        let source = DirectorySource::Files(folder.path().to_owned());
        let of = [SourceOf { store: "shop".parse().unwrap(), source }];
        sources::announce(&of, &options, &server.live);
        let sources = sources::start(&of, &options, &server.live).unwrap();
        Self { server, folder, _sources: sources }
    }

    /// Writes a file in place.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    async fn until_allowed(&self, question: IsAuthorizedRequest, allowed: bool) {
        let what = if allowed { "it is allowed" } else { "it is denied" };
        until(what, async || self.server.allows(question.clone()).await == allowed).await;
    }

    async fn version(&self) -> String {
        self.server.ask(view("nobody", "0")).await.unwrap().directory_version
    }

    fn row_problems(&self) -> Vec<String> {
        self.server.live.state().directories["shop"].rows.problems.to_vec()
    }

    async fn until_problem(&self, said: &str) {
        until(said, async || {
            let state = self.server.live.state();
            let problem = state.directories["shop"].problem.clone();
            problem.is_some_and(|problem| problem.contains(said))
        })
        .await;
    }

    async fn until_row_problem(&self, said: &str) {
        until(said, async || self.row_problems().iter().any(|problem| problem.contains(said)))
            .await;
    }
}

fn view(user: &str, site: &str) -> IsAuthorizedRequest {
    ask(&format!("User::{user}"), "view", &format!("Site::{site}"))
}

fn edit(user: &str, site: &str) -> IsAuthorizedRequest {
    ask(&format!("User::{user}"), "edit", &format!("Site::{site}"))
}

fn rows(rows: &[&str]) -> String {
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    format!("{HEADER}{rows}")
}

const ALICE: &str = "User,alice,viewer,Site,1,";
const BOB: &str = "User,bob,viewer,Site,1,";

#[tokio::test]
async fn a_change_of_a_file_changes_the_answer() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[ALICE]))]).await;
    assert!(shop.server.allows(view("alice", "1")).await);
    assert!(!shop.server.allows(view("bob", "1")).await);
    let before = shop.version().await;
    shop.write("a.assignments.csv", rows(&[BOB]));
    shop.until_allowed(view("bob", "1"), true).await;
    assert!(!shop.server.allows(view("alice", "1")).await, "a change comes in force as a whole");
    assert_ne!(shop.version().await, before);
    let json = r#"{"principal_type":"User","principal_id":"carol","role":"owner","scope_type":"Site","scope_id":"2"}"#;
    shop.write("b.assignments.jsonl", json);
    shop.until_allowed(edit("carol", "2"), true).await;
    assert!(shop.server.allows(view("bob", "1")).await);
}

#[tokio::test]
async fn a_file_that_is_renamed_into_its_place_is_read_and_others_are_not_rows() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[]))]).await;
    shop.write("a.assignments.csv.tmp", rows(&[ALICE]));
    shop.write(".b.assignments.csv", rows(&[BOB]));
    let path = |name: &str| shop.folder.path().join(name);
    fs::rename(path("a.assignments.csv.tmp"), path("a.assignments.csv")).unwrap();
    shop.until_allowed(view("alice", "1"), true).await;
    assert!(!shop.server.allows(view("bob", "1")).await);
}

#[tokio::test]
async fn a_file_that_is_gone_takes_its_rows_with_it() {
    let files = [("a.assignments.csv", rows(&[ALICE])), ("b.assignments.csv", rows(&[BOB]))];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let shop = Shop::open(&files).await;
    assert!(shop.server.allows(view("bob", "1")).await);
    shop.remove("b.assignments.csv");
    shop.until_allowed(view("bob", "1"), false).await;
    assert!(shop.server.allows(view("alice", "1")).await);
}

#[tokio::test]
async fn a_bad_row_is_named_and_grants_nothing_while_the_others_count() {
    let file = rows(&[
        ALICE,
        "User,bob,viewer,Site,1,soon",
        "User,carol,boss,Site,1,",
        "User,dave,viewer",
        "User,erin,viewer,Site,1,",
    ]);
    let shop = Shop::open(&[("a.assignments.csv", &file)]).await;
    for (user, allowed) in
        [("alice", true), ("bob", false), ("carol", false), ("dave", false), ("erin", true)]
    {
        assert_eq!(shop.server.allows(view(user, "1")).await, allowed, "{user}");
    }
    let problems = shop.row_problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for said in [
        "a.assignments.csv:3: `expires_at`: `soon` is not a date and time",
        "a.assignments.csv:4: `role`: `Site` has no role `boss`",
        "a.assignments.csv:5: the row has 3 values, and the header 6 columns",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:?}");
    }
    // The row that did not fit has another line now, and is told again.
    shop.write("a.assignments.csv", rows(&["User,carol,boss,Site,1,"]));
    shop.until_row_problem("a.assignments.csv:2: `role`").await;
    assert_eq!(shop.row_problems().len(), 1);
    shop.write("a.assignments.csv", rows(&[ALICE]));
    until("all is well", async || shop.row_problems().is_empty()).await;
}

#[tokio::test]
async fn a_fault_of_an_entity_names_it_and_where_it_is() {
    let user =
        |id: &str, more: &str| format!(r#"{{"uid": {{"type": "User", "id": "{id}"}}{more}}}"#);
    let site = r#"{"uid": {"type": "Site", "id": "1"}, "attrs": {"locked": "yes"}}"#;
    let twice = user("carol", r#", "attrs": {}, "attrs": {}"#);
    let stranger = user("bob", r#", "parents": [{"type": "Site", "id": "1"}]"#);
    let line = format!("[{}]", [site.to_owned(), stranger, twice].join(","));
    let alice = rows(&[ALICE, "User,carol,viewer,Site,2,"]);
    let files = [("a.assignments.csv", alice.as_str()), ("e.cedarentities.json", &line)];
    let shop = Shop::open(&files).await;
    let problems = shop.row_problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for said in [
        r#"e.cedarentities.json:1: Site::"1": `attributes.locked`: "#,
        r#"e.cedarentities.json:1: User::"bob": `parents[0]`: "#,
        r#"e.cedarentities.json:1: User::"carol": `entity`: the name `attrs` is there twice"#,
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(said)), "{said}: {problems:?}");
    }
    // Nobody knows what an entity that cannot be read restricts.
    assert!(!shop.server.allows(view("carol", "2")).await);
}

#[tokio::test]
async fn groups_that_are_in_themselves_allow_nothing() {
    let group = |id: &str, parent: &str| {
        format!(
            r#"{{"uid": {{"type": "Group", "id": "{id}"}}, "parents": [{{"type": "Group", "id": "{parent}"}}]}}"#
        )
    };
    let alice =
        r#"{"uid": {"type": "User", "id": "alice"}, "parents": [{"type": "Group", "id": "a"}]}"#;
    let file = |b: &str| format!("[{alice},\n{},\n{}]", group("a", "b"), group("b", b));
    let rows = rows(&["Group,b,viewer,Site,1,", BOB]);
    let files = [("a.assignments.csv", rows.as_str()), ("e.cedarentities.json", &file("a"))];
    let shop = Shop::open(&files).await;
    assert!(!shop.server.allows(view("alice", "1")).await);
    assert!(shop.server.allows(view("bob", "1")).await);
    let said = r#"e.cedarentities.json:3: Group::"b": `entity.parents`: the entity is in itself, through `Group::"a"`"#;
    let problems = shop.row_problems();
    assert!(problems.iter().any(|problem| problem.starts_with(said)), "{problems:?}");
    shop.write("e.cedarentities.json", file("c"));
    shop.until_allowed(view("alice", "1"), true).await;
    // The rows are in force before they are reported.
    until("no row has a problem", async || shop.row_problems().is_empty()).await;
}

#[tokio::test]
async fn a_row_that_expired_grants_nothing() {
    let file = rows(&["User,alice,viewer,Site,1,2020-01-01", "User,bob,viewer,Site,1,2999-01-01"]);
    let shop = Shop::open(&[("a.assignments.csv", &file)]).await;
    assert!(!shop.server.allows(view("alice", "1")).await);
    assert!(shop.server.allows(view("bob", "1")).await);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_the_whole_last_state() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[ALICE]))]).await;
    let unreadable = |name: &str, bytes: &[u8]| shop.write(name, bytes);
    for (name, bytes, said) in [
        ("x.assignments.csv", &b"\xff\xfe"[..], "the file is not UTF-8 text"),
        ("x.assignments.csv", b"", "the file has no header"),
        ("x.assignments.csv", b"User,bob,owner,Site,1\n", "there is no column `User`"),
        ("x.cedarentities.json", b"[{", "EOF while parsing"),
    ] {
        unreadable(name, bytes);
        shop.until_problem(said).await;
        shop.write("a.assignments.csv", rows(&[BOB]));
        // The other file waits too: the folder as a whole has no state.
        shop.until_problem(said).await;
        assert!(shop.server.allows(view("alice", "1")).await, "{said}");
        assert!(!shop.server.allows(view("bob", "1")).await, "{said}");
        shop.remove(name);
        shop.until_allowed(view("bob", "1"), true).await;
        assert!(shop.server.live.state().directories["shop"].problem.is_none());
        shop.write("a.assignments.csv", rows(&[ALICE]));
        shop.until_allowed(view("bob", "1"), false).await;
    }
    // Reading this file fails for everybody, whoever they are.
    symlink("/proc/self/mem", shop.folder.path().join("x.assignments.csv")).unwrap();
    shop.until_problem("`x.assignments.csv` cannot be read").await;
    assert!(shop.server.allows(view("alice", "1")).await);
}

#[tokio::test]
async fn a_folder_that_is_gone_keeps_the_last_state() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[ALICE]))]).await;
    let away = shop.folder.path().with_extension("away");
    fs::rename(shop.folder.path(), &away).unwrap();
    shop.until_problem("No such file").await;
    assert!(shop.server.allows(view("alice", "1")).await);
    fs::write(away.join("a.assignments.csv"), rows(&[BOB])).unwrap();
    fs::rename(&away, shop.folder.path()).unwrap();
    shop.until_allowed(view("bob", "1"), true).await;
}

#[tokio::test]
async fn too_many_rows_or_bytes_keep_the_last_state() {
    let bounds = FileBounds { rows: 2, file_bytes: 200 };
    let shop = Shop::with(&[("a.assignments.csv", &rows(&[ALICE]))], "", |options| {
        options.bounds = bounds;
    })
    .await;
    shop.write("b.assignments.csv", rows(&[BOB, "User,carol,viewer,Site,1,"]));
    shop.until_problem("the directory has 3 rows, more than the bound of 2").await;
    assert!(!shop.server.allows(view("bob", "1")).await);
    shop.write("b.assignments.csv", rows(&[&BOB.repeat(10)]));
    shop.until_problem("more than the bound of 200 (`bounds.directory_file_bytes`)").await;
    shop.write("b.assignments.csv", rows(&[BOB]));
    shop.until_allowed(view("bob", "1"), true).await;
}

#[tokio::test]
async fn a_directory_that_is_not_confirmed_for_too_long_decides_nothing() {
    let shop = Shop::with(&[("a.assignments.csv", &rows(&[ALICE]))], "", |options| {
        options.max_age = Duration::from_millis(300);
        options.rehash_interval = Duration::from_millis(20);
    })
    .await;
    // As long as the folder is looked at, it is confirmed.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(shop.server.allows(view("alice", "1")).await);
    shop.write("x.assignments.csv", "nonsense\n");
    let refusal = async || shop.server.ask(view("alice", "1")).await.err();
    until("it is refused", async || refusal().await.is_some()).await;
    let status = refusal().await.unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("there is no column `nonsense`"), "{status:?}");
    shop.remove("x.assignments.csv");
    until("it decides again", async || refusal().await.is_none()).await;
}

/// Nothing is heard of a folder at rest, and the folder is looked at often enough all the same.
#[tokio::test]
async fn a_folder_at_rest_is_confirmed_before_it_is_too_old() {
    let max_age = Duration::from_secs(2);
    let shop = Shop::with(&[("a.assignments.csv", &rows(&[ALICE]))], "", |options| {
        options.max_age = max_age;
    })
    .await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < 2 * max_age {
        assert!(shop.server.allows(view("alice", "1")).await);
        tokio::time::sleep(max_age / 20).await;
    }
}

#[tokio::test]
async fn before_the_first_state_nothing_is_decided() {
    let shop = Shop::closed(&[("a.assignments.csv", "nonsense\n")], "", |_| ()).await;
    shop.until_problem("there is no column `nonsense`").await;
    let status = shop.server.refuses(view("alice", "1")).await;
    assert_eq!(status.code(), Code::Unavailable);
    shop.write("a.assignments.csv", rows(&[ALICE]));
    until("it decides", async || shop.server.ask(view("alice", "1")).await.is_ok()).await;
    assert!(shop.server.allows(view("alice", "1")).await);
}

#[tokio::test]
async fn a_swap_of_the_kubelet_is_one_change() {
    let folder = TempDir::new().unwrap();
    let mut mount = Mount::new(&folder.path().join("mount"));
    let put = |mount: &mut Mount, alice: &str, bob: &str| {
        let row = |user: &str, role: &str| rows(&[&format!("User,{user},{role},Site,1,")]);
        mount.put(&[
            ("a.assignments.csv", row("alice", alice)),
            ("b.assignments.csv", row("bob", bob)),
        ]);
    };
    put(&mut mount, "owner", "viewer");
    let shop = Shop::closed(&[], "", |_| ()).await;
    drop(shop.folder);
    let server = shop.server;
    let source = DirectorySource::Files(folder.path().join("mount"));
    let of = [SourceOf { store: "shop".parse().unwrap(), source }];
    let options = options();
    drop(shop._sources);
    sources::announce(&of, &options, &server.live);
    let _sources = sources::start(&of, &options, &server.live).unwrap();
    for round in 0..10 {
        let (old, new) = if round % 2 == 0 { ("alice", "bob") } else { ("bob", "alice") };
        until(
            "the state before",
            async || matches!(server.ask(edit(old, "1")).await, Ok(answer) if answer.decision == 1),
        )
        .await;
        let roles = if round % 2 == 0 { ("viewer", "owner") } else { ("owner", "viewer") };
        put(&mut mount, roles.0, roles.1);
        until("the next state", async || server.allows(edit(new, "1")).await).await;
        assert!(!server.allows(edit(old, "1")).await, "both generations at once");
    }
}

#[tokio::test]
async fn entities_of_files_are_held() {
    let locked = |locked: bool| {
        format!(
            r#"[{{"uid": {{"type": "Site", "id": "1"}}, "attrs": {{"locked": {locked}}}, "parents": []}},
                {{"uid": {{"type": "User", "id": "bob"}}, "attrs": {{}}, "parents": [{{"type": "Group", "id": "staff"}}]}}]"#
        )
    };
    let files = rows(&["User,alice,owner,Site,1,", "Group,staff,owner,Site,1,"]);
    let shop =
        Shop::open(&[("a.assignments.csv", &files), ("a.cedarentities.json", &locked(false))])
            .await;
    assert!(shop.server.allows(edit("alice", "1")).await);
    assert!(shop.server.allows(edit("bob", "1")).await, "as a member of the group");
    shop.write("a.cedarentities.json", locked(true));
    shop.until_allowed(edit("alice", "1"), false).await;
    shop.remove("a.cedarentities.json");
    shop.until_allowed(edit("alice", "1"), true).await;
    assert!(!shop.server.allows(edit("bob", "1")).await, "the member is gone with the file");
}

#[tokio::test]
async fn a_folder_that_is_named_as_a_file_of_assignments_is_reported_and_the_rest_goes_on() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[ALICE]))]).await;
    let path = shop.folder.path().join("d.assignments.csv");
    fs::create_dir(&path).unwrap();
    shop.until_row_problem("d.assignments.csv: it is not a regular file").await;
    shop.write("a.assignments.csv", rows(&[BOB]));
    shop.until_allowed(view("bob", "1"), true).await;
    assert!(!shop.server.allows(view("alice", "1")).await);
    assert_eq!(shop.server.live.state().directories["shop"].problem, None);
    let read = sources::read_folder(
        shop.folder.path(),
        &store("", SCHEMA),
        &RequestLimits::default(),
        &FileBounds::default(),
    );
    let read = read.unwrap();
    assert_eq!((read.problem_count, read.directory.counts().assignments), (1, 1));
    assert!(read.problems[0].starts_with("d.assignments.csv: it is not"), "{:?}", read.problems);
    fs::remove_dir(&path).unwrap();
    until("nothing is wrong", async || shop.row_problems().is_empty()).await;
}

/// Mounting a file that is missing makes a folder of its name.
#[tokio::test]
async fn a_folder_that_is_named_as_a_file_of_entities_keeps_the_last_state() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[ALICE]))]).await;
    let path = shop.folder.path().join("b.cedarentities.json");
    fs::create_dir(&path).unwrap();
    shop.until_problem("`b.cedarentities.json` is not a regular file").await;
    shop.write("a.assignments.csv", rows(&[BOB]));
    let read = sources::read_folder(
        shop.folder.path(),
        &store("", SCHEMA),
        &RequestLimits::default(),
        &FileBounds::default(),
    );
    assert!(read.unwrap_err().contains("`b.cedarentities.json` is not a regular file"));
    assert!(shop.server.allows(view("alice", "1")).await);
    fs::remove_dir(&path).unwrap();
    shop.until_allowed(view("bob", "1"), true).await;
}

/// A row that does not fit may have held a lock, which must not go with it.
#[tokio::test]
async fn what_looks_at_an_entity_whose_row_cannot_be_read_is_denied() {
    let of_site = |locked: &str| {
        let uid = r#"{"type": "Site", "id": "1"}"#;
        format!(r#"[{{"uid": {uid}, "attrs": {{"locked": {locked}}}, "parents": []}}]"#)
    };
    let roles = rows(&["User,alice,owner,Site,1,", "User,alice,owner,Site,2,"]);
    let files =
        [("a.assignments.csv", roles.as_str()), ("a.cedarentities.json", &of_site("\"yes\""))];
    let shop = Shop::open(&files).await;
    assert!(!shop.server.allows(edit("alice", "1")).await);
    assert!(shop.server.allows(edit("alice", "2")).await);
    let answer = shop.server.ask(edit("alice", "1")).await.unwrap();
    assert!(answer.errors[0].message.contains("Site::\"1\"` in the directory"), "{answer:?}");
    let described = edit("alice", "1").entity(entity("Site::1"));
    let refused = shop.server.ask(described).await.unwrap_err();
    assert_eq!(fields(&refused), ["entities[0].uid"]);

    // Half a character, a number beyond all, more levels than are read.
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for locked in [r#""\ud83d""#, "1e999", &deep] {
        shop.write("a.cedarentities.json", of_site("false"));
        shop.until_allowed(edit("alice", "1"), true).await;
        shop.write("a.cedarentities.json", of_site(locked));
        shop.until_allowed(edit("alice", "1"), false).await;
    }
    shop.write("a.cedarentities.json", of_site("false"));
    shop.until_allowed(edit("alice", "1"), true).await;
    shop.write("b.cedarentities.json", of_site("true"));
    shop.until_allowed(edit("alice", "1"), false).await;
    shop.until_row_problem("b.cedarentities.json:1: the entity is there twice").await;
    shop.remove("b.cedarentities.json");
    shop.until_allowed(edit("alice", "1"), true).await;
}

#[tokio::test]
async fn of_rows_in_two_files_the_one_counts_that_expires_first() {
    let files = [
        ("a.assignments.csv", rows(&[ALICE])),
        ("b.assignments.csv", rows(&["User,alice,viewer,Site,1,2020-01-01"])),
    ];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let shop = Shop::open(&files).await;
    assert!(!shop.server.allows(view("alice", "1")).await);
    shop.until_row_problem("b.assignments.csv:2: `viewer` on Site::\"1\" for User::\"alice\"")
        .await;
    shop.remove("b.assignments.csv");
    shop.until_allowed(view("alice", "1"), true).await;
    shop.write("b.assignments.csv", rows(&["User,alice,viewer,Site,1,2020-01-01"]));
    shop.until_allowed(view("alice", "1"), false).await;
    shop.write("b.assignments.csv", rows(&[ALICE]));
    shop.until_allowed(view("alice", "1"), true).await;
    until("no problem is left", async || shop.row_problems().is_empty()).await;
    shop.remove("a.assignments.csv");
    shop.write("c.assignments.csv", rows(&[BOB]));
    shop.until_allowed(view("bob", "1"), true).await;
    assert!(shop.server.allows(view("alice", "1")).await, "the other file still says so");
}

#[tokio::test]
async fn callers_may_not_say_what_the_directory_says() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[ALICE]))]).await;
    let asserted = view("bob", "1").role("viewer", "Site::1");
    assert_eq!(fields(&shop.server.refuses(asserted).await), ["role_assignments"]);
    let member = entity("User::bob").within("Group::staff");
    let found = fields(&shop.server.refuses(view("bob", "1").entity(member)).await);
    assert!(found[0].starts_with("entities[0].parents"), "{found:?}");
}

#[tokio::test]
async fn with_request_facts_add_callers_may_add() {
    let settings = "[directory]\nrequest_facts = \"add\"\n";
    let files = rows(&[ALICE]);
    let shop = Shop::with(&[("a.assignments.csv", &files)], settings, |_| ()).await;
    assert!(shop.server.allows(view("alice", "1")).await);
    assert!(!shop.server.allows(view("bob", "1")).await);
    assert!(shop.server.allows(view("bob", "1").role("viewer", "Site::1")).await);
    let sent: Entity = entity("User::bob").within("Group::staff");
    assert!(!shop.server.allows(view("bob", "1").entity(sent)).await);
}

#[tokio::test]
async fn a_question_waits_for_the_version_that_it_asks_for() {
    let shop = Shop::open(&[("a.assignments.csv", &rows(&[]))]).await;
    let (generation, count) = shop.version().await.rsplit_once('.').map_or_else(
        || panic!("no version"),
        |(generation, count)| (generation.to_owned(), count.parse::<u64>().unwrap()),
    );
    let at_least =
        |version: String| IsAuthorizedRequest { at_least_version: version, ..view("alice", "1") };
    let next = format!("{generation}.{}", count + 1);
    let mut client = shop.server.client();
    let asked = tokio::spawn(async move { client.is_authorized(at_least(next)).await });
    // It may ask before the change or after it: the answer is the same.
    shop.write("a.assignments.csv", rows(&[ALICE]));
    let answer = asked.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.decision, 1);
    let other = shop.server.refuses(at_least(format!("other.{count}"))).await;
    assert_eq!(other.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_row_whose_slot_a_policy_reload_removed_grants_nothing_and_is_told() {
    let shop =
        Shop::open(&[("a.assignments.csv", &rows(&["User,alice,owner,Site,1,", BOB]))]).await;
    assert!(shop.server.allows(view("alice", "1")).await);
    let without = stores::store(
        "shop",
        &[
            ("schema.cedarschema", &SCHEMA.replace("owner: Role, ", "")),
            (
                "policies.cedar",
                "@id(\"view\") permit (principal, action, resource) when { principal in resource.viewer };",
            ),
        ],
    );
    shop.server.publish([without], None);
    assert!(!shop.server.allows(view("alice", "1")).await);
    assert!(shop.server.allows(view("bob", "1")).await);
    shop.until_row_problem("a.assignments.csv:2: `role`: `Site` has no role `owner`").await;
    shop.server.publish([self::store("", SCHEMA)], None);
    shop.until_allowed(view("alice", "1"), true).await;
    until("no problem is left", async || shop.row_problems().is_empty()).await;
}

/// Without events a change is found by SIGHUP, and a running sidecar reads its own settings.
#[test]
fn a_sidecar_looks_at_its_directories_when_it_is_told_to() {
    let policies = TempDir::new().unwrap();
    write_store(policies.path(), "guard", POLICIES);
    let folder = TempDir::new().unwrap();
    let write = |role: &str| {
        let file = rows(&[&format!("User,alice,{role},Site,42,")]);
        fs::write(folder.path().join("a.assignments.csv"), file).unwrap();
    };
    write("viewer");
    let sidecar = start(policies.path(), folder.path());
    let code = |action: &str| sidecar.check(&sidecar.tcp(), &["--action", action]).code;
    assert_eq!((code("view"), code("edit")), (0, 2));
    write("editor");
    sidecar.signal("HUP");
    cli_sidecar::until("the new role", || (code("edit") == 0).then_some(()));
    let loaded = sidecar.event("directory loaded");
    assert_eq!(loaded["assignments"], 1);
    assert_eq!(sidecar.event("directory changed")["store"], "guard");
}

fn start(policies: &Path, folder: &Path) -> Sidecar {
    let source = format!("directory.sources=guard=files:{}", folder.display());
    let settings = [
        "--set",
        &source,
        "--set",
        "reload.use_events=false",
        "--set",
        "reload.rehash_interval_s=3600",
    ];
    Sidecar::start(policies, &settings)
}
