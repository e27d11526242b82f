//! The memory that a record takes in the queue, about. What a caller sends has many small parts, which
//! take up to a hundred times their bytes, so the length of the message would not bound it.

use super::{Outcome, Record, RecordInput};
use crate::{
    model::{Uid, Value},
    request::{BatchItemInput, EntityInput, RequestInput, RoleAssignmentInput},
};

/// Bytes of a record apart from what was sent.
const BASE: usize = 1_024;

/// Returns about how many bytes a record takes.
pub(super) fn bytes(record: &Record) -> usize {
    let outcome = match &record.outcome {
        Outcome::Decision { errors, .. } => {
            errors.iter().map(|error| 64 + error.policy_id.len() + error.message.len()).sum()
        }
        Outcome::Actions { allowed, undecided, .. } => {
            let reasons = undecided.iter().map(|undecided| undecided.reason.len() + 128);
            allowed.len() * 128 + reasons.sum::<usize>()
        }
    };
    let identity = record.call.caller.identity.as_ref().map_or(0, |identity| identity.len());
    BASE + identity + sent(&record.input) + outcome
}

fn sent(input: &RecordInput) -> usize {
    match input {
        RecordInput::Request(request) => self::request(request),
        // Each record bears a part of what they share.
        RecordInput::Item { shared, item, items } => {
            self::item(item) + self::request(shared) / (*items).max(1)
        }
    }
}

fn item(item: &BatchItemInput) -> usize {
    let uids = [&item.principal, &item.action, &item.resource];
    uids.into_iter().map(|uid| opt(uid.as_ref())).sum::<usize>()
        + fields(&item.context)
        + item.entities.iter().map(entity).sum::<usize>()
        + item.role_assignments.as_deref().map_or(0, roles)
}

fn request(input: &RequestInput) -> usize {
    let uids = [&input.principal, &input.action, &input.resource];
    uids.into_iter().map(|uid| opt(uid.as_ref())).sum::<usize>()
        + fields(&input.context)
        + input.entities.iter().map(entity).sum::<usize>()
        + roles(&input.role_assignments)
}

fn roles(roles: &[RoleAssignmentInput]) -> usize {
    let weights = roles.iter().map(|role| {
        size_of_val(role)
            + role.role.len()
            + opt(role.principal.as_ref())
            + opt(role.scope.as_ref())
    });
    weights.sum()
}

fn entity(entity: &EntityInput) -> usize {
    size_of_val(entity)
        + opt(entity.uid.as_ref())
        + fields(&entity.attributes)
        + fields(&entity.tags)
        + entity.parents.iter().map(uid).sum::<usize>()
}

fn opt(of: Option<&Uid>) -> usize {
    of.map_or(0, uid)
}

fn uid(uid: &Uid) -> usize {
    size_of_val(uid) + uid.type_name.len() + uid.id.len()
}

fn fields(fields: &[(String, Value)]) -> usize {
    fields.iter().map(|(name, field)| size_of_val(name) + name.len() + value(field)).sum()
}

fn value(of: &Value) -> usize {
    let more = match of {
        Value::String(text) | Value::Decimal(text) | Value::Ip(text) => text.len(),
        Value::Entity(entity) => uid(entity),
        Value::Set(values) => values.iter().map(value).sum(),
        Value::Record(record) => fields(record),
        Value::Missing
        | Value::Bool(_)
        | Value::Long(_)
        | Value::Datetime(_)
        | Value::Duration(_) => 0,
    };
    size_of_val(of) + more
}
