//! A batch as single questions: what an item leaves out is taken from the batch.

use std::collections::HashSet;

use cedar_policy_core::ast::EntityType;

use crate::{
    proto::{BatchIsAuthorizedItem, BatchIsAuthorizedRequest, EntityUid, IsAuthorizedRequest},
    request::{RequestInput, RequestLimits},
    server::convert::Question,
    store::PolicyStore,
};

/// The fields that all items of a batch share.
pub(in crate::server) struct Shared<'a> {
    store: &'a PolicyStore,
    batch: BatchIsAuthorizedRequest,
}

/// An entity, whichever way its type is written.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Known(&'a EntityType, &'a str),
    Unknown(&'a EntityUid),
}

impl<'a> Shared<'a> {
    pub fn new(batch: BatchIsAuthorizedRequest, store: &'a PolicyStore) -> Self {
        Self { store, batch }
    }

    /// The item's question. Its own entities come first, so that a path into them is the same as in
    /// the item.
    pub fn question(&self, item: BatchIsAuthorizedItem) -> IsAuthorizedRequest {
        let batch = &self.batch;
        let mut question = IsAuthorizedRequest {
            policy_store: String::new(),
            principal: item.principal.or_else(|| batch.principal.clone()),
            action: item.action.or_else(|| batch.action.clone()),
            resource: item.resource.or_else(|| batch.resource.clone()),
            context: item.context,
            entities: item.entities,
            role_assignments: item.role_assignments,
            explain: item.explain || batch.explain,
        };
        for (name, value) in &batch.context {
            if !question.context.contains_key(name) {
                question.context.insert(name.clone(), value.clone());
            }
        }
        if question.role_assignments.is_empty() {
            question.role_assignments.clone_from(&batch.role_assignments);
        }
        self.add_entities(&mut question);
        question
    }

    /// What an item that says nothing has. What cannot be read of it is left out: then no item that
    /// shares it is answered.
    pub fn facts(&self, limits: &RequestLimits) -> RequestInput {
        let question = self.question(BatchIsAuthorizedItem::default());
        Question::of_request(question, limits).input
    }

    fn add_entities(&self, question: &mut IsAuthorizedRequest) {
        let shared = &self.batch.entities;
        if question.entities.is_empty() {
            question.entities.clone_from(shared);
            return;
        }
        let own: HashSet<_> = question
            .entities
            .iter()
            .flat_map(|entity| &entity.uid)
            .map(|uid| self.key(uid))
            .collect();
        let replaced =
            |uid: &Option<EntityUid>| uid.as_ref().is_some_and(|uid| own.contains(&self.key(uid)));
        let more: Vec<_> = shared.iter().filter(|entity| !replaced(&entity.uid)).cloned().collect();
        question.entities.extend(more);
    }

    fn key<'k>(&'k self, uid: &'k EntityUid) -> Key<'k> {
        match self.store.schema().entity_type(&uid.r#type) {
            Some(entity_type) => Key::Known(entity_type, &uid.id),
            None => Key::Unknown(uid),
        }
    }
}
