//! The interop of AuthZEN on a list of things to do: five users with roles, and the decisions that were
//! published for them.

use std::sync::Arc;

use humbaba::store::PolicyStore;
use serde_json::{Value as Json, json};

use super::web::{Web, ask, asking, with};
use crate::support::stores::store;

/// A user: the id in questions, the address, the roles.
struct User {
    id: &'static str,
    email: &'static str,
    roles: &'static [&'static str],
}

const USERS: [User; 5] = [
    User {
        id: "CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        email: "rick@the-citadel.com",
        roles: &["admin", "evil_genius"],
    },
    User {
        id: "CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        email: "morty@the-citadel.com",
        roles: &["editor"],
    },
    User {
        id: "CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        email: "summer@the-smiths.com",
        roles: &["editor"],
    },
    User {
        id: "CiRmZDM2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        email: "beth@the-smiths.com",
        roles: &["viewer"],
    },
    User {
        id: "CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs",
        email: "jerry@the-smiths.com",
        roles: &["viewer"],
    },
];

/// May the users, in that order: create; update Rick's; update one's own, of Rick Morty's; delete
/// Rick's; delete one's own, of Rick Morty's? Everybody may read.
const DECISIONS: [[bool; 5]; 5] = [
    [true, true, true, true, true],
    [true, false, true, false, true],
    [true, false, true, false, true],
    [false, false, false, false, false],
    [false, false, false, false, false],
];

fn todo() -> Arc<PolicyStore> {
    let users: Json = USERS
        .iter()
        .map(|user| {
            json!({
                "uid": {"type": "user", "id": user.id},
                "attrs": {"email": user.email, "roles": user.roles},
                "parents": [],
            })
        })
        .collect();
    store(
        "todo",
        &[
            (
                "schema.cedarschema",
                r#"
                entity user = { email?: String, roles?: Set<String> };
                entity todo = { ownerID?: String };
                action "can_read_user" appliesTo { principal: user, resource: user };
                action "can_read_todos", "can_create_todo", "can_update_todo", "can_delete_todo"
                    appliesTo { principal: user, resource: todo };
                "#,
            ),
            (
                "policies.cedar",
                r#"
                permit (principal, action in [Action::"can_read_user", Action::"can_read_todos"], resource)
                when { principal has roles };
                permit (principal, action == Action::"can_create_todo", resource)
                when { principal has roles && principal.roles.containsAny(["admin", "editor"]) };
                permit (principal, action in [Action::"can_update_todo", Action::"can_delete_todo"], resource)
                when {
                    principal has roles && principal.roles.contains("editor")
                    && principal has email && resource has ownerID && principal.email == resource.ownerID
                };
                permit (principal, action == Action::"can_update_todo", resource)
                when { principal has roles && principal.roles.contains("evil_genius") };
                permit (principal, action == Action::"can_delete_todo", resource)
                when { principal has roles && principal.roles.contains("admin") };
                "#,
            ),
            ("users.cedarentities.json", &users.to_string()),
        ],
    )
}

#[tokio::test]
async fn the_forty_published_decisions() {
    let web = Web::start([todo()]).await;
    for (index, (user, decisions)) in USERS.iter().zip(DECISIONS).enumerate() {
        let of =
            |action: &str, resource: &str| ask(&format!("user::{}", user.id), action, resource);
        let rick = with("todo::of-rick", json!({"ownerID": USERS[0].email}));
        let own = if index == 0 { USERS[1].email } else { user.email };
        let own = with("todo::own", json!({"ownerID": own}));
        let on =
            |action: &str, todo: &Json| asking(of(action, "todo::x"), "resource", todo.clone());
        let [create, update_ricks, update_own, delete_ricks, delete_own] = decisions;
        for (question, expected) in [
            (of("can_read_user", "user::beth@the-smiths.com"), true),
            (of("can_read_user", &format!("user::{}", user.email)), true),
            (of("can_read_todos", "todo::todo-1"), true),
            (of("can_create_todo", "todo::todo-1"), create),
            (on("can_update_todo", &rick), update_ricks),
            (on("can_update_todo", &own), update_own),
            (on("can_delete_todo", &rick), delete_ricks),
            (on("can_delete_todo", &own), delete_own),
        ] {
            assert_eq!(
                web.evaluation(&question).await,
                json!({"decision": expected}),
                "{question}"
            );
        }
    }
}

#[tokio::test]
async fn the_three_published_batches_are_answered_literally() {
    let web = Web::start([todo()]).await;
    for (user, other, expected) in
        [(0, 4, [true, true]), (1, 1, [false, true]), (4, 4, [false, false])]
    {
        let todo = |owner: usize| json!({"resource": with("todo::x", json!({"ownerID": USERS[owner].email}))});
        let request = json!({
            "subject": {"type": "user", "id": USERS[user].id},
            "action": {"name": "can_update_todo"},
            "evaluations": [todo(0), todo(other)],
        });
        let [first, second] = expected;
        let answer = json!({"evaluations": [{"decision": first}, {"decision": second}]});
        assert_eq!(web.evaluations(&request).await, answer, "{request}");
    }
}
