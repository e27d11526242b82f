//! `humbaba check` with policies at hand.

use std::path::Path;

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::cli::{Ended, command, end_unread, policies, run, write_store};

/// Checks `alice` on `Site::"42"` with the policies of a folder.
fn check(folder: &TempDir, action: &str, more: &[&str]) -> Ended {
    let policies = folder.path().to_str().unwrap();
    let question =
        ["check", "--principal", r#"User::"alice""#, "--resource", r#"Site::"42""#, "--action"];
    let args: Vec<_> = question
        .iter()
        .copied()
        .chain([action, "--policies", policies])
        .chain(more.iter().copied())
        .collect();
    run(&args)
}

fn json(ended: &Ended) -> Json {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn write(folder: &TempDir, name: &str, content: &Json) -> String {
    let path: &Path = &folder.path().join(name);
    std::fs::write(path, content.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_role_decides() {
    let folder = policies(&["guard"]);
    for (action, roles, code) in [
        ("view", &["--role", "viewer"][..], 0),
        ("edit", &["--role", "viewer"], 2),
        ("edit", &["--role", "editor"], 0),
        ("edit", &[], 2),
        ("edit", &["--role", r#"editor@Site::"42""#], 0),
        ("edit", &["--role", r#"editor@Site::"43""#], 2),
        ("edit", &["--role", r#"owner@Team::"t""#, "--role", "editor"], 0),
        ("edit", &["--role", "editor=2000-01-01T00:00:00Z"], 2),
        ("edit", &["--role", "editor=2000-01-01", "--now", "1999-12-31T23:59:59Z"], 0),
        (r#"Guard::Action::"edit""#, &["--role", "editor"], 0),
        (r#"Action::"edit""#, &["--role", "editor"], 0),
    ] {
        let ended = check(&folder, action, roles);
        assert_eq!(ended.code, code, "{action} {roles:?}: {ended:?}");
        let word = if code == 0 { "ALLOW\n" } else { "DENY\n" };
        assert!(ended.out.starts_with(word), "{ended:?}");
    }
}

#[test]
fn people_read_why() {
    let folder = policies(&["guard"]);
    let allowed = check(&folder, "edit", &["--role", "editor", "--explain"]).out;
    for part in [
        "by edit: Owners and editors edit.",
        r#"why: Allowed by `edit`, because Guard::User::"alice" is `editor` on Guard::Site::"42"."#,
        "revision ",
    ] {
        assert!(allowed.contains(part), "no `{part}` in\n{allowed}");
    }
    let forbidden = check(&folder, "edit", &["--role", "editor", "--context", "reason=audit"]).out;
    for part in ["DENY", "by not-for-audit: Nothing is", "advice: give another reason"] {
        assert!(forbidden.contains(part), "no `{part}` in\n{forbidden}");
    }
    let missing = check(&folder, "edit", &["--role", "viewer", "--explain"]).out;
    for part in [
        "No policy allows this without",
        r#"`editor` on Guard::Site::"42""#,
        "  near: edit\n",
        "    guard/policies.cedar:7:8: `principal in [resource.owner, resource.editor]` is false\n",
        r#"      `principal` is Guard::User::"alice", in Guard::Site::"42".viewer"#,
    ] {
        assert!(missing.contains(part), "no `{part}` in\n{missing}");
    }
    let audit = ["--role", "editor", "--context", "reason=audit", "--explain"];
    let forbidden = check(&folder, "edit", &audit).out;
    for part in [
        "  forbidden: not-for-audit\n",
        "    guard/policies.cedar:11:8: `context has reason` is true\n",
        r#"      `context.reason` is "audit""#,
    ] {
        assert!(forbidden.contains(part), "no `{part}` in\n{forbidden}");
    }
}

#[test]
fn programs_read_json() {
    let folder = policies(&["guard"]);
    let ended = check(
        &folder,
        "edit",
        &["--role", "editor=2999-01-01T00:00:00Z", "--explain", "--format", "json"],
    );
    assert_eq!(ended.code, 0);
    let verdict = json(&ended);
    assert_eq!(verdict["decision"], "allow");
    assert_eq!(
        verdict["determining_policies"],
        json!([{ "policy_id": "edit", "annotations": { "id": "edit", "doc": "Owners and editors edit." } }])
    );
    assert_eq!(verdict["errors"], json!([]));
    assert_eq!(
        verdict["explanation"]["carried_by"],
        json!([{
            "principal": r#"Guard::User::"alice""#,
            "role": "editor",
            "scope": r#"Guard::Site::"42""#,
            "expires_at": "2999-01-01T00:00:00Z",
        }])
    );
    assert_eq!(verdict["revision"].as_str().unwrap().len(), 32);
    assert_eq!(verdict["decision_id"], Json::Null);
    let denied = json(&check(&folder, "edit", &["--format", "json"]));
    assert_eq!((&denied["decision"], &denied["explanation"]), (&json!("deny"), &Json::Null));
}

#[test]
fn values_are_read_by_the_schema() {
    let folder = policies(&[]);
    write_store(
        folder.path(),
        "guard",
        r#"permit (principal, action, resource) when {
            context has amount && context.amount == decimal("12.50")
            && context has since && context.since == datetime("2024-10-15")
            && context has on && context.on == Guard::Site::"42"
            && context has force && context.force
            && context has reason && context.reason == "7"
        };"#,
    );
    // `7` is a text here, for the schema says so.
    let written = [
        "--context",
        "amount=12.50",
        "since=2024-10-15",
        r#"on=Site::"42""#,
        "force=true",
        "reason=7",
    ];
    let ended = check(&folder, "edit", &written);
    assert_eq!(ended.code, 0, "{ended:?}");

    let context = json!({
        "amount": { "__extn": { "fn": "decimal", "arg": "12.50" } },
        "since": "2024-10-15T00:00:00Z",
        "on": { "__entity": { "type": "Guard::Site", "id": "42" } },
        "force": true,
        "reason": "to be replaced",
    });
    let file = write(&folder, "context.json", &context);
    let args = ["--context-file", &file, "--context", "reason=7"];
    let ended = check(&folder, "edit", &args);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(check(&folder, "edit", &args[..2]).code, 2);

    // Without the escapes, and as an editor on Windows saves it.
    let short = json!({
        "amount": { "fn": "decimal", "arg": "12.50" },
        "since": { "fn": "datetime", "arg": "2024-10-15" },
        "on": { "type": "Site", "id": "42" },
        "force": true,
        "reason": "7",
    });
    std::fs::write(&file, format!("\u{feff}{short}")).unwrap();
    let ended = check(&folder, "edit", &["--context-file", &file]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let wrong = json!({ "since": { "fn": "datetime", "arg": "soon" }, "amount": { "fn": "half" } });
    let file = write(&folder, "wrong.json", &wrong);
    let ended = check(&folder, "edit", &["--context-file", &file]);
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("context.since: `soon` is not a date and time"), "{ended:?}");
    assert!(ended.err.contains("context.amount: a decimal is expected"), "{ended:?}");
}

#[test]
fn moments_beyond_the_years_1_to_9999_are_bad_input() {
    let folder = policies(&["guard"]);
    let (first, last) = ("since=0001-01-01T00:00:00Z", "since=9999-12-31T23:59:59.999Z");
    for moment in [first, last] {
        assert_eq!(check(&folder, "edit", &["--context", moment]).code, 2, "{moment}");
    }
    let beyond = "0000-12-31T23:59:59Z";
    let escaped = json!({ "__extn": { "fn": "datetime", "arg": beyond } });
    let context = write(&folder, "context.json", &json!({ "since": beyond }));
    let as_extension = write(&folder, "extension.json", &json!({ "since": escaped }));
    for args in [
        &["--context", "since=0000-12-31T23:59:59Z"][..],
        &["--context-file", &context],
        &["--context-file", &as_extension],
        &["--role", "editor=0000-12-31T23:59:59Z"],
        &["--now", "0000-12-31T23:59:59Z"],
    ] {
        let ended = check(&folder, "edit", args);
        assert_eq!(ended.code, 64, "{args:?}: {ended:?}");
        let advice = format!("`{beyond}` is out of range: send a moment of the years 1 to 9999");
        assert!(ended.err.contains(&advice), "{args:?}: {ended:?}");
    }
}

#[test]
fn entities_are_read_from_cedars_json() {
    let folder = policies(&["guard"]);
    let entities = json!([
        { "uid": { "type": "User", "id": "alice" }, "attrs": { "email": "a@example.org" },
          "parents": [{ "type": "Group", "id": "editors" }] },
        { "uid": { "__entity": { "type": "Guard::Group", "id": "editors" } }, "attrs": {},
          "parents": [{ "type": "Guard::Role", "id": "Site::42#editor" }] },
        { "uid": r#"Site::"42""#, "attrs": { "team": { "type": "Team", "id": "t" } }, "parents": [] },
        { "uid": r#"Team::"t""#, "attrs": { "active": true } },
    ]);
    let file = write(&folder, "entities.json", &entities);
    let ended = check(&folder, "edit", &["--entities", &file]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn all_that_is_wrong_is_listed() {
    let folder = policies(&["guard"]);
    // Entities that cannot be read at all …
    let entities = json!([{ "uid": 1, "attrs": { "x": null }, "parents": 2, "colour": 3 }]);
    let file = write(&folder, "entities.json", &entities);
    let unreadable = [
        "--role",
        "editor=soon",
        "--context",
        "since=soon",
        "--context",
        "reason=a",
        "reason=b",
        "--entities",
        &file,
    ];
    let ended = check(&folder, "edit", &unreadable);
    assert_eq!((ended.code, ended.out.as_str()), (64, ""));
    for field in [
        "role_assignments[0]:",
        "context.since:",
        "context.reason: given more than once",
        "entities[0].uid:",
        "entities[0].attributes.x:",
        "entities[0].parents:",
        "entities[0].colour:",
    ] {
        assert!(ended.err.contains(field), "no `{field}` in\n{}", ended.err);
    }
    // … and what does not fit the schema.
    let unfit = [
        "--role",
        "editr",
        "--role",
        r#"editor@Nothing::"1""#,
        "--context",
        "colour=red",
        "--context",
        "force=maybe",
        "--format",
        "json",
    ];
    let ended = check(&folder, "edit", &unfit);
    assert_eq!(ended.code, 64);
    let fields: Vec<_> = json(&ended)["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["field"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        fields,
        [
            "context.colour",
            "context.force",
            "role_assignments[0].role",
            "role_assignments[1].scope.type"
        ]
    );
    for action in ["frobnicate", ""] {
        assert_eq!(check(&folder, action, &[]).code, 64);
    }
}

#[test]
fn what_cannot_be_read_and_what_does_not_fit_are_told_together() {
    let folder = policies(&["guard"]);
    let more = ["--role", "editr", "--context", "since=soon", "--context", "colour=red"];
    let ended = check(&folder, "edit", &more);
    assert_eq!(ended.code, 64, "{ended:?}");
    for field in ["context.since:", "context.colour:", "role_assignments[0].role:"] {
        assert_eq!(ended.err.matches(field).count(), 1, "no single `{field}` in\n{}", ended.err);
    }
}

#[test]
fn a_role_without_a_scope_is_told_how_one_is_written() {
    let folder = policies(&["guard"]);
    let store = folder.path().join("guard");
    std::fs::write(store.join("schema.cedarschema"), crate::cli::SCHEMA.replace(
        "  action \"view\"",
        "  entity Ticket;\n  action \"close\" appliesTo { principal: [User], resource: [Ticket] };\n  \
         action \"view\"",
    ))
    .unwrap();
    let ended = run(&[
        "check",
        "--policies",
        folder.path().to_str().unwrap(),
        "--principal",
        "User::\"a\"",
        "--resource",
        "Ticket::\"1\"",
        "--action",
        "close",
        "--role",
        "owner",
    ]);
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("roles are held on"), "{}", ended.err);
    assert!(ended.err.contains("write the scope, as in `owner@Type::\"id\"`"), "{}", ended.err);
}

#[test]
fn an_entity_that_is_not_sent_is_told_to_be_sent() {
    let schema = crate::cli::SCHEMA
        .replace("team?: Team", "team: Team")
        .replace("active?: Bool", "active: Bool")
        .replace("email?: String", "email: String");
    for condition in ["resource.team.active", "principal.email == \"a\""] {
        let folder = policies(&[]);
        let policy = format!("permit (principal, action, resource) when {{ {condition} }};");
        write_store(folder.path(), "guard", &policy);
        std::fs::write(folder.path().join("guard/schema.cedarschema"), &schema).unwrap();
        let ended = check(&folder, "edit", &[]);
        assert_eq!(ended.code, 2, "{ended:?}");
        let told = "send the entity with its attributes: `--entities FILE`";
        assert!(ended.out.contains(told), "{condition}: {}", ended.out);
    }
}

#[test]
fn files_that_are_no_json_are_bad_input() {
    let folder = policies(&["guard"]);
    let file = folder.path().join("no.json");
    std::fs::write(&file, "{").unwrap();
    for path in [file.to_str().unwrap(), "/nowhere.json"] {
        for flag in ["--entities", "--context-file"] {
            let ended = check(&folder, "edit", &[flag, path]);
            assert_eq!(ended.code, 64);
            assert!(ended.err.contains(path), "{ended:?}");
        }
    }
}

#[test]
fn the_store_is_named_where_there_are_several() {
    let folder = policies(&["one", "two"]);
    let ended = check(&folder, "edit", &[]);
    assert_eq!(ended.code, 64);
    assert!(ended.err.contains("--store") && ended.err.contains("one, two"), "{ended:?}");
    assert_eq!(check(&folder, "edit", &["--store", "two"]).code, 2);
    assert_eq!(check(&folder, "edit", &["--set", "default_store=two"]).code, 2);
    let ended = check(&folder, "edit", &["--store", "three"]);
    assert_eq!(ended.code, 64);
    assert!(ended.err.contains("`three`"), "{ended:?}");
}

#[test]
fn only_the_store_that_decides_must_be_valid() {
    let folder = policies(&["good"]);
    write_store(folder.path(), "bad", "permit");
    assert_eq!(check(&folder, "edit", &["--store", "good"]).code, 2);
    let ended = check(&folder, "edit", &["--store", "bad"]);
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("bad/policies.cedar"), "{ended:?}");
}

#[test]
fn a_closed_pipe_does_not_make_a_deny_an_allow() {
    let folder = policies(&["guard"]);
    let args = ["check", "--principal", "User::a", "--resource", "Site::1", "--action", "edit"];
    let policies = folder.path().to_str().unwrap();
    let ended = end_unread(command(&args).args(["--policies", policies]));
    assert_eq!((ended.code, ended.err.as_str()), (2, ""));
}
