//! The missing facts without which a question of a list is not allowed.

use cedar_policy_core::{
    ast::{EntityUID, Expr, ExprKind, Literal, SlotEnv, Value, ValueKind, Var},
    evaluator::{EvaluationError, Evaluator},
    extensions::Extensions,
};

use crate::{
    engine::{
        Engine,
        evaluate::is_satisfied,
        graph::{cedar_request, entities},
        slices::PreparedPolicy,
    },
    model::OnForbidError,
    request::{Held, Request, RequestFacts, Violation},
};

/// The facts of a store and of its directory, to tell what a caller could send beside them.
pub(super) struct MissingFacts<'a> {
    pub engine: &'a Engine,
    pub held: Option<&'a Held>,
    /// Required facts of the context that were not sent.
    pub context: &'a [Violation],
    pub on_forbid_error: OnForbidError,
}

/// The result of a policy as far as the facts that were sent tell it.
enum Applies {
    Yes,
    No,
    /// The answer depends on these facts, which were not sent.
    Depends(Vec<String>),
}

impl MissingFacts<'_> {
    /// Returns the facts that are missing for a question that is no allow; nothing where it is denied
    /// whatever they are.
    pub(super) fn of(&self, request: &Request) -> Option<String> {
        let entities = entities(self.engine, request).ok()?;
        let cedar_request = cedar_request(request);
        let evaluator = Evaluator::new(cedar_request, &entities, Extensions::all_available());
        let (mut permitted, mut forbidden) = (false, false);
        let (mut for_permits, mut for_forbids) = (Vec::new(), Vec::new());
        let (principal, resource) = (&request.principal, &request.resource);
        let slices = self.engine.slices();
        slices.matching(principal, &request.action, resource, &entities, |policy| {
            match (self.applies(&evaluator, policy), policy.is_forbid()) {
                (Applies::Yes, true) => forbidden = true,
                (Applies::Yes, false) => permitted = true,
                (Applies::No, _) => {}
                (Applies::Depends(facts), true) => for_forbids.extend(facts),
                (Applies::Depends(facts), false) => for_permits.extend(facts),
            }
        });
        if forbidden || (!permitted && for_permits.is_empty()) {
            return None;
        }
        let mut facts: Vec<_> = self.context.iter().map(ToString::to_string).collect();
        if !permitted {
            facts.extend(for_permits);
        }
        facts.extend(for_forbids);
        facts.sort_unstable();
        facts.dedup();
        (!facts.is_empty()).then(|| facts.join("; "))
    }

    fn applies(&self, evaluator: &Evaluator<'_>, policy: &PreparedPolicy) -> Applies {
        let of_context = self.of_context(policy.condition());
        match is_satisfied(evaluator, policy) {
            Ok(_) if of_context == Needs::Presence => Applies::Depends(self.context_facts()),
            Ok(true) => Applies::Yes,
            Ok(false) => Applies::No,
            Err(_) if of_context != Needs::Nothing => Applies::Depends(self.context_facts()),
            Err(error) => match self.could_be_sent(evaluator, policy, &error) {
                Some(fact) => Applies::Depends(vec![fact]),
                None if policy.is_forbid() && self.on_forbid_error == OnForbidError::Deny => {
                    Applies::Yes
                }
                None => Applies::No,
            },
        }
    }

    fn context_facts(&self) -> Vec<String> {
        self.context.iter().map(ToString::to_string).collect()
    }

    /// Returns what a condition does with facts of the context that are missing.
    fn of_context(&self, condition: Option<&Expr>) -> Needs {
        if self.context.is_empty() {
            return Needs::Nothing;
        }
        let is_context = |expr: &Expr| matches!(expr.expr_kind(), ExprKind::Var(Var::Context));
        let is_missing = |name: &str| {
            self.context.iter().any(|one| one.field.strip_prefix("context.") == Some(name))
        };
        let (mut contexts, mut accesses, mut needs) = (0, 0, Needs::Nothing);
        for part in condition.into_iter().flat_map(Expr::subexpressions) {
            match part.expr_kind() {
                ExprKind::Var(Var::Context) => contexts += 1,
                ExprKind::GetAttr { expr, attr } if is_context(expr) => {
                    accesses += 1;
                    if is_missing(attr) {
                        needs = needs.max(Needs::Value);
                    }
                }
                ExprKind::HasAttr { expr, attr } if is_context(expr) => {
                    accesses += 1;
                    if is_missing(attr) {
                        needs = Needs::Presence;
                    }
                }
                ExprKind::ExtHasAttr { expr, attrs } if is_context(expr) => {
                    accesses += 1;
                    if is_missing(attrs.first()) {
                        needs = Needs::Presence;
                    }
                }
                _ => {}
            }
        }
        // A context that is looked at as a whole is another one with every fact that is sent.
        if contexts > accesses { Needs::Presence } else { needs }
    }

    /// Returns the attribute of an entity for want of which a policy fails, if a caller could send it.
    fn could_be_sent(
        &self,
        evaluator: &Evaluator<'_>,
        policy: &PreparedPolicy,
        error: &EvaluationError,
    ) -> Option<String> {
        let (EvaluationError::EntityDoesNotExist(_) | EvaluationError::EntityAttrDoesNotExist(_)) =
            error
        else {
            return None;
        };
        let message = error.to_string();
        let parts = policy.condition().into_iter().flat_map(Expr::subexpressions);
        parts.into_iter().find_map(|part| {
            let ExprKind::GetAttr { expr, attr } = part.expr_kind() else { return None };
            let entity = self.entity(evaluator, expr, policy.variables())?;
            let failed = evaluator.interpret(part, policy.variables()).err()?;
            (failed.to_string() == message && self.may_be_sent(&entity, attr))
                .then(|| format!("entities: `{entity}` is not sent with its attribute `{attr}`"))
        })
    }

    fn entity(
        &self,
        evaluator: &Evaluator<'_>,
        expr: &Expr,
        variables: &SlotEnv,
    ) -> Option<EntityUID> {
        match evaluator.interpret(expr, variables) {
            Ok(Value { value: ValueKind::Lit(Literal::EntityUID(uid)), .. }) => {
                Some((*uid).clone())
            }
            _ => None,
        }
    }

    /// Returns whether a caller may send an attribute of an entity that has none of that name.
    fn may_be_sent(&self, entity: &EntityUID, attribute: &str) -> bool {
        let is_declared = self
            .engine
            .schema()
            .entity(entity.entity_type())
            .is_some_and(|shape| shape.attributes.fields.contains_key(attribute));
        let is_held = self.held.is_some_and(|held| {
            held.request_facts == RequestFacts::Refuse
                && held.facts.place(entity).is_some_and(|place| held.facts.entity(place).is_some())
        });
        is_declared && !is_held && !self.engine.stored().contains(entity)
    }
}

/// The use that a condition makes of facts of the context that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    /// The condition looks at none of them.
    Nothing,
    /// The condition fails where it looks at one.
    Value,
    /// The condition asks first whether one is there.
    Presence,
}
