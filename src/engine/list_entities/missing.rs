//! The missing facts without which a question of a list is not allowed.

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy_core::{
    ast::{EntityUID, Expr, ExprKind, Literal, SlotEnv, Value, ValueKind},
    entities::Entities,
    evaluator::{EvaluationError, Evaluator},
    extensions::Extensions,
};
use smol_str::SmolStr;

use super::{outcomes::Outcomes, possible_contexts::PossibleContexts};
use crate::{
    engine::{
        Engine,
        graph::{cedar_request_in, readable_entities},
        slices::PreparedPolicy,
    },
    model::OnForbidError,
    request::{Held, ListRequest, Request, RequestFacts},
};

/// The facts of a store and of its directory, to tell what a caller could send beside them.
pub(super) struct MissingFacts<'a> {
    engine: &'a Engine,
    held: Option<&'a Held>,
    on_forbid_error: OnForbidError,
    /// Required facts of the context that were not sent, in words.
    context: Vec<String>,
    possible: PossibleContexts,
}

impl<'a> MissingFacts<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        held: Option<&'a Held>,
        on_forbid_error: OnForbidError,
        list: &ListRequest,
    ) -> Self {
        let context = list.missing().iter().map(ToString::to_string).collect();
        let possible = PossibleContexts::of(engine, list.shared());
        Self { engine, held, on_forbid_error, context, possible }
    }

    /// Returns how many times the policies are evaluated for one entity at most.
    pub(super) fn evaluations(&self) -> usize {
        self.possible.contexts.len()
    }

    /// Returns the facts that are missing for a question that is no allow; nothing where it is denied
    /// whatever they are.
    pub(super) fn of(&self, request: &Request) -> Option<String> {
        let Ok((entities, _)) = readable_entities(self.engine, request) else {
            // A policy that does not look at what cannot be read may still allow it.
            return (!self.context.is_empty()).then(|| self.context.join("; "));
        };
        let mut contexts = self.possible.contexts.iter();
        let mut facts =
            contexts.find_map(|context| self.that_allow(request, context, &entities))?;
        facts.extend(self.context.iter().cloned());
        facts.sort_unstable();
        facts.dedup();
        (!facts.is_empty()).then(|| facts.join("; "))
    }

    /// Returns the attributes of entities for want of which a question is no allow in a context; nothing
    /// where no value of them makes it one.
    fn that_allow(
        &self,
        request: &Request,
        context: &Arc<BTreeMap<SmolStr, Value>>,
        entities: &Entities,
    ) -> Option<Vec<String>> {
        let cedar_request = cedar_request_in(request, Arc::clone(context));
        let evaluator = Evaluator::new(cedar_request, entities, Extensions::all_available());
        let (mut can_be_permitted, mut is_permitted, mut is_forbidden) = (false, false, false);
        let (mut for_permits, mut for_forbids) = (Vec::new(), Vec::new());
        let (principal, resource) = (&request.principal, &request.resource);
        let slices = self.engine.slices();
        slices.matching(principal, &request.action, resource, entities, |policy| {
            if policy.is_forbid() {
                let Outcomes { is_true, is_false, fails } =
                    self.outcomes(&evaluator, policy, &mut for_forbids);
                let fails_open = fails && self.on_forbid_error == OnForbidError::Skip;
                is_forbidden |= (is_true || fails) && !is_false && !fails_open;
            } else {
                let outcomes = self.outcomes(&evaluator, policy, &mut for_permits);
                can_be_permitted |= outcomes.is_true;
                is_permitted |= outcomes == Outcomes::known(true);
            }
        });
        if is_forbidden || !can_be_permitted {
            return None;
        }
        if !is_permitted {
            for_forbids.extend(for_permits);
        }
        Some(for_forbids)
    }

    /// Returns the outcomes that a policy can have. Adds the attributes of entities to `missing` for want
    /// of which it fails: whoever sends one may send others beside it, so that nothing is known then.
    fn outcomes(
        &self,
        evaluator: &Evaluator<'_>,
        policy: &PreparedPolicy,
        missing: &mut Vec<String>,
    ) -> Outcomes {
        let Some(condition) = policy.condition() else { return Outcomes::known(true) };
        let before = missing.len();
        let outcomes = Outcomes::of(condition, &mut |part: &Expr| {
            self.outcomes_of_part(evaluator, part, policy.variables(), missing)
        });
        if missing.len() > before { Outcomes::ANY } else { outcomes }
    }

    fn outcomes_of_part(
        &self,
        evaluator: &Evaluator<'_>,
        part: &Expr,
        variables: &SlotEnv,
        missing: &mut Vec<String>,
    ) -> Outcomes {
        if self.possible.asks_for_open(part) {
            return Outcomes::known(true);
        }
        if self.possible.leave_open(part) {
            return Outcomes::ANY;
        }
        match evaluator.interpret(part, variables) {
            Ok(Value { value: ValueKind::Lit(Literal::Bool(value)), .. }) => Outcomes::known(value),
            Ok(_) => Outcomes::FAILS,
            Err(error) => {
                let fact = self.could_be_sent(evaluator, part, variables, &error);
                missing.extend(fact);
                Outcomes::FAILS
            }
        }
    }

    /// Returns the attribute of an entity for want of which a part of a policy fails, if a caller could
    /// send it.
    fn could_be_sent(
        &self,
        evaluator: &Evaluator<'_>,
        part: &Expr,
        variables: &SlotEnv,
        error: &EvaluationError,
    ) -> Option<String> {
        let (EvaluationError::EntityDoesNotExist(_) | EvaluationError::EntityAttrDoesNotExist(_)) =
            error
        else {
            return None;
        };
        let message = error.to_string();
        part.subexpressions().find_map(|part| {
            let ExprKind::GetAttr { expr, attr } = part.expr_kind() else { return None };
            let entity = self.entity(evaluator, expr, variables)?;
            let failed = evaluator.interpret(part, variables).err()?;
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
