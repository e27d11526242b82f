//! Reading properties by the types that the schema declares.
//!
//! Cedar's JSON parser has no part in this: `__entity` and `__extn` are names like others. Names that
//! are not declared are ignored at every depth, and null counts as absent. A declared value that does
//! not fit is a violation and never dropped: a forbid that looks at it would not apply.

use serde_json::{Number, Value as Json};

use super::form::{Object, kind};
use crate::{
    model::{Uid, Value},
    request::{FieldPath, Violation, extension_value},
    schema::{RecordShape, Shape},
};

/// Numbers from here on are not exact to four decimals: a double has 15 digits.
const EXACT_DECIMALS: f64 = 1e11;

/// Reads values and gathers everything that is wrong with them.
#[derive(Debug)]
pub(super) struct ValueReader {
    pub violations: Vec<Violation>,
    /// Violations that are gathered; further ones are not.
    limit: usize,
}

impl ValueReader {
    pub fn new(limit: usize) -> Self {
        Self { violations: Vec::new(), limit: limit.max(1) }
    }

    pub fn violation(&mut self, path: &FieldPath<'_>, description: impl Into<String>) {
        if self.violations.len() < self.limit {
            self.violations.push(path.violation(description));
        }
    }

    /// Reads those fields that a record declares.
    pub fn fields(
        &mut self,
        path: &FieldPath<'_>,
        sent: &Object,
        shape: &RecordShape,
    ) -> Vec<(String, Value)> {
        let mut fields = Vec::new();
        for (name, json) in sent.iter().filter(|(_, json)| !json.is_null()) {
            let Some(field) = shape.fields.get(name.as_str()) else { continue };
            if let Some(value) = self.value(&FieldPath::Of(path, name), json, &field.shape) {
                fields.push((name.clone(), value));
            }
        }
        fields
    }

    /// Reads a value of a declared type.
    pub fn value(&mut self, path: &FieldPath<'_>, json: &Json, shape: &Shape) -> Option<Value> {
        let read = match (json, shape) {
            (Json::Bool(value), Shape::Bool) => Ok(Value::Bool(*value)),
            (Json::Number(number), Shape::Long) => number
                .as_i64()
                .map(Value::Long)
                .ok_or_else(|| format!("`{number}` is not a whole number of 64 bits")),
            (Json::String(text), Shape::String) => Ok(Value::String(text.clone())),
            (Json::String(id), Shape::Entity(entity_type)) => {
                Ok(Value::Entity(Uid::new(entity_type.to_string(), id.as_str())))
            }
            (Json::Object(fields), Shape::Entity(_)) => uid(fields).map(Value::Entity),
            (Json::Array(values), Shape::Set(element)) => return self.set(path, values, element),
            (Json::Object(fields), Shape::Record(shape)) => {
                let before = self.violations.len();
                let fields = self.fields(path, fields, shape);
                return (self.violations.len() == before).then_some(Value::Record(fields));
            }
            (Json::String(text), Shape::Extension(name)) => extension_value(name, text),
            (Json::Number(number), Shape::Extension(name)) if name == "decimal" => decimal(number),
            (json, shape) => {
                Err(format!("{} is expected here, not {}", shape.with_article(), kind(json)))
            }
        };
        read.map_err(|description| self.violation(path, description)).ok()
    }

    fn set(&mut self, path: &FieldPath<'_>, values: &[Json], element: &Shape) -> Option<Value> {
        let values = values.iter().enumerate();
        let values: Vec<_> = values
            .map(|(index, value)| self.value(&FieldPath::Index(path, index), value, element))
            .collect();
        values.into_iter().collect::<Option<_>>().map(Value::Set)
    }
}

/// Reads `{"type", "id"}`.
pub(super) fn uid(fields: &Object) -> Result<Uid, String> {
    let text = |name| fields.get(name).and_then(Json::as_str);
    match (text("type"), text("id")) {
        (Some(type_name), Some(id)) => Ok(Uid::new(type_name, id)),
        _ => Err("name an entity by its id, or as `{\"type\": …, \"id\": …}`".to_owned()),
    }
}

fn decimal(number: &Number) -> Result<Value, String> {
    if number.is_i64() {
        return Ok(Value::Decimal(format!("{number}.0")));
    }
    match number.as_f64() {
        Some(exact) if exact.abs() < EXACT_DECIMALS => Ok(Value::Decimal(format!("{exact:?}"))),
        _ => Err(format!("`{number}` may have lost decimals: write it as a string")),
    }
}
