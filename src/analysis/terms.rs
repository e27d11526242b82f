//! The parts of policies that a condition for a solver can speak of: the variables, entities that
//! are named, and paths of attributes from them.

use std::{collections::BTreeSet, fmt::Write as _};

use cedar_policy_core::ast::{BinaryOp, EntityType, EntityUID, Expr, ExprKind, Literal, Var};
use smol_str::SmolStr;

use super::{policies::Policies, world::World};
use crate::{
    engine::Scope,
    schema::{RecordShape, Schema, Shape},
};

/// An expression whose type is known.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub text: String,
    pub shape: Shape,
    /// The conditions under which it has a value.
    pub presence: Vec<String>,
    /// The entity in an attribute of which it is found; none for a part of the context.
    pub owner: Option<(String, EntityType)>,
    /// The names from there, or from the context; empty for a variable and for a named entity.
    pub path: Vec<SmolStr>,
}

/// The parts that the policies look at.
#[derive(Debug, Default)]
pub(super) struct LookedAt {
    /// The names of all attributes.
    pub names: BTreeSet<SmolStr>,
    /// Records and entities, with the attribute of them that is looked at.
    pub fields: Vec<(Term, SmolStr)>,
    /// Entities, with the name of the tag that is looked at.
    pub tags: Vec<(Term, SmolStr)>,
    /// The two sides of each `in`. On the right may be a set.
    pub members: Vec<(Term, Term)>,
    /// The entities that are named, but for actions.
    pub entities: BTreeSet<EntityUID>,
}

impl LookedAt {
    pub(super) fn by(policies: &Policies<'_>, world: &World<'_>) -> Self {
        let terms = Terms { world };
        let mut looked_at = Self::default();
        for policy in policies.permits.iter().chain(&policies.forbids) {
            let scopes = [(Var::Principal, policy.principal()), (Var::Resource, policy.resource())];
            for (variable, scope) in scopes {
                looked_at.scope(terms, variable, scope);
            }
            for expr in policy.condition().into_iter().flat_map(Expr::subexpressions) {
                looked_at.expr(terms, expr);
            }
        }
        looked_at
    }

    fn scope(&mut self, terms: Terms<'_, '_>, variable: Var, scope: &Scope) {
        let Some(entity) = scope.entity.as_deref() else { return };
        self.entities.insert(entity.clone());
        if !scope.exact {
            self.members.extend(terms.variable(variable).map(|it| (it, named(entity))));
        }
    }

    fn expr(&mut self, terms: Terms<'_, '_>, expr: &Expr) {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) if !uid.is_action() => {
                self.entities.insert((**uid).clone());
            }
            ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
                self.names.insert(attr.clone());
                self.fields.extend(terms.of(expr).map(|it| (it, attr.clone())));
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                let mut base = terms.of(expr);
                for attr in attrs {
                    self.names.insert(attr.clone());
                    self.fields.extend(base.clone().map(|it| (it, attr.clone())));
                    base = base.and_then(|base| terms.attribute(base, attr));
                }
            }
            ExprKind::BinaryApp { op: BinaryOp::HasTag, arg1, arg2 } => {
                if let ExprKind::Lit(Literal::String(name)) = arg2.expr_kind() {
                    self.tags.extend(terms.of(arg1).map(|it| (it, name.clone())));
                }
            }
            ExprKind::BinaryApp { op: BinaryOp::In, arg1, arg2 } => {
                let Some(left) = terms.of(arg1) else { return };
                let right = match arg2.expr_kind() {
                    ExprKind::Set(items) => {
                        items.iter().filter_map(|item| terms.of(item)).collect()
                    }
                    _ => terms.of(arg2).into_iter().collect::<Vec<_>>(),
                };
                self.members.extend(right.into_iter().map(|right| (left.clone(), right)));
            }
            _ => {}
        }
    }
}

/// Makes terms of expressions about the requests of a world.
#[derive(Clone, Copy)]
struct Terms<'w, 'a> {
    world: &'w World<'a>,
}

impl Terms<'_, '_> {
    fn of(self, expr: &Expr) -> Option<Term> {
        match expr.expr_kind() {
            ExprKind::Var(variable) => self.variable(*variable),
            ExprKind::Lit(Literal::EntityUID(uid)) if !uid.is_action() => Some(named(uid)),
            ExprKind::GetAttr { expr, attr } => self.attribute(self.of(expr)?, attr),
            _ => None,
        }
    }

    fn variable(self, variable: Var) -> Option<Term> {
        let request = &self.world.request;
        let (text, shape) = match variable {
            Var::Principal => ("principal", entity_shape(&request.principal)),
            Var::Resource => ("resource", entity_shape(&request.resource)),
            Var::Context => {
                ("context", Shape::Record(RecordShape::clone(&self.world.action()?.context)))
            }
            Var::Action => return None,
        };
        Some(Term::start(text.to_owned(), shape))
    }

    fn attribute(self, base: Term, name: &SmolStr) -> Option<Term> {
        let field = base.record(self.world.schema)?.fields.get(name)?.clone();
        let mut presence = base.presence;
        if !field.required {
            presence.push(has(&base.text, name));
        }
        let (owner, mut path) = match base.shape {
            Shape::Entity(entity_type) => (Some((base.text.clone(), *entity_type)), Vec::new()),
            _ => (base.owner, base.path),
        };
        path.push(name.clone());
        Some(Term { text: attribute(&base.text, name), shape: field.shape, presence, owner, path })
    }
}

impl Term {
    fn start(text: String, shape: Shape) -> Self {
        Self { text, shape, presence: Vec::new(), owner: None, path: Vec::new() }
    }

    /// Returns the type where it is an entity.
    pub(super) fn entity_type(&self) -> Option<&EntityType> {
        match &self.shape {
            Shape::Entity(entity_type) => Some(entity_type),
            _ => None,
        }
    }

    /// Returns the fields that it may have.
    pub(super) fn record<'s>(&'s self, schema: &'s Schema) -> Option<&'s RecordShape> {
        match &self.shape {
            Shape::Entity(entity_type) => Some(&schema.entity(entity_type)?.attributes),
            Shape::Record(record) => Some(record),
            _ => None,
        }
    }
}

/// Returns an entity that a policy names.
fn named(uid: &EntityUID) -> Term {
    Term::start(uid.to_string(), entity_shape(uid))
}

fn entity_shape(uid: &EntityUID) -> Shape {
    Shape::Entity(Box::new(uid.entity_type().clone()))
}

/// Writes a condition that is asked only where what it speaks of is there.
pub(crate) fn given(presence: &[String], fact: &str) -> String {
    if presence.is_empty() {
        return format!("({fact})");
    }
    format!("(if {} then ({fact}) else true)", presence.join(" && "))
}

/// Writes an attribute of an expression.
pub(crate) fn attribute(expr: &str, name: &str) -> String {
    format!("{expr}[{}]", quoted(name))
}

/// Writes the condition that an expression has an attribute.
pub(crate) fn has(expr: &str, name: &str) -> String {
    format!("{expr} has {}", quoted(name))
}

/// Writes a name as a string of Cedar's.
pub(crate) fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    let _ = write!(text, "\"{}\"", name.escape_debug());
    text
}
