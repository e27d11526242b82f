//! A clause of a policy as it was in one request: whether it held, and the values that made it so.

use cedar_policy_core::{
    ast::{BinaryOp, BoundedDisplay as _, EntityUID, Expr, ExprKind, Literal, Value, ValueKind},
    entities::{Dereference, Entities},
    evaluator::Evaluator,
    extensions::Extensions,
};

use super::{
    Engine,
    clauses::{Clause, ClauseKind, conjuncts},
    graph,
};
use crate::{
    model::Location,
    request::{Request, shorten_to},
};

/// Values that are shown of one clause.
const VALUES: usize = 8;
/// Entities that are shown of those that one is in.
const ANCESTORS: usize = 10;
/// Elements that are shown of a set or record.
const ELEMENTS: usize = 8;
/// Characters that are shown of a value.
const VALUE_LENGTH: usize = 200;
/// Characters that are shown of a clause.
const TEXT_LENGTH: usize = 1_000;

/// A clause of a policy as it was in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseNote {
    /// The part of the policy that it belongs to.
    pub kind: ClauseKind,
    /// The part that decided it, as written; of an `unless` that held the conjunct that was false.
    pub text: String,
    /// The place of the text; none in a policy in JSON.
    pub location: Option<Location>,
    /// The values that made it so.
    pub values: Vec<ClauseValue>,
    /// The error of its evaluation, in Cedar's words.
    pub error: Option<String>,
}

/// A value that a clause looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseValue {
    /// The expression, such as `resource.team`.
    pub expression: String,
    /// The value, as Cedar writes it; none where it is absent.
    pub value: Option<String>,
    /// Entities and roles that the value is in, if the clause asks for that. A role is
    /// written as the slot of its scope.
    pub is_in: Vec<String>,
    /// Entities and roles that it is in beside these.
    pub is_in_more: usize,
}

/// Evaluates clauses for one request.
pub(super) struct ClauseEvaluation<'a> {
    engine: &'a Engine,
    entities: &'a Entities,
    evaluator: Evaluator<'a>,
}

impl<'a> ClauseEvaluation<'a> {
    /// Prepares to evaluate clauses for a request, whose entities are `entities`.
    pub(super) fn new(engine: &'a Engine, request: &Request, entities: &'a Entities) -> Self {
        let evaluator =
            Evaluator::new(graph::cedar_request(request), entities, Extensions::all_available());
        Self { engine, entities, evaluator }
    }

    /// Returns whether a clause holds.
    ///
    /// # Errors
    /// The error of its evaluation, in Cedar's words.
    pub(super) fn holds(&self, clause: &Clause<'_>) -> Result<bool, String> {
        let is_true = self.is_true(clause, &clause.expr())?;
        Ok(is_true != (clause.kind == ClauseKind::Unless))
    }

    fn is_true(&self, clause: &Clause<'_>, expr: &Expr) -> Result<bool, String> {
        match self.evaluator.interpret(expr, clause.slots()) {
            Ok(Value { value: ValueKind::Lit(Literal::Bool(is_true)), .. }) => Ok(is_true),
            Ok(_) => Err("it is neither true nor false".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Describes a clause that [`Self::holds`] or not, as it said.
    pub(super) fn note(&self, clause: &Clause<'_>, holds: &Result<bool, String>) -> ClauseNote {
        let decided = match clause.condition() {
            // One conjunct that is false is why the whole `unless` held.
            Some(condition) if clause.kind == ClauseKind::Unless && *holds == Ok(true) => {
                let is_false = |conjunct: &&Expr| self.is_true(clause, conjunct) == Ok(false);
                clause.within(conjuncts(condition).into_iter().find(is_false).unwrap_or(condition))
            }
            _ => *clause,
        };
        let mut values = ValueCollector { evaluation: self, clause, found: Vec::new() };
        values.of(&decided.expr());
        ClauseNote {
            kind: clause.kind,
            text: shorten_to(TEXT_LENGTH, &decided.text()),
            location: decided.location(),
            values: values.found,
            error: holds.as_ref().err().map(|error| shorten_to(TEXT_LENGTH, error)),
        }
    }

    fn value(&self, clause: &Clause<'_>, expr: &Expr) -> Option<Value> {
        self.evaluator.interpret(expr, clause.slots()).ok()
    }

    fn entity(&self, clause: &Clause<'_>, expr: &Expr) -> Option<EntityUID> {
        match self.value(clause, expr)?.value {
            ValueKind::Lit(Literal::EntityUID(uid)) => Some((*uid).clone()),
            _ => None,
        }
    }

    fn shown(&self, value: &Value) -> String {
        if let ValueKind::Lit(Literal::EntityUID(uid)) = &value.value {
            return self.shown_entity(uid);
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = value.fmt_bounded(&mut text, ELEMENTS);
        shorten_to(VALUE_LENGTH, &text)
    }

    /// Writes an entity; a role as the slot of its scope: `Site::"42".editor`.
    fn shown_entity(&self, uid: &EntityUID) -> String {
        let schema = self.engine.schema();
        let role = schema.is_role(uid).then(|| schema.scope_of(uid)).flatten();
        let text = match role {
            Some((scope, slot)) => format!("{scope}.{slot}"),
            None => uid.to_string(),
        };
        shorten_to(VALUE_LENGTH, &text)
    }

    fn ancestors(&self, uid: &EntityUID) -> (Vec<String>, usize) {
        let Dereference::Data(entity) = self.entities.entity(uid) else { return (Vec::new(), 0) };
        let mut ancestors: Vec<_> = entity.ancestors().collect();
        let more = ancestors.len().saturating_sub(ANCESTORS);
        // Roles first, for these are what most clauses ask for.
        ancestors.sort_by_key(|uid| (!self.engine.schema().is_role(uid), *uid));
        let shown = ancestors.into_iter().take(ANCESTORS).map(|uid| self.shown_entity(uid));
        (shown.collect(), more)
    }
}

/// Collects the values that an expression looks at, from left to right.
struct ValueCollector<'e, 'a> {
    evaluation: &'e ClauseEvaluation<'a>,
    clause: &'e Clause<'e>,
    found: Vec<ClauseValue>,
}

impl ValueCollector<'_, '_> {
    fn of(&mut self, expr: &Expr) {
        let mut pending = vec![expr];
        while let Some(expr) = pending.pop() {
            if self.found.len() >= VALUES {
                return;
            }
            match expr.expr_kind() {
                ExprKind::Var(_) | ExprKind::Slot(_) => {
                    self.add(expr);
                }
                // A slot holds nothing but its own role, so only the way to it tells something.
                ExprKind::GetAttr { expr: base, .. } if self.is_role(expr) => {
                    if !matches!(base.expr_kind(), ExprKind::Var(_)) {
                        pending.push(base);
                    }
                }
                ExprKind::GetAttr { .. } => {
                    self.add(expr);
                }
                ExprKind::HasAttr { expr: base, attr } => {
                    self.add(&Expr::get_attr((**base).clone(), attr.clone()));
                }
                ExprKind::ExtHasAttr { expr: base, attrs } => {
                    let path = attrs
                        .iter()
                        .fold((**base).clone(), |base, attr| Expr::get_attr(base, attr.clone()));
                    self.add(&path);
                }
                ExprKind::BinaryApp { op: BinaryOp::GetTag | BinaryOp::HasTag, arg1, arg2 } => {
                    self.add(&Expr::get_tag((**arg1).clone(), (**arg2).clone()));
                    pending.push(arg2);
                }
                ExprKind::BinaryApp { op: BinaryOp::In, arg1, arg2 } => {
                    self.add_with_ancestors(arg1);
                    pending.push(arg2);
                }
                _ => pending.extend(operands(expr).into_iter().rev()),
            }
        }
    }

    fn is_role(&self, expr: &Expr) -> bool {
        let uid = self.evaluation.entity(self.clause, expr);
        uid.is_some_and(|uid| self.evaluation.engine.schema().is_role(&uid))
    }

    fn add_with_ancestors(&mut self, expr: &Expr) {
        let evaluation = self.evaluation;
        let ancestors = evaluation.entity(self.clause, expr).map(|uid| evaluation.ancestors(&uid));
        if let Some(value) = self.add(expr)
            && let Some(ancestors) = ancestors
        {
            (value.is_in, value.is_in_more) = ancestors;
        }
    }

    /// Adds the value of a variable or of an attribute, or the first part of the way to it that is
    /// absent.
    fn add(&mut self, expr: &Expr) -> Option<&mut ClauseValue> {
        let evaluation = self.evaluation;
        let value = evaluation.value(self.clause, expr);
        if value.is_none() {
            let (ExprKind::GetAttr { expr: base, .. }
            | ExprKind::BinaryApp { op: BinaryOp::GetTag, arg1: base, .. }) = expr.expr_kind()
            else {
                return None;
            };
            if evaluation.value(self.clause, base).is_none() {
                return self.add(base);
            }
        }
        let expression = shorten_to(VALUE_LENGTH, &expr.to_string());
        if let Some(at) = self.found.iter().position(|found| found.expression == expression) {
            return self.found.get_mut(at);
        }
        self.found.push(ClauseValue {
            expression,
            value: value.map(|value| evaluation.shown(&value)),
            is_in: Vec::new(),
            is_in_more: 0,
        });
        self.found.last_mut()
    }
}

/// Returns the operands of an expression, from left to right.
fn operands(expr: &Expr) -> Vec<&Expr> {
    match expr.expr_kind() {
        ExprKind::If { test_expr, then_expr, else_expr } => vec![test_expr, then_expr, else_expr],
        ExprKind::And { left, right } | ExprKind::Or { left, right } => vec![left, right],
        ExprKind::UnaryApp { arg, .. } => vec![arg],
        ExprKind::BinaryApp { arg1, arg2, .. } => vec![arg1, arg2],
        ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => vec![expr],
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().collect(),
        ExprKind::Set(elements) => elements.iter().collect(),
        ExprKind::Record(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}
