//! The facts of a request that a policy can tell apart.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{
    self, BinaryOp, EntityUID, Expr, ExprKind, Literal,
    PrincipalOrResourceConstraint as Constraint, Var,
};
use smol_str::SmolStr;

/// The facts that the scope and the conditions of a policy look at.
#[derive(Debug, Default)]
pub(super) struct PolicyReads {
    /// The attributes of the principal.
    pub of_principal: BTreeSet<SmolStr>,
    /// The attributes of the resource.
    pub of_resource: BTreeSet<SmolStr>,
    /// The fields of the context.
    pub of_context: BTreeSet<SmolStr>,
    /// The fields of whatever else: of an attribute, of a tag, of an entity that is named.
    pub of_others: BTreeSet<SmolStr>,
    /// True where the context is looked at as a whole.
    pub whole_context: bool,
    /// True where a tag is looked at.
    pub tags: bool,
    /// True where a condition asks what something is in.
    pub conditions_ask_in: bool,
    /// True where scope or conditions ask what an entity other than the action is in.
    pub entities_in: bool,
    /// The entities that are named. Of the action's scope there are none.
    pub entities: BTreeSet<EntityUID>,
}

impl PolicyReads {
    /// Reads a policy that is no template and no link of one.
    pub fn of(policy: &ast::Policy) -> Self {
        let mut reads = Self::default();
        let principal = policy.principal_constraint();
        let resource = policy.resource_constraint();
        for scope in [principal.as_inner(), resource.as_inner()] {
            reads.entities.extend(scope.get_euid().map(|uid| (**uid).clone()));
            reads.entities_in |= matches!(scope, Constraint::In(_) | Constraint::IsIn(..));
        }
        let (mut contexts, mut looked_into) = (0_usize, 0_usize);
        let conditions = policy.non_scope_constraints().into_iter();
        for expr in conditions.flat_map(Expr::subexpressions) {
            contexts += usize::from(is_var(expr, Var::Context));
            looked_into += usize::from(reads.read(expr));
        }
        reads.whole_context = contexts > looked_into;
        reads
    }

    /// Adds one expression. Returns whether it looks at a field of the context.
    fn read(&mut self, expr: &Expr) -> bool {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) => {
                self.entities.insert((**uid).clone());
            }
            ExprKind::BinaryApp { op: BinaryOp::In, arg1, .. } => {
                self.conditions_ask_in = true;
                self.entities_in |= !is_var(arg1, Var::Action);
            }
            ExprKind::BinaryApp { op: BinaryOp::HasTag | BinaryOp::GetTag, .. } => self.tags = true,
            ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
                self.fields_of(expr).insert(attr.clone());
                return is_var(expr, Var::Context);
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                self.fields_of(expr).extend(attrs.iter().take(1).cloned());
                self.of_others.extend(attrs.iter().skip(1).cloned());
                return is_var(expr, Var::Context);
            }
            _ => {}
        }
        false
    }

    /// Returns the fields that are looked at of what an expression stands for.
    fn fields_of(&mut self, expr: &Expr) -> &mut BTreeSet<SmolStr> {
        match expr.expr_kind() {
            ExprKind::Var(Var::Principal) => &mut self.of_principal,
            ExprKind::Var(Var::Resource) => &mut self.of_resource,
            ExprKind::Var(Var::Context) => &mut self.of_context,
            _ => &mut self.of_others,
        }
    }
}

fn is_var(expr: &Expr, var: Var) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(found) if *found == var)
}
