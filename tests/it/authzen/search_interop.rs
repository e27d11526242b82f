//! The interop of AuthZEN on searches: six users, twenty records, and the results that were published.

use std::{collections::BTreeSet, sync::Arc};

use humbaba::store::PolicyStore;
use serde_json::{Value as Json, json};

use super::web::{Web, entity};
use crate::support::stores::store;

/// Id, role and department of each user.
const USERS: [(&str, &str, &str); 6] = [
    ("alice", "manager", "Sales"),
    ("bob", "employee", "Legal"),
    ("carol", "contractor", "Legal"),
    ("dan", "manager", "Finance"),
    ("erin", "employee", "Finance"),
    ("felix", "contractor", "Accounting"),
];

/// Department of the records from 101 on; their owners are the users in turn.
const DEPARTMENTS: [&str; 20] = [
    "Legal",
    "Legal",
    "Legal",
    "Accounting",
    "Legal",
    "Accounting",
    "Sales",
    "Legal",
    "Accounting",
    "Sales",
    "Accounting",
    "Legal",
    "Sales",
    "Accounting",
    "Finance",
    "Legal",
    "Legal",
    "Accounting",
    "Legal",
    "Accounting",
];

const ALL: [u32; 20] = [
    101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119,
    120,
];

/// The records that each user may view, edit and delete, as they were published.
const PUBLISHED: [(&str, [&[u32]; 3]); 6] = [
    ("alice", [&ALL, &[101, 107, 110, 113, 119], &[101, 107, 113, 119]]),
    (
        "bob",
        [
            &[101, 102, 103, 105, 108, 112, 114, 116, 117, 119, 120],
            &[102, 108, 114, 120],
            &[102, 108, 114, 120],
        ],
    ),
    (
        "carol",
        [
            &[101, 102, 103, 105, 108, 109, 112, 115, 116, 117, 119],
            &[103, 109, 115],
            &[103, 109, 115],
        ],
    ),
    ("dan", [&ALL, &[104, 110, 115, 116], &[104, 110, 116]]),
    ("erin", [&[105, 111, 115, 117], &[105, 111, 117], &[105, 111, 117]]),
    ("felix", [&[104, 106, 109, 111, 112, 114, 118, 120], &[106, 112, 118], &[106, 112, 118]]),
];

const ACTIONS: [&str; 3] = ["view", "edit", "delete"];

fn records() -> Arc<PolicyStore> {
    let uid = |type_name: &str, id: &str| json!({"type": type_name, "id": id});
    let users = USERS.iter().map(|(id, role, department)| {
        let attributes = json!({"role": role, "department": department});
        json!({"uid": uid("user", id), "attrs": attributes, "parents": []})
    });
    let records = ALL.iter().zip(DEPARTMENTS).zip(USERS.iter().cycle());
    let records = records.map(|((id, department), (owner, ..))| {
        let owner = json!({"__entity": uid("user", owner)});
        let attributes = json!({"department": department, "owner": owner});
        json!({"uid": uid("record", &id.to_string()), "attrs": attributes, "parents": []})
    });
    let entities: Json = users.chain(records).collect();
    store(
        "records",
        &[
            (
                "schema.cedarschema",
                r#"
                entity user = { role: String, department: String };
                entity record = { department: String, owner: user };
                action "view", "edit", "delete" appliesTo { principal: user, resource: record };
                "#,
            ),
            (
                "policies.cedar",
                r#"
                permit (principal, action, resource) when { resource.owner == principal };
                permit (principal, action == Action::"view", resource)
                when { principal.department == resource.department || principal.role == "manager" };
                permit (principal, action == Action::"edit", resource)
                when { principal.role == "manager" && principal.department == resource.department };
                "#,
            ),
            ("facts.cedarentities.json", &entities.to_string()),
        ],
    )
}

/// The results of a search that tells of nothing else, as texts.
async fn search(web: &Web, side: &str, field: &str, request: &Json) -> BTreeSet<String> {
    let answer = web.post(&format!("/access/v1/search/{side}"), request).await.json();
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    let results = answer["results"].as_array().unwrap();
    let found = results.iter().map(|result| result[field].as_str().unwrap().to_owned());
    let found: BTreeSet<_> = found.collect();
    assert_eq!(found.len(), results.len(), "no result is there twice");
    found
}

fn may(user: &str, action: usize, record: u32) -> bool {
    let of_user = PUBLISHED.iter().find(|(id, _)| *id == user).unwrap();
    of_user.1[action].contains(&record)
}

#[tokio::test]
async fn resources_are_those_that_were_published() {
    let web = Web::start([records()]).await;
    for (user, of_user) in PUBLISHED {
        for (action, expected) in ACTIONS.iter().zip(of_user) {
            let request = json!({
                "subject": {"type": "user", "id": user}, "action": {"name": action},
                "resource": {"type": "record"},
            });
            let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(search(&web, "resource", "id", &request).await, expected, "{request}");
        }
    }
}

#[tokio::test]
async fn subjects_are_those_that_were_published() {
    let web = Web::start([records()]).await;
    for record in ALL {
        for (number, action) in ACTIONS.iter().enumerate() {
            let request = json!({
                "subject": {"type": "user"}, "action": {"name": action},
                "resource": {"type": "record", "id": record.to_string()},
            });
            let users = USERS.iter().map(|(id, ..)| *id).filter(|id| may(id, number, record));
            let expected: BTreeSet<_> = users.map(str::to_owned).collect();
            assert_eq!(search(&web, "subject", "id", &request).await, expected, "{request}");
        }
    }
}

#[tokio::test]
async fn actions_are_those_that_were_published() {
    let web = Web::start([records()]).await;
    for (user, ..) in USERS {
        for record in ALL {
            let request = json!({
                "subject": {"type": "user", "id": user},
                "resource": {"type": "record", "id": record.to_string()},
            });
            let actions =
                ACTIONS.iter().enumerate().filter(|(number, _)| may(user, *number, record));
            let expected: BTreeSet<_> = actions.map(|(_, name)| (*name).to_owned()).collect();
            assert_eq!(search(&web, "action", "name", &request).await, expected, "{request}");
        }
    }
    let unknown = json!({"subject": entity("user::zoe"), "resource": entity("record::101")});
    assert_eq!(search(&web, "action", "name", &unknown).await, BTreeSet::new());
}
