//! Requests that refer to entities of which nothing is sent, told to the solver.
//!
//! To the solver each entity that is referred to is there, with all that its type requires. A caller may
//! refer to one that neither it nor a directory or the store describes: it has its role slots and nothing
//! else, is in nothing but roles, and to look at an attribute of it fails, though the schema requires the
//! attribute. A permit that fails grants nothing, and a forbid that fails denies.
//!
//! Here schema and policies are rewritten so that this is said without failing: what is sent of an entity is
//! one optional record, [`SENT`], and each policy asks for it before it looks into it. An operand that would
//! fail makes neither the condition nor its negation hold.

use std::{cell::Cell, collections::BTreeMap};

use cedar_policy::{Effect, Policy, Schema as CedarSchema};
use cedar_policy_core::ast::{
    self, BinaryOp, Entity, EntityType, Expr, ExprKind, Literal, PartialValue, UnaryOp, Value,
    ValueKind, Var,
};
use serde_json::{Map, Value as Json};
use smol_str::SmolStr;

use super::policies::{Environment, StaticPolicy};
use crate::schema::{ActionSchema, EntityShape, FieldShape, RecordShape, Schema, Shape};

/// The attribute that has all that is sent of an entity. No attribute of a store is likely to be called so;
/// where one is, nothing is proved.
const SENT: &str = "all that is sent";
/// Operators that a policy may have once it is rewritten.
const MOST: usize = 50_000;

/// A declaration in a schema in JSON.
type Declared = Map<String, Json>;

/// Returns the schema in which what is sent of an entity is optional.
pub(super) fn schema(schema: &Schema) -> Result<CedarSchema, String> {
    let mut namespaces: BTreeMap<String, [Declared; 2]> = BTreeMap::new();
    for shape in schema.entities() {
        let name = shape.entity_type.name();
        let [types, _] = namespaces.entry(name.as_ref().namespace()).or_default();
        types.insert(name.basename().to_string(), entity(schema, shape)?.into());
    }
    for declared in schema.actions() {
        let namespace = declared.uid.entity_type().name().as_ref().namespace();
        let [_, actions] = namespaces.entry(namespace).or_default();
        actions.insert(id_of(&declared.uid), action(schema, declared).into());
    }
    let namespaces = namespaces.into_iter().map(|(name, [types, actions])| {
        let parts = [("entityTypes", types.into()), ("actions", actions.into())];
        (name, Json::from(declared(parts)))
    });
    CedarSchema::from_json_value(namespaces.collect::<Declared>().into())
        .map_err(|error| format!("the schema cannot be told to the solver: {error}"))
}

fn action(schema: &Schema, action: &ActionSchema) -> Declared {
    let is_group = |group: &&ActionSchema| {
        group.uid != action.uid && schema.is_action_in(&action.uid, &group.uid)
    };
    let groups = schema.actions().filter(is_group).map(|group| {
        let ty = group.uid.entity_type().to_string();
        Json::from(declared([("id", id_of(&group.uid).into()), ("type", ty.into())]))
    });
    let mut parts = declared([("memberOf", groups.collect())]);
    if !action.principals.is_empty() && !action.resources.is_empty() {
        let asked = declared([
            ("principalTypes", names(action.principals.iter())),
            ("resourceTypes", names(action.resources.iter())),
            ("context", record(&action.context).into()),
        ]);
        parts.insert("appliesTo".to_owned(), asked.into());
    }
    parts
}

fn entity(schema: &Schema, shape: &EntityShape) -> Result<Declared, String> {
    if let Some(ids) = &shape.ids {
        return Ok(declared([("enum", ids.iter().map(SmolStr::as_str).collect())]));
    }
    if shape.attributes.fields.contains_key(SENT) {
        return Err(format!("an attribute of `{}` is called `{SENT}`", shape.entity_type));
    }
    let is_slot = |name: &SmolStr| shape.slots.contains_key(name.as_str());
    let fields = shape.attributes.fields.iter().map(of_field);
    let (mut attributes, sent): (Declared, Declared) =
        fields.partition(|(name, _)| is_slot(&name.into()));
    if !schema.is_role_type(&shape.entity_type) {
        attributes.insert(SENT.to_owned(), optional_or_not(of_fields(sent), false));
    }
    let mut parts = declared([
        ("memberOfTypes", names(shape.parents.iter())),
        ("shape", of_fields(attributes).into()),
    ]);
    if let Some(tags) = &shape.tags {
        parts.insert("tags".to_owned(), of_shape(tags).into());
    }
    Ok(parts)
}

fn record(record: &RecordShape) -> Declared {
    of_fields(record.fields.iter().map(of_field).collect())
}

fn of_fields(fields: Declared) -> Declared {
    declared([("type", "Record".into()), ("attributes", fields.into())])
}

fn of_field((name, field): (&SmolStr, &FieldShape)) -> (String, Json) {
    (name.to_string(), optional_or_not(of_shape(&field.shape), field.required))
}

fn optional_or_not(mut of_type: Declared, required: bool) -> Json {
    of_type.insert("required".to_owned(), required.into());
    of_type.into()
}

fn of_shape(shape: &Shape) -> Declared {
    let of = |ty: &str| ("type", Json::from(ty));
    match shape {
        Shape::Bool => declared([of("Boolean")]),
        Shape::Long => declared([of("Long")]),
        Shape::String => declared([of("String")]),
        Shape::Entity(ty) => declared([of("Entity"), ("name", ty.to_string().into())]),
        Shape::Set(element) => declared([of("Set"), ("element", of_shape(element).into())]),
        Shape::Record(fields) => record(fields),
        Shape::Extension(name) => declared([of("Extension"), ("name", name.as_str().into())]),
    }
}

fn declared<const PARTS: usize>(parts: [(&str, Json); PARTS]) -> Declared {
    parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}

fn names<'t>(types: impl Iterator<Item = &'t EntityType>) -> Json {
    types.map(ToString::to_string).collect()
}

fn id_of(action: &ast::EntityUID) -> String {
    AsRef::<str>::as_ref(action.eid()).to_owned()
}

/// Returns an entity of a counterexample as a caller sends it; nothing where nothing of it is sent.
pub(super) fn sent(entity: &Entity) -> Option<Entity> {
    let Some(PartialValue::Value(Value { value: ValueKind::Record(fields), .. })) =
        entity.get(SENT)
    else {
        return None;
    };
    let tags = entity.tags().map(|(name, value)| (name.clone(), value.clone()));
    Some(Entity::new_with_attr_partial_value(
        entity.uid().clone(),
        fields.iter().map(|(name, value)| (name.clone(), value.clone().into())),
        entity.ancestors().cloned().collect(),
        Default::default(),
        tags,
    ))
}

/// Writes that something is sent of an entity which a policy names.
pub(super) fn is_sent(uid: &ast::EntityUID) -> Result<Policy, String> {
    let text = format!("forbid (principal, action, resource) unless {{ {uid} has \"{SENT}\" }};");
    let id = cedar_policy::PolicyId::new(format!("sent {uid}"));
    Policy::parse(Some(id), text).map_err(|error| error.to_string())
}

/// Rewrites policies for one kind of request.
pub(super) struct Rewriter<'a> {
    schema: &'a Schema,
    env: &'a Environment<'a>,
    operators: Cell<usize>,
}

/// A part of a policy, rewritten, or why that cannot be.
type Rewritten = Result<Expr, String>;

impl<'a> Rewriter<'a> {
    pub fn new(schema: &'a Schema, env: &'a Environment<'a>) -> Self {
        Self { schema, env, operators: Cell::new(0) }
    }

    /// Returns whether a policy can tell an entity of which nothing is sent from one of which nothing but
    /// what its type requires is.
    pub fn can_tell(&self, policy: &StaticPolicy) -> bool {
        self.condition(policy.policy.as_ref()).subexpressions().any(|expr| match expr.expr_kind() {
            ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => {
                self.requires(expr, attr)
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                let chain = expr.as_ref().clone();
                let all = attrs.iter().try_fold(chain, |base, attr| {
                    (!self.requires(&base, attr)).then(|| Expr::get_attr(base, attr.clone()))
                });
                all.is_none()
            }
            _ => false,
        })
    }

    /// Returns whether a policy asks for an attribute that is required, so that more of it may be evaluated
    /// than the validator and the solver take into account.
    pub fn may_revive(&self, policy: &StaticPolicy) -> bool {
        self.condition(policy.policy.as_ref()).subexpressions().any(|expr| match expr.expr_kind() {
            ExprKind::HasAttr { expr, attr } => self.requires(expr, attr),
            ExprKind::ExtHasAttr { .. } => true,
            _ => false,
        })
    }

    /// Returns the policy for the schema in which what is sent is optional.
    pub fn policy(&self, policy: &Policy) -> Result<Policy, String> {
        self.operators.set(0);
        let core: &ast::Policy = policy.as_ref();
        let condition = self.condition(core);
        let (effect, condition) = match policy.effect() {
            Effect::Permit => (ast::Effect::Permit, self.holds(&condition, true)?),
            Effect::Forbid => (ast::Effect::Forbid, Expr::not(self.holds(&condition, false)?)),
        };
        Ok(ast::Policy::from_when_clause(effect, condition, core.id().clone(), None).into())
    }

    /// Returns a policy that states a fact, which denies only where the fact is known not to hold.
    pub fn fact(&self, policy: &Policy) -> Result<Policy, String> {
        self.operators.set(0);
        let core: &ast::Policy = policy.as_ref();
        let condition = self.holds(&self.condition(core), true)?;
        let effect = ast::Effect::Forbid;
        Ok(ast::Policy::from_when_clause(effect, condition, core.id().clone(), None).into())
    }

    /// Returns scope and conditions without the action, which has been looked at.
    fn condition(&self, policy: &ast::Policy) -> Expr {
        let scope =
            [policy.principal_constraint().as_expr(), policy.resource_constraint().as_expr()];
        let conditions = scope.into_iter().chain(policy.non_scope_constraints().cloned());
        conditions.reduce(Expr::and).unwrap_or_else(|| Expr::val(true))
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
                let requires = self.requires(base, attr);
                let is_sent = self.is_sent_with(base, attr);
                let base = self.value(base, guards)?;
                if requires {
                    guard(guards, Expr::has_attr(base.clone(), SENT.into()));
                }
                let base = if is_sent { Expr::get_attr(base, SENT.into()) } else { base };
                Expr::get_attr(base, attr.clone())
            }
            ExprKind::HasAttr { expr: base, attr } => {
                let is_sent = self.is_sent_with(base, attr);
                let base = self.value(base, guards)?;
                if is_sent {
                    let sent = Expr::get_attr(base.clone(), SENT.into());
                    Expr::and(Expr::has_attr(base, SENT.into()), Expr::has_attr(sent, attr.clone()))
                } else {
                    Expr::has_attr(base, attr.clone())
                }
            }
            ExprKind::ExtHasAttr { expr: base, attrs } => {
                let mut all = Vec::new();
                let mut base = base.as_ref().clone();
                for attr in attrs {
                    all.push(Expr::has_attr(base.clone(), attr.clone()));
                    base = Expr::get_attr(base, attr.clone());
                }
                // Where an entity is not sent, the attribute before is not there.
                let all =
                    all.iter().map(|has| self.holds(has, true)).collect::<Result<Vec<_>, _>>()?;
                all.into_iter().reduce(Expr::and).unwrap_or_else(|| Expr::val(true))
            }
            ExprKind::BinaryApp { op, arg1, arg2 } => {
                let (of, by) = (self.shape(arg1), self.shape(arg2));
                let left = self.value(arg1, guards)?;
                let right = self.value(arg2, guards)?;
                let whole = Expr::binary_app(*op, left.clone(), right.clone());
                match (op, of) {
                    (BinaryOp::HasTag, Some(Shape::Entity(_))) => {
                        Expr::and(Expr::has_attr(left, SENT.into()), whole)
                    }
                    (BinaryOp::In, Some(Shape::Entity(of))) if self.can_be_sent(&of) => {
                        let equal = match by {
                            Some(Shape::Entity(by)) if self.schema.is_role_type(&by) => {
                                return Ok(whole);
                            }
                            Some(Shape::Set(by)) if self.is_role(&by) => return Ok(whole),
                            Some(Shape::Entity(by)) if by == of => {
                                Some(Expr::is_eq(left.clone(), right))
                            }
                            Some(Shape::Set(by)) if *by == Shape::Entity(of.clone()) => {
                                Some(Expr::contains(right, left.clone()))
                            }
                            _ => None,
                        };
                        let is_in = Expr::and(Expr::has_attr(left, SENT.into()), whole);
                        match equal {
                            Some(equal) => Expr::or(equal, is_in),
                            None => is_in,
                        }
                    }
                    _ => whole,
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

    /// Returns whether an attribute is of an entity, and sent with it.
    fn is_sent_with(&self, base: &Expr, attr: &SmolStr) -> bool {
        let Some(Shape::Entity(ty)) = self.shape(base) else { return false };
        self.schema.entity(&ty).is_some_and(|shape| {
            shape.attributes.fields.contains_key(attr) && !shape.slots.contains_key(attr.as_str())
        })
    }

    /// Returns whether an attribute is of an entity, and required of what is sent of it.
    fn requires(&self, base: &Expr, attr: &SmolStr) -> bool {
        let Some(Shape::Entity(ty)) = self.shape(base) else { return false };
        let shape = self.schema.entity(&ty);
        let field = shape.and_then(|shape| shape.attributes.fields.get(attr));
        self.is_sent_with(base, attr) && field.is_some_and(|field| field.required)
    }

    /// Returns whether entities of a type can be sent.
    pub fn can_be_sent(&self, ty: &EntityType) -> bool {
        let shape = self.schema.entity(ty);
        shape.is_some_and(|shape| shape.ids.is_none()) && !self.schema.is_role_type(ty)
    }

    fn is_role(&self, shape: &Shape) -> bool {
        matches!(shape, Shape::Entity(ty) if self.schema.is_role_type(ty))
    }

    /// Returns the type of an expression, as far as it matters.
    fn shape(&self, expr: &Expr) -> Option<Shape> {
        let of_entity = |ty: &EntityType| Some(Shape::Entity(Box::new(ty.clone())));
        match expr.expr_kind() {
            ExprKind::Var(Var::Principal) => of_entity(self.env.principal),
            ExprKind::Var(Var::Resource) => of_entity(self.env.resource),
            ExprKind::Var(Var::Context) => Some(Shape::Record(self.env.context.clone())),
            ExprKind::Lit(Literal::EntityUID(uid)) => of_entity(uid.entity_type()),
            ExprKind::GetAttr { expr, attr } => {
                let field = match self.shape(expr)? {
                    Shape::Entity(ty) => {
                        self.schema.entity(&ty)?.attributes.fields.get(attr).cloned()
                    }
                    Shape::Record(record) => record.fields.get(attr).cloned(),
                    _ => None,
                };
                field.map(|field| field.shape)
            }
            ExprKind::BinaryApp { op: BinaryOp::GetTag, arg1, .. } => match self.shape(arg1)? {
                Shape::Entity(ty) => self.schema.entity(&ty)?.tags.clone(),
                _ => None,
            },
            ExprKind::If { then_expr, else_expr, .. } => {
                self.shape(then_expr).or_else(|| self.shape(else_expr))
            }
            ExprKind::Set(items) => {
                let element = items.iter().find_map(|item| self.shape(item))?;
                Some(Shape::Set(Box::new(element)))
            }
            _ => None,
        }
    }
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
