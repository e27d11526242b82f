//! The question that all measurements ask, and a store that grows.
//!
//! Measurements reach the product through this folder, so that a change of its API is made here.

#![allow(dead_code)]

use std::{fmt::Write as _, sync::Arc};

use humbaba::{
    engine::{self, Decision},
    model::{OnForbidError, Timestamp, Uid},
    proto::{EntityUid, IsAuthorizedRequest, RoleAssignment},
    request::{Request, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles, embedded_stores},
};

/// The store that is asked.
pub const STORE: &str = "hitkeep";
/// The action that is asked for.
pub const ACTION: &str = "site.goals.create";

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Alice is editor on site 42: may she create a goal there? One inline role assignment, an allow.
pub fn question() -> IsAuthorizedRequest {
    IsAuthorizedRequest {
        policy_store: STORE.to_owned(),
        principal: Some(uid("User", "alice")),
        action: Some(uid("", ACTION)),
        resource: Some(uid("Site", "42")),
        role_assignments: vec![assignment("editor", "42")],
        ..IsAuthorizedRequest::default()
    }
}

pub fn uid(type_name: &str, id: &str) -> EntityUid {
    EntityUid { r#type: type_name.to_owned(), id: id.to_owned() }
}

pub fn assignment(role: &str, site: &str) -> RoleAssignment {
    RoleAssignment {
        role: role.to_owned(),
        scope: Some(uid("Site", site)),
        ..RoleAssignment::default()
    }
}

/// The same question as the core is asked.
pub fn input() -> RequestInput {
    RequestInput {
        principal: Some(Uid::new("User", "alice")),
        action: Some(Uid::action(ACTION)),
        resource: Some(Uid::new("Site", "42")),
        role_assignments: vec![RoleAssignmentInput {
            role: "editor".to_owned(),
            scope: Some(Uid::new("Site", "42")),
            ..RoleAssignmentInput::default()
        }],
        ..RequestInput::default()
    }
}

/// Checks a question that fits the store.
pub fn check(store: &PolicyStore, input: &RequestInput) -> Request {
    store.check(input, NOW, &RequestLimits::default()).expect("the question fits the store")
}

pub fn decide(store: &PolicyStore, request: &Request) -> Decision {
    engine::decide(store.engine(), request, OnForbidError::Deny)
}

/// Shipped HitKeep with more policies.
pub fn hitkeep(more_policies: usize) -> PolicyStore {
    let mut shipped = embedded_stores().into_iter();
    let files = shipped.find(|files| files.name().as_str() == STORE).expect("a shipped store");
    load(files.with_file("growth.cedar", more(more_policies).into_bytes()))
}

/// Policies that do not matter to the question: each is about another principal and another site.
pub fn more(policies: usize) -> String {
    let mut text = String::new();
    for n in 0..policies {
        let _ = writeln!(
            text,
            "@id(\"growth-{n}\")\npermit (principal == HitKeep::User::\"user-{n}\", \
             action in HitKeep::Action::\"site.manage_goals\", \
             resource == HitKeep::Site::\"site-{n}\");"
        );
    }
    text
}

/// Loads a store of which the files are valid.
pub fn load(files: StoreFiles) -> PolicyStore {
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap_or_else(|problems| {
        let problems: Vec<_> = problems.iter().map(|problem| problem.render()).collect();
        panic!("the store is not valid:\n{}", problems.join("\n"));
    })
}
