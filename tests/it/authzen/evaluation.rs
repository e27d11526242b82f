//! One question: what does not fit the schema, and what is told of a decision.

use serde_json::json;

use super::web::{Web, ask, asking, entity, with};
use crate::support::{stores, stores::store};

/// Everybody may do everything, so that a deny is never for want of a permit.
fn open() -> std::sync::Arc<humbaba::store::PolicyStore> {
    store(
        "open",
        &[
            (
                "schema.cedarschema",
                r#"
                namespace Open {
                    @role entity Role;
                    entity User in [Role] = { level: Long, name?: String };
                    entity Site = { owner: Role, locked?: Bool };
                    entity Plan enum ["free", "paid"];
                    action "group";
                    action "view" in ["group"] appliesTo {
                        principal: User, resource: [Site, Plan], context: { reason: String, count?: Long },
                    };
                    action "name" appliesTo { principal: User, resource: User };
                }
                "#,
            ),
            ("p.cedar", "@id(\"all\") @advice(\"none\") permit (principal, action, resource);"),
            ("store.toml", "[authzen]\nroles = \"assignments\"\n"),
        ],
    )
}

#[tokio::test]
async fn what_does_not_fit_the_schema_is_a_deny_that_says_everything() {
    let web = Web::start([open()]).await;
    let subject = with("User::a", json!({"level": 3}));
    let question = json!({
        "subject": subject, "action": {"name": "view"}, "resource": entity("Site::1"),
        "context": {"reason": "x"},
    });
    assert!(web.decision(&question).await);
    for (part, value, expected) in [
        ("subject", entity("Nobody::a"), &["subject.type: no entity type `Nobody`"][..]),
        ("subject", entity("user::a"), &["subject.type: no entity type `user`"]),
        ("subject", json!({"type": "a::b c\"", "id": "x"}), &["subject.type: no entity type"]),
        ("subject", json!({"type": "User", "id": ""}), &["subject.id: empty"]),
        ("resource", entity("Plan::gold"), &["resource.id: no `Open::Plan` is called `gold`"]),
        (
            "resource",
            with("User::b", json!({"level": 1})),
            &["resource.type: the action `view` does not apply"],
        ),
        (
            "action",
            json!({"name": "veiw"}),
            &["action.name: the schema has no action `veiw`: is it one of `view`"],
        ),
        (
            "action",
            json!({"name": "group"}),
            &["subject.type: the action `group` is only a group", "resource.type: "],
        ),
        (
            "subject",
            entity("User::a"),
            &["subject.properties.level: missing: `Open::User` requires a long"],
        ),
        ("context", json!({}), &["context.reason: missing"]),
        (
            "subject",
            with("User::a", json!({"level": "3", "name": 5})),
            &[
                "subject.properties.level: a long is expected here, not a string",
                "subject.properties.name: a string",
            ],
        ),
        (
            "subject",
            with(
                "User::a",
                json!({"level": 1, "roles": [{"role": "boss", "scope": entity("Site::1")}]}),
            ),
            &[
                "subject.properties.roles[0].role: `Open::Site` has no role `boss`: its roles are `owner`",
            ],
        ),
        (
            "context",
            json!({"reason": "x", "count": 1.5}),
            &["context.count: `1.5` is not a whole number"],
        ),
        (
            "action",
            json!({"name": "view", "properties": {"count": "1"}}),
            &["action.properties.count: a long is expected here, not a string"],
        ),
        (
            "action",
            json!({"name": "view", "properties": {"reason": "y"}}),
            &["context.reason: `action.properties` has another value of that name"],
        ),
    ] {
        let (status, message) = web.fault(&asking(question.clone(), part, value.clone())).await;
        assert_eq!(status, 422);
        for expected in expected {
            assert!(message.contains(expected), "{value}: {message}");
        }
        let count = message.split("; ").count();
        assert_eq!(count, expected.len(), "{value}: {message}");
    }
    // The same value twice is no contradiction, and names that are not declared are ignored.
    let same = json!({"name": "view", "properties": {"reason": "x", "other": 1, "count": null}});
    let question = asking(question, "action", same);
    assert!(
        web.decision(&asking(question.clone(), "context", json!({"reason": "x", "time": 1}))).await
    );
    assert!(web.decision(&asking(question, "context", json!(null))).await);
}

#[tokio::test]
async fn subject_and_resource_may_be_one_entity_and_must_not_disagree() {
    let web = Web::start([open()]).await;
    let question = |subject, resource| {
        let action = json!({"name": "name"});
        json!({"subject": with("User::a", subject), "action": action, "resource": with("Open::User::a", resource)})
    };
    assert!(web.decision(&question(json!({"level": 1}), json!({"name": "x"}))).await);
    assert!(web.decision(&question(json!({"level": 1}), json!({"level": 1}))).await);
    let (_, message) = web.fault(&question(json!({"level": 1}), json!({"level": 2}))).await;
    assert!(
        message.starts_with("resource.properties.level: subject and resource are the same"),
        "{message}"
    );
}

#[tokio::test]
async fn nothing_is_told_of_a_decision_unless_asked_for() {
    let web = Web::start([stores::acme()]).await;
    let question = ask("User::alice", "site.edit", "Site::1");
    assert_eq!(web.evaluation(&question).await, json!({"decision": false}));
    let request = web.request("/access/v1/evaluation").header("x-request-id", "mine");
    let explained = asking(question, "options", json!({"explain": true}));
    let body = http_body_util::Full::new(explained.to_string().into());
    let answer = web.send(request.body(body).unwrap()).await.json();
    let context = &answer["context"];
    assert_eq!(answer["decision"], json!(false));
    assert_eq!(context["revision"], json!(stores::acme().revision().as_str()));
    assert_eq!(context["decision_id"], json!("mine"));
    assert_eq!(context["policies"], json!([]));
    assert!(context["reason"].as_str().unwrap().contains("No policy allows this"), "{context}");

    let locked = json!({
        "subject": entity("User::alice"), "action": {"name": "site.edit"},
        "resource": with("Site::1", json!({"locked": true})), "options": {"explain": true},
    });
    let context = web.evaluation(&locked).await["context"].take();
    assert_eq!(context["policies"], json!(["locked"]));
    assert_eq!(context["advice"], json!(["Unlock the site first."]));
}
