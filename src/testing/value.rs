//! Plain values of a test file, read by the type that the schema declares.

use super::node::{Node, Plain, TestField};
use crate::{
    model::{Uid, Value, duration_millis},
    schema::{RecordShape, Schema, Shape},
};

/// The value that a node means where the schema declares that shape, or declares nothing.
///
/// A value that does not fit the shape is guessed, so that the check of the request tells what is wrong
/// with it: a test may mean to send it.
pub(super) fn value(node: &Node, shape: Option<&Shape>, schema: &Schema) -> Value {
    if let Some(value) = explicit(node) {
        return value;
    }
    match (&node.plain, shape) {
        (Plain::String(text), Some(shape)) => string(text, shape),
        (Plain::String(text), None) => guess(text, schema),
        (Plain::Datetime(text), _) => {
            text.parse().map_or_else(|_| Value::String(text.clone()), Value::Datetime)
        }
        (Plain::Bool(value), _) => Value::Bool(*value),
        (Plain::Integer(number), Some(Shape::Extension(name))) if name == "decimal" => {
            Value::Decimal(number.to_string())
        }
        (Plain::Integer(number), _) => Value::Long(*number),
        (Plain::Number(text), _) => Value::Decimal(text.clone()),
        (Plain::Array(nodes), shape) => {
            let element = match shape {
                Some(Shape::Set(element)) => Some(&**element),
                _ => None,
            };
            Value::Set(nodes.iter().map(|node| value(node, element, schema)).collect())
        }
        (Plain::Table(fields), Some(Shape::Entity(_))) => {
            entity(fields).unwrap_or_else(|| record(fields, None, schema))
        }
        (Plain::Table(fields), Some(Shape::Extension(_))) => {
            extension(fields).unwrap_or_else(|| record(fields, None, schema))
        }
        (Plain::Table(fields), Some(Shape::Record(shape))) => record(fields, Some(shape), schema),
        (Plain::Table(fields), _) => record(fields, None, schema),
        (Plain::Null, _) => Value::Missing,
    }
}

fn record(fields: &[TestField], shape: Option<&RecordShape>, schema: &Schema) -> Value {
    let fields = fields.iter().map(|field| {
        let shape = shape.and_then(|shape| shape.fields.get(field.name.as_str()));
        (field.name.clone(), value(&field.value, shape.map(|field| &field.shape), schema))
    });
    Value::Record(fields.collect())
}

fn string(text: &str, shape: &Shape) -> Value {
    let read = match shape {
        Shape::Entity(_) => text.parse().ok().map(Value::Entity),
        Shape::Extension(name) => of_extension(name, text),
        Shape::Bool | Shape::Long | Shape::String | Shape::Set(_) | Shape::Record(_) => None,
    };
    read.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The value of an extension type that is written so; none where it is not one.
fn of_extension(type_name: &str, text: &str) -> Option<Value> {
    match type_name {
        "decimal" => Some(Value::Decimal(text.to_owned())),
        "ipaddr" => Some(Value::Ip(text.to_owned())),
        "datetime" => text.parse().ok().map(Value::Datetime),
        "duration" => duration_millis(text).map(Value::Duration),
        _ => None,
    }
}

/// The value of a text for which the schema declares nothing.
fn guess(text: &str, schema: &Schema) -> Value {
    let uid: Option<Uid> = text.parse().ok();
    let known = uid.filter(|uid| schema.entity_type(&uid.type_name).is_some());
    known.map_or_else(|| Value::String(text.to_owned()), Value::Entity)
}

/// Cedar's explicit JSON: `{"__entity": {"type": …, "id": …}}` and `{"__extn": {"fn": …, "arg": …}}`.
fn explicit(node: &Node) -> Option<Value> {
    let Plain::Table(fields) = &node.plain else { return None };
    let [field] = fields.as_slice() else { return None };
    let Plain::Table(inner) = &field.value.plain else { return None };
    match field.name.as_str() {
        "__entity" => entity(inner),
        "__extn" => extension(inner),
        _ => None,
    }
}

fn entity(fields: &[TestField]) -> Option<Value> {
    let (type_name, id) = pair(fields, "type", "id")?;
    Some(Value::Entity(Uid::new(type_name, id)))
}

fn extension(fields: &[TestField]) -> Option<Value> {
    let (function, argument) = pair(fields, "fn", "arg")?;
    of_extension(if function == "ip" { "ipaddr" } else { function }, argument)
}

/// The texts of a table that has just these two keys.
pub(super) fn pair<'a>(
    fields: &'a [TestField],
    first: &str,
    second: &str,
) -> Option<(&'a str, &'a str)> {
    let text = |name: &str| {
        fields.iter().find(|field| field.name == name).and_then(|field| match &field.value.plain {
            Plain::String(text) => Some(text.as_str()),
            _ => None,
        })
    };
    if fields.len() == 2 { text(first).zip(text(second)) } else { None }
}
