//! Checks the question of a list, which leaves its principal or its resource open.

use std::sync::Arc;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{Checker, Side};
use crate::{
    model::Timestamp,
    request::{Facts, FieldPath, Known, Request, RequestInput, RequestLimits, Violation},
    schema::ActionSchema,
};

/// The question of a list as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ListInput {
    /// The question; its open side is not looked at.
    pub question: RequestInput,
    /// The side that is open.
    pub open: Side,
    /// The type of the entities that are listed; the store's namespace may be missing.
    pub entity_type: String,
}

/// The question of a list once it has been checked. It becomes that of each entity in turn.
#[derive(Debug, Clone)]
pub struct ListRequest {
    request: Request,
    open: Side,
    entity_type: EntityType,
    missing: Vec<Violation>,
}

impl ListRequest {
    /// Returns the side that is open.
    #[must_use]
    pub fn open(&self) -> Side {
        self.open
    }

    /// Returns the type of the entities that are listed.
    #[must_use]
    pub fn entity_type(&self) -> &EntityType {
        &self.entity_type
    }

    /// Returns a violation for each required fact of the context that was not sent.
    #[must_use]
    pub fn missing(&self) -> &[Violation] {
        &self.missing
    }

    /// Returns the question of all entities. On its open side stands the entity of the other side.
    #[must_use]
    pub fn shared(&self) -> &Request {
        &self.request
    }

    /// Makes the question of one entity. It is complete only where nothing is missing.
    #[must_use]
    pub fn of(&self, entity: EntityUID) -> Request {
        let mut request = self.request.clone();
        match self.open {
            Side::Principal => request.principal = entity,
            Side::Resource => request.resource = entity,
        }
        request
    }
}

/// Checks the question of a list: everything but required facts of the context that were not sent.
///
/// # Errors
/// Every violation, up to the limit on their number.
pub fn check_list(
    known: Known<'_>,
    input: &ListInput,
    now: Timestamp,
    limits: &RequestLimits,
) -> Result<ListRequest, Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    let question = &input.question;
    let (side, sent) = match input.open {
        Side::Principal => (Side::Resource, question.resource.as_ref()),
        Side::Resource => (Side::Principal, question.principal.as_ref()),
    };
    let other = checker.required(&FieldPath::Field(side.name()), sent);
    let action = checker.action(&FieldPath::Field("action"), question.action.as_ref());
    let entity_type = checker.listed_type(input, action);
    if let (Some(action), Some(other)) = (action, &other) {
        let path = FieldPath::Field(side.name());
        checker.applies_to(action, side, other.entity_type(), &FieldPath::Of(&path, "type"));
    }
    let (moment, missing) = checker.sent_context(question, action, now);
    checker.every_assignment_is_complete(input);
    let defaults = match side {
        Side::Principal => (other.as_ref(), None),
        Side::Resource => (None, other.as_ref()),
    };
    let facts = Facts {
        entities: Arc::new(checker.entities(&question.entities, None)),
        role_assignments: checker.role_assignments(&question.role_assignments, defaults),
        held: known.held.map(|held| Arc::clone(&held.facts)),
    };
    let complete = other.zip(action).zip(entity_type);
    let request = complete.map(|((other, action), entity_type)| ListRequest {
        request: Request {
            principal: other.clone(),
            action: action.uid.clone(),
            resource: other,
            context: moment.context,
            facts,
            now: moment.now,
        },
        open: input.open,
        entity_type,
        missing,
    });
    checker.finish(request)
}

impl Checker<'_> {
    fn listed_type(
        &mut self,
        input: &ListInput,
        action: Option<&ActionSchema>,
    ) -> Option<EntityType> {
        let path = FieldPath::Field(input.open.type_field());
        let Some(entity_type) = self.schema().entity_type(&input.entity_type).cloned() else {
            self.no_entity_type(&path, &input.entity_type);
            return None;
        };
        if let Some(action) = action {
            self.applies_to(action, input.open, &entity_type, &path);
        }
        Some(entity_type)
    }

    /// Refuses role assignments that leave to the question what it does not name.
    fn every_assignment_is_complete(&mut self, input: &ListInput) {
        let list = FieldPath::Field("role_assignments");
        for (index, role) in input.question.role_assignments.iter().enumerate() {
            let (is_named, field) = match input.open {
                Side::Principal => (role.principal.is_some(), "principal"),
                Side::Resource => (role.scope.is_some(), "scope"),
            };
            if !is_named {
                self.violation(
                    &FieldPath::Of(&FieldPath::Index(&list, index), field),
                    "missing: the question leaves it open, so a role assignment names one",
                );
            }
        }
    }
}
