//! The types of the expressions of a policy, as far as entities and records are concerned.

use cedar_policy_core::ast::{BinaryOp, EntityType, Expr, ExprKind, Literal, Var};
use smol_str::SmolStr;

use crate::{
    proofs::policies::Environment,
    schema::{Schema, Shape},
};

/// Tells the types of expressions in requests of one kind.
pub(super) struct ExprTypes<'a> {
    pub schema: &'a Schema,
    pub env: &'a Environment<'a>,
}

impl ExprTypes<'_> {
    /// Returns the type of the entity that an attribute is asked of; nothing where it is asked of a record.
    ///
    /// # Errors
    /// That cannot be told.
    pub fn entity(&self, expr: &Expr) -> Result<Option<EntityType>, String> {
        if let ExprKind::Record(_) = expr.expr_kind() {
            return Ok(None);
        }
        match self.of(expr) {
            Some(Shape::Entity(ty)) => Ok(Some(*ty)),
            Some(_) => Ok(None),
            None => Err(format!("the type of `{expr}` is not told")),
        }
    }

    /// Returns the type of an expression, if it can be told.
    pub fn of(&self, expr: &Expr) -> Option<Shape> {
        let of_entity = |ty: &EntityType| Some(Shape::Entity(Box::new(ty.clone())));
        match expr.expr_kind() {
            ExprKind::Var(Var::Principal) => of_entity(self.env.principal),
            ExprKind::Var(Var::Resource) => of_entity(self.env.resource),
            ExprKind::Var(Var::Action) => of_entity(self.env.action.entity_type()),
            ExprKind::Var(Var::Context) => Some(Shape::Record(self.env.context.clone())),
            ExprKind::Lit(Literal::EntityUID(uid)) => of_entity(uid.entity_type()),
            ExprKind::GetAttr { expr, attr } => self.field(expr, attr),
            ExprKind::BinaryApp { op: BinaryOp::GetTag, arg1, .. } => match self.of(arg1)? {
                Shape::Entity(ty) => self.schema.entity(&ty)?.tags.clone(),
                _ => None,
            },
            // One of them may be without meaning, for it is never evaluated.
            ExprKind::If { then_expr, else_expr, .. } => {
                let (one, other) = (self.of(then_expr)?, self.of(else_expr)?);
                (one == other).then_some(one)
            }
            ExprKind::Set(items) => {
                let element = items.iter().find_map(|item| self.of(item))?;
                Some(Shape::Set(Box::new(element)))
            }
            _ => None,
        }
    }

    /// Returns the type of a field of a record, or of an attribute of an entity.
    fn field(&self, base: &Expr, name: &SmolStr) -> Option<Shape> {
        if let ExprKind::Record(fields) = base.expr_kind() {
            return self.of(fields.get(name)?);
        }
        let field = match self.of(base)? {
            Shape::Entity(ty) => self.schema.entity(&ty)?.attributes.fields.get(name).cloned(),
            Shape::Record(record) => record.fields.get(name).cloned(),
            _ => None,
        };
        field.map(|field| field.shape)
    }
}
