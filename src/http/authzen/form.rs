//! The form of AuthZEN's requests, before any schema has been looked at. Members that AuthZEN does not
//! name are ignored, and one that is null counts as absent.

use serde_json::{Map, Value as Json, json};

use super::error::AuthzenError;
use crate::model::Uid;

/// A JSON object.
pub(super) type Object = Map<String, Json>;

/// A subject or a resource.
#[derive(Debug)]
pub(super) struct Entity {
    pub type_name: String,
    pub id: String,
    pub properties: Object,
}

impl Entity {
    /// Names the entity as the caller wrote it.
    pub fn uid(&self) -> Uid {
        Uid::new(self.type_name.as_str(), self.id.as_str())
    }

    /// Returns the parts that count.
    pub fn to_json(&self) -> Json {
        json!([self.type_name, self.id, self.properties])
    }
}

impl Action {
    /// Returns the parts that count.
    pub fn to_json(&self) -> Json {
        json!([self.name, self.properties])
    }
}

/// An action.
#[derive(Debug)]
pub(super) struct Action {
    pub name: String,
    pub properties: Object,
}

/// The parts of a question, each of which may be missing.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub subject: Option<Entity>,
    pub action: Option<Action>,
    pub resource: Option<Entity>,
    pub context: Option<Object>,
}

/// A question that has all parts which it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct AuthzenQuestion<'a> {
    pub subject: &'a Entity,
    pub action: &'a Action,
    pub resource: &'a Entity,
    pub context: Option<&'a Object>,
}

impl Parts {
    /// Takes the parts out of a request or of one of its evaluations.
    ///
    /// # Errors
    /// A part that is there is not complete, or something is of another type than AuthZEN says.
    pub fn take(form: &mut Object) -> Result<Self, AuthzenError> {
        Ok(Self {
            subject: entity(form, "subject")?,
            action: action(form)?,
            resource: entity(form, "resource")?,
            context: object(form, "", "context")?,
        })
    }

    /// Returns the question of these parts, each of which is taken whole from the defaults where it is
    /// missing.
    ///
    /// # Errors
    /// A part is missing in both.
    pub fn question<'a>(&'a self, defaults: &'a Self) -> Result<AuthzenQuestion<'a>, AuthzenError> {
        Ok(AuthzenQuestion {
            subject: required("subject", self.subject.as_ref().or(defaults.subject.as_ref()))?,
            action: required("action", self.action.as_ref().or(defaults.action.as_ref()))?,
            resource: required("resource", self.resource.as_ref().or(defaults.resource.as_ref()))?,
            context: self.context.as_ref().or(defaults.context.as_ref()),
        })
    }
}

/// Takes a subject or a resource.
///
/// # Errors
/// It is not complete, or of another type than AuthZEN says.
pub(super) fn entity(form: &mut Object, name: &str) -> Result<Option<Entity>, AuthzenError> {
    let Some(mut fields) = object(form, "", name)? else { return Ok(None) };
    Ok(Some(Entity {
        type_name: text(&mut fields, name, "type")?,
        id: text(&mut fields, name, "id")?,
        properties: object(&mut fields, name, "properties")?.unwrap_or_default(),
    }))
}

/// Takes an action.
///
/// # Errors
/// It is not complete, or of another type than AuthZEN says.
pub(super) fn action(form: &mut Object) -> Result<Option<Action>, AuthzenError> {
    let Some(mut fields) = object(form, "", "action")? else { return Ok(None) };
    Ok(Some(Action {
        name: text(&mut fields, "action", "name")?,
        properties: object(&mut fields, "action", "properties")?.unwrap_or_default(),
    }))
}

/// Returns a part of a request.
///
/// # Errors
/// It is missing.
pub(super) fn required<T>(name: &str, part: Option<T>) -> Result<T, AuthzenError> {
    part.ok_or_else(|| AuthzenError::form(format!("`{name}`: missing")))
}

/// Takes an object, if it is there. `of` names what it is a member of.
///
/// # Errors
/// It is no object.
pub(super) fn object(
    form: &mut Object,
    of: &str,
    name: &str,
) -> Result<Option<Object>, AuthzenError> {
    match form.remove(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(fields)) => Ok(Some(fields)),
        Some(other) => Err(mistyped(of, name, "an object", &other)),
    }
}

/// Takes a string.
///
/// # Errors
/// It is missing, or no string.
pub(super) fn text(form: &mut Object, of: &str, name: &str) -> Result<String, AuthzenError> {
    match form.remove(name) {
        None | Some(Json::Null) => {
            Err(AuthzenError::form(format!("`{}`: missing", path(of, name))))
        }
        Some(Json::String(text)) => Ok(text),
        Some(other) => Err(mistyped(of, name, "a string", &other)),
    }
}

/// Returns 400 for something of the wrong type.
pub(super) fn mistyped(of: &str, name: &str, expected: &str, found: &Json) -> AuthzenError {
    let (path, found) = (path(of, name), kind(found));
    AuthzenError::form(format!("`{path}`: {expected} is expected, not {found}"))
}

fn path(of: &str, name: &str) -> String {
    if of.is_empty() { name.to_owned() } else { format!("{of}.{name}") }
}

/// Returns what a value is, for a message.
pub(super) fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}
