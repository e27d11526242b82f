//! Three-valued evaluation: an expression over a request of which some facts are open is true,
//! false, or open because of one of them.
//!
//! `x && false` is false though `x` is open. Cedar would fail where `x` does, so what is found here
//! holds for stores in which no policy can fail, which `prove` checks. Where it is open which entities
//! are sent, nothing is taken as known beside an operand that may look at one which is not.

use std::sync::Arc;

use cedar_policy_core::{
    ast::{
        self, BinaryOp, EntityType, EntityUID, Expr, ExprKind, Literal, Name, Pattern, UnaryOp,
        Value, ValueKind, Var,
    },
    entities::Entities,
    evaluator::Evaluator,
    extensions::Extensions,
};
use smol_str::SmolStr;

use super::{
    abstract_value::{Abstract, Evaluated, Fails, Open, entity, known, values},
    evaluation::Evaluation,
    fact::{Base, Fact, Place},
    origin::Origin,
    settled::is_literal,
    truth::Truth,
};
use crate::{
    engine::{PreparedPolicy, Scope},
    model::OnForbidError,
    schema::Shape,
};

impl<'a> Evaluation<'a> {
    /// Returns whether a policy applies. One that fails does not permit, and forbids unless the rule for
    /// such a forbid is to skip it.
    pub(super) fn applies(self, policy: &'a PreparedPolicy) -> Truth {
        self.world.count_evaluated();
        let request = &self.world.request;
        let scope = Truth::all([
            self.scope(policy.principal(), &request.principal),
            self.scope(policy.resource(), &request.resource),
        ]);
        match (scope, policy.condition()) {
            (Truth::False, _) => Truth::False,
            (scope, None) => scope,
            (scope, Some(condition)) => Truth::all([scope, self.holds(policy, condition)]),
        }
    }

    /// Returns whether a condition of a policy holds, the whole or a part of it.
    pub(super) fn holds(self, policy: &'a PreparedPolicy, condition: &Expr) -> Truth {
        self.world.forget_failures();
        let denies = self.world.on_forbid_error == OnForbidError::Deny;
        let truth = self.of(policy).truth(condition);
        truth.unwrap_or_else(|Fails| (policy.is_forbid() && denies).into())
    }

    /// Returns whether an entity meets a scope clause.
    pub(super) fn scope(self, scope: &Scope, uid: &EntityUID) -> Truth {
        if scope.entity_type.as_deref().is_some_and(|ty| ty != uid.entity_type()) {
            return Truth::False;
        }
        match scope.entity.as_deref() {
            None => Truth::True,
            Some(entity) if scope.exact => (entity == uid).into(),
            Some(entity) => self.is_in(uid, entity),
        }
    }

    fn truth(self, expr: &Expr) -> Result<Truth, Fails> {
        match self.evaluate(expr)? {
            Abstract::Value(value) => match value.value {
                ValueKind::Lit(Literal::Bool(value)) => Ok(value.into()),
                _ => Err(Fails),
            },
            Abstract::Record(_) => Err(Fails),
            Abstract::Open(open) => Ok(Truth::Open(open.because_of)),
        }
    }

    /// Evaluates an expression. It is open as long as it is open whether Cedar fails to evaluate one of
    /// its operands.
    fn evaluate(self, expr: &Expr) -> Evaluated {
        let failures = self.world.failures();
        let result = self.evaluate_operator(expr)?;
        match self.world.failure_after(failures) {
            Some(because_of) if !matches!(result, Abstract::Open(_)) => {
                Ok(Open { because_of, shape: None, role: None }.into())
            }
            _ => Ok(result),
        }
    }

    fn evaluate_operator(self, expr: &Expr) -> Evaluated {
        match expr.expr_kind() {
            ExprKind::Lit(_) => self.by_cedar(expr),
            ExprKind::Var(Var::Principal) => Ok(known(&self.world.request.principal)),
            ExprKind::Var(Var::Action) => Ok(known(&self.world.request.action)),
            ExprKind::Var(Var::Resource) => Ok(known(&self.world.request.resource)),
            ExprKind::Var(Var::Context) => {
                Ok(Abstract::Record(Place { base: Base::Context, path: Vec::new() }))
            }
            ExprKind::Slot(slot) => self.variables.get(slot).map(known).ok_or(Fails),
            ExprKind::And { .. } => Ok(self.all(expr)?.into()),
            ExprKind::Or { .. } => Ok(self.any(expr)?.into()),
            ExprKind::If { test_expr, then_expr, else_expr } => match self.truth(test_expr)? {
                Truth::True => self.evaluate(then_expr),
                Truth::False => self.evaluate(else_expr),
                Truth::Open(fact) => Ok(self.either(fact, then_expr, else_expr)),
            },
            ExprKind::UnaryApp { op: UnaryOp::Not, arg } => Ok(self.truth(arg)?.not().into()),
            ExprKind::UnaryApp { op, arg } => self.unary(expr, *op, arg),
            ExprKind::BinaryApp { op, .. } if is_arithmetic(*op) => self.arithmetic(expr),
            ExprKind::BinaryApp { op, arg1, arg2 } => self.binary(expr, *op, arg1, arg2),
            ExprKind::ExtensionFunctionApp { fn_name, args } => self.function(expr, fn_name, args),
            ExprKind::GetAttr { expr: base, attr } => {
                self.attribute(self.looked_into(expr, base)?, attr)
            }
            ExprKind::HasAttr { expr: base, attr } => {
                Ok(self.has(&self.looked_into(expr, base)?, attr)?.into())
            }
            ExprKind::ExtHasAttr { expr: base, attrs } => {
                Ok(self.has_path(self.looked_into(expr, base)?, attrs)?.into())
            }
            ExprKind::Like { expr: operand, pattern } => self.like(expr, operand, pattern),
            ExprKind::Is { expr, entity_type } => self.is_of_type(expr, entity_type),
            ExprKind::Set(items) => match values(items.iter().map(|item| self.whole(item)))? {
                Ok(items) => Ok(Abstract::Value(Value::set(items, None))),
                Err(open) => Ok(open),
            },
            ExprKind::Record(fields) => {
                match values(fields.values().map(|value| self.whole(value)))? {
                    Ok(items) => {
                        let fields = fields.keys().cloned().zip(items);
                        Ok(Abstract::Value(Value::record(fields, None)))
                    }
                    Err(open) => Ok(open),
                }
            }
            ExprKind::Unknown(_) => Err(Fails),
            #[expect(unreachable_patterns, reason = "a feature of Cedar's has one variant more")]
            _ => Err(Fails),
        }
    }

    /// Evaluates an operator with one operand, but for `!`.
    fn unary(self, expr: &Expr, op: UnaryOp, operand: &Expr) -> Evaluated {
        let (value, origin) = self.with_origin(operand)?;
        let Abstract::Value(value) = value else { return Ok(value.open_value()) };
        let result = self.by_cedar(&Expr::unary_app(op, value.into()));
        if op == UnaryOp::IsEmpty {
            self.note_set(expr, [origin, Origin::Literal], &result);
        }
        result
    }

    /// Evaluates a function of an extension type.
    fn function(self, expr: &Expr, name: &Name, operands: &[Expr]) -> Evaluated {
        let operands = operands.iter().map(|operand| self.with_origin(operand));
        let (operands, origins): (Vec<_>, Vec<_>) =
            operands.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        match values(operands.into_iter().map(Ok))? {
            Ok(operands) => {
                let operands = operands.into_iter().map(Expr::from).collect();
                let result = self.by_cedar(&Expr::call_extension_fn(name.clone(), operands));
                self.note_function(expr, name, &origins, &result);
                result
            }
            Err(open) => Ok(open),
        }
    }

    /// `has a.b.c`, of a value that has been evaluated.
    fn has_path<'e>(
        self,
        mut base: Abstract,
        names: impl IntoIterator<Item = &'e SmolStr>,
    ) -> Result<Truth, Fails> {
        let mut all = Truth::True;
        for name in names {
            all = Truth::all([all, self.has(&base, name)?]);
            if all == Truth::False {
                break;
            }
            base = match self.attribute(base, name) {
                Ok(inner) => inner,
                // There may be no such attribute, and then it is not looked into.
                Err(Fails) => break,
            };
        }
        Ok(all)
    }

    fn like(self, expr: &Expr, operand: &Expr, pattern: &Pattern) -> Evaluated {
        let (value, origin) = self.with_origin(operand)?;
        match value {
            Abstract::Value(Value { value: ValueKind::Lit(Literal::String(text)), .. }) => {
                let matches = pattern.wildcard_match(&text);
                self.note_pattern(expr, origin, matches);
                Ok(Truth::from(matches).into())
            }
            Abstract::Open(open) => Ok(open.anything()),
            Abstract::Value(_) | Abstract::Record(_) => Err(Fails),
        }
    }

    fn is_of_type(self, operand: &Expr, ty: &EntityType) -> Evaluated {
        match self.evaluate(operand)? {
            Abstract::Value(value) => Ok(Truth::from(entity(&value)?.entity_type() == ty).into()),
            Abstract::Open(open) => match &open.shape {
                Some(Shape::Entity(of)) => Ok(Truth::from(**of == *ty).into()),
                _ => Ok(open.anything()),
            },
            Abstract::Record(_) => Err(Fails),
        }
    }

    /// `&&`, of a whole chain, which may be as long as thousands.
    fn all(self, expr: &Expr) -> Result<Truth, Fails> {
        let operands = chain(expr, |kind| match kind {
            ExprKind::And { left, right } => Some((left, right)),
            _ => None,
        });
        let (mut all, first) = (Truth::True, self.world.notes());
        for operand in operands {
            let (own, failures) = (self.world.notes(), self.world.failures());
            all = match (all, self.truth(operand)) {
                (_, Ok(Truth::False)) => {
                    self.world.forget_notes(first..own);
                    return Ok(Truth::False);
                }
                (Truth::True, operand) => operand?,
                // The operands that follow may only be defined where those before them hold.
                (open, _) => open,
            };
            if self.world.failures() > failures {
                return Ok(all);
            }
        }
        Ok(all)
    }

    /// `||`, of a whole chain.
    fn any(self, expr: &Expr) -> Result<Truth, Fails> {
        let operands = chain(expr, |kind| match kind {
            ExprKind::Or { left, right } => Some((left, right)),
            _ => None,
        });
        let (mut any, first) = (Truth::False, self.world.notes());
        for operand in operands {
            let (own, failures) = (self.world.notes(), self.world.failures());
            any = match (any, self.truth(operand)) {
                (_, Ok(Truth::True)) => {
                    self.world.forget_notes(first..own);
                    return Ok(Truth::True);
                }
                (Truth::False, operand) => operand?,
                // The operands that follow may only be defined where those before them do not hold.
                (open, _) => open,
            };
            if self.world.failures() > failures {
                return Ok(any);
            }
        }
        Ok(any)
    }

    /// Returns the value that both branches have, or one that is open.
    fn either(self, fact: Option<Arc<Fact>>, one: &Expr, other: &Expr) -> Abstract {
        match (self.evaluate(one), self.evaluate(other)) {
            (Ok(Abstract::Value(one)), Ok(Abstract::Value(other))) if one == other => {
                Abstract::Value(one)
            }
            _ => Open { because_of: fact, shape: None, role: None }.into(),
        }
    }

    /// Evaluates an operator with two operands, but for a chain of arithmetic.
    fn binary(self, expr: &Expr, op: BinaryOp, left: &Expr, right: &Expr) -> Evaluated {
        match op {
            BinaryOp::In => {
                let left = self.evaluate(left)?;
                let truth = match right.expr_kind() {
                    ExprKind::Set(items) => {
                        let items = items.iter().map(|item| self.evaluate(item));
                        let items = items.collect::<Result<Vec<_>, _>>()?;
                        let each = items.iter().map(|item| self.member(&left, item));
                        Truth::any(each.collect::<Result<Vec<_>, _>>()?)
                    }
                    _ => {
                        let (right, origin) = self.with_origin(right)?;
                        let truth = self.member(&left, &right)?;
                        if matches!(&right, Abstract::Value(value) if is_set(value)) {
                            let result = Ok(truth.clone().into());
                            self.note_set(expr, [origin, Origin::Literal], &result);
                        }
                        truth
                    }
                };
                Ok(truth.into())
            }
            BinaryOp::Contains if let ExprKind::Set(items) = left.expr_kind() => {
                let right = self.with_origin(right)?;
                let items = items.iter().map(|item| self.with_origin(item));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                Ok(Truth::any(items.iter().map(|item| self.equal(expr, item, &right))).into())
            }
            BinaryOp::Eq => {
                Ok(self.equal(expr, &self.with_origin(left)?, &self.with_origin(right)?).into())
            }
            BinaryOp::HasTag | BinaryOp::GetTag => {
                self.tag(op, self.evaluate(left)?, self.evaluate(right)?)
            }
            _ => {
                self.apply(expr, op, self.whole_with_origin(left)?, self.whole_with_origin(right)?)
            }
        }
    }

    /// Evaluates a chain of `+`, `-` and `*`.
    fn arithmetic(self, whole: &Expr) -> Evaluated {
        let (mut steps, mut expr) = (Vec::new(), whole);
        while let ExprKind::BinaryApp { op, arg1, arg2 } = expr.expr_kind()
            && is_arithmetic(*op)
        {
            steps.push((*op, arg2));
            expr = arg1;
        }
        let mut value = self.with_origin(expr)?;
        for (op, right) in steps.into_iter().rev() {
            let right = self.with_origin(right)?;
            let origin = value.1.and(right.1);
            value = (self.apply(whole, op, value, right)?, origin);
        }
        Ok(value.0)
    }

    fn apply(
        self,
        expr: &Expr,
        op: BinaryOp,
        (left, from): (Abstract, Origin),
        (right, of): (Abstract, Origin),
    ) -> Evaluated {
        match (left, right) {
            (Abstract::Value(left), Abstract::Value(right)) => {
                let is_entity = matches!(&right.value, ValueKind::Lit(Literal::EntityUID(_)));
                let result = self.by_cedar(&Expr::binary_app(op, left.into(), right.into()));
                match op {
                    BinaryOp::Contains if is_entity => {
                        self.note_set(expr, [from, Origin::Literal], &result);
                    }
                    BinaryOp::Contains | BinaryOp::ContainsAll | BinaryOp::ContainsAny => {
                        self.note_set(expr, [from, of], &result);
                    }
                    _ => self.note_compared(expr, [from, of]),
                }
                result
            }
            (Abstract::Value(_), open) | (open, _) => Ok(open.open_value()),
        }
    }

    /// Evaluates an expression and tells where its value comes from.
    fn with_origin(self, expr: &Expr) -> Result<(Abstract, Origin), Fails> {
        let (value, is_tried) = self.world.traced(|| self.evaluate(expr));
        let is_fact = matches!(
            expr.expr_kind(),
            ExprKind::GetAttr { .. } | ExprKind::BinaryApp { op: BinaryOp::GetTag, .. }
        );
        let origin = match (is_tried, is_fact) {
            (true, true) => Origin::Tried,
            (true, false) => Origin::Computed,
            (false, _) if is_literal(expr) => Origin::Literal,
            (false, _) => Origin::Given,
        };
        Ok((value?, origin))
    }

    /// Evaluates the entity or the record of which `expr` looks at a field.
    fn looked_into(self, expr: &Expr, base: &Expr) -> Evaluated {
        let (value, is_tried) = self.world.traced(|| self.evaluate(base));
        let value = value?;
        self.note_look_into(expr, &value, is_tried);
        Ok(value)
    }

    /// Evaluates an expression, reads records as a whole, and tells where the value comes from.
    fn whole_with_origin(self, expr: &Expr) -> Result<(Abstract, Origin), Fails> {
        let (value, origin) = self.with_origin(expr)?;
        Ok((self.read_whole(value)?, origin))
    }

    /// Evaluates an expression, and reads records as a whole.
    fn whole(self, expr: &Expr) -> Evaluated {
        self.read_whole(self.evaluate(expr)?)
    }

    /// Evaluates an expression in which everything is known.
    fn by_cedar(self, expr: &Expr) -> Evaluated {
        let request = ast::Request::new_unchecked(
            known_entry(&self.world.request.principal),
            known_entry(&self.world.request.action),
            known_entry(&self.world.request.resource),
            Some(ast::Context::empty()),
        );
        let entities = Entities::new();
        let evaluator = Evaluator::new(request, &entities, Extensions::all_available());
        evaluator.interpret(expr, self.variables).map(Abstract::Value).map_err(|_| Fails)
    }
}

/// Returns the operands of a chain of one operator, from left to right.
fn chain<'e>(
    expr: &'e Expr,
    operands: impl Fn(&'e ExprKind) -> Option<(&'e Expr, &'e Expr)>,
) -> Vec<&'e Expr> {
    let (mut chain, mut pending) = (Vec::new(), vec![expr]);
    while let Some(expr) = pending.pop() {
        match operands(expr.expr_kind()) {
            Some((left, right)) => pending.extend([right, left]),
            None => chain.push(expr),
        }
    }
    chain
}

fn known_entry(uid: &EntityUID) -> ast::EntityUIDEntry {
    ast::EntityUIDEntry::known(uid.clone(), None)
}

/// Returns whether an operator computes a number.
fn is_arithmetic(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul)
}

fn is_set(value: &Value) -> bool {
    matches!(value.value, ValueKind::Set(_))
}
