//! Policies whose places name no text.
//!
//! A place of Cedar's holds the whole text of its file, and the validator keeps its findings in a set,
//! for which it hashes that text with each: the time is the number of findings times the size of the
//! file. Places over an empty text have the same offsets and cost nothing.

use std::sync::Arc;

use cedar_policy_core::{
    ast::{self, Expr, ExprKind, Template},
    expr_builder::ExprBuilder as _,
    parser::Loc,
};

/// Copies policies.
pub(super) struct WithoutText {
    empty: Arc<str>,
}

impl WithoutText {
    pub fn new() -> Self {
        Self { empty: Arc::from("") }
    }

    /// Copies a template, or the body of a policy, which is one without slots.
    pub fn template(&self, template: &Template) -> Template {
        Template::new_shared(
            template.id().clone(),
            self.place(template.loc()),
            Arc::clone(template.annotations_arc()),
            template.effect(),
            template.principal_constraint().clone(),
            template.action_constraint().clone(),
            template.resource_constraint().clone(),
            template.non_scope_constraints().map(|condition| self.arc(condition)),
        )
    }

    fn place(&self, place: Option<&Loc>) -> Option<Loc> {
        place.map(|place| Loc::new(place.span, Arc::clone(&self.empty)))
    }

    fn arc(&self, expr: &Expr) -> Arc<Expr> {
        Arc::new(self.expr(expr))
    }

    /// Goes as deep as the expression, which the bounds on texts allow.
    fn expr(&self, expr: &Expr) -> Expr {
        let arc = |expr: &Expr| self.arc(expr);
        let kind = match expr.expr_kind() {
            ExprKind::If { test_expr, then_expr, else_expr } => ExprKind::If {
                test_expr: arc(test_expr),
                then_expr: arc(then_expr),
                else_expr: arc(else_expr),
            },
            ExprKind::And { left, right } => ExprKind::And { left: arc(left), right: arc(right) },
            ExprKind::Or { left, right } => ExprKind::Or { left: arc(left), right: arc(right) },
            ExprKind::UnaryApp { op, arg } => ExprKind::UnaryApp { op: *op, arg: arc(arg) },
            ExprKind::BinaryApp { op, arg1, arg2 } => {
                ExprKind::BinaryApp { op: *op, arg1: arc(arg1), arg2: arc(arg2) }
            }
            ExprKind::ExtensionFunctionApp { fn_name, args } => ExprKind::ExtensionFunctionApp {
                fn_name: fn_name.clone(),
                args: Arc::new(args.iter().map(|arg| self.expr(arg)).collect()),
            },
            ExprKind::GetAttr { expr, attr } => {
                ExprKind::GetAttr { expr: arc(expr), attr: attr.clone() }
            }
            ExprKind::HasAttr { expr, attr } => {
                ExprKind::HasAttr { expr: arc(expr), attr: attr.clone() }
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                ExprKind::ExtHasAttr { expr: arc(expr), attrs: attrs.clone() }
            }
            ExprKind::Like { expr, pattern } => {
                ExprKind::Like { expr: arc(expr), pattern: pattern.clone() }
            }
            ExprKind::Is { expr, entity_type } => {
                ExprKind::Is { expr: arc(expr), entity_type: entity_type.clone() }
            }
            ExprKind::Set(elements) => {
                ExprKind::Set(Arc::new(elements.iter().map(|element| self.expr(element)).collect()))
            }
            ExprKind::Record(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), self.expr(value)));
                ExprKind::Record(Arc::new(fields.collect()))
            }
            leaf => leaf.clone(),
        };
        let place = self.place(expr.source_loc());
        ast::ExprBuilder::new().with_maybe_source_loc(place.as_ref()).with_expr_kind(kind)
    }
}
