//! Stores of which one file would take Cedar all of the stack, the memory or the time: refused by the
//! running server and by `humbaba validate`, which go on.

use std::fs;

use serde_json::Value as Json;

use crate::{
    cli::{end, policies, run},
    cli_sidecar::{Sidecar, until},
    faults::under,
    observe_http::http,
};

fn policy(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

fn types(declare: impl Fn(usize) -> String) -> String {
    let declared: Vec<_> = (1..=2_000).map(declare).collect();
    declared.join("\n")
}

/// The name and the text of each file.
fn hostile() -> Vec<(&'static str, String)> {
    let group = |n: usize| {
        format!(
            r#"{{"uid": {{"type": "Z", "id": "{n}"}}, "attrs": {{}},
            "parents": [{{"type": "Z", "id": "{}"}}]}}"#,
            n + 1
        )
    };
    let groups: Vec<_> = (0..20_000).map(group).collect();
    vec![
        ("operands.cedar", policy(&vec!["true"; 110_000].join(" || "))),
        ("clauses.cedar", policy("true").replace(';', &" when { true }".repeat(110_000)) + ";"),
        ("ifs.cedar", policy(&("if true then true else ".repeat(50_000) + "true"))),
        ("brackets.cedar", policy(&("(".repeat(50_000) + "true" + &")".repeat(50_000)))),
        ("set.cedar", policy(&format!("[{}].contains(1)", vec!["1"; 500_000].join(",")))),
        (
            "types.cedarschema",
            "type T0 = Long;\n".to_owned()
                + &types(|n| format!("type T{n} = {{a: T{}, b: T{}}};", n - 1, n - 1)),
        ),
        (
            "actions.cedarschema",
            "action a0;\n".to_owned() + &types(|n| format!("action a{n} in [a{}];", n - 1)),
        ),
        (
            "entities.cedarschema",
            "entity T0;\n".to_owned() + &types(|n| format!("entity T{n} in [T{}];", n - 1)),
        ),
        (
            "escapes.cedar",
            format!("permit (principal == User::\"{}\", action, resource);", "\\q".repeat(30_000)),
        ),
        (
            "returns.cedar",
            format!("permit (principal == User::\"{}\", action, resource);", "\r".repeat(60_000)),
        ),
        ("names.cedarschema", {
            let list =
                |name: &str| -> String { (0..5_000).map(|n| format!("{name}{n}, ")).collect() };
            let fields = list("f").replace(", ", "?: Long, ");
            format!("action {} last appliesTo {{context: {{{fields}}}}};", list("a"))
        }),
        ("deep.cedar.json", "{\"a\":".repeat(1_000_000)),
        ("parents.cedarentities.json", format!("[{}]", groups.join(","))),
    ]
}

#[test]
fn the_running_server_refuses_the_store_and_goes_on() {
    let folder = policies(&["guard"]);
    fs::write(folder.path().join("guard/z.cedarschema"), "entity Z in [Z];").unwrap();
    let sidecar = Sidecar::start(folder.path(), &[]);
    let view = ["--action", "view", "--role", "viewer"];
    let status = || -> Json {
        let (code, body) = http(&sidecar, "GET", "/status", "", "");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    };
    for (name, text) in hostile() {
        let path = folder.path().join("guard").join(name);
        fs::write(&path, text).unwrap();
        sidecar.signal("HUP");
        until(name, || status().to_string().contains(&format!("guard/{name}")).then_some(()));
        assert_eq!(sidecar.check(&sidecar.unix(), &view).code, 0, "{name}");
        fs::remove_file(path).unwrap();
        sidecar.signal("HUP");
        until(name, || (!status().to_string().contains(&format!("guard/{name}"))).then_some(()));
        assert_eq!(sidecar.check(&sidecar.unix(), &view).code, 0, "{name}");
    }
}

#[test]
fn validate_names_each_file() {
    for (name, text) in hostile() {
        let folder = policies(&["guard"]);
        fs::write(folder.path().join("guard/z.cedarschema"), "entity Z in [Z];").unwrap();
        fs::write(folder.path().join("guard").join(name), text).unwrap();
        let ended = run(&["validate", folder.path().to_str().unwrap()]);
        assert_eq!(ended.code, 3, "{name}: {ended:?}");
        assert!(ended.out.contains(&format!("guard/{name}")), "{name}: {}", ended.out);
    }
}

const SMALL: &str = "entity User, Doc; action view appliesTo { principal: User, resource: Doc };";
const TEMPLATE: &str = "@id(\"t\") permit (principal == ?principal, action, resource)";

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect()
}

fn links(count: usize, id: impl Fn(usize) -> String, template: &str) -> String {
    many(count, |n| {
        let id = id(n);
        format!("[[link]]\nid=\"{id}\"\ntemplate=\"{template}\"\nprincipal='User::\"{n}\"'\n")
    })
}

const NOT_TO_ITS_END: &str = "the file is not checked to its end";

/// A store: its name, its files, and a word of its refusal.
type CostlyStore = (&'static str, Vec<(&'static str, String)>, &'static str);

/// Stores of which no file is wrong by its nesting and that would cost much: many faults in one file,
/// or much that is written once and copied.
fn costly() -> Vec<CostlyStore> {
    let clash = policy("true");
    let wrong = r#"{"effect":"permit","principal":{"op":"All"},"action":{"op":"Alll"},
        "resource":{"op":"All"},"conditions":[]}"#;
    let wrong = many(10_000, |n| format!("{}\"{n}\":{wrong}", if n == 0 { "" } else { "," }));
    let names: Vec<_> = (0..300).map(|n| format!("T{n}")).collect();
    let names = names.join(",");
    let kinds =
        many(60, |n| format!("action a{n} appliesTo {{principal:[{names}],resource:[{names}]}};"));
    let set: Vec<_> = (0..20_000).map(|n| n.to_string()).collect();
    vec![
        (
            "ids",
            vec![("p.cedar", format!("@id(\"x\") {clash}\n").repeat(8_000))],
            "7899 more are not shown",
        ),
        (
            "links of one id",
            vec![
                ("p.cedar", format!("{TEMPLATE};")),
                ("l.links.toml", links(8_000, |_| "l".to_owned(), "t")),
            ],
            "two policies have the id `l`",
        ),
        (
            "links to nowhere",
            vec![
                ("p.cedar", format!("{TEMPLATE};")),
                ("l.links.toml", links(20_000, |n| format!("l{n}"), "none")),
            ],
            NOT_TO_ITS_END,
        ),
        (
            "JSON policies",
            vec![("p.cedar.json", format!("{{\"staticPolicies\":{{{wrong}}}}}"))],
            NOT_TO_ITS_END,
        ),
        (
            "entities of no type",
            vec![(
                "e.cedarentities.json",
                format!(
                    "[{}]",
                    many(20_000, |n| {
                        let comma = if n == 0 { "" } else { "," };
                        format!(r#"{comma}{{"uid":{{"type":"Nobody","id":"{n}"}}}}"#)
                    })
                ),
            )],
            NOT_TO_ITS_END,
        ),
        (
            "types in two files",
            vec![
                ("a.cedarschema", many(12_000, |n| format!("entity E{n};"))),
                ("b.cedarschema", many(12_000, |n| format!("entity E{n};"))),
            ],
            "is declared in two files: the other is costly/a.cedarschema",
        ),
        (
            "slots",
            vec![(
                "a.cedarschema",
                "@role entity Role;".to_owned()
                    + &many(12_000, |n| format!("entity E{n} {{a?: Role}};")),
            )],
            "cannot be a role slot",
        ),
        (
            "fields",
            vec![(
                "a.cedarschema",
                format!("entity E {{{}}};", many(39_000, |n| format!("f{n}: Long,"))),
            )],
            "has more than 10000 parts",
        ),
        (
            "links to a large set",
            vec![
                ("p.cedar", format!("{TEMPLATE} when {{ [{}].contains(1) }};", set.join(","))),
                ("l.links.toml", links(3_000, |n| format!("l{n}"), "t")),
            ],
            "`bounds.linked_bytes`",
        ),
        (
            "links to a long text",
            vec![
                (
                    "p.cedar",
                    format!("{TEMPLATE} when {{ \"{}\" == \"a\" }};", "x".repeat(1_000_000)),
                ),
                ("l.links.toml", links(5_000, |n| format!("l{n}"), "t")),
            ],
            "`bounds.linked_bytes`",
        ),
        (
            "kinds of requests",
            vec![("a.cedarschema", format!("entity {names};{kinds}"))],
            "`bounds.request_kinds`",
        ),
        (
            "policies on every kind",
            vec![
                (
                    "a.cedarschema",
                    format!(
                        "entity {names}; action a appliesTo {{principal:[{names}],resource:[{names}]}};"
                    ),
                ),
                ("p.cedar", format!("{clash}\n").repeat(10_000)),
            ],
            "`bounds.index_places`",
        ),
        (
            "policies on a group",
            vec![
                (
                    "a.cedarschema",
                    "action all;".to_owned() + &many(5_000, |n| format!("action a{n} in [all];")),
                ),
                (
                    "p.cedar",
                    "permit (principal, action in Action::\"all\", resource);\n".repeat(2_500),
                ),
            ],
            "`bounds.index_places`",
        ),
        (
            "wide records",
            vec![
                (
                    "w.cedarschema",
                    format!(
                        "type W = {{{}}}; action wide appliesTo {{principal: User, resource: Doc, \
                         context: W}};",
                        many(9_000, |n| format!("w{n}?: Long, "))
                    ),
                ),
                (
                    "p.cedar",
                    many(99, |n| {
                        let whole = "[context, context].contains(context)";
                        let condition = vec![whole; n + 1].join(" && ");
                        format!(
                            "permit (principal, action == Action::\"wide\", resource) when \
                             {{{condition}}};"
                        )
                    }),
                ),
            ],
            "`bounds.validation_steps`",
        ),
        (
            "errors",
            vec![("p.cedar", many(20_000, |n| policy(&format!("principal.zz{n} == {n}")) + "\n"))],
            "19900 more are not shown",
        ),
        (
            "JSON values",
            vec![(
                "e.cedarentities.json",
                format!("[{}]", vec![r#"{"a":0}"#; 1_500_000].join(",")),
            )],
            "`bounds.entity_values`",
        ),
        (
            "keys",
            vec![("l.links.toml", many(1_000_000, |n| format!("a{n}=1\n.\n")))],
            "`bounds.tokens`",
        ),
        (
            "settings",
            vec![("store.toml", many(100_000, |n| format!("a{n}=1\n")))],
            "the bound of 65536",
        ),
    ]
}

/// The binary with a bound on its memory that is far from what it takes by itself.
fn bounded() -> std::process::Command {
    under("ulimit -v 3000000")
}

#[test]
fn what_would_cost_much_memory_or_time_is_refused_and_other_stores_go_on() {
    let folder = policies(&["guard"]);
    let costly_store = folder.path().join("costly");
    fs::create_dir(&costly_store).unwrap();
    fs::write(costly_store.join("s.cedarschema"), SMALL).unwrap();
    fs::write(costly_store.join("permit.cedar"), policy("true")).unwrap();
    let guard = folder.path().join("guard/policies.cedar");
    let written = fs::read_to_string(&guard).unwrap();
    let sidecar = Sidecar::start_as(bounded(), folder.path(), &[]);
    let view = ["--action", "view", "--role", "viewer", "--store", "guard"];
    for (what, files, word) in costly() {
        for (name, text) in &files {
            fs::write(costly_store.join(name), text).unwrap();
        }
        // A right is revoked in the other store at the same moment.
        fs::write(&guard, "forbid (principal, action, resource);").unwrap();
        sidecar.signal("HUP");
        until(what, || (sidecar.check(&sidecar.unix(), &view).code == 2).then_some(()));
        until(what, || http(&sidecar, "GET", "/status", "", "").1.contains(word).then_some(()));
        fs::write(&guard, &written).unwrap();
        for (name, _) in files {
            fs::remove_file(costly_store.join(name)).unwrap();
        }
        sidecar.signal("HUP");
        until(what, || (!http(&sidecar, "GET", "/status", "", "").1.contains(word)).then_some(()));
        until(what, || (sidecar.check(&sidecar.unix(), &view).code == 0).then_some(()));
    }
}

#[test]
fn validate_refuses_what_would_cost_much() {
    for (what, files, word) in costly() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = folder.path().join("costly");
        fs::create_dir(&store).unwrap();
        fs::write(store.join("s.cedarschema"), SMALL).unwrap();
        fs::write(store.join("permit.cedar"), policy("true")).unwrap();
        for (name, text) in files {
            fs::write(store.join(name), text).unwrap();
        }
        let ended = end(bounded().args(["validate", "--format", "github"]).arg(folder.path()));
        assert_eq!(ended.code, 3, "{what}: {ended:?}");
        assert!(ended.out.contains(word), "{what}: {}", ended.out);
    }
}

#[test]
fn invariants_with_a_fault_in_each_are_refused() {
    let folder = policies(&["guard"]);
    let invariants = folder.path().join("guard/invariants");
    fs::create_dir(&invariants).unwrap();
    let without_claim = |n| format!("@id(\"i{n}\") permit (principal, action, resource);\n");
    fs::write(invariants.join("x.cedar"), many(20_000, without_claim)).unwrap();
    let validated = end(bounded().arg("validate").arg(folder.path()));
    assert_eq!(validated.code, 3, "{validated:?}");
    assert!(validated.out.contains("19900 more are not shown"), "{}", validated.out);
}

#[test]
fn tests_with_a_fault_in_each_line_are_refused() {
    let one = "[[case]]\nname = \"c\"\nprincipal = 'User::\"a\"'\nresource = 'Doc::\"d\"'\n";
    for (what, text) in [
        ("deep tables", many(5_000, |n| format!("[a{n}{}]\n", ".a".repeat(100)))),
        ("unknown tables", many(100_000, |n| format!("[a{n}.b]\n"))),
        ("one case many times", format!("{one}allow = [{}]", "\"view\",".repeat(200_000))),
    ] {
        let folder = policies(&["guard"]);
        let tests = folder.path().join("guard/tests");
        fs::create_dir(&tests).unwrap();
        fs::write(tests.join("t.toml"), text).unwrap();
        let tested = end(bounded().arg("test").arg(folder.path()));
        assert_eq!(tested.code, 3, "{what}: {tested:?}");
        assert!(tested.out.contains("more are not shown"), "{what}: {}", tested.out);
        assert!(tested.out.len() < 1_000_000, "{what}: {} bytes", tested.out.len());
    }
}

#[test]
fn many_warnings_and_many_types_are_loaded() {
    let dead = |n| {
        format!("@id(\"{n}\") permit (principal, action, resource) when {{ false && {n} == 1 }};\n")
    };
    for (what, path, text) in [
        ("warnings", "p.cedar", many(10_000, dead)),
        ("types", "a.cedarschema", many(15_000, |n| format!("entity E{n};"))),
    ] {
        let folder = tempfile::TempDir::new().unwrap();
        let store = folder.path().join("large");
        fs::create_dir(&store).unwrap();
        fs::write(store.join("s.cedarschema"), SMALL).unwrap();
        fs::write(store.join(path), text).unwrap();
        let ended = end(bounded().arg("validate").arg(folder.path()));
        assert_eq!(ended.code, 0, "{what}: {ended:?}");
    }
}

#[test]
fn validate_reads_cedars_json_forms_and_names_what_is_not_read() {
    let folder = policies(&["guard"]);
    let deny = r#"{"effect": "forbid", "principal": {"op": "All"}, "action": {"op": "All"},
        "resource": {"op": "All"}, "conditions": []}"#;
    fs::write(folder.path().join("guard/deny.cedar.json"), deny).unwrap();
    fs::write(folder.path().join("guard/guard.CEDAR"), "forbid").unwrap();
    let ended = run(&["validate", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("4 policies"), "{}", ended.out);
}
