//! Faults of files, each at its place.

use super::*;

#[test]
fn schema_files_that_clash_name_each_other() {
    let problems = refused(&[
        ("a.cedarschema", SCHEMA),
        ("b.cedarschema", "\nentity User;"),
        ("p.cedar", PERMIT),
    ]);
    check(&problems, "b.cedarschema", 2, "main/a.cedarschema");
    let problems =
        refused(&[("a.cedarschema", SCHEMA), ("b.cedarschema", "\nentity X in [Nothing];")]);
    check(&problems, "b.cedarschema", 2, "Nothing");
}

#[test]
fn link_faults_keep_their_cause() {
    let policies = "@id(\"t\") permit (principal == ?principal, action, resource);
@id(\"p\") permit (principal, action, resource);";
    let check_link = |link: &str, words: &str| {
        let text = format!("\n[[link]]\n{link}");
        let problems =
            refused(&[("s.cedarschema", SCHEMA), ("p.cedar", policies), ("a.links.toml", &text)]);
        let line = if words.contains("slot") || words.contains("empty id") { 5 } else { 2 };
        check(&problems, "a.links.toml", line, words);
    };
    check_link("id = \"l\"\ntemplate = \"tt\"", "did you mean `t`?");
    check_link("id = \"l\"\ntemplate = \"p\"", "`p` is no template");
    check_link("id = \"l\"\ntemplate = \"t\"", "does not fill `?principal`");
    check_link(
        "id = \"p\"\ntemplate = \"t\"\nprincipal = 'User::\"a\"'",
        "two policies have the id `p`",
    );
    check_link("id = \"l\"\ntemplate = \"t\"\nresource = 'Doc::\"a\"'", "no slot `?resource`");
    check_link("id = \"l\"\ntemplate = \"t\"\nprincipal = 'User'", "slot `?principal`");
    check_link("id = \"l\"\ntemplate = \"t\"\nprincipal = 'User::\"\"'", "empty id");
}

#[test]
fn faults_in_entities_have_their_places() {
    let schema = schema_with([
        "entity Thing { n: Long, of?: Action, who?: User, s?: Set<User>, r?: {u: User} };"
            .to_owned(),
    ]);
    let check_entity = |attrs: &str, line: usize, words: &str| {
        let text = format!(
            "[{{\"uid\": {{\"type\": \"Thing\", \"id\": \"t\"}}, \"parents\": [], \"attrs\": {{\n{attrs}}}}}]"
        );
        let problems = refused(&[
            ("s.cedarschema", &schema),
            ("p.cedar", PERMIT),
            ("e.cedarentities.json", &text),
        ]);
        check(&problems, "e.cedarentities.json", line, words);
    };
    check_entity("\"n\":\n9223372036854775808", 3, "9223372036854775808");
    check_entity("\"n\":\n1.5", 3, "no Long");
    check_entity("\"n\": 1,\n\"who\": 3", 3, "`who`");
    check_entity(
        "\"n\": 1,\n\"of\": {\"type\": \"Action\", \"id\": \"views\"}",
        3,
        "unknown action",
    );
    check_entity("\"n\": 1,\n\"who\": {\"type\": \"User\", \"id\": \"\"}", 3, "empty id");
    check_entity("\"n\": 1,\n\"s\": [{\"type\": \"User\",\n \"id\": \"\"}]", 3, "empty id");
    check_entity(
        "\"n\": 1,\n\"r\": {\n\"u\": {\"__entity\": {\"type\": \"User\", \"id\": \"\"}}}",
        4,
        "empty id",
    );
    check_entity("\"n\": 1,\n\"n\": 1", 3, "twice");
    check_entity("\"m\": 1", 2, "`m`");
    let check_whole = |text: &str, line: usize, words: &str| {
        let schema = "entity Own; namespace A { entity User; } namespace B { entity User; entity One; action v appliesTo {principal: User, resource: User}; }";
        let problems = refused(&[
            ("s.cedarschema", schema),
            ("p.cedar", PERMIT),
            ("e.cedarentities.json", text),
        ]);
        check(&problems, "e.cedarentities.json", line, words);
    };
    let of = |ty: &str, id: &str, parents: &str| {
        format!(
            "[\n{{\"uid\": {{\"type\": \"{ty}\", \"id\": \"{id}\"}}, \"attrs\": {{}}, \"parents\": [{parents}]}}]"
        )
    };
    check_whole(&of("User", "a", ""), 2, "`A::User`, `B::User`");
    check_whole(&of("One", "a", ""), 2, "write `B::One`");
    check_whole(&of("Own", "", ""), 2, "empty id");
}

#[test]
fn an_entity_in_two_files_is_refused_with_both() {
    let alice = |name: &str| {
        format!(
            "[\n{{\"uid\": {{\"type\": \"User\", \"id\": \"a\"}}, \"attrs\": {{\"name\": \"{name}\"}}, \"parents\": []}}]"
        )
    };
    let store = [("s.cedarschema", SCHEMA), ("p.cedar", PERMIT)];
    let (one, other) = (alice("a"), alice("b"));
    let alike = [("a.cedarentities.json", one.as_str()), ("b.cedarentities.json", one.as_str())];
    loaded(&[store.as_slice(), &alike].concat());
    let unlike = [("a.cedarentities.json", one.as_str()), ("b.cedarentities.json", other.as_str())];
    let problems = refused(&[store.as_slice(), &unlike].concat());
    check(&problems, "b.cedarentities.json", 2, "main/a.cedarentities.json, line 2");
}

#[test]
fn an_attribute_that_cannot_be_a_slot_is_shown_at_its_line() {
    let schema = "@role entity Role;
entity User in [Role];
entity Doc {
  fine: Role,
  optional?: Role,
  several: Set<Role>,
};
action view appliesTo { principal: User, resource: Doc };";
    let problems = refused(&[("s.cedarschema", schema), ("p.cedar", PERMIT)]);
    check(&problems, "s.cedarschema", 5, "optional");
    check(&problems, "s.cedarschema", 6, "several");
}

#[test]
fn nine_faults_in_nine_files_are_reported_in_one_run() {
    let user = |id: &str, name: &str| {
        format!(
            "[{{\"uid\": {{\"type\": \"User\", \"id\": \"{id}\"}}, \"attrs\": {{\"name\": {name}}}, \"parents\": []}}]"
        )
    };
    let link =
        |id: &str, template: &str| format!("[[link]]\nid = \"{id}\"\ntemplate = \"{template}\"\n");
    let (empty, number) = (user("", "\"a\""), user("a", "3"));
    let (no_template, no_slot) = (link("l", "none"), link("m", "t"));
    let problems = refused(&[
        ("s.cedarschema", SCHEMA),
        ("1.cedar", "permit"),
        (
            "2.cedar",
            "@id(\"t\") permit (principal == ?principal, action, resource);\n@id(\"x\") permit (principal, action, resource) when { principal.nme == \"a\" };",
        ),
        ("3.cedar.json", "{\"staticPolicies\": []}"),
        ("4.links.toml", &no_template),
        ("5.links.toml", &no_slot),
        ("6.links.json", "[{\"template_id\": \"t\"}]"),
        ("7.cedarentities.json", &empty),
        ("8.cedarentities.json", &number),
        ("store.toml", "levels = 3"),
    ]);
    for file in [
        "1.cedar",
        "2.cedar",
        "3.cedar.json",
        "4.links.toml",
        "5.links.toml",
        "6.links.json",
        "7.cedarentities.json",
        "8.cedarentities.json",
        "store.toml",
    ] {
        let named = problems.iter().any(|problem| {
            problem.file() == format!("main/{file}") && problem.location().is_some()
        });
        assert!(named, "{file}: {problems:#?}");
    }
}

#[test]
fn a_file_in_which_everything_is_wrong_is_not_read_to_its_end() {
    let template = "@id(\"t\") permit (principal == ?principal, action, resource);";
    let many = |one: &dyn Fn(usize) -> String, between: &str| {
        (0..5_000).map(one).collect::<Vec<_>>().join(between)
    };
    let entities = many(&|n| format!(r#"{{"uid": {{"type": "Nobody", "id": "{n}"}}}}"#), ",");
    let toml = many(&|n| format!("[[link]]\nid = \"l{n}\"\ntemplate = \"none\"\n"), "");
    let cli = |n| format!(r#"{{"template_id": "none", "link_id": "l{n}", "args": {{}}}}"#);
    let unfit = many(&|n| format!(r#"{{"template_id": {n}}}"#), ",");
    let policies = many(&|n| format!(r#""{n}": {{"effect": "perhaps"}}"#), ",");
    for (file, text) in [
        ("e.cedarentities.json", format!("[{entities}]")),
        ("l.links.toml", toml),
        ("l.links.json", format!("[{}]", many(&cli, ","))),
        ("u.links.json", format!("[{unfit}]")),
        ("p.cedar.json", format!("{{\"staticPolicies\": {{{policies}}}}}")),
    ] {
        let problems = refused(&[("s.cedarschema", SCHEMA), ("p.cedar", template), (file, &text)]);
        let last = problems.last().unwrap();
        assert_eq!(last.to_string(), format!("main/{file}: the file is not checked to its end"));
        assert_eq!(problems.len(), 101, "{file}");
    }
}

#[test]
fn the_rest_of_a_file_that_is_not_read_hides_no_problem_of_another_file() {
    let wrong = |n| format!(r#"{{"uid": {{"type": "Nobody", "id": "{n}"}}}}"#);
    let wrong: Vec<_> = (0..100).map(wrong).collect();
    let alice = r#"{"uid": {"type": "User", "id": "alice"}, "attrs": {"name": 1}, "parents": []}"#;
    let problems = refused(&[
        ("s.cedarschema", SCHEMA),
        ("a.cedarentities.json", &format!("[{}]", wrong.join(","))),
        ("b.cedarentities.json", &format!("[{alice}]")),
        ("c.links.toml", "[[link]]\nid = \"l\"\ntemplate = \"none\"\n"),
    ]);
    check(&problems, "b.cedarentities.json", 1, "name");
    check(&problems, "c.links.toml", 1, "there is no template `none`");
    // All of the first file was checked, so nothing says otherwise.
    assert_eq!(problems.len(), 102, "{problems:?}");
}
