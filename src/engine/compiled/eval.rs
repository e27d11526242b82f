//! Evaluating the compiled form, operand by operand as Cedar does.

use cedar_policy_core::ast::EntityUID;

use super::{
    NeedsCedar,
    expr::{Arithmetic, Elements, Expr, SlotField},
    facts::CompiledFacts,
    value::{Items, Val},
};

/// Evaluates conditions over the facts of one request.
pub(super) struct Evaluator<'f, 'a> {
    facts: &'f CompiledFacts<'a>,
}

impl<'f, 'a> Evaluator<'f, 'a> {
    pub(super) fn new(facts: &'f CompiledFacts<'a>) -> Self {
        Self { facts }
    }

    /// Returns whether a condition holds.
    pub(super) fn test(&self, expr: &'a Expr) -> Result<bool, NeedsCedar> {
        Ok(match expr {
            Expr::Bool(value) => *value,
            Expr::All(operands) => {
                for operand in operands {
                    if !self.test(operand)? {
                        return Ok(false);
                    }
                }
                true
            }
            Expr::Any(operands) => {
                for operand in operands {
                    if self.test(operand)? {
                        return Ok(true);
                    }
                }
                false
            }
            Expr::Not(operand) => !self.test(operand)?,
            Expr::Has(has) => self.has(self.value(&has.base)?, &has.fields)?,
            Expr::Equal(operands) => {
                let [one, other] = &**operands;
                self.value(one)?.equals(&self.value(other)?)
            }
            Expr::Less(operands) => {
                let [one, other] = &**operands;
                self.value(one)?.compare(&self.value(other)?)?.is_lt()
            }
            Expr::LessOrEqual(operands) => {
                let [one, other] = &**operands;
                self.value(one)?.compare(&self.value(other)?)?.is_le()
            }
            Expr::Is(operand, entity_type) => match self.value(operand)? {
                Val::Entity(uid) => *uid.entity_type() == **entity_type,
                _ => return Err(NeedsCedar),
            },
            Expr::In(entity, of) => {
                let entity = self.value(entity)?;
                self.is_in(&entity, of)?
            }
            Expr::Contains(set, element) => {
                let set = self.items(set)?;
                set.contains(&self.value(element)?, self.is_role())?
            }
            Expr::ContainsAll(sets) => {
                let [one, other] = &**sets;
                self.items(one)?.contains_all(&self.items(other)?, self.is_role())?
            }
            Expr::ContainsAny(sets) => {
                let [one, other] = &**sets;
                self.items(one)?.contains_any(&self.items(other)?, self.is_role())?
            }
            Expr::IsEmpty(set) => match self.value(set)? {
                Val::Set(set) => set.authoritative.is_empty(),
                _ => return Err(NeedsCedar),
            },
            Expr::Like(text, pattern) => match self.value(text)? {
                Val::String(text) => pattern.wildcard_match(text),
                _ => return Err(NeedsCedar),
            },
            other => self.value(other)?.bool()?,
        })
    }

    /// Returns the value of an expression.
    pub(super) fn value(&self, expr: &'a Expr) -> Result<Val<'a>, NeedsCedar> {
        let request = self.facts.request();
        Ok(match expr {
            Expr::Principal => Val::Entity(&request.principal),
            Expr::Action => Val::Entity(&request.action),
            Expr::Resource => Val::Entity(&request.resource),
            Expr::Context => Val::Context(&request.context),
            Expr::Long(value) => Val::Long(*value),
            Expr::String(text) => Val::String(text),
            Expr::Entity(uid) => Val::Entity(uid),
            Expr::Role(role) => Val::Role(role.borrowed()),
            Expr::Value(value) => Val::of(value, self.is_role())?,
            Expr::Attribute(attribute) => {
                let base = self.value(&attribute.base)?;
                self.get(&base, &attribute.field)?.ok_or(NeedsCedar)?
            }
            Expr::If(parts) => {
                let [test, then, otherwise] = &**parts;
                self.value(if self.test(test)? { then } else { otherwise })?
            }
            Expr::Arithmetic(operator, operands) => {
                let [one, other] = &**operands;
                let (one, other) = (self.value(one)?.long()?, self.value(other)?.long()?);
                let result = match operator {
                    Arithmetic::Add => one.checked_add(other),
                    Arithmetic::Subtract => one.checked_sub(other),
                    Arithmetic::Multiply => one.checked_mul(other),
                };
                Val::Long(result.ok_or(NeedsCedar)?)
            }
            Expr::Negative(operand) => {
                Val::Long(self.value(operand)?.long()?.checked_neg().ok_or(NeedsCedar)?)
            }
            Expr::Call(call) => {
                let arguments =
                    call.arguments.iter().map(|argument| self.value(argument)?.to_cedar());
                let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
                Val::computed(call.call(&arguments).ok_or(NeedsCedar)?)?
            }
            test => Val::Bool(self.test(test)?),
        })
    }

    fn get(&self, base: &Val<'a>, field: &'a SlotField) -> Result<Option<Val<'a>>, NeedsCedar> {
        match base {
            Val::Record(record) => record
                .get(field.name.as_str())
                .map(|value| Val::of(&value.value, self.is_role()))
                .transpose(),
            Val::Context(context) => context
                .get(&field.name)
                .map(|value| Val::of(&value.value, self.is_role()))
                .transpose(),
            Val::Entity(uid) => self.facts.attribute(uid, field),
            // A Role has no attributes, and nothing else has any.
            _ => Err(NeedsCedar),
        }
    }

    fn has(&self, base: Val<'a>, fields: &'a [SlotField]) -> Result<bool, NeedsCedar> {
        let Some((last, path)) = fields.split_last() else { return Err(NeedsCedar) };
        let mut base = base;
        for field in path {
            match self.get(&base, field)? {
                Some(value) => base = value,
                None => return Ok(false),
            }
        }
        match base {
            Val::Record(record) => Ok(record.contains_key(last.name.as_str())),
            Val::Context(context) => Ok(context.contains(&last.name)),
            Val::Entity(uid) => self.facts.has_attribute(uid, last),
            _ => Err(NeedsCedar),
        }
    }

    fn items(&self, elements: &'a Elements) -> Result<Items<'a>, NeedsCedar> {
        match elements {
            Elements::Listed(items) => {
                Items::listed(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            Elements::Of(expr) => match self.value(expr)? {
                Val::Set(set) => Ok(Items::Set(set)),
                _ => Err(NeedsCedar),
            },
        }
    }

    /// `in`. Every element is evaluated before any is looked for, since Cedar fails on a bad one
    /// even where another would do.
    fn is_in(&self, entity: &Val<'a>, elements: &'a Elements) -> Result<bool, NeedsCedar> {
        let mut found = false;
        match elements {
            Elements::Listed(items) => {
                for item in items {
                    found |= self.is_in_one(entity, &self.value(item)?)?;
                }
            }
            Elements::Of(expr) => match self.value(expr)? {
                Val::Set(set) => {
                    for element in set.authoritative.iter() {
                        let element = Val::of(&element.value, self.is_role())?;
                        found |= self.is_in_one(entity, &element)?;
                    }
                }
                other => found = self.is_in_one(entity, &other)?,
            },
        }
        // An empty list on the right is no reason to take anything for an entity.
        if matches!(entity, Val::Entity(_) | Val::Role(_)) { Ok(found) } else { Err(NeedsCedar) }
    }

    pub(super) fn is_in_one(&self, entity: &Val<'a>, of: &Val<'a>) -> Result<bool, NeedsCedar> {
        match (entity, of) {
            (Val::Entity(uid), Val::Role(role)) => {
                Ok(self.facts.has_role(&*self.facts.closure(uid)?, *role))
            }
            (Val::Entity(uid), Val::Entity(of)) => {
                Ok(uid == of || self.facts.closure(uid)?.has_entity(of))
            }
            // A Role is in itself alone.
            (Val::Role(role), Val::Role(of)) => Ok(role == of),
            (Val::Role(_), Val::Entity(_)) => Ok(false),
            _ => Err(NeedsCedar),
        }
    }

    fn is_role(&self) -> impl Fn(&EntityUID) -> bool + Copy + 'f
    where
        'a: 'f,
    {
        let facts = self.facts;
        move |uid| facts.is_role(uid)
    }
}
