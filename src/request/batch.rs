//! Checks the items of a batch; what they share is checked once.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;

use super::{
    EntityInput, Facts, FieldPath, Known, Request, RequestInput, RequestLimits,
    RoleAssignmentInput, Violation,
    check::{Checker, TimedContext, check_facts},
};
use crate::model::{
    Timestamp, Uid, Value,
    hash::{HashMap, HashSet},
};

/// An item of a batch as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchItemInput {
    /// The principal; unset: the batch's.
    pub principal: Option<Uid>,
    /// The action; unset: the batch's.
    pub action: Option<Uid>,
    /// The resource; unset: the batch's.
    pub resource: Option<Uid>,
    /// Facts of the item, laid over the batch's by name.
    pub context: Vec<(String, Value)>,
    /// Entities of the item, laid over the batch's by uid.
    pub entities: Vec<EntityInput>,
    /// The roles of the item; unset: the batch's.
    pub role_assignments: Option<Vec<RoleAssignmentInput>>,
}

impl BatchItemInput {
    /// Returns the item's principal, action and resource, each taken from the batch where the item
    /// leaves it out.
    fn question(&self, shared: &RequestInput) -> RequestInput {
        let or = |own: &Option<Uid>, shared: &Option<Uid>| own.clone().or_else(|| shared.clone());
        RequestInput {
            principal: or(&self.principal, &shared.principal),
            action: or(&self.action, &shared.action),
            resource: or(&self.resource, &shared.resource),
            ..RequestInput::default()
        }
    }
}

impl BatchItemInput {
    /// Returns the item as a question by itself: with what it shares, and with the principal and
    /// scope of each shared role assignment spelled out.
    #[must_use]
    pub fn complete(&self, shared: &RequestInput) -> RequestInput {
        let own: HashSet<_> = self.entities.iter().map(|entity| &entity.uid).collect();
        let kept = shared.entities.iter().filter(|entity| !own.contains(&entity.uid));
        let shared_role = |role: &RoleAssignmentInput| RoleAssignmentInput {
            principal: role.principal.clone().or_else(|| shared.principal.clone()),
            scope: role.scope.clone().or_else(|| shared.resource.clone()),
            ..role.clone()
        };
        RequestInput {
            context: overlay(&self.context, &shared.context),
            entities: self.entities.iter().chain(kept).cloned().collect(),
            role_assignments: match &self.role_assignments {
                Some(roles) => roles.clone(),
                None => shared.role_assignments.iter().map(shared_role).collect(),
            },
            ..self.question(shared)
        }
    }
}

fn overlay(own: &[(String, Value)], shared: &[(String, Value)]) -> Vec<(String, Value)> {
    let is_replaced = |name: &str| own.iter().any(|(own, _)| own == name);
    let kept = shared.iter().filter(|(name, _)| !is_replaced(name));
    own.iter().chain(kept).cloned().collect()
}

/// Checks the items of one batch.
pub struct BatchChecker<'a> {
    known: Known<'a>,
    limits: &'a RequestLimits,
    now: Timestamp,
    shared: &'a RequestInput,
    facts: Facts,
    /// The shared context as each action takes it.
    contexts: HashMap<EntityUID, (TimedContext, Vec<Violation>)>,
}

impl<'a> BatchChecker<'a> {
    /// Checks what the items share. A shared role assignment that names no principal or scope means
    /// the batch's own; where the batch has none, that is a violation.
    ///
    /// # Errors
    /// Every violation of the shared facts, whether or not an item uses them.
    pub fn new(
        known: Known<'a>,
        shared: &'a RequestInput,
        now: Timestamp,
        limits: &'a RequestLimits,
    ) -> Result<Self, Vec<Violation>> {
        let incomplete = incomplete_assignments(shared, limits);
        let facts = match check_facts(known, shared, limits) {
            Ok(facts) if incomplete.is_empty() => facts,
            Ok(_) => return Err(incomplete),
            Err(violations) => return Err([incomplete, violations].concat()),
        };
        let contexts = HashMap::default();
        Ok(Self { known, limits, now, shared, facts, contexts })
    }

    /// Checks one item. Paths of violations begin at the item.
    ///
    /// # Errors
    /// Every violation, up to the limit on their number.
    pub fn check(&mut self, item: &BatchItemInput) -> Result<Request, Vec<Violation>> {
        let mut checker = Checker::new(self.known, self.limits);
        let mut input = item.question(self.shared);
        let question = checker.question(&input);
        let moment = match question.action {
            Some(action) if item.context.is_empty() => {
                let (moment, violations) =
                    self.contexts.entry(action.uid.clone()).or_insert_with(|| {
                        let mut checker = Checker::new(self.known, self.limits);
                        input.context.clone_from(&self.shared.context);
                        let moment = checker.question_context(&input, Some(action), self.now);
                        let violations = checker.finish(None::<()>).err().unwrap_or_default();
                        (moment, violations)
                    });
                checker.found(violations);
                moment.clone()
            }
            action => {
                input.context = overlay(&item.context, &self.shared.context);
                checker.question_context(&input, action, self.now)
            }
        };
        let mut facts = self.facts.clone();
        if !item.entities.is_empty() {
            facts.entities = Arc::new(checker.entities(&item.entities, Some(facts.entities)));
        }
        if let Some(roles) = &item.role_assignments {
            facts.role_assignments = checker.role_assignments(roles, question.defaults());
        }
        checker.finish_request(question, moment, facts)
    }
}

fn incomplete_assignments(shared: &RequestInput, limits: &RequestLimits) -> Vec<Violation> {
    let list = FieldPath::Field("role_assignments");
    let missing = |is_missing: bool, index, field, of: &str| {
        is_missing.then(|| {
            FieldPath::Of(&FieldPath::Index(&list, index), field).violation(format!(
                "missing: the batch has no {of} of its own, so a shared role assignment names one"
            ))
        })
    };
    let assignments = shared.role_assignments.iter().enumerate();
    let violations = assignments.flat_map(|(index, role)| {
        let principal = role.principal.is_none() && shared.principal.is_none();
        let scope = role.scope.is_none() && shared.resource.is_none();
        [
            missing(principal, index, "principal", "principal"),
            missing(scope, index, "scope", "resource"),
        ]
    });
    violations.flatten().take(limits.violations.max(1)).collect()
}
