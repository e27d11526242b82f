//! Sets and records that policies write out, as values to try.

use std::collections::BTreeMap;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal, Value, ValueKind};
use smol_str::SmolStr;

use crate::{
    model::{Timestamp, duration_millis, extension},
    schema::Shape,
};

/// Elements of one set of which all selections are tried.
const ELEMENTS: usize = 4;

/// The elements that a policy looks for in sets, by the name of the attribute that has the set.
#[derive(Debug, Default)]
pub(super) struct Literals {
    elements: BTreeMap<SmolStr, Vec<Value>>,
}

impl Literals {
    pub(super) fn add(&mut self, expr: &Expr) {
        if let ExprKind::BinaryApp { op: BinaryOp::Contains, arg1, arg2 } = expr.expr_kind()
            && let ExprKind::GetAttr { attr, .. } = arg1.expr_kind()
            && let Some(value) = value_of(arg2)
        {
            let elements = self.elements.entry(attr.clone()).or_default();
            if !elements.contains(&value) {
                elements.push(value);
            }
        }
    }

    /// Returns the sets with several of those elements, without any others.
    pub(super) fn sets(&self) -> Vec<Value> {
        let mut sets = Vec::new();
        for elements in self.elements.values() {
            let elements = elements.get(..ELEMENTS).unwrap_or(elements);
            for chosen in 0..1_usize << elements.len() {
                let is_chosen = |place: &usize| chosen >> place & 1 == 1;
                let selection = elements.iter().enumerate().filter(|(place, _)| is_chosen(place));
                if chosen.count_ones() > 1 {
                    sets.push(Value::set(selection.map(|(_, element)| element.clone()), None));
                }
            }
        }
        sets
    }
}

/// Returns the value of an expression that is written out.
pub(super) fn value_of(expr: &Expr) -> Option<Value> {
    match expr.expr_kind() {
        ExprKind::Lit(literal) => Some(literal.clone().into()),
        ExprKind::Set(items) => {
            Some(Value::set(items.iter().map(value_of).collect::<Option<Vec<_>>>()?, None))
        }
        ExprKind::Record(fields) => {
            let fields = fields.iter().map(|(name, of)| Some((name.clone(), value_of(of)?)));
            Some(Value::record(fields.collect::<Option<Vec<_>>>()?, None))
        }
        ExprKind::ExtensionFunctionApp { fn_name, args } => {
            let [argument] = args.as_slice() else { return None };
            let ExprKind::Lit(Literal::String(text)) = argument.expr_kind() else { return None };
            match fn_name.to_string().as_str() {
                "decimal" => extension::decimal(text).ok(),
                "ip" => extension::ip(text).ok(),
                "duration" => extension::duration(duration_millis(text)?).ok(),
                "datetime" => extension::datetime(text.parse::<Timestamp>().ok()?).ok(),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns whether a value is of a type.
pub(super) fn fits(value: &Value, shape: &Shape) -> bool {
    match (&value.value, shape) {
        (ValueKind::Lit(Literal::Bool(_)), Shape::Bool)
        | (ValueKind::Lit(Literal::Long(_)), Shape::Long)
        | (ValueKind::Lit(Literal::String(_)), Shape::String) => true,
        (ValueKind::Lit(Literal::EntityUID(uid)), Shape::Entity(ty)) => uid.entity_type() == &**ty,
        (ValueKind::Set(set), Shape::Set(element)) => {
            set.authoritative.iter().all(|value| fits(value, element))
        }
        (ValueKind::Record(fields), Shape::Record(record)) => {
            let is_there = |name: &str| fields.contains_key(name);
            record.missing(is_there).next().is_none()
                && fields.iter().all(|(name, value)| {
                    let declared = record.fields.get(name);
                    declared.is_some_and(|field| fits(value, &field.shape))
                })
        }
        (ValueKind::ExtensionValue(value), Shape::Extension(name)) => {
            value.typename().to_string() == name.as_str()
        }
        _ => false,
    }
}
