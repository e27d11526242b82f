//! The memory that a question takes, about. What a caller sends has many small parts, which take up
//! to a hundred times their bytes, so the length of the message would not bound it.

use super::{BatchItemInput, EntityInput, RequestInput, RoleAssignmentInput};
use crate::model::{Uid, Value};

impl RequestInput {
    /// Returns about how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let uids = [&self.principal, &self.action, &self.resource];
        size_of_val(self)
            + parts(uids, &self.context, &self.entities)
            + roles(&self.role_assignments)
    }
}

impl BatchItemInput {
    /// Returns about how many bytes of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let uids = [&self.principal, &self.action, &self.resource];
        size_of_val(self)
            + parts(uids, &self.context, &self.entities)
            + self.role_assignments.as_deref().map_or(0, roles)
    }
}

fn parts(uids: [&Option<Uid>; 3], context: &[(String, Value)], entities: &[EntityInput]) -> usize {
    uids.into_iter().map(|uid| opt(uid.as_ref())).sum::<usize>()
        + fields(context)
        + entities.iter().map(entity).sum::<usize>()
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
