//! A request on its way to a server: what a client of Humbaba sends.

use super::time;
use crate::{
    model::{Uid, Value},
    proto,
    request::{EntityInput, RequestInput, RoleAssignmentInput},
};

impl From<RequestInput> for proto::IsAuthorizedRequest {
    /// The question, to the default store and without an explanation.
    fn from(input: RequestInput) -> Self {
        Self {
            policy_store: String::new(),
            principal: input.principal.map(Into::into),
            action: input.action.map(Into::into),
            resource: input.resource.map(Into::into),
            context: values(input.context),
            entities: input.entities.into_iter().map(Into::into).collect(),
            role_assignments: input.role_assignments.into_iter().map(Into::into).collect(),
            explain: false,
        }
    }
}

impl From<EntityInput> for proto::Entity {
    fn from(entity: EntityInput) -> Self {
        Self {
            uid: entity.uid.map(Into::into),
            attributes: values(entity.attributes),
            parents: entity.parents.into_iter().map(Into::into).collect(),
            tags: values(entity.tags),
        }
    }
}

impl From<RoleAssignmentInput> for proto::RoleAssignment {
    fn from(assignment: RoleAssignmentInput) -> Self {
        Self {
            principal: assignment.principal.map(Into::into),
            role: assignment.role,
            scope: assignment.scope.map(Into::into),
            expires_at: assignment.expires_at.map(time::to_moment),
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
        use proto::value::Kind;

        let kind = match value {
            Value::Missing => return Self { kind: None },
            Value::Bool(value) => Kind::Boolean(value),
            Value::Long(value) => Kind::Long(value),
            Value::String(text) => Kind::String(text),
            Value::Entity(uid) => Kind::Entity(uid.into()),
            Value::Set(values) => {
                Kind::Set(proto::ValueSet { values: values.into_iter().map(Into::into).collect() })
            }
            Value::Record(fields) => Kind::Record(proto::ValueRecord { fields: values(fields) }),
            Value::Decimal(text) => Kind::Decimal(text),
            Value::Ip(text) => Kind::Ip(text),
            Value::Datetime(moment) => Kind::Datetime(time::to_moment(moment)),
            Value::Duration(millis) => Kind::Duration(time::to_span(millis)),
        };
        Self { kind: Some(kind) }
    }
}

fn values(values: Vec<(String, Value)>) -> std::collections::HashMap<String, proto::Value> {
    values.into_iter().map(|(name, value)| (name, value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Timestamp, request::RequestLimits, server::convert::Question};

    #[test]
    fn a_request_comes_back_as_it_was_sent() {
        let uid = |id| Uid::new("Site", id);
        let values = vec![
            ("bool".to_owned(), Value::Bool(true)),
            ("datetime".to_owned(), Value::Datetime(Timestamp::from_millis(-1))),
            ("decimal".to_owned(), Value::Decimal("1.50".into())),
            ("duration".to_owned(), Value::Duration(-1_500)),
            ("entity".to_owned(), Value::Entity(uid("1"))),
            ("ip".to_owned(), Value::Ip("::1".into())),
            ("long".to_owned(), Value::Long(i64::MIN)),
            ("missing".to_owned(), Value::Missing),
            ("record".to_owned(), Value::Record(vec![("a".into(), Value::Set(Vec::new()))])),
            ("set".to_owned(), Value::Set(vec![Value::Long(2), Value::Long(1)])),
            ("string".to_owned(), Value::String("text".into())),
        ];
        let input = RequestInput {
            principal: Some(Uid::new("User", "alice")),
            action: Some(Uid::action("site.view")),
            resource: Some(uid("1")),
            context: values.clone(),
            entities: vec![EntityInput {
                uid: Some(uid("1")),
                attributes: values.clone(),
                parents: vec![uid("2")],
                tags: values,
            }],
            role_assignments: vec![RoleAssignmentInput {
                principal: Some(Uid::new("Group", "g")),
                role: "editor".into(),
                scope: Some(uid("1")),
                expires_at: Some(Timestamp::from_millis(1_769_850_000_123)),
            }],
        };
        let sent = proto::IsAuthorizedRequest::from(input.clone());
        assert_eq!(Question::of_request(sent, &RequestLimits::default()).input, input);
    }
}
