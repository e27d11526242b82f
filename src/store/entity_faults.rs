//! Faults of an entity of a file, with their places in its JSON form.

use std::ops::Range;

use cedar_policy_core::ast::{
    Entity, EntityUID, Literal, PartialValue, Value as CedarValue, ValueKind,
};
use serde_json::Value;

use crate::{
    model::{
        Text,
        json::{Step, children},
        nearest,
    },
    schema::Schema,
};

/// A fault of an entity, with its place in the JSON form.
pub(super) struct Fault {
    pub path: Vec<Step>,
    pub message: Message,
    pub help: Option<String>,
}

/// The message of a fault.
pub(super) enum Message {
    Text(String),
    /// The number at the place is no `Long`. Only the text has it as it is written.
    NoLong,
}

/// Faults of one entity that are looked for: each takes reading the entity again for its place.
const FAULTS_OF_ENTITY: usize = 10;

/// Finds what Cedar would report without its place or by another name: numbers that are no `Long`,
/// actions that are not declared, types without their namespace.
pub(super) fn faults(element: &Value, schema: &Schema) -> Vec<Fault> {
    let mut faults = Vec::new();
    visit(element, &mut Vec::new(), &mut |path, value| {
        if faults.len() >= FAULTS_OF_ENTITY {
            return;
        }
        let fault = match value {
            Value::Number(number) if number.as_i64().is_none() => Some((
                Message::NoLong,
                "a Long is a whole number from -9223372036854775808 to 9223372036854775807"
                    .to_owned(),
            )),
            Value::Object(members) => match (members.get("type"), members.get("id")) {
                (Some(Value::String(ty)), Some(Value::String(id))) => {
                    unknown(ty, id, schema).map(|(message, help)| (Message::Text(message), help))
                }
                _ => None,
            },
            _ => None,
        };
        let fault =
            fault.map(|(message, help)| Fault { path: path.to_vec(), message, help: Some(help) });
        faults.extend(fault);
    });
    faults
}

/// Describes an entity whose type or action the schema does not declare under that name.
fn unknown(ty: &str, id: &str, schema: &Schema) -> Option<(String, String)> {
    if ty == "Action" || ty.ends_with("::Action") {
        if schema.action(ty, id).is_some() {
            return None;
        }
        let ids = schema.actions().map(|action| action.uid.to_string());
        let written = format!("{ty}::\"{id}\"");
        let help = nearest(&written, ids).map_or_else(
            || "name an action that the schema declares".to_owned(),
            |nearest| format!("did you mean `{nearest}`?"),
        );
        return Some((format!("unknown action `{written}`"), help));
    }
    if schema.entity_type(ty).is_some_and(|known| known.to_string() == ty) {
        return None;
    }
    match schema.types_named(ty).as_slice() {
        [] => None,
        [one] => Some((
            format!("unknown type `{ty}`: an entities file names types in full"),
            format!("write `{one}`"),
        )),
        several => {
            let names: Vec<_> = several.iter().map(|name| format!("`{name}`")).collect();
            Some((
                format!("the type `{ty}` is ambiguous: several namespaces have one"),
                format!("write one of {}", names.join(", ")),
            ))
        }
    }
}

/// Calls `found` for a JSON value and each value in it.
fn visit(value: &Value, path: &mut Vec<Step>, found: &mut impl FnMut(&[Step], &Value)) {
    found(path, value);
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                path.push(Step::Index(index));
                visit(element, path, found);
                path.pop();
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                path.push(Step::Name(name.clone()));
                visit(member, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Finds empty ids: of the entity, of its parents, of entities in its attributes and tags.
pub(super) fn empty_ids(entity: &Entity, element: &Value) -> Vec<Fault> {
    let values = entity.attrs().chain(entity.tags()).map(|(_, value)| value);
    let mut has_empty = is_empty(entity.uid()) || entity.parents().any(is_empty);
    for value in values {
        if let PartialValue::Value(value) = value {
            has_empty = has_empty || holds_empty_id(value);
        }
    }
    let mut faults = Vec::new();
    if has_empty {
        visit(element, &mut Vec::new(), &mut |path, value| {
            let is_it =
                value.get("id").and_then(Value::as_str) == Some("") && value.get("type").is_some();
            if is_it && faults.len() < FAULTS_OF_ENTITY {
                faults.push(Fault {
                    path: path.to_vec(),
                    message: Message::Text("an entity has an empty id".to_owned()),
                    help: Some("give it the id of something that there is".to_owned()),
                });
            }
        });
    }
    faults
}

fn is_empty(uid: &EntityUID) -> bool {
    AsRef::<str>::as_ref(uid.eid()).is_empty()
}

fn holds_empty_id(value: &CedarValue) -> bool {
    match value.value_kind() {
        ValueKind::Lit(Literal::EntityUID(uid)) => is_empty(uid),
        ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => false,
        ValueKind::Set(set) => set.iter().any(holds_empty_id),
        ValueKind::Record(fields) => fields.values().any(holds_empty_id),
    }
}

/// The place of the attribute or tag of an entity that a message names, else of the entity.
pub(super) fn named_place(text: &Text, entity: Range<usize>, message: &str) -> Range<usize> {
    let groups = children(text.text(), entity.clone()).into_iter();
    let groups = groups.filter(|(name, _)| {
        [Step::Name("attrs".to_owned()), Step::Name("tags".to_owned())].contains(name)
    });
    let mut values = groups.flat_map(|(_, place)| children(text.text(), place));
    let named = values.find(|(name, _)| match name {
        Step::Name(name) => message.contains(&format!("`{name}` on")),
        Step::Index(_) => false,
    });
    named.map_or(entity, |(_, place)| place)
}
