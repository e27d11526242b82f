//! Converts requests into the messages of the contract.

use std::time::SystemTime;

use crate::{
    model::{Timestamp, Uid, Value},
    proto::{self, value::Kind},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
};

/// Nanoseconds of a millisecond.
const NANOS: i32 = 1_000_000;

impl From<RequestInput> for proto::IsAuthorizedRequest {
    /// Makes a question to the default store, without an explanation.
    fn from(input: RequestInput) -> Self {
        Self {
            policy_store: String::new(),
            principal: input.principal.map(Into::into),
            action: input.action.map(Into::into),
            resource: input.resource.map(Into::into),
            context: fields(input.context),
            entities: input.entities.into_iter().map(Into::into).collect(),
            role_assignments: input.role_assignments.into_iter().map(Into::into).collect(),
            explain: false,
            at_least_version: String::new(),
        }
    }
}

impl From<EntityInput> for proto::Entity {
    fn from(entity: EntityInput) -> Self {
        Self {
            uid: entity.uid.map(Into::into),
            attributes: fields(entity.attributes),
            parents: entity.parents.into_iter().map(Into::into).collect(),
            tags: fields(entity.tags),
        }
    }
}

impl From<RoleAssignmentInput> for proto::RoleAssignment {
    fn from(assignment: RoleAssignmentInput) -> Self {
        Self {
            principal: assignment.principal.map(Into::into),
            role: assignment.role,
            scope: assignment.scope.map(Into::into),
            expires_at: assignment.expires_at.map(timestamp),
            grant: None,
        }
    }
}

impl From<Uid> for proto::EntityUid {
    fn from(uid: Uid) -> Self {
        Self { r#type: uid.type_name, id: uid.id }
    }
}

impl From<Value> for proto::Value {
    fn from(value: Value) -> Self {
        let values = |values: Vec<Value>| values.into_iter().map(Into::into).collect();
        let kind = match value {
            Value::Missing => None,
            Value::Bool(value) => Some(Kind::Boolean(value)),
            Value::Long(value) => Some(Kind::Long(value)),
            Value::String(text) => Some(Kind::String(text)),
            Value::Entity(uid) => Some(Kind::Entity(uid.into())),
            Value::Set(set) => Some(Kind::Set(proto::ValueSet { values: values(set) })),
            Value::Record(record) => {
                Some(Kind::Record(proto::ValueRecord { fields: fields(record) }))
            }
            Value::Decimal(text) => Some(Kind::Decimal(text)),
            Value::Ip(text) => Some(Kind::Ip(text)),
            Value::Datetime(moment) => Some(Kind::Datetime(timestamp(moment))),
            Value::Duration(millis) => Some(Kind::Duration(prost_types::Duration {
                seconds: millis / 1_000,
                nanos: nanos(millis % 1_000),
            })),
        };
        Self { kind }
    }
}

fn fields<M: FromIterator<(String, proto::Value)>>(fields: Vec<(String, Value)>) -> M {
    fields.into_iter().map(|(name, value)| (name, value.into())).collect()
}

impl From<SystemTime> for Timestamp {
    /// Cuts off what is finer than a millisecond. A moment before 1970 is the first of 1970.
    fn from(moment: SystemTime) -> Self {
        Self::after_1970(moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }
}

impl From<SystemTime> for Value {
    fn from(moment: SystemTime) -> Self {
        Self::Datetime(moment.into())
    }
}

fn timestamp(moment: Timestamp) -> prost_types::Timestamp {
    let millis = moment.as_millis();
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: nanos(millis.rem_euclid(1_000)),
    }
}

/// Converts less than a second's milliseconds.
fn nanos(millis: i64) -> i32 {
    i32::try_from(millis).unwrap_or_default() * NANOS
}
