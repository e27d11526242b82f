#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::*;
use crate::model::{Location, Problem};

const SCHEMA: &str = "entity Group in [Group];
entity User in [Group] { name: String, next?: User };
entity Doc { owner?: User };
action view appliesTo { principal: User, resource: Doc };";

const PERMIT: &str = "permit (principal, action, resource);";

fn files(files: &[(&str, &str)]) -> StoreFiles {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())));
    StoreFiles::new("main".parse().unwrap(), files)
}

/// Loads on a thread with the stack of the product, within the time that a test may take at most.
fn load(store: StoreFiles) -> Result<PolicyStore, Vec<Problem>> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    let load = move || sender.send(PolicyStore::load(Arc::new(store), &Bounds::default())).is_ok();
    thread.spawn(load).unwrap();
    receiver.recv_timeout(Duration::from_secs(60)).unwrap()
}

fn refused(store: &[(&str, &str)]) -> Vec<Problem> {
    load(files(store)).err().unwrap()
}

fn loaded(store: &[(&str, &str)]) -> PolicyStore {
    load(files(store)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// One problem, in that file, at that line, with those words in its message or its help.
#[track_caller]
fn check(problems: &[Problem], file: &str, line: usize, words: &str) {
    let found = problems.iter().find(|problem| {
        let text = format!("{} {}", problem.message(), problem.help().unwrap_or_default());
        problem.file() == format!("main/{file}") && text.contains(words)
    });
    let found = found.unwrap_or_else(|| panic!("no `{words}` in {file}: {problems:#?}"));
    let at = found.location().map(|Location { line, .. }| line);
    assert_eq!(at, Some(line), "{found:?}");
    assert!(!found.render().contains("Failed to read"), "{}", found.render());
}

fn policy(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

fn schema_with(more: impl IntoIterator<Item = String>) -> String {
    more.into_iter().fold(SCHEMA.to_owned(), |schema, line| schema + "\n" + &line)
}

fn entity(id: usize, parent: usize) -> String {
    format!(
        r#"{{"uid": {{"type": "Group", "id": "{id}"}}, "attrs": {{}},
        "parents": [{{"type": "Group", "id": "{parent}"}}]}}"#
    )
}

/// Stores of which one file would take Cedar all of the stack, of the memory or of the time.
fn hostile() -> Vec<(&'static str, &'static str, String)> {
    let doubled = (1..=40).map(|n| format!("type T{n} = {{a: T{}, b: T{}}};", n - 1, n - 1));
    let doubled = schema_with(["type T0 = Long;".to_owned()].into_iter().chain(doubled));
    let deep = (1..=2_000).map(|n| format!("type T{n} = {{a: T{}}};", n - 1));
    let deep = schema_with(["type T0 = Long;".to_owned()].into_iter().chain(deep));
    let groups = (1..=2_000).map(|n| format!("action a{n} in [a{}];", n - 1));
    let groups = schema_with(["action a0;".to_owned()].into_iter().chain(groups));
    let types = (1..=2_000).map(|n| format!("entity T{n} in [T{}];", n - 1));
    let types = schema_with(["entity T0;".to_owned()].into_iter().chain(types));
    let names: Vec<_> = (0..300).map(|n| format!("U{n}")).collect();
    let names = names.join(", ");
    let kinds = (0..20)
        .map(|n| format!("action k{n} appliesTo {{ principal: [{names}], resource: [{names}] }};"));
    let kinds = schema_with([format!("entity {names};")].into_iter().chain(kinds));
    let chain: Vec<_> = (0..20_000).map(|n| entity(n, n + 1)).collect();
    let ring: Vec<_> = (0..20_000).map(|n| entity(n, (n + 1) % 20_000)).collect();
    vec![
        (
            "a chain of ||",
            "p.cedar",
            policy(&vec!["principal.name == \"a\""; 110_000].join(" || ")),
        ),
        (
            "a chain of &&",
            "p.cedar",
            policy(&vec!["principal.name == \"a\""; 110_000].join(" && ")),
        ),
        (
            "operands that no decision survives",
            "p.cedar",
            policy(&vec!["true"; 2_500].join(" && ")),
        ),
        ("clauses", "p.cedar", policy("true").replace(";", &" when { true }".repeat(50_000)) + ";"),
        ("nested if", "p.cedar", policy(&("if true then true else ".repeat(50_000) + "true"))),
        ("brackets", "p.cedar", policy(&("(".repeat(50_000) + "true" + &")".repeat(50_000)))),
        ("negations", "p.cedar", policy(&("!(".repeat(50_000) + "true" + &")".repeat(50_000)))),
        ("unary operators", "p.cedar", policy(&("!".repeat(200_000) + "true"))),
        (
            "a huge set",
            "p.cedar",
            policy(&format!("[{}].contains(1)", vec!["1"; 500_000].join(","))),
        ),
        ("a path", "p.cedar", policy(&format!("principal has next{}", ".next".repeat(1_000)))),
        (
            "member accesses",
            "p.cedar",
            policy(&format!("principal{}.name == \"\"", ".next".repeat(50_000))),
        ),
        (
            "sums in brackets",
            "p.cedar",
            policy(&format!("{}1{} == 1", ("1 + ".repeat(200) + "(").repeat(50), ")".repeat(50))),
        ),
        ("doubling types", "s.cedarschema", doubled),
        ("deep types", "s.cedarschema", deep),
        ("action groups", "s.cedarschema", groups),
        ("entity types", "s.cedarschema", types),
        ("kinds of requests", "s.cedarschema", kinds),
        ("a chain of parents", "e.cedarentities.json", format!("[{}]", chain.join(","))),
        ("a ring of parents", "e.cedarentities.json", format!("[{}]", ring.join(","))),
        ("deep JSON", "e.cedarentities.json", "[".repeat(1_000_000)),
        ("deep JSON policies", "p.cedar.json", "{\"a\":".repeat(1_000_000)),
        ("deep JSON schema", "s.cedarschema.json", "{\"a\":".repeat(1_000_000)),
    ]
}

#[test]
fn what_cedar_could_not_load_is_refused_with_its_file() {
    for (what, path, text) in hostile() {
        let policies = if what == "kinds of requests" {
            policy(&vec!["resource == resource"; 20].join(" && "))
        } else {
            PERMIT.to_owned()
        };
        let mut store = files(&[("s.cedarschema", SCHEMA), ("p.cedar", &policies)]);
        if path == "s.cedarschema.json" {
            store = files(&[("p.cedar", &policies)]);
        }
        let problems = load(store.with_file(path, text.into_bytes())).err();
        let problems = problems.unwrap_or_else(|| panic!("{what} is loaded"));
        let named = if what == "kinds of requests" { "p.cedar" } else { path };
        let is_named = problems.iter().any(|problem| problem.file().ends_with(named));
        assert!(is_named, "{what}: {problems:?}");
        problems.iter().for_each(|problem| drop(problem.render()));
    }
}

#[test]
fn what_is_within_the_bounds_is_loaded() {
    let chain = vec!["principal.name == \"a\""; 1_000].join(" || ");
    loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", &policy(&chain))]);
    let types = (1..=50).map(|n| format!("type T{n} = {{a: T{}}};", n - 1));
    let schema = schema_with(["type T0 = Long;".to_owned()].into_iter().chain(types));
    let chain: Vec<_> = (0..300).map(|n| entity(n, n + 1)).collect();
    let entities = format!("[{}]", chain.join(","));
    loaded(&[("s.cedarschema", &schema), ("p.cedar", PERMIT), ("e.cedarentities.json", &entities)]);
}

#[test]
fn what_loads_can_be_decided() {
    use cedar_policy::{Authorizer, Context, Decision, Entities, Request};

    for condition in [
        vec!["principal.name != \"a\""; 1_490].join(" && "),
        "if principal.name == \"a\" then false else ".repeat(700) + "true",
        "(".repeat(60) + &vec!["principal.name != \"a\""; 1_400].join(" && ") + &")".repeat(60),
    ] {
        let store = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", &policy(&condition))]);
        let decide = move || {
            let schema = Some(store.schema().cedar());
            let alice =
                r#"[{"uid": {"type": "User", "id": "a"}, "attrs": {"name": "b"}, "parents": []}]"#;
            let entities = Entities::from_json_str(alice, schema).unwrap();
            let uid = |text: &str| text.parse().unwrap();
            let request = Request::new(
                uid("User::\"a\""),
                uid("Action::\"view\""),
                uid("Doc::\"a\""),
                Context::empty(),
                schema,
            );
            Authorizer::new().is_authorized(&request.unwrap(), store.policies(), &entities)
        };
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let response = thread.spawn(decide).unwrap().join().unwrap();
        assert_eq!(response.decision(), Decision::Allow, "{response:?}");
    }
}

#[test]
fn cedars_warnings_are_kept_with_their_places() {
    let policies = "permit (principal, action, resource) when { false };
permit (principal, action, resource) when { principal.name == \"p\u{430}ge\" };
permit (principal, action, resource) when { principal.name == \"a\u{202e}b\" };
permit (principal is Doc, action, resource);
permit (principal == User::\"a\", action, resource) when { 1 == 2 };
permit (principal == User::\"b\", action, resource) when { 1 == 2 };
permit (principal, action, resource);";
    let store = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", policies)]);
    let lines: Vec<_> =
        store.warnings().iter().filter_map(Problem::location).map(|at| at.line).collect();
    for line in 1..=6 {
        assert!(lines.contains(&line), "{line}: {:#?}", store.warnings());
    }
    assert!(!lines.contains(&7), "{:#?}", store.warnings());
}

#[test]
fn a_link_whose_types_are_swapped_is_said_at_its_place() {
    let template = "@id(\"t\") permit (principal == ?principal, action, resource == ?resource);";
    let links = "[[link]]\nid = \"fine\"\ntemplate = \"t\"\nprincipal = 'User::\"a\"'\nresource = 'Doc::\"a\"'\n
[[link]]\nid = \"swapped\"\ntemplate = \"t\"\nprincipal = 'Doc::\"a\"'\nresource = 'User::\"a\"'\n";
    let store = files(&[("s.cedarschema", SCHEMA), ("p.cedar", template), ("a.links.toml", links)]);
    let said = match load(store) {
        Ok(store) => store.warnings().to_vec(),
        Err(problems) => problems,
    };
    check(&said, "a.links.toml", 7, "swapped");
    assert!(!said.iter().any(|problem| problem.to_string().contains("fine")), "{said:?}");
}

#[test]
fn warnings_of_the_schema_are_kept() {
    let schema = schema_with(["entity Long;".to_owned()]);
    let store = loaded(&[("s.cedarschema", &schema), ("p.cedar", PERMIT)]);
    check(store.warnings(), "s.cedarschema", 5, "shadows");
}

#[test]
fn a_store_that_can_permit_nothing_is_said_to_deny() {
    let template = "@id(\"t\") permit (principal == ?principal, action, resource);";
    for (policies, words) in [("// none", "no policies"), (template, "no links"), (PERMIT, "")] {
        let store = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", policies)]);
        let said = store.warnings().iter().any(|warning| warning.message().contains("denies"));
        assert_eq!(said, !words.is_empty(), "{policies}");
        let messages: Vec<_> = store.warnings().iter().map(Problem::message).collect();
        assert!(messages.join(" ").contains(words), "{messages:?}");
    }
}

#[test]
fn files_that_are_not_read_are_warned_of() {
    let store =
        loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", PERMIT), ("guard.CEDAR", "forbid")]);
    let warning = store.warnings().first().unwrap();
    assert_eq!(warning.file(), "main/guard.CEDAR");
    assert!(warning.help().unwrap().contains("*.cedar"), "{warning:?}");
}

const JSON_POLICIES: &str = r#"{
  "staticPolicies": {
    "static": {
      "effect": "forbid",
      "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"},
      "conditions": [{"kind": "when", "body": {"Value": false}}]
    }
  },
  "templates": {
    "template": {
      "effect": "permit",
      "annotations": {"id": "named"},
      "principal": {"op": "==", "slot": "?principal"},
      "action": {"op": "All"},
      "resource": {"op": "All"},
      "conditions": []
    }
  },
  "templateLinks": [
    {"templateId": "template", "newId": "link", "values": {
      "?principal": {"__entity": {"type": "User", "id": "alice"}}
    }}
  ]
}"#;

#[test]
fn cedars_json_forms_are_read_like_the_texts() {
    let text = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", PERMIT)]);
    let fragment = cedar_policy::SchemaFragment::from_cedarschema_str(SCHEMA).unwrap().0;
    let schema = fragment.to_json_string().unwrap();
    let links =
        r#"[{"template_id": "named", "link_id": "bobs", "args": {"?principal": "User::\"bob\""}}]"#;
    let store = loaded(&[
        ("s.cedarschema.json", &schema),
        ("p.cedar.json", JSON_POLICIES),
        ("a.links.json", links),
    ]);
    let mut ids: Vec<_> =
        store.policies().policies().map(|policy| policy.id().to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["bobs", "link", "static"]);
    assert_eq!(store.schema().actions().count(), text.schema().actions().count());
    check(store.warnings(), "p.cedar.json", 3, "static");

    let single = r#"{"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"},
        "resource": {"op": "All"}, "conditions": []}"#;
    let single = loaded(&[("s.cedarschema", SCHEMA), ("deny.cedar.json", single)]);
    assert_eq!(single.policies().num_of_policies(), 1);
}

#[test]
fn every_file_that_decides_counts_in_the_revision() {
    let store = files(&[("s.cedarschema", SCHEMA), ("p.cedar", PERMIT)]);
    for path in ["x.cedar.json", "x.cedarschema.json", "x.links.json", "x.cedar"] {
        let other = store.clone().with_file(path, *b"{}");
        assert_ne!(store.revision(), other.revision(), "{path}");
    }
    assert_eq!(store.revision(), store.clone().with_file("README.md", *b"{}").revision());
}

#[test]
fn faults_in_json_policies_have_their_places() {
    let check_json = |text: &str, line: usize, words: &str| {
        let problems = refused(&[("s.cedarschema", SCHEMA), ("p.cedar.json", text)]);
        check(&problems, "p.cedar.json", line, words);
    };
    check_json(&JSON_POLICIES.replace("forbid", "forbids"), 3, "forbids");
    check_json(&JSON_POLICIES.replace("templateLinks", "template_links"), 19, "template_links");
    check_json(
        &JSON_POLICIES.replace("\"templateId\": \"template\"", "\"templateId\": \"other\""),
        20,
        "named",
    );
    check_json(&JSON_POLICIES.replace("\"templates\"", "\"staticPolicies\""), 9, "twice");
    check_json("[]", 1, "policy set");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let text = |text: &str| format!("\u{feff}{text}");
    let settings = text("level = 3");
    let entities = text("[]");
    let store = loaded(&[
        ("s.cedarschema", &text(SCHEMA)),
        ("p.cedar", &text(PERMIT)),
        ("a.links.toml", &text("")),
        ("e.cedarentities.json", &entities),
        ("store.toml", &settings),
    ]);
    assert_eq!(store.policies().num_of_policies(), 1);
    let problems = refused(&[("s.cedarschema", &text(SCHEMA)), ("p.cedar", &text("}"))]);
    assert_eq!(problems.first().unwrap().location().map(|at| (at.line, at.column)), Some((1, 1)));
}

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
fn of_many_problems_in_a_file_the_first_are_shown() {
    let dead = "permit (principal, action, resource) when { false };\n".repeat(5_000);
    let store = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", &dead)]);
    assert_eq!(store.warnings().len(), 101);
    assert_eq!(store.warnings().last().unwrap().message(), "4900 more are not shown");
    let broken = "permit;\n".repeat(5_000);
    let problems =
        refused(&[("s.cedarschema", SCHEMA), ("p.cedar", &broken), ("q.cedar", "permit")]);
    assert!(problems.len() < 110, "{}", problems.len());
    assert!(problems.iter().any(|problem| problem.file() == "main/q.cedar"));
}
