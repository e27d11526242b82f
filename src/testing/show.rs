//! Requests in a compact form, near to what a test file says.

use crate::{
    model::{Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
};

/// Entities of a request that are shown.
const ENTITIES: usize = 8;

/// A request in a few lines, each with its title.
pub(super) fn request(input: &RequestInput) -> Vec<(&'static str, String)> {
    let mut lines = vec![(
        "asked",
        format!(
            "{} → {} → {}",
            name(input.principal.as_ref()),
            input.action.as_ref().map_or_else(|| "nothing".to_owned(), action),
            name(input.resource.as_ref())
        ),
    )];
    lines.extend(input.role_assignments.iter().map(|assignment| ("role", role(assignment))));
    if !input.context.is_empty() {
        lines.push(("context", fields(&input.context)));
    }
    lines
        .extend(input.entities.iter().take(ENTITIES).map(|entity| ("entity", entity_text(entity))));
    if input.entities.len() > ENTITIES {
        lines.push(("", format!("and {} entities more", input.entities.len() - ENTITIES)));
    }
    lines
}

fn name(uid: Option<&Uid>) -> String {
    uid.map_or_else(|| "nobody".to_owned(), Uid::to_string)
}

fn action(uid: &Uid) -> String {
    if uid.type_name.is_empty() { uid.id.clone() } else { uid.to_string() }
}

fn role(assignment: &RoleAssignmentInput) -> String {
    let mut text = assignment.role.clone();
    if let Some(scope) = &assignment.scope {
        text = format!("{text} on {scope}");
    }
    if let Some(principal) = &assignment.principal {
        text = format!("{principal} is {text}");
    }
    if let Some(expires_at) = assignment.expires_at {
        text = format!("{text} until {expires_at}");
    }
    text
}

fn entity_text(entity: &EntityInput) -> String {
    let mut text = name(entity.uid.as_ref());
    if !entity.parents.is_empty() {
        let parents: Vec<_> = entity.parents.iter().map(Uid::to_string).collect();
        text = format!("{text} in {}", parents.join(", "));
    }
    if !entity.attributes.is_empty() {
        text = format!("{text} {{ {} }}", fields(&entity.attributes));
    }
    if !entity.tags.is_empty() {
        text = format!("{text} tags {{ {} }}", fields(&entity.tags));
    }
    text
}

fn fields(fields: &[(String, Value)]) -> String {
    let fields = fields.iter().map(|(name, field)| format!("{name} = {}", value(field)));
    fields.collect::<Vec<_>>().join(", ")
}

fn value(shown: &Value) -> String {
    match shown {
        Value::Missing => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Long(number) => number.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::Entity(uid) => uid.to_string(),
        Value::Set(values) => {
            format!("[{}]", values.iter().map(value).collect::<Vec<_>>().join(", "))
        }
        Value::Record(record) => format!("{{ {} }}", fields(record)),
        Value::Decimal(text) | Value::Ip(text) => text.clone(),
        Value::Datetime(moment) => moment.to_string(),
        Value::Duration(millis) => format!("{millis}ms"),
    }
}
