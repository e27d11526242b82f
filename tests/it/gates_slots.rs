//! A role slot that comes into a schema, where old policies reach roles otherwise than by their slots: a role
//! of which the old schema knew nothing was ignored, and may grant something from now on.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    cli::{command, end, run},
    cli_sidecar::{Sidecar, until},
    support::http::{get, post_json},
    symbolic::solver,
};

/// Stores by name, each with its schema, policies and entities.
const STORES: [(&str, &str, &str, &str); 2] = [
    (
        "acting",
        "@role entity Role; entity User in [Role]; entity Doc { owner: Role };
         action read appliesTo { principal: User, resource: Doc, context: { as: Role } };",
        "@id(\"p\") permit (principal, action, resource) when { principal in context.as };",
        "[]",
    ),
    (
        "grouped",
        "@role entity Role in [Grp]; entity Grp; entity User in [Role]; entity Doc { owner: Role };
         action read appliesTo { principal: User, resource: Doc, context: { as?: Role } };",
        "@id(\"p\") permit (principal in Grp::\"staff\", action, resource);",
        r#"[{"uid": {"type": "Role", "id": "Doc::1#editor"}, "attrs": {},
             "parents": [{"type": "Grp", "id": "staff"}]}]"#,
    ),
];

/// Writes all stores, without the new slot or with it.
fn write(folder: &Path, is_new: bool) {
    for (name, schema, policies, entities) in STORES {
        let store = folder.join(name);
        fs::create_dir_all(&store).unwrap();
        let more = if is_new { "owner: Role, editor: Role" } else { "owner: Role" };
        fs::write(store.join("p.cedar"), policies).unwrap();
        fs::write(store.join("e.cedarentities.json"), entities).unwrap();
        fs::write(store.join("store.toml"), "[authzen]\nroles = \"assignments-and-bare\"\n")
            .unwrap();
        fs::write(store.join("s.cedarschema"), schema.replace("owner: Role", more)).unwrap();
    }
}

fn block_on<T>(asked: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked)
}

/// Asks of each store for what somebody with the bare role `editor` may do.
fn answers(sidecar: &Sidecar) -> Vec<Json> {
    let web = sidecar.addresses["web"].as_str().unwrap().parse().unwrap();
    let asked = json!({
        "subject": { "type": "User", "id": "a", "properties": { "roles": ["editor"] } },
        "action": { "name": "read" },
        "resource": { "type": "Doc", "id": "1" },
        "context": { "as": "Doc::1#editor" },
    });
    let asked = asked.to_string();
    let of_store = |(name, ..): (&str, &str, &str, &str)| {
        let path = format!("/stores/{name}/access/v1/evaluation");
        let answer = block_on(post_json(web, &path, &asked));
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        serde_json::from_str::<Json>(&answer.body).unwrap()["decision"].clone()
    };
    STORES.into_iter().map(of_store).collect()
}

#[test]
fn a_slot_of_roles_that_policies_reach_without_it_is_no_small_change() {
    let (old, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(old.path(), false);
    write(new.path(), true);
    let (before, after) = (old.path().to_str().unwrap(), new.path().to_str().unwrap());
    let told = "not comparable: the new schema has a role slot `editor` of `Doc`, which the old policy `p`";
    let ended = end(command(&["diff", before, after]).env("CVC5", "none"));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_eq!(ended.out.matches(told).count(), STORES.len(), "{}", ended.out);
    if solver().is_some() {
        let ended = run(&["prove", after, "--against", before]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert_eq!(ended.out.matches(told).count(), STORES.len(), "{}", ended.out);
    }
}

#[test]
fn a_bare_role_that_was_ignored_grants_nothing_before_its_slot_is_approved() {
    let Some(_) = solver() else { return };
    let folder = TempDir::new().unwrap();
    write(folder.path(), false);
    let sidecar =
        Sidecar::start(folder.path(), &["--require", "no-gains", "--set=reload.first=trust"]);
    assert_eq!(answers(&sidecar), [false, false]);
    write(folder.path(), true);
    let http = sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
    let refusals = until("refusals", || {
        let status: Json = serde_json::from_str(&block_on(get(http, "/status")).body).unwrap();
        let stores = status["stores"].as_array().unwrap();
        let problems: Vec<_> = stores.iter().map(|store| store["problems"].to_string()).collect();
        problems.iter().all(|problems| problems.contains("no-gains")).then_some(problems)
    });
    for problems in refusals {
        assert!(problems.contains("has a role slot `editor` of `Doc`"), "{problems}");
    }
    assert_eq!(answers(&sidecar), [false, false]);
}
