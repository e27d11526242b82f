//! The engine against Cedar's own authorizer on the whole policy set, on random input.

use std::{
    collections::{BTreeSet, HashMap},
    str::FromStr,
};

use cedar_policy::{
    AuthorizationError, Authorizer, Decision, Entities, EntityUid, PolicyId, PolicySet, Request,
    Schema, SlotId,
};
use humbaba::{
    engine::{CedarDecision, EvaluationFailure, Slices, evaluate},
    model::{Effect, OnForbidError},
};
use proptest::prelude::*;

/// A decision in a form in which two engines can be compared.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub allow: bool,
    pub reasons: BTreeSet<String>,
    pub errors: BTreeSet<(String, String)>,
}

impl Answer {
    pub fn of_cedar(request: &Request, policies: &PolicySet, entities: &Entities) -> Self {
        let response = Authorizer::new().is_authorized(request, policies, entities);
        let errors = response.diagnostics().errors().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => {
                (error.policy_id().to_string(), error.inner().to_string())
            }
        });
        Self {
            allow: response.decision() == Decision::Allow,
            reasons: response.diagnostics().reason().map(ToString::to_string).collect(),
            errors: errors.collect(),
        }
    }

    pub fn of_outcome(outcome: &CedarDecision) -> Self {
        let errors = outcome.errors.iter();
        Self {
            allow: outcome.effect == Effect::Allow,
            reasons: outcome.determining().map(ToOwned::to_owned).collect(),
            errors: errors
                .map(|e: &EvaluationFailure| (e.policy_id.clone(), e.message.clone()))
                .collect(),
        }
    }
}

/// The policies of a set arranged as the engine does it at load.
pub fn slices(policies: &PolicySet, schema: &Schema) -> Slices {
    let actions: Vec<_> = schema
        .action_entities()
        .unwrap()
        .iter()
        .map(|action| {
            let action: &cedar_policy_core::ast::Entity = action.as_ref();
            (action.uid().clone(), action.ancestors().cloned().collect())
        })
        .collect();
    let set: &cedar_policy_core::ast::PolicySet = policies.as_ref();
    Slices::new(set.policies(), &actions)
}

const SCHEMA: &str = r#"
    entity Group in [Group];
    entity User in [Group] { level: Long, boss?: User, banned?: Bool };
    entity Folder in [Folder];
    entity Document in [Folder] { owner: User, public?: Bool };
    action all;
    action write in [all];
    action read, list in [all] appliesTo { principal: [User, Group], resource: [Document, Folder], context: { n: Long, who?: User } };
    action edit, delete in [write] appliesTo { principal: [User, Group], resource: [Document, Folder], context: { n: Long, who?: User } };
"#;

fn principal() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..3u8).prop_map(|n| format!("User::\"{n}\"")),
        (0..3u8).prop_map(|n| format!("Group::\"{n}\""))
    ]
}

fn resource() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..3u8).prop_map(|n| format!("Document::\"{n}\"")),
        (0..3u8).prop_map(|n| format!("Folder::\"{n}\""))
    ]
}

fn action() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["all", "write", "read", "list", "edit", "delete"])
        .prop_map(|action| format!("Action::\"{action}\""))
}

fn scope(
    variable: &'static str,
    types: [&'static str; 2],
    uid: BoxedStrategy<String>,
    slot: bool,
) -> BoxedStrategy<String> {
    let ty = prop::sample::select(types.to_vec());
    let uid = if slot { Just(format!("?{variable}")).boxed() } else { uid };
    let named = prop_oneof![
        uid.clone().prop_map(move |uid| format!("{variable} == {uid}")),
        uid.clone().prop_map(move |uid| format!("{variable} in {uid}")),
        (ty.clone(), uid).prop_map(move |(ty, uid)| format!("{variable} is {ty} in {uid}")),
    ];
    if slot {
        return named.boxed();
    }
    prop_oneof![
        2 => Just(variable.to_owned()),
        1 => ty.prop_map(move |ty| format!("{variable} is {ty}")),
        3 => named,
    ]
    .boxed()
}

fn action_scope() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("action".to_owned()),
        action().prop_map(|action| format!("action == {action}")),
        action().prop_map(|action| format!("action in {action}")),
        prop::collection::vec(action(), 0..3)
            .prop_map(|actions| format!("action in [{}]", actions.join(", "))),
    ]
}

/// Conditions of which many hold, many do not, and some cannot be evaluated.
fn condition() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "true",
        "false",
        "context.n < 3",
        "principal has banned && principal.banned",
        "principal.level > 1",
        "principal.boss.level > 1",
        "resource.owner == principal",
        "resource has public && resource.public",
        "principal in resource.owner",
        "principal in Group::\"1\"",
        "resource in Folder::\"0\"",
        "action in Action::\"write\"",
        "context.who == principal",
        "context has who && context.who in Group::\"2\"",
        "context.n + 9223372036854775807 > 0",
        "context.n == \"text\"",
        "context.n < \"text\"",
        "context.n",
        "principal is User && [1, 2].contains(context.n)",
        "Group::\"9\".level == 1",
        "ip(\"not an address\").isLoopback()",
    ]);
    let atom = atom.prop_map(|atom| format!("({atom})"));
    atom.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

fn policy(principal_slot: bool, resource_slot: bool) -> impl Strategy<Value = String> {
    (
        prop::sample::select(vec!["permit", "permit", "forbid"]),
        scope("principal", ["User", "Group"], principal().boxed(), principal_slot),
        action_scope(),
        scope("resource", ["Document", "Folder"], resource().boxed(), resource_slot),
        prop::collection::vec((prop::sample::select(vec!["when", "unless"]), condition()), 0..3),
    )
        .prop_map(|(effect, principal, action, resource, conditions)| {
            let conditions: String =
                conditions.iter().map(|(word, c)| format!(" {word} {{ {c} }}")).collect();
            format!("{effect} ({principal}, {action}, {resource}){conditions};")
        })
}

#[derive(Debug)]
struct Template {
    text: String,
    principal: Option<String>,
    resource: Option<String>,
}

fn template() -> impl Strategy<Value = Template> {
    (any::<bool>(), any::<bool>(), principal(), resource())
        .prop_filter("a template has a slot", |(p, r, ..)| *p || *r)
        .prop_flat_map(|(p, r, principal, resource)| {
            policy(p, r).prop_map(move |text| Template {
                text,
                principal: p.then(|| principal.clone()),
                resource: r.then(|| resource.clone()),
            })
        })
}

/// Entities with attributes and parents of which some are missing.
fn entities() -> impl Strategy<Value = String> {
    let of_type = |ty: &'static str,
                   parent: &'static str,
                   attributes: BoxedStrategy<serde_json::Value>| {
        let one = (prop::collection::vec(0..3u8, 0..3), attributes, any::<bool>());
        prop::collection::vec(one, 3).prop_map(move |entities| {
            let entities = entities.into_iter().enumerate().filter(|(_, (.., there))| *there);
            entities
                .map(|(id, (parents, attrs, _))| {
                    // Groups and folders are only in those of a higher number: no circles.
                    let parents = parents.into_iter().filter(|parent| ty != parent_type(ty) || usize::from(*parent) > id);
                    let parents: BTreeSet<u8> = parents.collect();
                    let parents: Vec<_> =
                        parents.iter().map(|p| serde_json::json!({ "type": parent, "id": p.to_string() })).collect();
                    serde_json::json!({ "uid": { "type": ty, "id": id.to_string() }, "attrs": attrs, "parents": parents })
                })
                .collect::<Vec<_>>()
        })
    };
    let user = (0..4i64, prop::option::of(0..3u8), prop::option::of(any::<bool>())).prop_map(
        |(level, boss, banned)| {
            let mut attrs = serde_json::json!({ "level": level });
            if let Some(boss) = boss {
                attrs["boss"] =
                    serde_json::json!({ "__entity": { "type": "User", "id": boss.to_string() } });
            }
            if let Some(banned) = banned {
                attrs["banned"] = banned.into();
            }
            attrs
        },
    );
    let document = (0..3u8, prop::option::of(any::<bool>())).prop_map(|(owner, public)| {
        let mut attrs = serde_json::json!({ "owner": { "__entity": { "type": "User", "id": owner.to_string() } } });
        if let Some(public) = public {
            attrs["public"] = public.into();
        }
        attrs
    });
    let none = || Just(serde_json::json!({})).boxed();
    (
        of_type("User", "Group", user.boxed()),
        of_type("Group", "Group", none()),
        of_type("Document", "Folder", document.boxed()),
        of_type("Folder", "Folder", none()),
    )
        .prop_map(|(a, b, c, d)| serde_json::Value::from([a, b, c, d].concat()).to_string())
}

fn parent_type(ty: &str) -> &str {
    match ty {
        "User" => "Group",
        "Document" => "Folder",
        own => own,
    }
}

fn policy_set(policies: &[String], templates: &[Template]) -> PolicySet {
    let mut set = PolicySet::from_str(&policies.concat()).unwrap();
    for (n, template) in templates.iter().enumerate() {
        let id = PolicyId::new(format!("template{n}"));
        set.add_template(cedar_policy::Template::parse(Some(id.clone()), &template.text).unwrap())
            .unwrap();
        let uid = |text: &String| text.parse::<EntityUid>().unwrap();
        let slots: HashMap<_, _> = [
            (SlotId::principal(), template.principal.as_ref().map(uid)),
            (SlotId::resource(), template.resource.as_ref().map(uid)),
        ]
        .into_iter()
        .filter_map(|(slot, uid)| Some((slot, uid?)))
        .collect();
        set.link(id, PolicyId::new(format!("link{n}")), slots).unwrap();
    }
    set
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_answers_like_cedar(
        policies in prop::collection::vec(policy(false, false), 0..12),
        templates in prop::collection::vec(template(), 0..4),
        entities in entities(),
        requests in prop::collection::vec((principal(), action(), resource(), 0..5i64, prop::option::of(0..3u8)), 8),
    ) {
        let schema = Schema::from_str(SCHEMA).unwrap();
        let set = policy_set(&policies, &templates);
        let entities = Entities::from_json_str(&entities, Some(&schema)).unwrap();
        let slices = slices(&set, &schema);
        for (principal, action, resource, n, who) in requests {
            let mut context = serde_json::json!({ "n": n });
            if let Some(who) = who {
                context["who"] = serde_json::json!({ "__entity": { "type": "User", "id": who.to_string() } });
            }
            let context = cedar_policy::Context::from_json_value(context, None).unwrap();
            let uid = |text: &str| text.parse::<EntityUid>().unwrap();
            let request = Request::new(uid(&principal), uid(&action), uid(&resource), context, None).unwrap();
            let ours = evaluate(&slices, request.as_ref(), entities.as_ref(), OnForbidError::Skip);
            prop_assert_eq!(Answer::of_outcome(&ours), Answer::of_cedar(&request, &set, &entities));

            // A forbid that fails denies by default, and changes nothing else.
            let strict = evaluate(&slices, request.as_ref(), entities.as_ref(), OnForbidError::Deny);
            let set: &cedar_policy_core::ast::PolicySet = set.as_ref();
            let forbid_failed = strict.errors.iter().any(|error| {
                let id = cedar_policy_core::ast::PolicyID::from_string(&error.policy_id);
                set.get(&id).unwrap().effect() == cedar_policy_core::ast::Effect::Forbid
            });
            prop_assert_eq!(strict.effect == Effect::Allow, ours.effect == Effect::Allow && !forbid_failed);
        }
    }
}
