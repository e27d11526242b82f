//! Reads values by the types that the schema declares.

use cedar_policy_core::ast;
use smol_str::SmolStr;

use super::Checker;
use crate::{
    model::{Uid, Value, extension},
    request::{FieldPath, extension_value, shorten},
    schema::{RecordShape, Shape},
};

impl Checker<'_> {
    /// Reads the fields of a record, an entity or the context. Missing fields are the caller's concern.
    pub(super) fn fields(
        &mut self,
        path: &FieldPath<'_>,
        sent: &[(String, Value)],
        shape: &RecordShape,
    ) -> Vec<(SmolStr, ast::Value)> {
        let mut fields = Vec::with_capacity(sent.len());
        for (name, value) in sent {
            let path = FieldPath::Of(path, name);
            if !self.text_fits(&path, name) {
                continue;
            }
            let Some(field) = shape.fields.get(name.as_str()) else {
                self.undeclared(&path, shape);
                continue;
            };
            if let Some(value) = self.value(&path, value, &field.shape, 1) {
                fields.push((SmolStr::from(name.as_str()), value));
            }
        }
        fields
    }

    fn undeclared(&mut self, path: &FieldPath<'_>, shape: &RecordShape) {
        let names: Vec<_> = shape.fields.keys().map(|name| format!("`{name}`")).collect();
        let declared = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        self.violation(
            path,
            format!("the schema does not declare it here: declared are {declared}"),
        );
    }

    /// Reads a value of the type that the schema declares.
    pub(super) fn value(
        &mut self,
        path: &FieldPath<'_>,
        sent: &Value,
        shape: &Shape,
        depth: usize,
    ) -> Option<ast::Value> {
        if depth > self.limits.depth {
            let description = format!("nested deeper than the limit of {}", self.limits.depth);
            self.over_limit(path, "depth", description);
            return None;
        }
        // Said once: what lies beyond the limit is not looked at.
        if self.values_left == 0 {
            return None;
        }
        self.values_left -= 1;
        if self.values_left == 0 {
            let description = "the limit on the number of values is reached here".to_owned();
            self.over_limit(path, self.values_limit, description);
            return None;
        }
        // Cedar's short forms, which only the schema tells from records.
        if let (Value::Record(fields), Shape::Entity(_) | Shape::Extension(_)) = (sent, shape)
            && let Some(meant) = self.short_form(path, fields, shape)
        {
            return self.value(path, &meant?, shape, depth + 1);
        }
        let made = match (sent, shape) {
            (Value::Bool(value), Shape::Bool) => Ok((*value).into()),
            (Value::Long(value), Shape::Long) => Ok((*value).into()),
            (Value::String(text), Shape::String) => {
                return self.text_fits(path, text).then(|| text.as_str().into());
            }
            (Value::Entity(uid), Shape::Entity(entity_type)) => {
                let uid = self.uid(path, uid)?;
                if *uid.entity_type() == **entity_type {
                    Ok(uid.into())
                } else {
                    Err(format!("a `{entity_type}` is expected here, not a `{}`", uid.entity_type()))
                }
            }
            (Value::Set(values), Shape::Set(element)) => return self.set(path, values, element, depth),
            (Value::Record(fields), Shape::Record(shape)) => return self.record(path, fields, shape, depth),
            (Value::Decimal(text), Shape::Extension(name)) if name == "decimal" => {
                extension::decimal(text).map_err(|_| {
                    format!("`{}` is not a decimal: write digits, a point and one to four digits, e.g. `12.50`", shorten(text))
                })
            }
            (Value::Ip(text), Shape::Extension(name)) if name == "ipaddr" => extension::ip(text).map_err(|_| {
                format!("`{}` is not an IP address or range, e.g. `192.168.0.1` or `10.0.0.0/8`", shorten(text))
            }),
            (Value::Datetime(moment), Shape::Extension(name)) if name == "datetime" => {
                if moment.is_in_range() {
                    extension::datetime(*moment)
                } else {
                    Err("out of range: send a moment of the years 1 to 9999".to_owned())
                }
            }
            (Value::Duration(millis), Shape::Extension(name)) if name == "duration" => extension::duration(*millis),
            (Value::Missing, shape) => Err(format!("no value is set: {} is expected here", shape.with_article())),
            (sent, shape) => Err(format!("{} is expected here, not {}", shape.with_article(), kind(sent))),
        };
        made.map_err(|description| self.violation(path, description)).ok()
    }

    /// Reads `{"type", "id"}` as an entity and `{"fn", "arg"}` as a value of an extension type: nothing
    /// where the record is neither, and no value within where a function is wrong.
    fn short_form(
        &mut self,
        path: &FieldPath<'_>,
        fields: &[(String, Value)],
        shape: &Shape,
    ) -> Option<Option<Value>> {
        let text = |name: &str| match fields.iter().find(|(field, _)| field == name) {
            Some((_, Value::String(text))) if fields.len() == 2 => Some(text.as_str()),
            _ => None,
        };
        if let Shape::Entity(_) = shape {
            let uid = Uid::new(text("type")?, text("id")?);
            return Some(Some(Value::Entity(uid)));
        }
        let read = extension_value(text("fn")?, text("arg")?);
        Some(read.map_err(|description| self.violation(path, description)).ok())
    }

    fn set(
        &mut self,
        path: &FieldPath<'_>,
        values: &[Value],
        element: &Shape,
        depth: usize,
    ) -> Option<ast::Value> {
        let mut elements = Vec::with_capacity(values.len().min(self.values_left));
        let mut complete = true;
        for (index, value) in values.iter().enumerate() {
            match self.value(&FieldPath::Index(path, index), value, element, depth + 1) {
                Some(value) => elements.push(value),
                None => complete = false,
            }
        }
        complete.then(|| ast::Value::set(elements, None))
    }

    fn record(
        &mut self,
        path: &FieldPath<'_>,
        sent: &[(String, Value)],
        shape: &RecordShape,
        depth: usize,
    ) -> Option<ast::Value> {
        let mut fields = Vec::with_capacity(sent.len());
        let mut complete = true;
        for (name, value) in sent {
            let path = FieldPath::Of(path, name);
            let Some(field) = shape.fields.get(name.as_str()) else {
                self.undeclared(&path, shape);
                complete = false;
                continue;
            };
            match self.value(&path, value, &field.shape, depth + 1) {
                Some(value) => fields.push((SmolStr::from(name.as_str()), value)),
                None => complete = false,
            }
        }
        let missing: Vec<_> =
            shape.missing(|name| sent.iter().any(|(sent, _)| sent == name)).collect();
        for (name, shape) in missing {
            self.violation(
                &FieldPath::Of(path, name),
                format!("missing: {} is required", shape.with_article()),
            );
            complete = false;
        }
        complete.then(|| ast::Value::record(fields, None))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Missing => "a missing value",
        Value::Bool(_) => "a boolean",
        Value::Long(_) => "a long",
        Value::String(_) => "a string",
        Value::Entity(_) => "a reference to an entity",
        Value::Set(_) => "a set",
        Value::Record(_) => "a record",
        Value::Decimal(_) => "a decimal",
        Value::Ip(_) => "an ip address",
        Value::Datetime(_) => "a datetime",
        Value::Duration(_) => "a duration",
    }
}
