//! Policies, rewritten for the schema in which what is sent of an entity is optional.

use std::cell::Cell;

use cedar_policy::{Effect, Policy};
use cedar_policy_core::ast::{self, BinaryOp, EntityType, Expr, ExprKind, UnaryOp};
use smol_str::SmolStr;

use super::{expr_types::ExprTypes, schema::SENT};
use crate::{
    model::OnForbidError,
    proofs::policies::{Environment, StaticPolicy},
    schema::{Schema, Shape},
};

/// Operators that a policy may have once it is rewritten.
const MOST: usize = 50_000;

/// Writes that something is sent of an entity which a policy names.
pub(in crate::proofs) fn is_sent(uid: &ast::EntityUID) -> Result<Policy, String> {
    let text = format!("forbid (principal, action, resource) unless {{ {uid} has \"{SENT}\" }};");
    let id = cedar_policy::PolicyId::new(format!("sent {uid}"));
    Policy::parse(Some(id), text).map_err(|error| error.to_string())
}

/// Rewrites policies for one kind of request.
pub(in crate::proofs) struct Rewriter<'a> {
    schema: &'a Schema,
    types: ExprTypes<'a>,
    on_forbid_error: OnForbidError,
    operators: Cell<usize>,
}

/// An attribute or a field that a policy asks for.
enum Asked {
    /// It is sent with an entity.
    Sent {
        /// The type of the entity requires it.
        required: bool,
    },
    /// It is a field of a record, a role slot, or nothing that the schema declares.
    Other,
}

/// A part of a policy, rewritten, or why that cannot be.
type Rewritten = Result<Expr, String>;

impl<'a> Rewriter<'a> {
    pub fn new(
        schema: &'a Schema,
        env: &'a Environment<'a>,
        on_forbid_error: OnForbidError,
    ) -> Self {
        let types = ExprTypes { schema, env };
        Self { schema, types, on_forbid_error, operators: Cell::new(0) }
    }

    /// Returns whether a policy may tell an entity of which nothing is sent from one of which nothing but
    /// what its type requires is.
    pub fn can_tell(&self, policy: &StaticPolicy) -> bool {
        policy.condition().subexpressions().any(|expr| match expr.expr_kind() {
            ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
                self.may_be_required(expr, attr)
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                self.steps(expr, attrs).iter().any(|(base, attr)| self.may_be_required(base, attr))
            }
            _ => false,
        })
    }

    /// Returns whether a policy asks for an attribute that is required, so that more of it may be evaluated
    /// than the validator and the solver take into account.
    pub fn may_revive(&self, policy: &StaticPolicy) -> bool {
        policy.condition().subexpressions().any(|expr| match expr.expr_kind() {
            ExprKind::HasAttr { expr, attr } => self.may_be_required(expr, attr),
            ExprKind::ExtHasAttr { .. } => true,
            _ => false,
        })
    }

    /// Returns the policy for the schema in which what is sent is optional.
    pub fn policy(&self, policy: &StaticPolicy) -> Result<Policy, String> {
        self.operators.set(0);
        let condition = policy.condition();
        let (effect, condition) = match (policy.policy.effect(), self.on_forbid_error) {
            (Effect::Permit, _) => (ast::Effect::Permit, self.holds(&condition, true)?),
            (Effect::Forbid, OnForbidError::Deny) => {
                (ast::Effect::Forbid, Expr::not(self.holds(&condition, false)?))
            }
            (Effect::Forbid, OnForbidError::Skip) => {
                (ast::Effect::Forbid, self.holds(&condition, true)?)
            }
        };
        Ok(policy_of(effect, condition, policy))
    }

    /// Returns a policy that states a fact, which denies only where the fact is known not to hold.
    pub fn fact(&self, policy: &StaticPolicy) -> Result<Policy, String> {
        self.operators.set(0);
        let condition = self.holds(&policy.condition(), true)?;
        Ok(policy_of(ast::Effect::Forbid, condition, policy))
    }

    /// Returns an expression that is true where `expr` has that truth value, and false where it has the other
    /// or fails because nothing is sent of an entity.
    fn holds(&self, expr: &Expr, wanted: bool) -> Rewritten {
        self.count()?;
        match expr.expr_kind() {
            ExprKind::And { .. } => self.chain(expr, wanted, true),
            ExprKind::Or { .. } => self.chain(expr, wanted, false),
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => self.holds(arg, !wanted),
            ExprKind::If { test_expr, then_expr, else_expr } => Ok(Expr::or(
                Expr::and(self.holds(test_expr, true)?, self.holds(then_expr, wanted)?),
                Expr::and(self.holds(test_expr, false)?, self.holds(else_expr, wanted)?),
            )),
            _ => {
                let mut guards = Vec::new();
                let value = self.value(expr, &mut guards)?;
                let value = if wanted { value } else { Expr::not(value) };
                Ok(guards
                    .into_iter()
                    .chain([value])
                    .reduce(Expr::and)
                    .unwrap_or_else(|| Expr::val(false)))
            }
        }
    }

    /// Rewrites a chain of `&&`, or of `||`, whose value is `of_and` where all its operands have it.
    fn chain(&self, expr: &Expr, wanted: bool, of_and: bool) -> Rewritten {
        let mut operands = operands(expr, of_and);
        let last = operands.pop().map_or(Ok(Expr::val(of_and)), |last| self.holds(last, wanted))?;
        if wanted == of_and {
            let mut all = operands
                .into_iter()
                .map(|operand| self.holds(operand, wanted))
                .collect::<Result<Vec<_>, _>>()?;
            all.push(last);
            return Ok(all.into_iter().reduce(Expr::and).unwrap_or_else(|| Expr::val(true)));
        }
        // An operand is evaluated where those before it have the other value.
        operands.into_iter().rev().try_fold(last, |rest, operand| {
            let others = Expr::and(self.holds(operand, !wanted)?, rest);
            Ok(Expr::or(self.holds(operand, wanted)?, others))
        })
    }

    /// Returns an expression with the value of `expr`, where the guards hold, one after the other.
    fn value(&self, expr: &Expr, guards: &mut Vec<Expr>) -> Rewritten {
        self.count()?;
        Ok(match expr.expr_kind() {
            ExprKind::GetAttr { expr: base, attr } => {
                let asked = self.asked(base, attr)?;
                let base = self.value(base, guards)?;
                if let Asked::Sent { required: true } = asked {
                    guard(guards, Expr::has_attr(base.clone(), SENT.into()));
                }
                let base = match asked {
                    Asked::Sent { .. } => Expr::get_attr(base, SENT.into()),
                    Asked::Other => base,
                };
                Expr::get_attr(base, attr.clone())
            }
            ExprKind::HasAttr { expr: base, attr } => {
                let asked = self.asked(base, attr)?;
                let base = self.value(base, guards)?;
                match asked {
                    Asked::Sent { .. } => {
                        let sent = Expr::get_attr(base.clone(), SENT.into());
                        let has = Expr::has_attr(sent, attr.clone());
                        Expr::and(Expr::has_attr(base, SENT.into()), has)
                    }
                    Asked::Other => Expr::has_attr(base, attr.clone()),
                }
            }
            ExprKind::ExtHasAttr { expr: base, attrs } => {
                // What the first attribute is asked of is looked up, and fails where that does. The others
                // are not there where the one before is not.
                self.value(base, guards)?;
                let steps = self.steps(base, attrs).into_iter();
                let steps = steps.map(|(base, attr)| self.holds(&Expr::has_attr(base, attr), true));
                let steps = steps.collect::<Result<Vec<_>, _>>()?;
                steps.into_iter().reduce(Expr::and).unwrap_or_else(|| Expr::val(true))
            }
            ExprKind::BinaryApp { op, arg1, arg2 } => {
                let whole =
                    |left: &Expr, right: &Expr| Expr::binary_app(*op, left.clone(), right.clone());
                let types = (self.types.of(arg1), self.types.of(arg2));
                let left = self.value(arg1, guards)?;
                let right = self.value(arg2, guards)?;
                match (op, types) {
                    (BinaryOp::HasTag, (Some(Shape::Entity(of)), _)) if self.can_be_sent(&of) => {
                        let is_sent = Expr::has_attr(left.clone(), SENT.into());
                        Expr::and(is_sent, whole(&left, &right))
                    }
                    (BinaryOp::In, (Some(Shape::Entity(of)), Some(by)))
                        if self.can_be_sent(&of) && !self.may_be_in_by_role(&of, &by) =>
                    {
                        let is_sent = Expr::has_attr(left.clone(), SENT.into());
                        let is_in = Expr::and(is_sent, whole(&left, &right));
                        // An entity is in itself, whatever is sent of it.
                        match by {
                            Shape::Entity(by) if by == of => {
                                Expr::or(Expr::is_eq(left, right), is_in)
                            }
                            Shape::Set(by) if *by == Shape::Entity(of.clone()) => {
                                Expr::or(Expr::contains(right, left), is_in)
                            }
                            _ => is_in,
                        }
                    }
                    _ => whole(&left, &right),
                }
            }
            ExprKind::UnaryApp { op, arg } => Expr::unary_app(*op, self.value(arg, guards)?),
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                let args = args.iter().map(|arg| self.value(arg, guards));
                Expr::call_extension_fn(fn_name.clone(), args.collect::<Result<_, _>>()?)
            }
            ExprKind::Like { expr, pattern } => {
                Expr::like(self.value(expr, guards)?, pattern.clone())
            }
            ExprKind::Is { expr, entity_type } => {
                Expr::is_entity_type(self.value(expr, guards)?, entity_type.clone())
            }
            ExprKind::Set(items) => {
                let items = items.iter().map(|item| self.value(item, guards));
                Expr::set(items.collect::<Result<Vec<_>, _>>()?)
            }
            ExprKind::Record(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.value(value, guards)?)));
                let fields = fields.collect::<Result<Vec<_>, String>>()?;
                Expr::record(fields).map_err(|error| error.to_string())?
            }
            ExprKind::And { left, right } => {
                Expr::and(self.value(left, guards)?, self.without_guards(right)?)
            }
            ExprKind::Or { left, right } => {
                Expr::or(self.value(left, guards)?, self.without_guards(right)?)
            }
            ExprKind::If { test_expr, then_expr, else_expr } => Expr::ite(
                self.value(test_expr, guards)?,
                self.without_guards(then_expr)?,
                self.without_guards(else_expr)?,
            ),
            _ => expr.clone(),
        })
    }

    /// Rewrites an operand that may not be evaluated, so that nothing can be asked for it before.
    fn without_guards(&self, expr: &Expr) -> Rewritten {
        let mut guards = Vec::new();
        let value = self.value(expr, &mut guards)?;
        if guards.is_empty() {
            return Ok(value);
        }
        Err(format!(
            "`{expr}` may look at an entity of which nothing is sent, and is part of a value"
        ))
    }

    /// Counts an operator.
    fn count(&self) -> Result<(), String> {
        self.operators.set(self.operators.get() + 1);
        if self.operators.get() > MOST {
            return Err("a policy is too long where nothing is sent of an entity".to_owned());
        }
        Ok(())
    }

    /// Returns what an attribute is that is asked of something.
    ///
    /// # Errors
    /// The type of that is not known.
    fn asked(&self, base: &Expr, attr: &SmolStr) -> Result<Asked, String> {
        let Some(ty) = self.types.entity(base)? else { return Ok(Asked::Other) };
        let shape = self.schema.entity(&ty);
        let own = shape.filter(|shape| !shape.slots.contains_key(attr.as_str()));
        let field = own.and_then(|shape| shape.attributes.fields.get(attr));
        Ok(field.map_or(Asked::Other, |field| Asked::Sent { required: field.required }))
    }

    /// Returns whether an attribute may be sent with an entity and required of what is.
    fn may_be_required(&self, base: &Expr, attr: &SmolStr) -> bool {
        !matches!(self.asked(base, attr), Ok(Asked::Other | Asked::Sent { required: false }))
    }

    /// Returns the steps of `has a.b.c`: each attribute with what it is asked of. Nothing is asked of an
    /// attribute that the schema does not declare.
    fn steps<'e>(
        &self,
        base: &Expr,
        attrs: impl IntoIterator<Item = &'e SmolStr>,
    ) -> Vec<(Expr, SmolStr)> {
        let (mut steps, mut base) = (Vec::new(), base.clone());
        for attr in attrs {
            let inner = Expr::get_attr(base.clone(), attr.clone());
            steps.push((base, attr.clone()));
            if self.types.of(&inner).is_none() {
                break;
            }
            base = inner;
        }
        steps
    }

    /// Returns whether entities of a type can be sent.
    pub fn can_be_sent(&self, ty: &EntityType) -> bool {
        let shape = self.schema.entity(ty);
        shape.is_some_and(|shape| shape.ids.is_none()) && !self.schema.is_role_type(ty)
    }

    /// Returns whether an entity of which nothing is sent may be in such a one, or in one of a set of them: a
    /// role, or what a role may be in.
    fn may_be_in_by_role(&self, of: &EntityType, by: &Shape) -> bool {
        let by = match by {
            Shape::Entity(ty) => ty,
            Shape::Set(element) => return self.may_be_in_by_role(of, element),
            _ => return true,
        };
        let parents_of = |ty| self.schema.entity(ty).map(|shape| &shape.parents);
        let roles = parents_of(of).into_iter().flatten();
        let mut roles = roles.filter(|ty| self.schema.is_role_type(ty));
        self.schema.is_role_type(by)
            || roles.any(|role| parents_of(role).is_some_and(|parents| parents.contains(&**by)))
    }
}

/// Returns a policy with the id of another.
fn policy_of(effect: ast::Effect, condition: Expr, other: &StaticPolicy) -> Policy {
    let core: &ast::Policy = other.policy.as_ref();
    ast::Policy::from_when_clause(effect, condition, core.id().clone(), None).into()
}

fn guard(guards: &mut Vec<Expr>, guard: Expr) {
    if !guards.contains(&guard) {
        guards.push(guard);
    }
}

/// Returns the operands of a chain of `&&` or of `||`, from left to right.
fn operands(expr: &Expr, of_and: bool) -> Vec<&Expr> {
    let (mut chain, mut pending) = (Vec::new(), vec![expr]);
    while let Some(expr) = pending.pop() {
        match expr.expr_kind() {
            ExprKind::And { left, right } if of_and => pending.extend([&**right, &**left]),
            ExprKind::Or { left, right } if !of_and => pending.extend([&**right, &**left]),
            _ => chain.push(expr),
        }
    }
    chain
}
