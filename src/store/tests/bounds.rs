//! Stores that would take Cedar too much are refused, and what is loaded can be decided.

use super::*;

fn policy(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
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
    let kinds = |names: &[String], actions| {
        let names = names.join(", ");
        let action =
            |n| format!("action k{n} appliesTo {{ principal: [{names}], resource: [{names}] }};");
        let actions = (0..actions).map(action);
        schema_with([format!("entity {names};")].into_iter().chain(actions))
    };
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
        ("kinds of requests", "s.cedarschema", kinds(&names, 20)),
        ("steps of one policy", "s.cedarschema", kinds(&names, 1)),
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
        let policies = if what == "steps of one policy" {
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
        let named = if what == "steps of one policy" { "p.cedar" } else { path };
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
