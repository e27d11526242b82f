//! Lists against asking for each entity by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod conditional;
mod random;
mod shipped;

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Eid, EntityUID};

use super::{ListOptions, ListedEntities, Page, list_entities};
use crate::{
    engine::{Engine, decide},
    model::{OnForbidError, Timestamp, Uid},
    request::{Held, ListInput, RequestInput, RequestLimits, Side, check},
};

/// A list that is asked.
struct Asked<'a> {
    engine: &'a Engine,
    held: &'a Held,
    now: Timestamp,
    input: &'a ListInput,
}

impl Asked<'_> {
    /// Lists a page.
    fn page(&self, page: Page<'_>) -> ListedEntities {
        let limits = RequestLimits::default();
        let options = ListOptions {
            held: Some(self.held),
            now: self.now,
            limits: &limits,
            on_forbid_error: OnForbidError::Deny,
        };
        let decide = |request: &_| decide(self.engine, request, OnForbidError::Deny);
        list_entities(self.engine, self.input, page, options, decide).unwrap()
    }

    /// Lists everything, a page of that size after the other: what is allowed, and what is conditional.
    fn pages(&self, size: usize) -> (Vec<EntityUID>, Vec<EntityUID>) {
        let (mut allowed, mut conditional) = (Vec::new(), Vec::new());
        let mut after: Option<String> = None;
        loop {
            let listed = self.page(Page { after: after.as_deref(), size });
            let count = listed.allowed.len() + listed.conditional.len();
            assert!(count <= size, "{count} on a page of {size}");
            allowed.extend(listed.allowed);
            conditional.extend(listed.conditional.into_iter().map(|one| one.entity));
            if listed.next.is_none() {
                return (allowed, conditional);
            }
            assert_eq!(count, size, "only a full page has another after it");
            after = listed.next;
        }
    }

    /// Returns the entities that the list may name, by where they are named.
    fn candidates(&self) -> BTreeSet<EntityUID> {
        let schema = self.engine.schema();
        let entity_type = schema.entity_type(&self.input.entity_type).unwrap();
        let uid = |uid: &Uid| {
            let entity_type = schema.entity_type(&uid.type_name).unwrap().clone();
            EntityUID::from_components(entity_type, Eid::new(uid.id.as_str()), None)
        };
        let facts = &self.held.facts;
        let held = facts.of_type(entity_type).into_iter().filter_map(|place| facts.uid(place));
        let mut all: BTreeSet<_> = held.chain(self.engine.stored().uids().cloned()).collect();
        let ids = schema.entity(entity_type).unwrap().ids.iter().flatten();
        all.extend(ids.map(|id| uid(&Uid::new(self.input.entity_type.clone(), id.as_str()))));
        let sent = &self.input.question;
        all.extend(sent.entities.iter().filter_map(|entity| entity.uid.as_ref()).map(uid));
        for role in &sent.role_assignments {
            all.extend(role.principal.iter().chain(&role.scope).map(uid));
        }
        all.retain(|uid| uid.entity_type() == entity_type);
        all
    }

    /// Returns the question with an entity on its open side.
    fn of(&self, entity: &EntityUID) -> RequestInput {
        let uid = Uid::new(entity.entity_type().to_string(), AsRef::<str>::as_ref(entity.eid()));
        let mut question = self.input.question.clone();
        match self.input.open {
            Side::Principal => question.principal = Some(uid),
            Side::Resource => question.resource = Some(uid),
        }
        question
    }

    fn is_allowed(&self, entity: &EntityUID) -> bool {
        let limits = RequestLimits::default();
        let known = self.engine.known(Some(self.held));
        let request = check(known, &self.of(entity), self.now, &limits).unwrap();
        decide(self.engine, &request, OnForbidError::Deny).is_allow()
    }

    /// Holds the list against asking for each entity.
    fn compare(&self, tally: &mut Tally) -> Result<(), String> {
        let all = self.candidates();
        let mut expected: Vec<_> = all.iter().filter(|uid| self.is_allowed(uid)).collect();
        expected.sort_by(|a, b| AsRef::<str>::as_ref(a.eid()).cmp(b.eid().as_ref()));
        let (allowed, conditional) = self.pages(1_000);
        if !allowed.iter().eq(expected.iter().copied()) {
            return Err(format!("listed {allowed:?}, but allowed are {expected:?}"));
        }
        if let Some(both) = conditional.iter().find(|uid| allowed.contains(uid)) {
            return Err(format!("{both} is both"));
        }
        for size in [1, 2] {
            if self.pages(size) != (allowed.clone(), conditional.clone()) {
                return Err(format!("pages of {size} make another list"));
            }
        }
        let page = self.page(Page { after: None, size: 1_000 });
        tally.lists += 1;
        tally.all += all.len();
        tally.decided += page.allowed.len() + page.conditional.len() + page.denied;
        tally.allowed += allowed.len();
        Ok(())
    }
}

/// Numbers of lists and of the entities in them.
#[derive(Debug, Default)]
struct Tally {
    lists: usize,
    refused: usize,
    all: usize,
    decided: usize,
    allowed: usize,
}
