//! `humbaba diff` where a gain is hard to see: it is found, or said to be not settled.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    cli::{Ended, command, end, run},
    symbolic::solver,
};

const SCHEMA: &str = r#"
@role entity Role;
entity User in [Role] { level: Long, name: String };
entity Site { owner: Role, viewer: Role, labels: Set<String>, n: Long };
action act appliesTo { principal: User, resource: Site, context: {
  n: Long, m: Long, s: String, labels: Set<String>, du: duration, at: datetime,
  r: { p: Bool, q: Set<Long> }, b: { x: { y: Bool } },
} };
"#;

const OWNERS: &str =
    "@id(\"own\") permit (principal, action, resource) when { principal in resource.owner };\n";

fn write(folder: &Path, files: &[(&str, &str)]) {
    let store = folder.join("m");
    fs::create_dir_all(&store).unwrap();
    for (file, text) in files {
        fs::write(store.join(file), text).unwrap();
    }
}

/// Two folders with one store, of a schema, policies and entities each.
fn states(old: [&str; 3], new: [&str; 3]) -> (TempDir, TempDir) {
    let folders = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (folder, [schema, policies, entities]) in [(&folders.0, old), (&folders.1, new)] {
        write(folder.path(), &[("s.cedarschema", schema), ("p.cedar", policies)]);
        if !entities.is_empty() {
            write(folder.path(), &[("e.cedarentities.json", entities)]);
        }
    }
    folders
}

/// Compares without a solver.
fn diff((old, new): &(TempDir, TempDir), more: &[&str]) -> Ended {
    let (old, new) = (old.path().to_str().unwrap(), new.path().to_str().unwrap());
    end(command(&["diff", old, new]).args(more).env("CVC5", "none"))
}

fn added(condition: &str) -> (TempDir, TempDir) {
    let more = format!(
        "{OWNERS}@id(\"more\") permit (principal, action, resource) when {{ {condition} }};\n"
    );
    states([SCHEMA, OWNERS, ""], [SCHEMA, &more, ""])
}

#[test]
fn ordinary_conditions_on_sets_records_texts_and_numbers_are_found() {
    for condition in [
        r#"resource.labels == ["a", "b"]"#,
        r#"resource.labels == ["a", "b", "c"]"#,
        r#"resource.labels.containsAll(["a", "b"]) && !resource.labels.contains("c")"#,
        r#"resource.labels.contains("a") && resource.labels.contains("b") && !resource.labels.contains("c")"#,
        r#"resource.labels != ["x"] && resource.labels.contains("x") && !resource.labels.contains("y")"#,
        r#"resource.labels.contains("x") && !["x"].containsAll(resource.labels) && !resource.labels.contains("y")"#,
        "context.r == {p: true, q: [1, 2, 3]}",
        "context.b == {x: {y: true}}",
        r#"context.s like "*@example.com" && context.s != "@example.com" && principal.name == context.s"#,
        r#"context.s like "/a/*" && !(context.s like "/a/b*") && context.s != "/a/""#,
        "principal.level > 1000 && principal.level < 1002 && resource.n == principal.level",
        "context.n > context.m && context.m > 41",
    ] {
        let ended = diff(&added(condition), &[]);
        assert_eq!(ended.code, 2, "{condition}: {ended:?}");
        assert!(ended.out.contains("asks for act on Site"), "{condition}: {}", ended.out);
    }
}

#[test]
fn conditions_that_the_search_does_not_decide_are_not_settled() {
    for condition in [
        r#"principal.name like "admin*" && principal.name like "*@example.com""#,
        "context.du.toHours() == 17",
        "context.n + context.m == 7 && context.n - context.m == 3",
        "principal.level > 1000 && principal.level < 1002 && resource.n < principal.level - 5000",
    ] {
        let folders = added(condition);
        let ended = diff(&folders, &[]);
        assert_eq!(ended.code, 2, "{condition}: {ended:?}");
        assert!(!ended.out.contains("nobody gains"), "{condition}: {}", ended.out);
        let told = "not settled: whether a User gains act on a Site: `";
        assert!(ended.out.contains(told), "{condition}: {}", ended.out);
        assert!(ended.out.contains("` of policy `more` cannot be searched"), "{}", ended.out);

        let by = ["--approve", "--by", "carol", "--reason", "wanted"];
        assert_eq!(diff(&folders, &by).code, 0);
        let approved = fs::read_to_string(folders.1.path().join("m/approved-gains.toml")).unwrap();
        assert!(approved.contains("not settled: whether a User gains act"), "{approved}");
    }
}

#[test]
fn what_only_narrows_by_a_text_is_settled() {
    let by = |pattern: &str| {
        let text = format!(
            "@id(\"p\") permit (principal, action, resource) when {{ context.s like \"{pattern}\" }};\n"
        );
        format!("{OWNERS}{text}")
    };
    let (wide, narrow) = (by("/a/*"), by("/a/b/*"));
    let ended = diff(&states([SCHEMA, &wide, ""], [SCHEMA, &narrow, ""]), &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("loses act"), "{}", ended.out);
    let ended = diff(&states([SCHEMA, &narrow, ""], [SCHEMA, &wide, ""]), &[]);
    assert!(ended.code == 2 && ended.out.contains("gains act"), "{ended:?}");
}

const GROUPED: &str = "entity User; entity Site; action readonly;
    action view in [readonly] appliesTo { principal: User, resource: Site };
    action delete appliesTo { principal: User, resource: Site };";

#[test]
fn an_action_that_comes_into_a_group_is_gained() {
    let regrouped = GROUPED.replace("action delete", "action delete in [readonly]");
    for policy in [
        "permit (principal, action in Action::\"readonly\", resource);",
        "permit (principal, action, resource) when { action in Action::\"readonly\" };",
    ] {
        let folders = states([GROUPED, policy, ""], [&regrouped, policy, ""]);
        let ended = diff(&folders, &[]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.out.contains("gains delete"), "{}", ended.out);
        let ended = diff(&(folders.1, folders.0), &[]);
        // What a condition asks of groups is not comparable, as for the gate.
        let code = if policy.contains("when") { 2 } else { 0 };
        assert!(ended.code == code && ended.out.contains("loses delete"), "{ended:?}");
    }
    let forbid = "permit (principal, action, resource);
        forbid (principal, action in Action::\"readonly\", resource);";
    let ended = diff(&states([&regrouped, forbid, ""], [GROUPED, forbid, ""]), &[]);
    assert!(ended.code == 2 && ended.out.contains("gains delete"), "{ended:?}");
}

const HELD: &str = "entity Group in [Group]; entity User in [Group] { n?: Long };
    entity Site { team?: Group };
    action act appliesTo { principal: User, resource: Site };";

fn user(attributes: &str) -> String {
    format!(
        r#"[{{"uid": {{"type": "User", "id": "a"}}, "attrs": {{{attributes}}}, "parents": []}}]"#
    )
}

fn groups(staff: &str) -> String {
    let group = |id: &str, parents: &str| {
        format!(
            r#"{{"uid": {{"type": "Group", "id": "{id}"}}, "attrs": {{}}, "parents": [{parents}]}}"#
        )
    };
    let top = r#"{"type": "Group", "id": "top"}"#;
    format!("[{}, {}, {}]", group("staff", staff), group("mid", top), group("top", ""))
}

#[test]
fn who_gains_by_entities_that_the_store_holds_is_found() {
    let by_n = "permit (principal, action, resource) when { principal has n && principal.n == 3 };";
    let in_top = "permit (principal in Group::\"top\", action, resource);";
    let of_team = "permit (principal, action, resource)
        when { resource has team && resource.team in Group::\"top\" && resource.team != Group::\"top\" };";
    let (one, three) = (user("\"n\": 1"), user("\"n\": 3"));
    let (out, within) = (groups(""), groups(r#"{"type": "Group", "id": "mid"}"#));
    for (policy, old, new, told) in [
        (by_n, "[]", three.as_str(), "User::\"a\" asks for act"),
        (by_n, &one, &three, "User::\"a\" asks for act"),
        (by_n, &user(""), "[]", "User::\"a\".n is 3"),
        (in_top, &out, &within, "is in Group::\"staff\""),
        (of_team, &out, &within, "Site::\"1\".team is Group::"),
    ] {
        let folders = states([HELD, policy, old], [HELD, policy, new]);
        let ended = diff(&folders, &[]);
        assert!(ended.code == 2 && ended.out.contains(told), "{told}: {ended:?}");
        assert!(ended.out.contains("gains act"), "{told}: {}", ended.out);
    }
    let ended = diff(&states([HELD, by_n, &three], [HELD, by_n, &one]), &[]);
    assert!(ended.code == 0 && ended.out.contains("loses act"), "{ended:?}");
}

#[test]
fn a_change_of_held_entities_can_be_approved_though_nobody_gains() {
    let by_n = "permit (principal, action, resource) when { principal has n && principal.n == 3 };";
    let folders = states([HELD, by_n, &user("\"n\": 1")], [HELD, by_n, &user("\"n\": 2")]);
    let ended = diff(&folders, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("the entities that the store holds differ"), "{}", ended.out);
    let by = ["--approve", "--by", "carol", "--reason", "wanted"];
    let ended = diff(&folders, &by);
    assert!(ended.code == 0 && ended.out.contains("approved in"), "{ended:?}");
    let file = folders.1.path().join("m/approved-gains.toml");
    let approved = fs::read_to_string(&file).unwrap();
    assert!(
        approved.contains("not proved: the entities that the store holds differ"),
        "{approved}"
    );

    // With another schema, too.
    let schema = format!("{HELD}\nentity Other;");
    let folders = states([HELD, by_n, &user("\"n\": 1")], [&schema, by_n, &user("\"n\": 2")]);
    let ended = diff(&folders, &by);
    assert!(ended.code == 0 && ended.out.contains("approved in"), "{ended:?}");
    assert!(folders.1.path().join("m/approved-gains.toml").is_file());

    // Another spelling of the same entities is no change.
    let spelled = format!("\n  {}\n", user("\"n\": 1"));
    let folders = states([HELD, by_n, &user("\"n\": 1")], [HELD, by_n, &spelled]);
    let ended = diff(&folders, &by);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("nobody gains or loses anything"), "{}", ended.out);
    assert!(ended.out.contains("there is nothing to approve"), "{}", ended.out);
    assert!(!folders.1.path().join("m/approved-gains.toml").exists());
}

const TEAMS: &str = "entity User tags { level: Long, z?: Bool };
entity Team { flag: Bool };
entity Doc { team: Team, public: Bool, n: Long };
action act appliesTo { principal: User, resource: Doc };";

fn rewritten(old: &str, new: &str) -> (TempDir, TempDir) {
    let when = |condition: &str| {
        format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};\n")
    };
    states([TEAMS, &when(old), ""], [TEAMS, &when(new), ""])
}

#[test]
fn a_record_in_a_tag_is_looked_into() {
    for condition in [
        "principal.hasTag(\"k\") && principal.getTag(\"k\").level > 5",
        "principal.hasTag(\"k\") && principal.getTag(\"k\") has z && principal.getTag(\"k\").z",
    ] {
        let ended = diff(&rewritten("false", condition), &[]);
        assert_eq!(ended.code, 2, "{condition}: {ended:?}");
        assert!(ended.out.contains("has the tag k"), "{condition}: {}", ended.out);
    }
    // Not each pair of fields is tried.
    let both = "principal.hasTag(\"k\") && principal.getTag(\"k\").level > 5 \
                && principal.getTag(\"k\") has z && principal.getTag(\"k\").z";
    let ended = diff(&rewritten("false", both), &[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("not settled"), "{}", ended.out);
}

#[test]
fn who_gains_where_an_entity_is_not_sent_is_found() {
    for (old, new) in [
        ("resource.team.flag || !resource.team.flag", "true"),
        ("Team::\"t\".flag || !Team::\"t\".flag", "true"),
        ("resource.team.flag || resource.public", "resource.public || resource.team.flag"),
        ("resource has public", "!(resource has public) || true"),
    ] {
        let folders = rewritten(old, new);
        let file = folders.0.path().join("gains.jsonl");
        let ended = diff(&folders, &["--witness", file.to_str().unwrap()]);
        assert_eq!(ended.code, 2, "{old}: {ended:?}");
        assert!(ended.out.contains("gains act on a Doc"), "{old}: {}", ended.out);
        let args = ["check", "--policies", folders.1.path().to_str().unwrap(), "--record"];
        let asked = end(command(&args).arg(&file));
        assert!(asked.code == 0 && asked.out.contains("same answer"), "{old}: {asked:?}");
        if solver().is_some() {
            let ended = against(&folders);
            assert_eq!(ended.code, 2, "{old}: {ended:?}");
            assert!(ended.out.contains("gain: now allowed"), "{old}: {}", ended.out);
        }
    }
}

#[test]
fn a_rewrite_that_fails_where_it_failed_before_is_equivalent() {
    for (old, new) in [
        ("resource.public || resource.n > 1", "resource.n > 1 || resource.public"),
        ("resource.team.flag && resource.public", "resource.public && resource.team.flag"),
        ("!(resource.team.flag || resource.public)", "!resource.public && !resource.team.flag"),
        (
            "if resource.public then resource.n == 1 else false",
            "resource.public && resource.n == 1",
        ),
    ] {
        let folders = rewritten(old, new);
        let ended = diff(&folders, &[]);
        assert_eq!(ended.code, 0, "{old}: {ended:?}");
        if solver().is_some() {
            let ended = against(&folders);
            assert_eq!(ended.code, 0, "{old}: {ended:?}");
            assert!(ended.out.contains("equivalent"), "{old}: {}", ended.out);
        }
    }
}

#[test]
fn entities_that_the_store_holds_are_always_there() {
    let team = r#"[{"uid": {"type": "Team", "id": "t"}, "attrs": {"flag": true}, "parents": []}]"#;
    let when = |condition: &str| {
        format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};\n")
    };
    let (old, new) = (
        when("resource.public && (Team::\"t\".flag || resource.n == 1)"),
        when("resource.public && (resource.n == 1 || Team::\"t\".flag)"),
    );
    let folders = states([TEAMS, &old, team], [TEAMS, &new, team]);
    let ended = diff(&folders, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    if solver().is_some() {
        assert_eq!(against(&folders).code, 0);
    }
}

/// Proves the second of two states against the first.
fn against((old, new): &(TempDir, TempDir)) -> Ended {
    run(&["prove", new.path().to_str().unwrap(), "--against", old.path().to_str().unwrap()])
}

#[test]
fn a_column_that_the_new_schema_does_not_know_is_lost_and_the_rest_is_compared() {
    let viewers = format!(
        "{OWNERS}@id(\"view\") permit (principal, action, resource) when {{ principal in resource.viewer }};\n"
    );
    let without = SCHEMA.replace("viewer: Role, ", "");
    let renamed = SCHEMA.replace("viewer: Role", "reader: Role");
    let no_roles = SCHEMA.replace("@role ", "");
    for (schema, gone) in
        [(&without, "Site.viewer"), (&renamed, "Site.viewer"), (&no_roles, "Site.owner")]
    {
        let ended = diff(&states([SCHEMA, OWNERS, ""], [schema, OWNERS, ""]), &[]);
        assert!([0, 2].contains(&ended.code), "{ended:?}");
        assert!(ended.out.contains(&format!("the column {gone} is gone")), "{}", ended.out);
    }
    // The policy goes with the slot, and somebody else gains.
    let more = format!(
        "{OWNERS}@id(\"n\") permit (principal, action, resource) when {{ resource.n == 7 }};\n"
    );
    let ended = diff(&states([SCHEMA, &viewers, ""], [&without, &more, ""]), &[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("Site.viewer loses act"), "{}", ended.out);
    assert!(ended.out.contains("gains act"), "{}", ended.out);
}

#[test]
fn a_fact_that_the_new_schema_drops_denies_no_more() {
    let schema =
        "entity Group; entity User in [Group] { banned?: Bool }; entity Site { banned?: Bool };
        action act appliesTo { principal: User, resource: Site };";
    let policies = "permit (principal, action, resource);
        forbid (principal, action, resource) when { principal has banned && principal.banned };
        forbid (principal in Group::\"blocked\", action, resource);";
    for (was, is) in
        [("User in [Group] { banned?: Bool }", "User in [Group]"), ("User in [Group]", "User")]
    {
        let new = schema.replace(was, is);
        let ended = diff(&states([schema, policies, ""], [&new, policies, ""]), &[]);
        assert_eq!(ended.code, 2, "{is}: {ended:?}");
        assert!(!ended.out.contains("nobody gains"), "{is}: {}", ended.out);
    }
}

#[test]
fn an_entity_with_an_empty_id_in_a_policy_breaks_nothing() {
    let named = format!("{OWNERS}permit (principal, action, resource == Site::\"\");\n");
    let ended = diff(&states([SCHEMA, OWNERS, ""], [SCHEMA, &named, ""]), &[]);
    assert!([0, 2].contains(&ended.code), "{ended:?}");
}

#[test]
fn the_solver_settles_what_the_search_leaves_open() {
    let Some(_) = solver() else { return };
    let ask = |(old, new): &(TempDir, TempDir)| {
        run(&["diff", old.path().to_str().unwrap(), new.path().to_str().unwrap()])
    };
    let folders = added("principal.name like \"admin*\" && principal.name like \"*@example.com\"");
    let ended = ask(&folders);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("a User gains act on a Site\n"), "{}", ended.out);
    assert!(ended.out.contains("User::\"alice\" asks for act"), "{}", ended.out);
    assert!(!ended.out.contains("not settled"), "{}", ended.out);

    // No text begins with two letters.
    let folders = added("principal.name like \"a*\" && principal.name like \"b*\"");
    assert_eq!(diff(&folders, &[]).code, 2, "not settled without a solver");
    let ended = ask(&folders);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("nobody gains or loses anything"), "{}", ended.out);
}

#[test]
fn what_the_gate_would_refuse_can_be_approved_though_nobody_gains() {
    let schema = "entity User { x?: Bool }; entity Team { lead: User, deputy: User, flag: Bool };
        entity Doc { team: Team }; action read appliesTo { principal: User, resource: Doc };";
    let one =
        "principal == (if resource.team.flag then resource.team.lead else resource.team.deputy)";
    let when = |condition: &str| {
        format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};\n")
    };
    let narrower = when(&format!("principal has x && principal.x && {one}"));
    let folders = states([schema, &when(one), ""], [schema, &narrower, ""]);
    let file = folders.1.path().join("m/approved-gains.toml");
    let by = ["--approve", "--by", "carol", "--reason", "narrower"];
    // Without a solver it is not known.
    let ended = diff(&folders, &by);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("there is nothing to approve"), "{}", ended.out);
    assert!(ended.err.contains("what the gate `no-gains` would refuse is not known"), "{ended:?}");
    assert!(!file.exists());

    let Some(_) = solver() else { return };
    assert_eq!(against(&folders).code, 2, "the gate refuses it");
    let (old, new) = (folders.0.path().to_str().unwrap(), folders.1.path().to_str().unwrap());
    let ended = end(command(&["diff", old, new]).args(by));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("approved in"), "{}", ended.out);
    assert!(!ended.out.contains("nobody gains"), "{}", ended.out);
    let approved = fs::read_to_string(&file).unwrap();
    assert!(approved.contains("not settled: `resource.team."), "{approved}");

    // What is proved needs no approval.
    let wide = when("resource.team.flag || principal has x");
    let narrow = when("resource.team.flag");
    let folders = states([schema, &wide, ""], [schema, &narrow, ""]);
    let (old, new) = (folders.0.path().to_str().unwrap(), folders.1.path().to_str().unwrap());
    let ended = end(command(&["diff", old, new]).args(by));
    assert!(ended.out.contains("there is nothing to approve"), "{ended:?}");
    assert!(!folders.1.path().join("m/approved-gains.toml").exists());
}
