//! Facts that are left out never grant: of a denied request no fact can be dropped so that it is allowed.
//!
//! For each shipped store: random requests of the facts of its own cases and of its schema. Each fact
//! of a denied one, an attribute, an entry of the context, a role, an entity or a parent, is dropped
//! by itself. What may then be allowed is listed here and, with the same reason in other words, in
//! the README of the store under `## Left out`.

mod requests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use humbaba::{
    engine,
    model::{OnForbidError, Uid, Value},
    request::{RequestInput, RequestLimits, RoleAssignmentInput},
    schema::Shape,
    store::{Bounds, PolicyStore, embedded_stores},
    testing::DEFAULT_NOW,
};
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::support::random::Random;
use requests::Facts;

/// A fact without which a denied request may be allowed.
struct Listed {
    /// As `Fact::name` says it.
    fact: &'static str,
    /// For which actions; none for all.
    actions: &'static [&'static str],
    reason: &'static str,
}

/// Random requests of each store, besides those of its written cases. Some take twenty decisions.
const REQUESTS: usize = 1_000;

#[test]
fn hitkeep() {
    no_deny_becomes_an_allow(
        "hitkeep",
        &[
            Listed {
                fact: "Site.team",
                actions: &[],
                reason: "a site may be asked for without its team: what is known of the team narrows \
                         (HK-21, HK-29, HK-50, HK-51)",
            },
            Listed {
                fact: "Site.retention_by_creator",
                actions: &["site.retention.update"],
                reason: "a restriction that the deployment sets",
            },
            Listed {
                fact: "context.force",
                actions: &["instance.users.delete", "instance.teams.delete"],
                reason: "without it something else is asked for, the deletion that spares the sites \
                         (HK-17)",
            },
            Listed {
                fact: "context.target",
                actions: &["site.members.add"],
                reason: "an invitation goes to an address, and the role is enough (HK-51)",
            },
            Listed {
                fact: "a role of the target",
                actions: &["site.members.add", "team.members.invite"],
                reason: "who is added or invited need not have a role yet; that they are an owner \
                         narrows (HK-48, HK-51)",
            },
            Listed {
                fact: "a role beside another",
                actions: &[],
                reason: "of several roles of one person the least privileged counts when they act, \
                         and the highest when they are removed (HK-21, HK-48)",
            },
        ],
    );
}

#[test]
fn hitkeep_v1() {
    no_deny_becomes_an_allow(
        "hitkeep-v1",
        &[
            Listed {
                fact: "context.target",
                actions: &["site.members.add"],
                reason: "an invitation goes to an address, and the role is enough (HK-51)",
            },
            Listed {
                fact: "a role of the target",
                actions: &["site.members.add", "instance.users.change-role"],
                reason: "who is added need not have a role yet, and a user with no stored role is a \
                         user (HK-01); that they are an owner narrows (HK-48, HK-52)",
            },
            Listed {
                fact: "a role beside another",
                actions: &[],
                reason: "of several roles of one person the highest counts when they are removed or \
                         change their own (HK-48, HK-52)",
            },
        ],
    );
}

#[test]
fn piwik_pro() {
    no_deny_becomes_an_allow(
        "piwik-pro",
        &[
            Listed {
                fact: "User.modules_off",
                actions: &[],
                reason: "all modules are on until an owner switches one off (PW-07)",
            },
            Listed {
                fact: "context.target",
                actions: &[
                    "app.manage-permissions",
                    "administration.manage-permissions",
                    "meta-site.manage-permissions",
                    "users.assign-account-level",
                    "users.grant-owner-access",
                ],
                reason: "the row's own question, which a group as the target needs",
            },
            Listed {
                fact: "a role of the target",
                actions: &[
                    "app.manage-permissions",
                    "administration.manage-permissions",
                    "meta-site.manage-permissions",
                ],
                reason: "that the target is an owner narrows (PW-08)",
            },
        ],
    );
}

#[test]
fn clicky() {
    no_deny_becomes_an_allow(
        "clicky",
        &[Listed {
            fact: "a role of the target",
            actions: &["shared-users.change-level", "shared-users.remove"],
            reason: "that somebody owns the account besides holding a share keeps the share as it is",
        }],
    );
}

#[test]
fn kissmetrics() {
    no_deny_becomes_an_allow(
        "kissmetrics",
        &[
            Listed {
                fact: "User.export_disabled",
                actions: &["data.export"],
                reason: "a restriction that somebody sets",
            },
            Listed {
                fact: "Account.approval_required",
                actions: &[],
                reason: "a restriction that the account sets (KM-22)",
            },
            Listed {
                fact: "context.user_affected",
                actions: &["users.invite"],
                reason: "the invitee has no account yet",
            },
            Listed {
                fact: "context.record",
                actions: &[],
                reason: "an obligation of the allow; one that is sent is checked (KM-23)",
            },
            Listed {
                fact: "a role of the target",
                actions: &["users.invite"],
                reason: "who is invited has no role yet (KM-22)",
            },
            Listed {
                fact: "a role beside another",
                actions: &[],
                reason: "a lower level beside Admin: temporary (KM-22); the Owner narrows (KM-01)",
            },
        ],
    );
}

/// A policy that grants where something is not said is found.
#[test]
fn a_guard_that_does_not_fire_without_its_fact_is_found() {
    let planted = r#"@id("planted")
        forbid (principal, action == HitKeepV1::Action::"site.view", resource)
        when { principal is HitKeepV1::ApiClient && principal has owner
            && principal.owner == HitKeepV1::User::"carol" };
        @id("planted-permit")
        permit (principal is HitKeepV1::ApiClient, action == HitKeepV1::Action::"site.view", resource)
        when { principal has revoked && !principal.revoked };"#;
    let files = embedded_stores().into_iter().find(|files| files.name().as_str() == "hitkeep-v1");
    let files = files.unwrap().with_file("planted.cedar", planted.as_bytes());
    let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
    let found = found(&store);
    assert!(found.keys().any(|(fact, _)| fact == "ApiClient.owner"), "{:?}", found.keys());
}

fn no_deny_becomes_an_allow(name: &str, listed: &[Listed]) {
    let files = embedded_stores().into_iter().find(|files| files.name().as_str() == name).unwrap();
    let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
    let found = found(&store);
    // One fact of an entity is listed, for each takes several.
    let is_listed = |facts: &str, action: &str| {
        facts.split(" and ").any(|fact| {
            listed.iter().any(|listed| {
                listed.fact == fact
                    && (listed.actions.is_empty() || listed.actions.contains(&action))
            })
        })
    };
    let mut others: BTreeMap<&str, Vec<(&str, &RequestInput)>> = BTreeMap::new();
    for ((fact, action), input) in &found {
        if !is_listed(fact, action) {
            others.entry(fact).or_default().push((action, input));
        }
    }
    let others: Vec<_> = others
        .iter()
        .map(|(fact, denied)| {
            let actions: Vec<_> = denied.iter().map(|(action, _)| *action).collect();
            let actions = actions.join(", ");
            format!("without `{fact}` is allowed {actions}, for one:\n  {:?}", denied[0].1)
        })
        .collect();
    assert!(others.is_empty(), "{name}: {} not listed\n{}", others.len(), others.join("\n"));
    for Listed { fact, reason, .. } in listed {
        let is_found =
            found.keys().any(|(found, action)| found == fact && is_listed(found, action));
        assert!(is_found, "{name}: `{fact}` is listed in vain ({reason})");
    }
    let facts: BTreeSet<_> = listed.iter().map(|listed| listed.fact.to_owned()).collect();
    assert_eq!(listed_in_readme(&store), facts, "{name}: the README under `## Left out`");
}

/// The facts that the README of a store lists: `` - `Site.team`: … `` under `## Left out`.
fn listed_in_readme(store: &PolicyStore) -> BTreeSet<String> {
    let readme = store.files().get("README.md").expect("each store has a README");
    let readme = std::str::from_utf8(readme).unwrap();
    let (_, section) = readme.split_once("## Left out\n").expect("a section `## Left out`");
    let section = section.split("\n## ").next().unwrap_or_default();
    let fact = |line: &str| Some(line.strip_prefix("- `")?.split_once('`')?.0.to_owned());
    section.lines().filter_map(fact).collect()
}

/// A fact of a request.
enum Fact {
    Context(usize),
    Attribute(usize, usize),
    Parent(usize, usize),
    Tag(usize, usize),
    Entity(usize),
    Role(usize),
}

impl Fact {
    fn all(input: &RequestInput) -> Vec<Self> {
        // The time is added where it is not sent: it is never left out.
        let context = input.context.iter().enumerate().filter(|(_, (name, _))| name != "now");
        let mut all: Vec<_> = context.map(|(at, _)| Self::Context(at)).collect();
        all.extend((0..input.role_assignments.len()).map(Self::Role));
        for (at, entity) in input.entities.iter().enumerate() {
            all.push(Self::Entity(at));
            all.extend(
                (0..entity.attributes.len()).map(|attribute| Self::Attribute(at, attribute)),
            );
            all.extend((0..entity.parents.len()).map(|parent| Self::Parent(at, parent)));
            all.extend((0..entity.tags.len()).map(|tag| Self::Tag(at, tag)));
        }
        all
    }

    fn drop_from(&self, input: &RequestInput) -> RequestInput {
        let mut input = input.clone();
        match *self {
            Self::Context(at) => drop(input.context.remove(at)),
            Self::Attribute(at, attribute) => {
                drop(input.entities[at].attributes.remove(attribute));
            }
            Self::Parent(at, parent) => drop(input.entities[at].parents.remove(parent)),
            Self::Tag(at, tag) => drop(input.entities[at].tags.remove(tag)),
            Self::Entity(at) => drop(input.entities.remove(at)),
            Self::Role(at) => drop(input.role_assignments.remove(at)),
        }
        input
    }

    /// The attributes of an entity; nothing of other facts.
    fn parts(&self, input: &RequestInput) -> Vec<Self> {
        let Self::Entity(at) = *self else { return Vec::new() };
        let is_part = |fact: &Self| match *fact {
            Self::Attribute(of, _) | Self::Parent(of, _) | Self::Tag(of, _) => of == at,
            _ => false,
        };
        Self::all(input).into_iter().filter(is_part).collect()
    }

    /// The fact as the list spells it.
    fn name(&self, input: &RequestInput) -> String {
        let of = |at: usize| input.entities[at].uid.as_ref().map(short_type).unwrap_or_default();
        match *self {
            Self::Context(at) => format!("context.{}", input.context[at].0),
            Self::Attribute(at, attribute) => {
                format!("{}.{}", of(at), input.entities[at].attributes[attribute].0)
            }
            Self::Parent(at, parent) => {
                format!("{} in {}", of(at), short_type(&input.entities[at].parents[parent]))
            }
            Self::Tag(at, tag) => format!("{}.{}", of(at), input.entities[at].tags[tag].0),
            Self::Entity(at) => of(at),
            Self::Role(at) => {
                let dropped = &input.role_assignments[at];
                let is_beside = |other: &RoleAssignmentInput| {
                    let mut types = [dropped, other]
                        .map(|role| role.scope.as_ref().map(short_type).unwrap_or_default());
                    types.sort();
                    other != dropped
                        && other.principal == dropped.principal
                        && (other.scope == dropped.scope || types == ["Site", "Team"])
                };
                let is_target = input.context.iter().any(|(name, value)| {
                    matches!(name.as_str(), "target" | "user_affected")
                        && dropped
                            .principal
                            .as_ref()
                            .is_some_and(|who| *value == Value::Entity(who.clone()))
                });
                if input.role_assignments.iter().any(is_beside) {
                    "a role beside another".to_owned()
                } else if is_target {
                    "a role of the target".to_owned()
                } else {
                    "a role".to_owned()
                }
            }
        }
    }
}

fn short_type(uid: &Uid) -> String {
    uid.type_name.rsplit("::").next().unwrap_or_default().to_owned()
}

/// A denied request for each fact without which one is allowed, and for each action.
fn found(store: &PolicyStore) -> BTreeMap<(String, String), RequestInput> {
    let facts = Facts::of(store);
    let mut random = Random::new(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let requests = (0..REQUESTS).map(|_| facts.request(store, &mut random));
    let mut found = BTreeMap::new();
    let mut denied = 0;
    for input in facts.written.iter().cloned().chain(requests) {
        if is_allowed(store, &input) != Some(false) {
            continue;
        }
        denied += 1;
        let grants = |fact: &Fact| is_allowed(store, &fact.drop_from(&input)) == Some(true);
        for fact in Fact::all(&input).iter().filter(|fact| grants(fact)) {
            let parts = fact.parts(&input);
            // The effect of one of its parts is found with that part.
            if parts.iter().any(grants) {
                continue;
            }
            let name = match parts.as_slice() {
                [] => fact.name(&input),
                parts => {
                    let names: Vec<_> = parts.iter().map(|part| part.name(&input)).collect();
                    names.join(" and ")
                }
            };
            let action = input.action.as_ref().map(|action| action.id.clone());
            let at = (name, action.unwrap_or_default());
            found.entry(at).or_insert_with(|| input.clone());
        }
    }
    assert!(denied > REQUESTS / 4, "{}: only {denied} were denied", store.name());
    found
}

/// None for bad input.
fn is_allowed(store: &PolicyStore, input: &RequestInput) -> Option<bool> {
    let request = store.check(input, DEFAULT_NOW, &RequestLimits::default()).ok()?;
    Some(engine::decide(store.engine(), &request, OnForbidError::Deny).is_allow())
}

/// The random values come from the schema too: each optional attribute of each type occurs in some
/// case, or the test could not drop it.
#[test]
fn every_optional_attribute_occurs_in_a_case() {
    for name in ["hitkeep", "hitkeep-v1"] {
        let files = embedded_stores().into_iter().find(|files| files.name().as_str() == name);
        let store = PolicyStore::load(Arc::new(files.unwrap()), &Bounds::default()).unwrap();
        let facts = Facts::of(&store);
        for entity in store.schema().entities() {
            let of_type = entity.entity_type.to_string();
            let of_type = of_type.rsplit("::").next().unwrap_or_default();
            for (attribute, field) in &entity.attributes.fields {
                let is_slot =
                    matches!(&field.shape, Shape::Entity(of) if of.to_string().ends_with("::Role"));
                let known = facts.attributes.get(of_type);
                let occurs = known.is_some_and(|known| {
                    known.iter().any(|(name, _)| name.as_str() == attribute.as_str())
                });
                assert!(is_slot || occurs, "{name}: {of_type}.{attribute} occurs in no case");
            }
        }
    }
}
