//! Reading facts from JSON.
//!
//! With the store's schema at hand, plain values are read by the type that it declares: a string is a
//! reference, a datetime or a text, as the schema says. Without it a value is what its JSON type says,
//! and Cedar's escapes `__entity` and `__extn` stand for the rest.

use serde_json::{Map, Value as Json};

use crate::{
    model::{Uid, Value, json},
    request::{EntityInput, FieldPath, Violation, extension_value},
    schema::{RecordShape, Schema, Shape},
};

/// Reads facts and gathers everything that is wrong with them.
#[derive(Debug, Default)]
pub struct FactReader {
    /// The violations so far.
    pub violations: Vec<Violation>,
    /// Takes entities that say that their attributes are laid over those that are held, as records of
    /// decisions do.
    pub takes_overrides: bool,
}

impl FactReader {
    /// Adds a violation.
    pub fn violation(&mut self, path: &FieldPath<'_>, description: impl Into<String>) {
        self.violations.push(path.violation(description));
    }

    /// Reads a value written on the command line. Text that is not JSON stands for itself.
    pub fn text(
        &mut self,
        path: &FieldPath<'_>,
        text: &str,
        shape: Option<&Shape>,
    ) -> Option<Value> {
        let json = match shape {
            Some(Shape::String | Shape::Entity(_) | Shape::Extension(_)) if !is_escape(text) => {
                Json::String(text.to_owned())
            }
            _ => match json::parse(text) {
                Ok(json) => json,
                // JSON, but with a repeated name.
                Err(error) if error.is_data() => {
                    self.violation(path, error.to_string());
                    return None;
                }
                Err(_) => Json::String(text.to_owned()),
            },
        };
        self.value(path, &json, shape)
    }

    /// Reads a value. Where it does not fit the shape it is read as what it is: the check against the
    /// schema says what is wrong with it.
    pub fn value(
        &mut self,
        path: &FieldPath<'_>,
        json: &Json,
        shape: Option<&Shape>,
    ) -> Option<Value> {
        match (json, shape) {
            (Json::Bool(value), _) => Some(Value::Bool(*value)),
            (Json::Number(number), Some(Shape::Extension(name))) if name == "decimal" => {
                Some(Value::Decimal(number.to_string()))
            }
            (Json::Number(number), _) => match number.as_i64() {
                Some(number) => Some(Value::Long(number)),
                None => {
                    let description = format!("`{number}` is not a whole number of 64 bits");
                    self.violation(path, description);
                    None
                }
            },
            (Json::String(text), Some(Shape::Entity(_))) => {
                self.uid_text(path, text).map(Value::Entity)
            }
            (Json::String(text), Some(Shape::Extension(name))) => self.extension(path, name, text),
            (Json::String(text), _) => Some(Value::String(text.clone())),
            (Json::Array(values), shape) => self.set(path, values, shape),
            (Json::Object(fields), shape) => self.object(path, fields, shape),
            (Json::Null, _) => {
                self.violation(path, "null is no value: leave the field out");
                None
            }
        }
    }

    fn set(
        &mut self,
        path: &FieldPath<'_>,
        values: &[Json],
        shape: Option<&Shape>,
    ) -> Option<Value> {
        let element = match shape {
            Some(Shape::Set(element)) => Some(element.as_ref()),
            _ => None,
        };
        let values: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(index, value)| self.value(&FieldPath::Index(path, index), value, element))
            .collect();
        values.into_iter().collect::<Option<_>>().map(Value::Set)
    }

    fn object(
        &mut self,
        path: &FieldPath<'_>,
        fields: &Map<String, Json>,
        shape: Option<&Shape>,
    ) -> Option<Value> {
        if let Some(uid) = fields.get("__entity") {
            return self.uid(path, uid).map(Value::Entity);
        }
        if let Some(call) = fields.get("__extn") {
            let part = |name| call.get(name).and_then(Json::as_str);
            let (Some(function), Some(argument)) = (part("fn"), part("arg")) else {
                self.violation(
                    path,
                    "write `{\"__extn\": {\"fn\": \"decimal\", \"arg\": \"1.5\"}}`",
                );
                return None;
            };
            return self.extension(path, function, argument);
        }
        if let Some(Shape::Entity(_)) = shape {
            return self.uid(path, &Json::Object(fields.clone())).map(Value::Entity);
        }
        let record = match shape {
            Some(Shape::Record(record)) => Some(record),
            _ => None,
        };
        self.fields(path, fields, record).map(Value::Record)
    }

    /// Reads the fields of a record, an entity or the context.
    pub fn fields(
        &mut self,
        path: &FieldPath<'_>,
        fields: &Map<String, Json>,
        shape: Option<&RecordShape>,
    ) -> Option<Vec<(String, Value)>> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                let shape = shape.and_then(|shape| shape.fields.get(name.as_str()));
                let path = FieldPath::Of(path, name);
                let value = self.value(&path, value, shape.map(|field| &field.shape))?;
                Some((name.clone(), value))
            })
            .collect();
        fields.into_iter().collect()
    }

    fn extension(&mut self, path: &FieldPath<'_>, name: &str, text: &str) -> Option<Value> {
        let read = extension_value(name, text);
        read.map_err(|description| self.violation(path, description)).ok()
    }

    fn uid_text(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Uid> {
        let uid = text.parse().map_err(|error| format!("{error}"));
        uid.map_err(|description| self.violation(path, description)).ok()
    }

    /// Reads an entity written as a string in Cedar's syntax, as `{"type", "id"}`, or escaped.
    fn uid(&mut self, path: &FieldPath<'_>, json: &Json) -> Option<Uid> {
        if let Some(text) = json.as_str() {
            return self.uid_text(path, text);
        }
        let json = json.get("__entity").unwrap_or(json);
        let part = |name| json.get(name).and_then(Json::as_str);
        match (part("type"), part("id")) {
            (Some(type_name), Some(id)) => Some(Uid::new(type_name, id)),
            _ => {
                self.violation(path, "name an entity: `{\"type\": \"Site\", \"id\": \"42\"}`");
                None
            }
        }
    }

    /// Reads entities in Cedar's JSON: `[{"uid": …, "attrs": {…}, "parents": […], "tags": {…}}]`.
    pub fn entities(&mut self, json: &Json, schema: Option<&Schema>) -> Vec<EntityInput> {
        let list = FieldPath::Field("entities");
        let Some(entities) = json.as_array() else {
            self.violation(&list, "an array of entities in Cedar's JSON is expected");
            return Vec::new();
        };
        let entities = entities.iter().enumerate();
        entities
            .filter_map(|(index, json)| self.entity(&FieldPath::Index(&list, index), json, schema))
            .collect()
    }

    fn entity(
        &mut self,
        path: &FieldPath<'_>,
        json: &Json,
        schema: Option<&Schema>,
    ) -> Option<EntityInput> {
        let Some(fields) = json.as_object() else {
            self.violation(path, "an object with `uid`, `attrs` and `parents` is expected");
            return None;
        };
        for name in fields.keys() {
            let is_known = match name.as_str() {
                "uid" | "attrs" | "parents" | "tags" => true,
                "overrides" => self.takes_overrides,
                _ => false,
            };
            if !is_known {
                let known = "an entity has `uid`, `attrs`, `parents` and `tags`";
                self.violation(&FieldPath::Of(path, name), known);
            }
        }
        let uid = self.uid(&FieldPath::Of(path, "uid"), fields.get("uid").unwrap_or(&Json::Null));
        let shape = uid
            .as_ref()
            .zip(schema)
            .and_then(|(uid, schema)| schema.entity(schema.entity_type(&uid.type_name)?));
        let attributes_path = FieldPath::Of(path, "attributes");
        let attributes = self.object_of(&attributes_path, fields.get("attrs"), |reader, attrs| {
            reader.fields(&attributes_path, attrs, shape.map(|shape| &shape.attributes))
        });
        let tags_path = FieldPath::Of(path, "tags");
        let tag = shape.and_then(|shape| shape.tags.as_ref());
        let tags = self.object_of(&tags_path, fields.get("tags"), |reader, tags| {
            let tags = tags.iter().filter_map(|(name, value)| {
                let value = reader.value(&FieldPath::Of(&tags_path, name), value, tag)?;
                Some((name.clone(), value))
            });
            Some(tags.collect())
        });
        let parents_path = FieldPath::Of(path, "parents");
        let parents = match fields.get("parents") {
            None => Vec::new(),
            Some(Json::Array(parents)) => {
                let parents = parents.iter().enumerate();
                parents
                    .filter_map(|(index, uid)| {
                        self.uid(&FieldPath::Index(&parents_path, index), uid)
                    })
                    .collect()
            }
            Some(_) => {
                self.violation(&parents_path, "an array of entities is expected");
                Vec::new()
            }
        };
        let overrides = self.switch(&FieldPath::Of(path, "overrides"), fields.get("overrides"));
        Some(EntityInput { uid: Some(uid?), attributes, parents, tags, overrides })
    }

    fn switch(&mut self, path: &FieldPath<'_>, json: Option<&Json>) -> bool {
        match json {
            None => false,
            Some(Json::Bool(is_on)) => *is_on,
            Some(_) => {
                self.violation(path, "`true` or `false` is expected");
                false
            }
        }
    }

    fn object_of(
        &mut self,
        path: &FieldPath<'_>,
        json: Option<&Json>,
        read: impl FnOnce(&mut Self, &Map<String, Json>) -> Option<Vec<(String, Value)>>,
    ) -> Vec<(String, Value)> {
        match json {
            None => Vec::new(),
            Some(Json::Object(fields)) => read(self, fields).unwrap_or_default(),
            Some(_) => {
                self.violation(path, "an object is expected");
                Vec::new()
            }
        }
    }
}

fn is_escape(text: &str) -> bool {
    text.trim_start().starts_with('{') && (text.contains("__entity") || text.contains("__extn"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn cedars_ways_to_write_a_moment_are_read() {
        for text in [
            "2024-10-15",
            "2024-10-15T11:35:00Z",
            "2024-10-15T11:35:00.000Z",
            "2024-10-15T11:35:00+0100",
            "2024-10-15T11:35:00.000-0100",
        ] {
            text.parse::<Timestamp>().unwrap();
        }
    }

    #[test]
    fn only_records_say_that_attributes_are_laid_over_held_ones() {
        let uid = serde_json::json!({"type": "User", "id": "alice"});
        let entities = serde_json::json!([{"uid": uid, "overrides": true}]);
        let mut reader = FactReader::default();
        reader.entities(&entities, None);
        assert_eq!(reader.violations.len(), 1);
        let mut reader = FactReader { takes_overrides: true, ..FactReader::default() };
        assert!(reader.entities(&entities, None).iter().all(|entity| entity.overrides));
        assert_eq!(reader.violations, []);
    }

    #[test]
    fn values_without_a_schema_are_what_json_says() {
        let mut reader = FactReader::default();
        let path = FieldPath::Field("context");
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("-7", Value::Long(-7)),
            ("\"7\"", Value::String("7".into())),
            ("plain", Value::String("plain".into())),
            (r#"{"__entity": {"type": "Site", "id": "4"}}"#, Value::Entity(Uid::new("Site", "4"))),
            (r#"{"__extn": {"fn": "ip", "arg": "::1"}}"#, Value::Ip("::1".into())),
            (r#"{"__extn": {"fn": "duration", "arg": "2s"}}"#, Value::Duration(2_000)),
            ("[1, 2]", Value::Set(vec![Value::Long(1), Value::Long(2)])),
            (r#"{"a": 1}"#, Value::Record(vec![("a".into(), Value::Long(1))])),
        ] {
            assert_eq!(reader.text(&path, text, None), Some(value), "{text}");
        }
        assert_eq!(reader.violations, []);
        for text in ["null", "1.5", "99999999999999999999", r#"{"__extn": 1}"#, r#"[{"a": null}]"#]
        {
            assert_eq!(reader.text(&path, text, None), None, "{text}");
        }
        assert_eq!(reader.violations.len(), 5);
    }
}
