//! Questions in few words.

use std::{collections::HashMap, time::SystemTime};

use humbaba::{
    model::{self, Uid},
    proto::{
        self, Entity, EntityUid, IsAuthorizedRequest, RoleAssignment, Value, ValueRecord, ValueSet,
        value::Kind,
    },
    request::{EntityInput, RequestInput, RoleAssignmentInput},
};
use tonic::Status;
use tonic_types::StatusExt as _;

/// An entity, written `User::alice` or `User::"alice"`.
pub fn uid(text: &str) -> EntityUid {
    sent(text.parse().unwrap())
}

/// An action of the store.
pub fn action(id: &str) -> EntityUid {
    sent(Uid::action(id))
}

/// A question with everything that it says, as a client sends it.
pub fn request(input: RequestInput) -> IsAuthorizedRequest {
    IsAuthorizedRequest {
        principal: input.principal.map(sent),
        action: input.action.map(sent),
        resource: input.resource.map(sent),
        context: sent_values(input.context),
        entities: input.entities.into_iter().map(sent_entity).collect(),
        role_assignments: input.role_assignments.into_iter().map(sent_role).collect(),
        ..IsAuthorizedRequest::default()
    }
}

fn sent_entity(input: EntityInput) -> Entity {
    Entity {
        uid: input.uid.map(sent),
        attributes: sent_values(input.attributes),
        parents: input.parents.into_iter().map(sent).collect(),
        tags: sent_values(input.tags),
    }
}

fn sent_role(input: RoleAssignmentInput) -> RoleAssignment {
    RoleAssignment {
        principal: input.principal.map(sent),
        role: input.role,
        scope: input.scope.map(sent),
        expires_at: input.expires_at.map(|expires_at| moment(expires_at.as_millis())),
    }
}

fn sent_values(values: Vec<(String, model::Value)>) -> HashMap<String, Value> {
    values.into_iter().map(|(name, value)| (name, sent_value(value))).collect()
}

fn sent_value(input: model::Value) -> Value {
    value(match input {
        model::Value::Missing => return nothing(),
        model::Value::Bool(value) => Kind::Boolean(value),
        model::Value::Long(value) => Kind::Long(value),
        model::Value::String(text) => Kind::String(text),
        model::Value::Entity(uid) => Kind::Entity(sent(uid)),
        model::Value::Set(values) => {
            Kind::Set(ValueSet { values: values.into_iter().map(sent_value).collect() })
        }
        model::Value::Record(fields) => Kind::Record(ValueRecord { fields: sent_values(fields) }),
        model::Value::Decimal(text) => Kind::Decimal(text),
        model::Value::Ip(text) => Kind::Ip(text),
        model::Value::Datetime(at) => Kind::Datetime(moment(at.as_millis())),
        model::Value::Duration(millis) => Kind::Duration(prost_types::Duration {
            seconds: millis / 1_000,
            nanos: i32::try_from(millis % 1_000).unwrap() * 1_000_000,
        }),
    })
}

fn sent(uid: Uid) -> EntityUid {
    EntityUid { r#type: uid.type_name, id: uid.id }
}

/// May that principal do that action on that resource?
pub fn ask(principal: &str, action_id: &str, resource: &str) -> IsAuthorizedRequest {
    IsAuthorizedRequest {
        principal: Some(uid(principal)),
        action: Some(action(action_id)),
        resource: Some(uid(resource)),
        ..IsAuthorizedRequest::default()
    }
}

/// The same question with more to it.
pub trait Asking: Sized {
    fn of_store(self, name: &str) -> Self;
    /// The principal holds that role on that scope.
    fn role(self, role: &str, scope: &str) -> Self;
    fn assignment(self, assignment: RoleAssignment) -> Self;
    fn fact(self, name: &str, value: impl Into<Value>) -> Self;
    fn entity(self, entity: Entity) -> Self;
    fn explained(self) -> Self;
}

impl Asking for IsAuthorizedRequest {
    fn of_store(mut self, name: &str) -> Self {
        self.policy_store = name.to_owned();
        self
    }

    fn role(self, role: &str, scope: &str) -> Self {
        self.assignment(assignment(role, scope))
    }

    fn assignment(mut self, assignment: RoleAssignment) -> Self {
        self.role_assignments.push(assignment);
        self
    }

    fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.context.insert(name.to_owned(), value.into());
        self
    }

    fn entity(mut self, entity: Entity) -> Self {
        self.entities.push(entity);
        self
    }

    fn explained(mut self) -> Self {
        self.explain = true;
        self
    }
}

/// The request's principal holds that role on that scope.
pub fn assignment(role: &str, scope: &str) -> RoleAssignment {
    RoleAssignment { role: role.to_owned(), scope: Some(uid(scope)), ..RoleAssignment::default() }
}

/// Somebody holds that role on that scope.
pub fn assignment_of(principal: &str, role: &str, scope: &str) -> RoleAssignment {
    RoleAssignment { principal: Some(uid(principal)), ..assignment(role, scope) }
}

/// An entity of which nothing is known yet.
pub fn entity(text: &str) -> Entity {
    Entity { uid: Some(uid(text)), ..Entity::default() }
}

/// The same entity with more to it.
pub trait Knowing: Sized {
    fn attribute(self, name: &str, value: impl Into<Value>) -> Self;
    fn tag(self, name: &str, value: impl Into<Value>) -> Self;
    fn within(self, parent: &str) -> Self;
}

impl Knowing for Entity {
    fn attribute(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    fn tag(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.tags.insert(name.to_owned(), value.into());
        self
    }

    fn within(mut self, parent: &str) -> Self {
        self.parents.push(uid(parent));
        self
    }
}

/// A value of a kind.
pub fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

/// A value of no kind.
pub fn nothing() -> Value {
    Value { kind: None }
}

/// Text.
pub fn text(text: &str) -> Value {
    value(Kind::String(text.to_owned()))
}

/// A whole number.
pub fn long(number: i64) -> Value {
    value(Kind::Long(number))
}

/// A set.
pub fn set(values: impl IntoIterator<Item = Value>) -> Value {
    value(Kind::Set(ValueSet { values: values.into_iter().collect() }))
}

/// A record.
pub fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields: HashMap<_, _> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    value(Kind::Record(ValueRecord { fields }))
}

/// A reference to an entity.
pub fn reference(text: &str) -> Value {
    value(Kind::Entity(uid(text)))
}

/// A moment, in milliseconds since 1970.
pub fn moment(millis: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: i32::try_from(millis.rem_euclid(1_000)).unwrap() * 1_000_000,
    }
}

/// A moment as a value, in milliseconds since 1970.
pub fn datetime(millis: i64) -> Value {
    value(Kind::Datetime(moment(millis)))
}

/// Now, in milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Whether the answer is an allow; it must be an allow or a deny.
pub fn is_allow(response: &proto::IsAuthorizedResponse) -> bool {
    match response.decision() {
        proto::Decision::Allow => true,
        proto::Decision::Deny => false,
        proto::Decision::Unspecified => panic!("no decision"),
    }
}

/// The ids of the policies that made the answer.
pub fn policies(response: &proto::IsAuthorizedResponse) -> Vec<&str> {
    response.determining_policies.iter().map(|policy| policy.policy_id.as_str()).collect()
}

/// The fields that a status complains about, each with what is wrong.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().expect("a google.rpc.BadRequest");
    let violations = details.field_violations.into_iter();
    violations.map(|violation| (violation.field, violation.description)).collect()
}

/// The fields that a status complains about.
pub fn fields(status: &Status) -> Vec<String> {
    violations(status).into_iter().map(|(field, _)| field).collect()
}
