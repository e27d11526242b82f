//! The contexts that a question may have whose context lacks required facts.

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy_core::ast::{
    BinaryOp, Eid, EntityType, EntityUID, Expr, ExprKind, Literal, Value, Var,
};
use smol_str::SmolStr;

use crate::{
    engine::Engine,
    request::Request,
    schema::{Schema, Shape},
};

/// Contexts that are tried for each entity at most.
const CONTEXTS: usize = 64;

/// The contexts that a question may have whose context lacks required facts.
pub(super) struct PossibleContexts {
    /// With each of the values of those missing facts of which a few stand for all.
    pub contexts: Vec<Arc<BTreeMap<SmolStr, Value>>>,
    /// The missing facts of which any value may matter.
    pub open: Vec<SmolStr>,
    /// True where nothing is missing.
    is_complete: bool,
}

impl PossibleContexts {
    /// Finds the contexts of a question; one where nothing is missing.
    pub(super) fn of(engine: &Engine, request: &Request) -> Self {
        let sent = &request.context;
        let mut contexts = vec![BTreeMap::clone(sent.whole())];
        let mut open = Vec::new();
        let action = engine.schema().actions().find(|action| action.uid == request.action);
        let missing = action
            .into_iter()
            .flat_map(|action| action.context.missing(|name| sent.contains(name)));
        let missing: Vec<_> = missing.collect();
        let is_complete = missing.is_empty();
        for (name, shape) in missing {
            let values = values(engine, &request.action, name, shape);
            match values.filter(|values| values.len() * contexts.len() <= CONTEXTS) {
                Some(values) => {
                    let with = |context: &BTreeMap<_, _>, value: &Value| {
                        let mut context = context.clone();
                        context.insert(SmolStr::from(name), value.clone());
                        context
                    };
                    let pairs = contexts
                        .iter()
                        .flat_map(|context| values.iter().map(move |value| with(context, value)));
                    contexts = pairs.collect();
                }
                None => open.push(SmolStr::from(name)),
            }
        }
        Self { contexts: contexts.into_iter().map(Arc::new).collect(), open, is_complete }
    }

    /// Returns whether a part of a condition can have an outcome that it has in no context: it reads
    /// a fact of which any value may matter, or the context as a whole.
    pub(super) fn leave_open(&self, part: &Expr) -> bool {
        if self.is_complete {
            return false;
        }
        let (mut wholes, mut fields) = (0, 0);
        for part in part.subexpressions() {
            let (of, name) = match part.expr_kind() {
                ExprKind::Var(Var::Context) => {
                    wholes += 1;
                    continue;
                }
                ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => (expr, attr),
                ExprKind::ExtHasAttr { expr, attrs } => (expr, attrs.first()),
                _ => continue,
            };
            if is_context(of) {
                fields += 1;
                if self.open.contains(name) {
                    return true;
                }
            }
        }
        wholes > fields
    }

    /// Returns whether a part asks only whether a fact is there that any context has.
    pub(super) fn asks_for_open(&self, part: &Expr) -> bool {
        matches!(part.expr_kind(), ExprKind::HasAttr { expr, attr }
            if is_context(expr) && self.open.contains(attr))
    }
}

fn is_context(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(Var::Context))
}

/// Returns values of a fact among which there is one for each outcome that any value has in the policies
/// on an action; nothing where that cannot be told.
fn values(engine: &Engine, action: &EntityUID, name: &str, shape: &Shape) -> Option<Vec<Value>> {
    let compared = || literals_compared(engine, action, name);
    match shape {
        Shape::Bool => Some(vec![Value::from(true), Value::from(false)]),
        Shape::Entity(entity_type) => ids(engine.schema(), entity_type),
        Shape::Long => Some(around(compared()?.iter().filter_map(|literal| match literal {
            Literal::Long(number) => Some(*number),
            _ => None,
        }))),
        Shape::String => {
            Some(and_another(compared()?.iter().filter_map(|literal| match literal {
                Literal::String(text) => Some(text.clone()),
                _ => None,
            })))
        }
        Shape::Set(_) | Shape::Record(_) | Shape::Extension(_) => None,
    }
}

fn ids(schema: &Schema, entity_type: &EntityType) -> Option<Vec<Value>> {
    let ids = schema.entity(entity_type)?.ids.as_ref()?;
    let uid =
        |id: &SmolStr| EntityUID::from_components(entity_type.clone(), Eid::new(id.as_str()), None);
    Some(ids.iter().map(|id| Value::from(uid(id))).collect())
}

/// Returns each number with its neighbours: one on each side of every comparison, and between any two.
fn around(numbers: impl Iterator<Item = i64>) -> Vec<Value> {
    let near = |number: i64| [number.checked_sub(1), Some(number), number.checked_add(1)];
    let mut all: Vec<i64> = numbers.flat_map(near).flatten().chain([0]).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(Value::from).collect()
}

/// Returns each text, and one that is none of them.
fn and_another(texts: impl Iterator<Item = SmolStr>) -> Vec<Value> {
    let mut all: Vec<SmolStr> = texts.collect();
    all.sort_unstable();
    all.dedup();
    let longer: String = all.iter().map(SmolStr::as_str).chain(["…"]).collect();
    all.push(longer.into());
    all.into_iter().map(Value::from).collect()
}

/// Returns the literals with which the policies on an action compare a fact of the context; nothing where
/// they do anything else with it.
fn literals_compared<'e>(
    engine: &'e Engine,
    action: &EntityUID,
    name: &str,
) -> Option<Vec<&'e Literal>> {
    let is_fact = |expr: &Expr| {
        matches!(expr.expr_kind(), ExprKind::GetAttr { expr, attr }
            if is_context(expr) && attr == name)
    };
    let slices = engine.slices();
    let policies = slices.of_action(action).chain(slices.of_any());
    let parts = policies.filter_map(|policy| policy.condition()).flat_map(Expr::subexpressions);
    let (mut literals, mut uses, mut comparisons) = (Vec::new(), 0, 0);
    for part in parts {
        uses += usize::from(is_fact(part));
        let ExprKind::BinaryApp { op, arg1, arg2 } = part.expr_kind() else { continue };
        let with = match op {
            BinaryOp::Eq | BinaryOp::Less | BinaryOp::LessEq if is_fact(arg1) => literals_of(arg2),
            BinaryOp::Eq | BinaryOp::Less | BinaryOp::LessEq if is_fact(arg2) => literals_of(arg1),
            BinaryOp::Contains if is_fact(arg2) => literals_of(arg1),
            _ => None,
        };
        if let Some(with) = with {
            comparisons += 1;
            literals.extend(with);
        }
    }
    (uses == comparisons).then_some(literals)
}

/// Returns a literal, or those of a set.
fn literals_of(expr: &Expr) -> Option<Vec<&Literal>> {
    match expr.expr_kind() {
        ExprKind::Set(items) => items.iter().map(literal_of).collect(),
        _ => literal_of(expr).map(|literal| vec![literal]),
    }
}

fn literal_of(expr: &Expr) -> Option<&Literal> {
    match expr.expr_kind() {
        ExprKind::Lit(literal) => Some(literal),
        _ => None,
    }
}
