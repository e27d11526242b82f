//! Writing facts as JSON, so that nothing of what was sent is lost: an entity as a value is
//! `{"__entity": …}` and a value of an extension type `{"__extn": …}`, as in Cedar's JSON.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap as _, SerializeSeq as _},
};

use crate::{
    model::{Uid, Value},
    request::{EntityInput, RoleAssignmentInput},
};

/// An entity as it was sent.
#[derive(Serialize)]
pub struct EntityJson<'a> {
    uid: Option<UidJson<'a>>,
    attrs: Fields<'a>,
    parents: Vec<UidJson<'a>>,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    tags: Fields<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    overrides: bool,
}

impl<'a> EntityJson<'a> {
    /// Takes an entity.
    #[must_use]
    pub fn new(entity: &'a EntityInput) -> Self {
        Self {
            uid: entity.uid.as_ref().map(UidJson),
            attrs: Fields(&entity.attributes),
            parents: entity.parents.iter().map(UidJson).collect(),
            tags: Fields(&entity.tags),
            overrides: entity.overrides,
        }
    }
}

/// A role assignment as it was sent.
#[derive(Serialize)]
pub struct RoleJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<UidJson<'a>>,
    role: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<UidJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl<'a> RoleJson<'a> {
    /// Takes a role assignment.
    #[must_use]
    pub fn new(role: &'a RoleAssignmentInput) -> Self {
        Self {
            principal: role.principal.as_ref().map(UidJson),
            role: &role.role,
            scope: role.scope.as_ref().map(UidJson),
            expires_at: role.expires_at.map(|moment| moment.to_string()),
        }
    }
}

/// An entity uid: `{"type", "id"}`.
pub struct UidJson<'a>(pub &'a Uid);

impl Serialize for UidJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_uid(serializer, &self.0.type_name, &self.0.id)
    }
}

/// Writes a uid in the form of [`UidJson`].
///
/// # Errors
/// Those of the serializer.
pub fn write_uid<S: Serializer>(
    serializer: S,
    type_name: &str,
    id: &str,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("type", type_name)?;
    map.serialize_entry("id", id)?;
    map.end()
}

/// The fields of a record, or of the attributes or tags of an entity.
pub struct Fields<'a>(pub &'a [(String, Value)]);

impl Fields<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &ValueJson(value))?;
        }
        map.end()
    }
}

struct ValueJson<'a>(&'a Value);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Missing => serializer.serialize_none(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Long(value) => serializer.serialize_i64(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Entity(entity) => escape(serializer, "__entity", &UidJson(entity)),
            Value::Set(values) => {
                let mut set = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    set.serialize_element(&ValueJson(value))?;
                }
                set.end()
            }
            Value::Record(fields) => Fields(fields).serialize(serializer),
            Value::Decimal(text) => extension(serializer, "decimal", text),
            Value::Ip(text) => extension(serializer, "ip", text),
            Value::Datetime(moment) => extension(serializer, "datetime", &moment.to_string()),
            Value::Duration(millis) => extension(serializer, "duration", &format!("{millis}ms")),
        }
    }
}

#[derive(Serialize)]
struct Extension<'a> {
    r#fn: &'a str,
    arg: &'a str,
}

fn extension<S: Serializer>(serializer: S, function: &str, arg: &str) -> Result<S::Ok, S::Error> {
    escape(serializer, "__extn", &Extension { r#fn: function, arg })
}

fn escape<S: Serializer>(
    serializer: S,
    name: &str,
    value: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}
