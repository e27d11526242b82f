//! `humbaba diff`

use std::{path::Path, process::Command};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::cli::{POLICIES, command, end, policies, run, write_store};

/// The change that is shown: viewers edit too.
const VIEWERS_EDIT: &str = "\n@id(\"viewers-edit\")\n\
    permit (principal, action == Guard::Action::\"edit\", resource)\n\
    when { principal in resource.viewer };\n";

fn changed() -> (TempDir, TempDir) {
    let (old, new) = (policies(&["one"]), TempDir::new().unwrap());
    write_store(new.path(), "one", &format!("{POLICIES}{VIEWERS_EDIT}"));
    (old, new)
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

#[test]
fn a_gain_is_shown_with_a_request_and_exits_with_2() {
    let (old, new) = changed();
    let ended = run(&["diff", path(&old), path(&new)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    let expected = "\
one
  + viewers-edit
  Site.viewer gains edit
      User::\"alice\" asks for edit on Site::\"1\"
      User::\"alice\" is viewer of Site::\"1\"
  cells that gain: 1, that lose: 0
";
    assert_eq!(ended.out, expected);
}

#[test]
fn a_loss_exits_with_0_unless_losses_are_denied() {
    let (old, new) = changed();
    let ended = run(&["diff", path(&new), path(&old)]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("\n  - viewers-edit\n  Site.viewer loses edit\n"), "{}", ended.out);
    assert_eq!(run(&["diff", path(&new), path(&old), "--deny-losses"]).code, 2);
}

#[test]
fn what_is_equal_says_so() {
    let (folder, copy) = (policies(&["one", "two"]), policies(&["one", "two"]));
    let ended = run(&["diff", path(&folder), path(&copy)]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let nothing = "nobody gains or loses anything";
    assert_eq!(ended.out, format!("one\n  {nothing}\ntwo\n  {nothing}\n"));
}

#[test]
fn a_folder_is_not_compared_with_itself() {
    let folder = TempDir::new().unwrap();
    crate::cli::write_store(&folder.path().join("policies"), "one", POLICIES);
    for args in [&["diff", "policies"][..], &["diff", "./policies/../policies", "policies"]] {
        let ended = end(command(args).current_dir(folder.path()));
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(ended.err.contains("same folder, `policies`"), "{}", ended.err);
        assert!(ended.err.contains("humbaba diff git:HEAD"), "{}", ended.err);
    }
}

#[test]
fn each_request_that_shows_a_gain_is_replayed_by_check() {
    let (old, new) = changed();
    let records = new.path().join("records.jsonl");
    let records = records.to_str().unwrap();
    assert_eq!(run(&["diff", path(&old), path(&new), "--witness", records]).code, 2);
    let again = run(&["check", "--policies", path(&new), "--record", records]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.starts_with("ALLOW\n  by viewers-edit\n"), "{}", again.out);
    // The old state gives another answer.
    let again = run(&["check", "--policies", path(&old), "--record", records]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.out.starts_with("DENY\n"), "{}", again.out);
}

#[test]
fn recorded_decisions_that_flip_are_counted_by_principal_and_action() {
    let (old, new) = changed();
    let log = new.path().join("decisions.jsonl");
    let record = run(&["diff", path(&old), path(&new), "--format", "json"]);
    let report: Json = serde_json::from_str(&record.out).unwrap();
    let line = report["stores"][0]["cells"][0]["gain"].to_string();
    std::fs::write(&log, format!("{line}\n{line}\n")).unwrap();
    let ended = run(&["diff", path(&old), path(&new), "--replay", log.to_str().unwrap()]);
    assert_eq!(ended.code, 2, "{ended:?}");
    let said = "  recorded 2 times: User::\"alice\" is allowed now: edit\n";
    assert!(ended.out.contains(said), "{}", ended.out);
}

#[test]
fn stores_that_come_and_go_are_gains_and_losses() {
    let (one, both) = (policies(&["one"]), policies(&["one", "two"]));
    let ended = run(&["diff", path(&one), path(&both)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.ends_with("two\n  a new store: all that it allows is gained\n"));
    let ended = run(&["diff", path(&both), path(&one)]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.ends_with("two\n  the store is gone: all that it allowed is lost\n"));
}

#[test]
fn github_gets_a_warning_for_each_gain() {
    let (old, new) = changed();
    let ended = run(&["diff", path(&old), path(&new), "--format", "github"]);
    assert_eq!(
        ended.out,
        "::warning title=one::Site.viewer gains edit\n\
         ::notice title=one::cells that gain: 1, that lose: 0\n"
    );
    let ended = run(&["diff", path(&old), path(&new), "--format", "markdown"]);
    assert!(ended.out.contains("### Gains\n\n- Site.viewer gains edit\n"), "{}", ended.out);
}

#[test]
fn a_state_may_be_a_folder_in_a_commit() {
    let folder = policies(&[]);
    let git = |args: &[&str]| {
        let status = Command::new("git")
            .current_dir(folder.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(args)
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
    };
    let stores = folder.path().join("policies");
    write_store(&stores, "one", POLICIES);
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    write_store(&stores, "one", &format!("{POLICIES}{VIEWERS_EDIT}"));
    let mut diff = command(&["diff", "git:HEAD"]);
    let ended = end(diff.current_dir(folder.path()));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("  Site.viewer gains edit\n"), "{}", ended.out);
    let mut diff = command(&["diff", "git:HEAD:policies/one", "git:HEAD:policies/one"]);
    let ended = end(diff.current_dir(folder.path()));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_schema_that_the_old_policies_do_not_fit_is_not_comparable_and_fails() {
    let (old, new) = changed();
    let schema = new.path().join("one/schema.cedarschema");
    let text = std::fs::read_to_string(&schema).unwrap();
    std::fs::write(&schema, text.replace("reason?: String", "reason?: Long")).unwrap();
    let policies: String = POLICIES.split("@id(\"not-for-audit\")").next().unwrap().to_owned();
    std::fs::write(new.path().join("one/policies.cedar"), policies).unwrap();
    let ended = run(&["diff", path(&old), path(&new)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.out.contains("not comparable: ") && ended.out.contains("the policy `not-for-audit`"),
        "{}",
        ended.out
    );
}

#[test]
fn an_action_that_the_old_schema_lacks_is_gained_by_whoever_may_do_it() {
    let (old, new) = (policies(&["one"]), policies(&["one"]));
    let schema = new.path().join("one/schema.cedarschema");
    let text = std::fs::read_to_string(&schema).unwrap();
    let more = "  action \"purge\" appliesTo { principal: [User], resource: [Site] };\n}";
    let text = format!("{}{more}\n", text.trim_end().trim_end_matches('}'));
    std::fs::write(&schema, text).unwrap();
    let purge = "permit (principal, action == Guard::Action::\"purge\", resource)\n\
                 when { principal in resource.owner };\n";
    append(&new.path().join("one/policies.cedar"), purge);
    let ended = run(&["diff", path(&old), path(&new)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("  Site.owner gains purge\n"), "{}", ended.out);
    assert!(ended.out.contains("cells that gain: 1, that lose: 0"), "{}", ended.out);
}

#[test]
fn one_policy_more_among_many_that_name_somebody_is_found() {
    let state = |names: std::ops::Range<u32>| {
        let folder = policies(&["one"]);
        let named = |number: u32| {
            format!(
                "permit (principal == Guard::User::\"u{number}\", \
                 action == Guard::Action::\"edit\", resource == Guard::Site::\"s{number}\");\n"
            )
        };
        append(&folder.path().join("one/policies.cedar"), &names.map(named).collect::<String>());
        folder
    };
    let (old, new) = (state(0..200), state(0..201));
    let ended = run(&["diff", path(&old), path(&new)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("User::\"u200\" asks for edit on Site::\"s200\""), "{}", ended.out);
}

#[test]
fn an_action_that_the_new_schema_lacks_is_lost() {
    let (old, new) = (policies(&["one"]), policies(&["one"]));
    let schema = old.path().join("one/schema.cedarschema");
    let text = std::fs::read_to_string(&schema).unwrap();
    let more = "  action \"purge\" appliesTo { principal: [User], resource: [Site] };\n}\n";
    std::fs::write(&schema, format!("{}{more}", text.trim_end().trim_end_matches('}'))).unwrap();
    let purge = "permit (principal, action, resource) when { principal in resource.owner };\n";
    append(&old.path().join("one/policies.cedar"), purge);
    append(&new.path().join("one/policies.cedar"), purge);
    let records = new.path().join("records.jsonl");
    let arguments = ["diff", path(&old), path(&new), "--deny-losses", "--witness"];
    let ended = run(&[&arguments[..], &[records.to_str().unwrap()]].concat());
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("a Guard::User loses purge on a Guard::Site"), "{}", ended.out);
    let again = run(&["check", "--policies", path(&old), "--record", records.to_str().unwrap()]);
    assert!(again.code == 0 && again.out.starts_with("ALLOW\n"), "{again:?}");
}

#[test]
fn a_schema_in_json_counts_as_one() {
    let (old, new) = (policies(&["one"]), policies(&["one"]));
    for (folder, more) in [
        (&old, ""),
        (
            &new,
            r#", "purge": {"appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Site"]}}"#,
        ),
    ] {
        let store = folder.path().join("one");
        std::fs::remove_file(store.join("schema.cedarschema")).unwrap();
        std::fs::write(
            store.join("schema.cedarschema.json"),
            format!(
                r#"{{"": {{"entityTypes": {{"User": {{}}, "Site": {{}}}}, "actions": {{"view":
                    {{"appliesTo": {{"principalTypes": ["User"], "resourceTypes": ["Site"]}}}}{more}}}}}}}"#
            ),
        )
        .unwrap();
        std::fs::write(store.join("policies.cedar"), "permit (principal, action, resource);\n")
            .unwrap();
    }
    let ended = run(&["diff", path(&old), path(&new)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("gains purge"), "{}", ended.out);
    let ended = run(&["diff", path(&new), path(&old), "--deny-losses"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("loses purge"), "{}", ended.out);
}

#[test]
fn an_entity_that_the_store_holds_and_that_comes_into_a_group_gains() {
    let admins = "permit (principal in Guard::Group::\"admins\", action == Guard::Action::\"edit\", \
                  resource);\n";
    let state = |parents: &str| {
        let folder = policies(&["one"]);
        append(&folder.path().join("one/policies.cedar"), admins);
        let user = |id: &str, parents: &str| {
            format!(
                r#"{{"uid": {{"type": "Guard::User", "id": "{id}"}}, "attrs": {{}},
                    "parents": [{parents}]}}"#
            )
        };
        let entities = format!("[{}, {}]", user("zoe", parents), user("yan", ""));
        std::fs::write(folder.path().join("one/people.cedarentities.json"), entities).unwrap();
        folder
    };
    let (old, new) = (state(""), state(r#"{"type": "Guard::Group", "id": "admins"}"#));
    let ended = run(&["diff", path(&old), path(&new)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("User::\"zoe\" asks for edit on Site::\"1\"\n"), "{}", ended.out);
    let ended = run(&["diff", path(&new), path(&old)]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("loses edit"), "{}", ended.out);
}

fn append(file: &Path, text: &str) {
    let old = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, format!("{old}{text}")).unwrap();
}

#[test]
fn the_people_of_a_directory_who_gain_and_lose_are_named() {
    let (old, new) = changed();
    let directory = TempDir::new().unwrap();
    let rows = "principal_type,principal_id,role,scope_type,scope_id\n\
        User,bob,viewer,Site,1\nUser,bob,viewer,Site,2\nUser,carol,viewer,Site,2\n\
        User,dave,editor,Site,1\nUser,erin,king,Site,1\n";
    std::fs::write(directory.path().join("all.assignments.csv"), rows).unwrap();
    let people = ["--directory", path(&directory)];
    let ended = end(command(&["diff", path(&old), path(&new)]).args(people));
    assert_eq!(ended.code, 2, "{ended:?}");
    let expected = "  Guard::User::\"bob\" gains edit on 2, e.g. Guard::Site::\"1\"\n  \
        Guard::User::\"carol\" gains edit on Guard::Site::\"2\"\n";
    assert!(ended.out.contains(expected), "{}", ended.out);
    assert!(!ended.out.contains("dave") && !ended.out.contains("erin"), "{}", ended.out);
    let note = "note: one: a row counts for nothing: ";
    assert_eq!(ended.err.matches(note).count(), 1, "{}", ended.err);
    assert!(
        ended.err.contains("all.assignments.csv") && ended.err.contains("king"),
        "{}",
        ended.err
    );
    let ended = end(command(&["diff", path(&new), path(&old), "--format", "json"]).args(people));
    let report: Json = serde_json::from_str(&ended.out).unwrap();
    let people = report["stores"][0]["people"].as_array().unwrap();
    assert_eq!(people.len(), 2, "{people:?}");
    assert_eq!(people[0]["gains"], false);
    assert_eq!(
        (&people[0]["principal"], &people[0]["count"]),
        (&"Guard::User::\"bob\"".into(), &2.into())
    );
}
