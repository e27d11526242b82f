//! Explanations down to the clause: of a permit that came near the one that was false, of a forbid
//! those that held, with their places and the values that made it so.

use std::sync::Arc;

use humbaba::{
    engine::{ClauseKind, ClauseNote, Explanation, decide},
    model::{Location, OnForbidError, Uid, Value},
    request::{EntityInput, RequestInput, RequestLimits, RoleAssignmentInput},
    store::PolicyStore,
    testing::DEFAULT_NOW,
};

use crate::support::stores;

const SCHEMA: &str = r#"
    @role entity Role;
    entity Group in [Group, Role];
    entity User in [Group, Role] = { active_team?: Team, level?: Long } tags String;
    entity Team = { owner: Role, name?: String };
    entity Site = { owner: Role, viewer: Role, team?: Team, links?: { help?: String } };
    action "edit", "view" appliesTo {
        principal: [User, Group], resource: Site, context: { role?: String, n?: Long }
    };"#;

fn store(policies: &str) -> Arc<PolicyStore> {
    stores::store("s", &[("s.cedarschema", SCHEMA), ("p.cedar", policies)])
}

fn question() -> RequestInput {
    RequestInput {
        principal: Some(Uid::new("User", "alice")),
        action: Some(Uid::action("edit")),
        resource: Some(Uid::new("Site", "1")),
        ..RequestInput::default()
    }
}

fn entity(uid: Uid, attributes: &[(&str, Value)]) -> EntityInput {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    EntityInput { uid: Some(uid), attributes: attributes.collect(), ..EntityInput::default() }
}

fn role(role: &str, scope: Uid) -> RoleAssignmentInput {
    RoleAssignmentInput {
        role: role.to_owned(),
        scope: Some(scope),
        ..RoleAssignmentInput::default()
    }
}

/// Explains a deny.
fn explain(store: &PolicyStore, input: &RequestInput) -> Explanation {
    let request = store.check(input, DEFAULT_NOW, &RequestLimits::default()).unwrap();
    let decision = decide(store.engine(), &request, OnForbidError::Deny);
    assert!(!decision.is_allow());
    store.explain(&request, &decision, OnForbidError::Deny)
}

/// `line:column text`.
fn placed(note: &ClauseNote) -> String {
    let Location { line, column } = note.location.expect("a place");
    format!("{line}:{column} {}", note.text)
}

/// `expression = value in those`.
fn values(note: &ClauseNote) -> Vec<String> {
    let shown = note.values.iter().map(|value| {
        let mut text =
            format!("{} = {}", value.expression, value.value.as_deref().unwrap_or("absent"));
        if !value.is_in.is_empty() {
            text = format!("{text} in {}", value.is_in.join(", "));
        }
        if value.is_in_more > 0 {
            text = format!("{text} and {} more", value.is_in_more);
        }
        text
    });
    shown.collect()
}

/// The only permit of a store, which came near.
fn near(condition: &str, input: &RequestInput) -> ClauseNote {
    let store = store(&format!("permit (principal, action, resource) {condition};"));
    let explanation = explain(&store, input);
    let [near] = <[_; 1]>::try_from(explanation.nearest).unwrap();
    assert_eq!(near.file.as_deref(), Some("s/p.cedar"));
    near.clause
}

#[test]
fn the_first_clause_that_was_false_is_told_with_its_values() {
    let input = RequestInput {
        entities: vec![entity(
            Uid::new("User", "alice"),
            &[("active_team", Value::Entity(Uid::new("Team", "b"))), ("level", Value::Long(2))],
        )],
        role_assignments: vec![role("viewer", Uid::new("Site", "1"))],
        context: vec![("role".to_owned(), Value::String("guest".to_owned()))],
        ..question()
    };
    for (condition, text, expected) in [
        ("when { resource has team }", "resource has team", &["resource.team = absent"][..]),
        (
            "when { principal has level && principal.level > 2 }",
            "principal.level > 2",
            &["principal.level = 2"],
        ),
        (
            "when { principal has active_team && resource has team.name }",
            "resource has team.name",
            &["resource.team = absent"],
        ),
        (
            "when { principal in [resource.owner] }",
            "principal in [resource.owner]",
            &[r#"principal = User::"alice" in Site::"1".viewer"#],
        ),
        (
            r#"when { principal has active_team && principal.active_team == Team::"a" }"#,
            r#"principal.active_team == Team::"a""#,
            &[r#"principal.active_team = Team::"b""#],
        ),
        (
            "when { principal has active_team && principal in principal.active_team.owner }",
            "principal in principal.active_team.owner",
            &[
                r#"principal = User::"alice" in Site::"1".viewer"#,
                r#"principal.active_team = Team::"b""#,
            ],
        ),
        (
            r#"when { (context has role && context.role == "admin") || (context has n) }"#,
            r#"(context has role && context.role == "admin") || (context has n)"#,
            &[r#"context.role = "guest""#, "context.n = absent"],
        ),
        (
            r#"when { principal.hasTag("x") }"#,
            r#"principal.hasTag("x")"#,
            &[r#"principal.getTag("x") = absent"#],
        ),
        (
            r#"when { principal == User::"bob" }"#,
            r#"principal == User::"bob""#,
            &[r#"principal = User::"alice""#],
        ),
    ] {
        let note = near(condition, &input);
        assert_eq!((note.kind, note.text.as_str()), (ClauseKind::When, text));
        assert_eq!(values(&note), expected, "{condition}");
        assert_eq!(note.error, None);
    }
}

#[test]
fn an_unless_that_kept_a_permit_away_is_told_as_a_whole() {
    let input = RequestInput {
        context: vec![("n".to_owned(), Value::Long(7))],
        role_assignments: vec![role("viewer", Uid::new("Site", "1"))],
        ..question()
    };
    let note = near("unless { context has n && context.n == 7 }", &input);
    assert_eq!(note.kind, ClauseKind::Unless);
    assert_eq!(placed(&note), "1:47 context has n && context.n == 7");
    assert_eq!(values(&note), ["context.n = 7"]);
}

#[test]
fn a_permit_that_fails_tells_the_clause_that_failed() {
    let mut input = question();
    input.context = vec![("n".to_owned(), Value::Long(i64::MAX))];
    let note = near("when { context has n } when { context.n + 1 > 0 }", &input);
    assert_eq!(placed(&note), "1:68 context.n + 1 > 0");
    assert_eq!(values(&note), [format!("context.n = {}", i64::MAX)]);
    assert!(note.error.unwrap().contains("overflow"));
}

#[test]
fn the_permits_of_which_most_held_come_first_and_then_those_without_a_role() {
    let store = store(
        r#"
        @id("far") permit (principal is User, action, resource) when { context has n };
        @id("a-role") permit (principal is User, action == Action::"edit", resource)
        when { principal in resource.owner };
        @id("b-fact") permit (principal is User, action == Action::"edit", resource)
        when { context has n };
        @id("c-fact") permit (principal is User, action == Action::"edit", resource)
        when { context has n };
        @id("other-action") permit (principal is User, action == Action::"view", resource is Site)
        when { resource == resource && resource == resource && context has n };
        @id("other-type") permit (principal is Group, action, resource);
        "#,
    );
    let nearest = explain(&store, &question()).nearest;
    let ids: Vec<_> =
        nearest.iter().map(|near| (near.policy_id.as_str(), near.clauses_held)).collect();
    assert_eq!(ids, [("b-fact", 2), ("c-fact", 2), ("a-role", 2)]);
}

#[test]
fn a_scope_is_a_clause_like_others() {
    let store = store(
        r#"@id("named")
        permit (
            principal in Role::"Site::1#owner", // the owner
            action,
            resource
        );"#,
    );
    let input = RequestInput {
        role_assignments: vec![role("viewer", Uid::new("Site", "1"))],
        entities: vec![EntityInput {
            parents: vec![Uid::new("Group", "g")],
            ..entity(Uid::new("User", "alice"), &[])
        }],
        ..question()
    };
    let nearest = explain(&store, &input).nearest;
    assert_eq!(nearest[0].clause.kind, ClauseKind::Principal);
    assert_eq!(placed(&nearest[0].clause), r#"3:13 principal in Role::"Site::1#owner""#);
    assert_eq!(
        values(&nearest[0].clause),
        [r#"principal = User::"alice" in Site::"1".viewer, Group::"g""#]
    );
}

#[test]
fn a_link_is_told_by_its_template() {
    let template = "@id(\"t\")\npermit (principal == ?principal, action, resource);";
    let links = "[[link]]\nid = \"bobs\"\ntemplate = \"t\"\nprincipal = 'User::\"bob\"'\n";
    let store = stores::store(
        "s",
        &[("s.cedarschema", SCHEMA), ("t.cedar", template), ("l.links.toml", links)],
    );
    let [near] = <[_; 1]>::try_from(explain(&store, &question()).nearest).unwrap();
    assert_eq!((near.policy_id.as_str(), near.file.as_deref()), ("bobs", Some("s/t.cedar")));
    assert_eq!(placed(&near.clause), "2:9 principal == ?principal");
    assert_eq!(values(&near.clause), [r#"principal = User::"alice""#]);
}

#[test]
fn of_a_forbid_the_clauses_that_held_are_told() {
    let store = store(
        r#"permit (principal, action, resource);
@id("guard") @advice("ask a friend")
forbid (principal, action == Action::"edit", resource)
when { context has n && context.n > 1 }
unless { context has role && context.role == "admin" }
unless { resource has team };
@id("always")
forbid (principal is User, action, resource);
"#,
    );
    let mut input = question();
    input.context = vec![
        ("n".to_owned(), Value::Long(2)),
        ("role".to_owned(), Value::String("guest".to_owned())),
    ];
    let explanation = explain(&store, &input);
    assert!(explanation.nearest.is_empty(), "a permit applied");
    let told = |id: &str| {
        let obstacle = explanation.obstacles.iter().find(|one| one.policy_id == id).unwrap();
        assert_eq!(obstacle.file.as_deref(), Some("s/p.cedar"));
        let clauses = obstacle.clauses.iter();
        clauses.map(|note| (note.kind, placed(note), values(note))).collect::<Vec<_>>()
    };
    let (when, unless) = (ClauseKind::When, ClauseKind::Unless);
    assert_eq!(
        told("guard"),
        [
            (when, "4:8 context has n".to_owned(), vec!["context.n = 2".to_owned()]),
            (when, "4:25 context.n > 1".to_owned(), vec!["context.n = 2".to_owned()]),
            (
                unless,
                r#"5:30 context.role == "admin""#.to_owned(),
                vec![r#"context.role = "guest""#.to_owned()],
            ),
            (
                unless,
                "6:10 resource has team".to_owned(),
                vec!["resource.team = absent".to_owned()]
            ),
        ]
    );
    let of_scope = "8:9 principal is User".to_owned();
    let value = r#"principal = User::"alice""#.to_owned();
    assert_eq!(told("always"), [(ClauseKind::Principal, of_scope, vec![value])]);
}

#[test]
fn a_forbid_that_failed_tells_where() {
    let store = store(
        "permit (principal, action, resource);
@id(\"guard\") forbid (principal, action, resource) when { context has n && context.n + 1 > 0 };",
    );
    let mut input = question();
    input.context = vec![("n".to_owned(), Value::Long(i64::MAX))];
    let obstacle = explain(&store, &input).obstacles.remove(0);
    assert_eq!(placed(&obstacle.clauses[1]), "2:75 context.n + 1 > 0");
    assert!(obstacle.clauses[1].error.is_some());
}

#[test]
fn long_texts_and_values_are_cut() {
    let long = "x".repeat(5_000);
    let input = RequestInput {
        context: vec![("role".to_owned(), Value::String(long.clone()))],
        entities: vec![EntityInput {
            parents: (0..30).map(|n| Uid::new("Group", n.to_string())).collect(),
            ..entity(Uid::new("User", "alice"), &[])
        }],
        ..question()
    };
    let condition = format!(r#"when {{ context has role && context.role != "{long}" }}"#);
    let note = near(&condition, &input);
    assert!(note.text.len() < 1_100 && note.text.ends_with('…'), "{}", note.text.len());
    let value = note.values[0].value.clone().unwrap();
    assert!(value.len() < 300 && value.ends_with('…'), "{}", value.len());
    let note = near("when { principal in resource.owner }", &input);
    assert_eq!((note.values[0].is_in.len(), note.values[0].is_in_more), (10, 20));
}

#[test]
fn a_request_as_large_as_may_be_is_explained_without_clauses() {
    let store = store("permit (principal, action, resource) when { context has n };");
    let parents: Vec<_> = (0..900).map(|n| Uid::new("Group", n.to_string())).collect();
    let groups = |n: usize| EntityInput {
        parents: parents.clone(),
        ..entity(Uid::new("User", n.to_string()), &[])
    };
    let input = RequestInput { entities: (0..30).map(groups).collect(), ..question() };
    assert!(explain(&store, &input).nearest.is_empty());
}
