//! Items that are answered like others, held against what each is answered by itself.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{collections::HashMap, sync::Arc};

use fastrand::Rng;
use prost::Message as _;

use super::{Answer, Answers, Classes, Item, Sent, Shared};
use crate::{
    engine,
    model::OnForbidError,
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, Entity, EntityUid, RoleAssignment, Value,
        ValueSet, value::Kind,
    },
    request::RequestLimits,
    server::{
        convert::{Question, Response},
        decision_id::DecisionId,
    },
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};

/// Every way in which a policy can come upon an entity.
const POLICIES: &str = r#"
@id("held") permit (principal, action == G::Action::"view", resource)
when { principal in [resource.owner, resource.viewer] };
@id("team") permit (principal, action == G::Action::"view", resource)
when { resource has team && principal in resource.team.lead };
@id("named-user") permit (principal == G::User::"1", action == G::Action::"view", resource);
@id("in-condition") permit (principal, action == G::Action::"view", resource)
when { [G::Site::"1", G::Site::"x"].contains(resource) };
@id("singleton") permit (principal, action == G::Action::"view", resource is G::Site)
when { principal in G::Role::"Site::2#owner" };
@id("looked-into") permit (principal, action == G::Action::"view", resource)
when { principal in G::Site::"x".viewer };
@id("patron") permit (principal, action == G::Action::"view", resource)
when { resource has patron && resource.patron == principal };
@id("sees") permit (principal, action == G::Action::"view", resource)
when { principal has sees && principal.sees.contains(resource) };
@id("asked-for") permit (principal, action == G::Action::"view", resource)
when { context has site && context.site == resource };
@id("many") permit (principal, action == G::Action::"view", resource)
when { context has sites && context.sites.contains(resource) };
@id("within") permit (principal, action == G::Action::"view", resource in G::Team::"0");
@id("plan") forbid (principal, action == G::Action::"view", resource)
when { resource has plan && resource.plan == G::Plan::"free" && principal in resource.viewer };
@id("self") permit (principal, action == G::Action::"meet", resource) when { principal == resource };
@id("host") permit (principal, action == G::Action::"meet", resource)
when { principal in resource.host };
@id("friend") forbid (principal, action == G::Action::"meet", resource)
when { principal has friend && principal.friend == resource };
@id("tag") permit (principal, action == G::Action::"meet", resource)
when { principal.hasTag("t") && principal.getTag("t") == resource };
@id("fails") permit (principal, action == G::Action::"fail", resource)
when { context.long + 1 > 0 };
@id("above") permit (principal, action == G::Action::"view", resource)
when { G::User::"3" in principal };
@id("buy") permit (principal, action == G::Action::"buy", resource == G::Plan::"free");
"#;

const SCHEMA: &str = r#"
namespace G {
    entity Role;
    entity Group in [Group, Role];
    entity User in [Group, Role] = { host: Role, friend?: User, sees?: Set<Site> } tags User;
    entity Team in [Team] = { lead: Role };
    entity Plan enum ["free", "paid"];
    entity Site in [Team] =
        { owner: Role, viewer: Role, team?: Team, patron?: User, plan?: Plan };
    action "view" appliesTo {
        principal: [User, Group], resource: Site, context: { site?: Site, sites?: Set<Site> }
    };
    action "meet" appliesTo { principal: User, resource: User };
    action "fail" appliesTo { principal: User, resource: Site, context: { long: Long } };
    action "buy" appliesTo { principal: User, resource: Plan };
}
"#;

const HELD: &str = r#"[
    { "uid": { "type": "G::Site", "id": "3" }, "parents": [{ "type": "G::Team", "id": "1" }],
      "attrs": { "patron": { "__entity": { "type": "G::User", "id": "2" } } } },
    { "uid": { "type": "G::User", "id": "3" }, "parents": [{ "type": "G::Group", "id": "0" }],
      "attrs": {} }
]"#;

fn store() -> PolicyStore {
    let files = [("s.cedarschema", SCHEMA), ("p.cedar", POLICIES), ("f.cedarentities.json", HELD)]
        .map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("g".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|one| one.render()).collect::<String>())
    })
}

/// As long as the name of a decision.
const ID: &str = "019b7a5c-0c00-7000-8000-000000000000";

/// Random batches in which the same few entities meet again and again.
struct Random(Rng);

impl Random {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.usize(..of.len())]
    }

    fn often(&mut self) -> bool {
        self.0.u8(..4) > 0
    }

    fn seldom(&mut self) -> bool {
        self.0.u8(..6) == 0
    }

    fn uid(&mut self, types: &[&str]) -> EntityUid {
        let name = self.one(types);
        let id = match name {
            "Plan" => self.one(&["free", "paid", "none"]),
            "Role" => self.one(&["Site::4#owner", "Site::5#viewer", "User::4#host", "else"]),
            _ => self.one(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a#%:é"]),
        };
        let namespace = if self.0.bool() { "G::" } else { "" };
        EntityUid { r#type: format!("{namespace}{name}"), id: id.to_owned() }
    }

    fn value(&mut self, types: &[&str]) -> Value {
        Value { kind: Some(Kind::Entity(self.uid(types))) }
    }

    fn set(&mut self, types: &[&str]) -> Value {
        let values = (0..self.0.usize(..4)).map(|_| self.value(types)).collect();
        Value { kind: Some(Kind::Set(ValueSet { values })) }
    }

    fn assignment(&mut self) -> RoleAssignment {
        let scope = self.uid(&["Site", "Site", "Site", "Team", "User"]);
        let role = match scope.r#type.rsplit("::").next() {
            Some("Team") => "lead",
            Some("User") => "host",
            _ => self.one(&["owner", "viewer"]),
        };
        let (principal, scope) = (self.seldom(), self.often());
        let seconds = self.one(&[0, 1, 4_000_000_000]);
        let end = prost_types::Timestamp { seconds, nanos: 0 };
        RoleAssignment {
            principal: principal.then(|| self.uid(&["User", "Group"])),
            role: role.to_owned(),
            scope: scope.then(|| self.uid(&["Site"])).filter(|_| role != "lead" && role != "host"),
            expires_at: self.seldom().then_some(end),
        }
        .on(self.uid(&["Team"]), role == "lead")
        .on(self.uid(&["User"]), role == "host")
    }

    fn entity(&mut self) -> Entity {
        let uid = self.uid(&["User", "Group", "Site", "Site", "Team"]);
        let mut entity = Entity { uid: Some(uid.clone()), ..Entity::default() };
        let mut give = |name: &str, value| drop(entity.attributes.insert(name.to_owned(), value));
        match uid.r#type.rsplit("::").next().unwrap() {
            "User" => {
                if self.0.bool() {
                    give("friend", self.value(&["User"]));
                }
                if self.0.bool() {
                    give("sees", self.set(&["Site"]));
                }
                if self.0.bool() {
                    entity.tags.insert("t".to_owned(), self.value(&["User"]));
                }
                entity.parents = (0..self.0.usize(..2)).map(|_| self.uid(&["Group"])).collect();
                if self.seldom() {
                    entity.parents.push(self.uid(&["Role"]));
                }
            }
            "Site" => {
                for (name, kind) in [("team", "Team"), ("patron", "User"), ("plan", "Plan")] {
                    if self.seldom() {
                        give(name, self.value(&[kind]));
                    }
                }
                if self.seldom() {
                    give("owner", self.value(&["Role"]));
                }
                entity.parents = (0..self.0.usize(..2)).map(|_| self.uid(&["Team"])).collect();
            }
            _ => {}
        }
        entity
    }

    fn item(&mut self, action: &str) -> BatchIsAuthorizedItem {
        let resource = match action {
            "meet" => "User",
            "buy" => "Plan",
            _ => "Site",
        };
        let resource = if self.0.u8(..40) == 0 { "Team" } else { resource };
        BatchIsAuthorizedItem {
            principal: self.often().then(|| self.uid(&["User", "User", "User", "Group"])),
            action: self.often().then(|| EntityUid { r#type: String::new(), id: action.into() }),
            resource: self.often().then(|| self.uid(&[resource])),
            explain: self.0.u8(..50) == 0,
            ..BatchIsAuthorizedItem::default()
        }
    }

    fn batch(&mut self) -> BatchIsAuthorizedRequest {
        let actions = ["view", "view", "view", "meet", "meet", "fail", "buy"];
        let action = self.one(&actions);
        let mut context = HashMap::new();
        if action == "view" && self.seldom() {
            context.insert("site".to_owned(), self.value(&["Site"]));
        }
        if action == "view" && self.seldom() {
            context.insert("sites".to_owned(), self.set(&["Site"]));
        }
        if action == "fail" {
            let long = self.one(&[1, i64::MAX]);
            context.insert("long".to_owned(), Value { kind: Some(Kind::Long(long)) });
        }
        let mut entities: Vec<Entity> = Vec::new();
        for _ in 0..self.one(&[0, 0, 1, 3]) {
            let entity = self.entity();
            let id = |entity: &Entity| {
                let uid = entity.uid.clone().unwrap();
                (uid.r#type.replace("G::", ""), uid.id)
            };
            if entities.iter().all(|other| id(other) != id(&entity)) {
                entities.push(entity);
            }
        }
        let of_any = |random: &mut Self| {
            let action = if random.seldom() { random.one(&actions) } else { action };
            random.item(action)
        };
        BatchIsAuthorizedRequest {
            policy_store: String::new(),
            principal: Some(self.uid(&["User"])),
            action: Some(EntityUid { r#type: "Action".to_owned(), id: action.to_owned() }),
            resource: Some(self.uid(&[if action == "meet" { "User" } else { "Site" }])),
            context,
            entities,
            role_assignments: (0..self.one(&[0, 1, 2, 5])).map(|_| self.assignment()).collect(),
            explain: false,
            items: (0..40).map(|_| of_any(self)).collect(),
        }
    }
}

trait On {
    fn on(self, scope: EntityUid, is_it: bool) -> Self;
}

impl On for RoleAssignment {
    fn on(self, scope: EntityUid, is_it: bool) -> Self {
        if is_it { Self { scope: Some(scope), ..self } } else { self }
    }
}

/// How often items were answered like others, by whether it was an allow.
#[derive(Debug, Default)]
struct Again {
    allowed: usize,
    denied: usize,
}

/// Holds every item that would be answered like another against what it is answered by itself.
fn hold(store: &PolicyStore, batch: &BatchIsAuthorizedRequest, again: &mut Again) {
    let limits = RequestLimits::default();
    let message = batch.encode_to_vec();
    let Sent { shared, items } = Sent::read(&message).unwrap();
    let shared = Shared::new(shared, store);
    let facts = shared.facts(&limits);
    let mut classes = Classes::new(store, &facts, &limits);
    for (number, item) in items.iter().enumerate() {
        let item = Item::read(*item, &mut "").unwrap();
        let parties = item.parties();
        let question = shared.question(item.into_message());
        let told = || format!("item {number}: {question:?}\nof {batch:?}");
        let explain = question.explain;
        let checked = Question::of_request(question.clone(), &limits);
        let own = checked.check(store, DEFAULT_NOW, &limits).ok().map(|(request, _)| {
            let decision = engine::decide(store, &request, OnForbidError::Deny);
            let explained = || engine::explain(store, &request, &decision, OnForbidError::Deny);
            let explanation = explain.then(explained);
            Response::new(decision, explanation, DecisionId::new(DEFAULT_NOW))
        });
        let mut answers = Answers::new(1);
        let written = own.as_ref().map(|own| answers.add(own).to_owned());
        let unnamed = |written: &[u8]| written[..written.len() - ID.len()].to_owned();
        let known = parties.as_ref().and_then(|parties| classes.of(parties)?.answer());
        if let Some(known) = known {
            let written = written.as_deref().map(unnamed);
            assert_eq!(Some(unnamed(known.written())), written, "{}", told());
            let is_allow = known.decision().is_allow();
            *(if is_allow { &mut again.allowed } else { &mut again.denied }) += 1;
        } else if let Some(class) = parties.as_ref().and_then(|parties| classes.of(parties))
            && let Some((own, written)) = own.zip(written)
            && let Some(answer) = Answer::of_all_like(own, &written)
        {
            class.keep(answer);
        }
    }
}

#[test]
fn what_is_answered_like_another_would_be_answered_so_by_itself() {
    let store = store();
    let mut again = Again::default();
    for seed in 0..3_000 {
        let batch = Random(Rng::with_seed(seed)).batch();
        hold(&store, &batch, &mut again);
    }
    assert!(again.allowed > 5_000 && again.denied > 5_000, "{again:?}");
}

fn named(name: &str, id: &str) -> Option<EntityUid> {
    Some(EntityUid { r#type: name.to_owned(), id: id.to_owned() })
}

/// How many items would have to be decided.
fn decided(store: &PolicyStore, batch: &BatchIsAuthorizedRequest) -> usize {
    let mut again = Again::default();
    hold(store, batch, &mut again);
    batch.items.len() - again.allowed - again.denied
}

fn view(items: impl IntoIterator<Item = BatchIsAuthorizedItem>) -> BatchIsAuthorizedRequest {
    BatchIsAuthorizedRequest {
        principal: named("User", "alice"),
        action: named("", "view"),
        items: items.into_iter().collect(),
        ..BatchIsAuthorizedRequest::default()
    }
}

fn sites(ids: impl IntoIterator<Item = usize>) -> impl Iterator<Item = BatchIsAuthorizedItem> {
    ids.into_iter().map(|id| BatchIsAuthorizedItem {
        resource: named("Site", &format!("site-{id}")),
        ..BatchIsAuthorizedItem::default()
    })
}

fn role(role: &str, scope: Option<EntityUid>) -> RoleAssignment {
    RoleAssignment { role: role.to_owned(), scope, ..RoleAssignment::default() }
}

#[test]
fn sites_on_which_the_same_roles_are_held_are_decided_once() {
    let store = store();
    let site = |id: usize| named("G::Site", &format!("site-{id}"));
    let with =
        |role_assignments| BatchIsAuthorizedRequest { role_assignments, ..view(sites(0..100)) };
    // Nobody has a role; one has one on the first; on all; either of two on each, or both.
    assert_eq!(decided(&store, &with(Vec::new())), 1);
    assert_eq!(decided(&store, &with(vec![role("viewer", site(0))])), 2);
    assert_eq!(decided(&store, &with(vec![role("viewer", None)])), 1);
    let mut roles: Vec<_> = (0..90).map(|id| role("viewer", site(id))).collect();
    roles.extend((30..60).rev().map(|id| role("owner", site(id))));
    roles.extend((0..90).map(|id| role("viewer", site(id))));
    assert_eq!(decided(&store, &with(roles)), 3);
}

#[test]
fn what_is_named_is_decided_by_itself() {
    let store = store();
    let ids = ["1", "x", "2", "3", "other", "more"];
    let items = ids.map(|id| BatchIsAuthorizedItem {
        resource: named("Site", id),
        ..BatchIsAuthorizedItem::default()
    });
    // Those that policies name, the scope of a Role that one names, and what the store holds.
    assert_eq!(decided(&store, &view(items.clone())), 5);
    let twice = items.clone().into_iter().chain(items);
    assert_eq!(decided(&store, &view(twice)), 5);
}

#[test]
fn an_entity_that_meets_itself_is_not_like_one_that_meets_another() {
    let store = store();
    let meet = |principal: (&str, &str), resource: (&str, &str)| BatchIsAuthorizedItem {
        principal: named(principal.0, principal.1),
        action: named("Action", "meet"),
        resource: named(resource.0, resource.1),
        ..BatchIsAuthorizedItem::default()
    };
    let items = [
        meet(("User", "a"), ("User", "b")),
        meet(("User", "b"), ("G::User", "c")),
        meet(("G::User", "a"), ("User", "a")),
        meet(("User", "d"), ("User", "d")),
        meet(("User", "e"), ("G::User", "e")),
        meet(("User", "d"), ("User", "c")),
    ];
    assert_eq!(decided(&store, &view(items)), 2);
}

#[test]
fn what_is_refused_or_fails_is_never_taken_for_the_answer_to_another() {
    let store = store();
    let mut batch = view(sites(0..10));
    batch.role_assignments.push(role("king", None));
    assert_eq!(decided(&store, &batch), 10);
    let mut batch = view(sites(0..10));
    batch.action = named("", "fail");
    let context = [("long".to_owned(), Value { kind: Some(Kind::Long(i64::MAX)) })];
    batch.context = context.into();
    assert_eq!(decided(&store, &batch), 10);
    // Ids that are too long are refused one by one.
    let long = BatchIsAuthorizedItem {
        resource: named("Site", &"x".repeat(RequestLimits::default().text_bytes + 1)),
        ..BatchIsAuthorizedItem::default()
    };
    assert_eq!(decided(&store, &view(sites(0..2).chain([long]))), 2);
}
