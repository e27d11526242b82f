//! Compiles conditions.

use cedar_policy_core::{
    ast::{
        self, BinaryOp, EntityType, EntityUID, ExprKind, Literal, SlotEnv, UnaryOp, ValueKind, Var,
    },
    entities::Entities,
    evaluator::Evaluator,
    extensions::Extensions,
};
use smol_str::SmolStr;

use super::expr::{Arithmetic, Attribute, Call, Elements, Expr, Has, Role, SlotField, Target};
use crate::schema::Schema;

/// Levels to which an expression may nest; deeper ones are left to Cedar, which checks its stack.
const MAX_DEPTH: usize = 100;

pub(super) struct Compiler<'a> {
    schema: &'a Schema,
    /// The values of a template's slots.
    variables: &'a SlotEnv,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(schema: &'a Schema, variables: &'a SlotEnv) -> Self {
        Self { schema, variables }
    }

    /// Compiles a condition; nothing where a part of it only Cedar evaluates.
    pub(super) fn compile(&self, condition: &ast::Expr) -> Option<Expr> {
        self.expr(condition, MAX_DEPTH)
    }

    /// Compiles the entity that a scope clause names.
    pub(super) fn target(&self, uid: &EntityUID) -> Target {
        if !self.schema.is_role(uid) {
            return Target::Entity(Box::new(self.own(uid)));
        }
        self.role(uid).map_or(Target::UnknownRole, |role| Target::Role(Box::new(role)))
    }

    fn role(&self, uid: &EntityUID) -> Option<Role> {
        let (scope, slot) = self.schema.scope_of(uid)?;
        Some(Role { scope, slot: slot.as_str().into() })
    }

    /// The same entity with the schema's own type: types that share their namespace in memory are
    /// compared faster.
    fn own(&self, uid: &EntityUID) -> EntityUID {
        let entity_type = self.own_type(uid.entity_type());
        EntityUID::from_components(entity_type, uid.eid().clone(), None)
    }

    pub(super) fn own_type(&self, entity_type: &EntityType) -> EntityType {
        self.schema.own_type(entity_type).unwrap_or(entity_type).clone()
    }

    fn expr(&self, expr: &ast::Expr, depth: usize) -> Option<Expr> {
        let depth = depth.checked_sub(1)?;
        let one = |expr| self.expr(expr, depth);
        let boxed = |expr| one(expr).map(Box::new);
        let two = |a, b| Some(Box::new([one(a)?, one(b)?]));
        let elements = |expr| self.elements(expr, depth);
        Some(match expr.expr_kind() {
            ExprKind::Lit(Literal::Bool(value)) => Expr::Bool(*value),
            ExprKind::Lit(Literal::Long(value)) => Expr::Long(*value),
            ExprKind::Lit(Literal::String(text)) => Expr::String(text.clone()),
            ExprKind::Lit(Literal::EntityUID(uid)) => self.entity(uid)?,
            ExprKind::Slot(slot) => self.entity(self.variables.get(slot)?)?,
            ExprKind::Var(Var::Principal) => Expr::Principal,
            ExprKind::Var(Var::Action) => Expr::Action,
            ExprKind::Var(Var::Resource) => Expr::Resource,
            ExprKind::Var(Var::Context) => Expr::Context,
            ExprKind::And { .. } => Expr::All(self.chain(expr, depth, |kind| match kind {
                ExprKind::And { left, right } => Some((left, right)),
                _ => None,
            })?),
            ExprKind::Or { .. } => Expr::Any(self.chain(expr, depth, |kind| match kind {
                ExprKind::Or { left, right } => Some((left, right)),
                _ => None,
            })?),
            ExprKind::If { test_expr, then_expr, else_expr } => {
                Expr::If(Box::new([one(test_expr)?, one(then_expr)?, one(else_expr)?]))
            }
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => Expr::Not(boxed(arg)?),
            ExprKind::UnaryApp { op: UnaryOp::Neg, arg } => Expr::Negative(boxed(arg)?),
            ExprKind::UnaryApp { op: UnaryOp::IsEmpty, arg } => Expr::IsEmpty(boxed(arg)?),
            ExprKind::BinaryApp { op, arg1, arg2 } => match op {
                BinaryOp::Eq => Expr::Equal(two(arg1, arg2)?),
                BinaryOp::Less => Expr::Less(two(arg1, arg2)?),
                BinaryOp::LessEq => Expr::LessOrEqual(two(arg1, arg2)?),
                BinaryOp::Add => Expr::Arithmetic(Arithmetic::Add, two(arg1, arg2)?),
                BinaryOp::Sub => Expr::Arithmetic(Arithmetic::Subtract, two(arg1, arg2)?),
                BinaryOp::Mul => Expr::Arithmetic(Arithmetic::Multiply, two(arg1, arg2)?),
                BinaryOp::In => Expr::In(boxed(arg1)?, Box::new(elements(arg2)?)),
                BinaryOp::Contains => Expr::Contains(Box::new(elements(arg1)?), boxed(arg2)?),
                BinaryOp::ContainsAll => {
                    Expr::ContainsAll(Box::new([elements(arg1)?, elements(arg2)?]))
                }
                BinaryOp::ContainsAny => {
                    Expr::ContainsAny(Box::new([elements(arg1)?, elements(arg2)?]))
                }
                BinaryOp::GetTag | BinaryOp::HasTag => return None,
            },
            ExprKind::GetAttr { expr, attr } => {
                Expr::Attribute(Box::new(Attribute { base: one(expr)?, field: self.field(attr) }))
            }
            ExprKind::HasAttr { expr, attr } => {
                Expr::Has(Box::new(Has { base: one(expr)?, fields: [self.field(attr)].into() }))
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                let fields = attrs.iter().map(|attr| self.field(attr)).collect();
                Expr::Has(Box::new(Has { base: one(expr)?, fields }))
            }
            ExprKind::Like { expr, pattern } => Expr::Like(boxed(expr)?, pattern.clone()),
            ExprKind::Is { expr, entity_type } => {
                Expr::Is(boxed(expr)?, Box::new(self.own_type(entity_type)))
            }
            ExprKind::Set(_) => Expr::Value(self.constant(expr)?),
            ExprKind::ExtensionFunctionApp { fn_name, args } => match self.constant(expr) {
                Some(value) => Expr::Value(value),
                None => Expr::Call(Box::new(Call {
                    function: fn_name.clone(),
                    arguments: args.iter().map(one).collect::<Option<_>>()?,
                })),
            },
            _ => return None,
        })
    }

    /// The operands of a chain of the same operator, from left to right. Cedar nests them to the
    /// left, so no step deeper on the stack is needed for them.
    fn chain<'e>(
        &self,
        mut expr: &'e ast::Expr,
        depth: usize,
        operands: impl Fn(&'e ExprKind) -> Option<(&'e ast::Expr, &'e ast::Expr)>,
    ) -> Option<Box<[Expr]>> {
        let mut chain = Vec::new();
        while let Some((left, right)) = operands(expr.expr_kind()) {
            if chain.len() > MAX_DEPTH {
                return None;
            }
            chain.push(self.expr(right, depth)?);
            expr = left;
        }
        chain.push(self.expr(expr, depth)?);
        chain.reverse();
        Some(chain.into())
    }

    fn elements(&self, expr: &ast::Expr, depth: usize) -> Option<Elements> {
        if let ExprKind::Set(items) = expr.expr_kind() {
            let items = items.iter().map(|item| self.expr(item, depth)).collect::<Option<_>>()?;
            return Some(Elements::Listed(items));
        }
        self.expr(expr, depth).map(Elements::Of)
    }

    fn entity(&self, uid: &EntityUID) -> Option<Expr> {
        if self.schema.is_role(uid) {
            return self.role(uid).map(|role| Expr::Role(Box::new(role)));
        }
        Some(Expr::Entity(Box::new(self.own(uid))))
    }

    fn field(&self, name: &SmolStr) -> SlotField {
        SlotField { name: name.clone(), slot_of: self.schema.scopes_of(name) }
    }

    /// The value of an expression that is the same for every request and names no Role.
    fn constant(&self, expr: &ast::Expr) -> Option<ValueKind> {
        let closed = expr.subexpressions().all(|part| match part.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) => !self.schema.is_role(uid),
            ExprKind::Lit(_) | ExprKind::Set(_) | ExprKind::ExtensionFunctionApp { .. } => true,
            _ => false,
        });
        if !closed {
            return None;
        }
        let nobody = EntityUID::with_eid_and_type("Nobody", "").ok()?;
        let nobody = || ast::EntityUIDEntry::known(nobody.clone(), None);
        let request =
            ast::Request::new_unchecked(nobody(), nobody(), nobody(), Some(ast::Context::empty()));
        let entities = Entities::new();
        let evaluator = Evaluator::new(request, &entities, Extensions::all_available());
        evaluator.interpret(expr, self.variables).ok().map(|value| value.value)
    }
}
