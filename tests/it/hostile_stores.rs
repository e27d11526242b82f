//! Stores of which one file would take Cedar all of the stack, the memory or the time: refused by the
//! running server and by `humbaba validate`, which go on.

use std::fs;

use serde_json::Value as Json;

use crate::{
    cli::{policies, run},
    cli_sidecar::{Sidecar, until},
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
