//! Questions in few words.

use std::{collections::HashMap, time::SystemTime};

use humbaba::{
    model::Uid,
    proto::{
        self, Entity, EntityUid, IsAuthorizedRequest, RoleAssignment, Value, ValueRecord, ValueSet,
        value::Kind,
    },
};
use tonic::Status;
use tonic_types::StatusExt as _;

/// An entity, written `User::alice` or `User::"alice"`.
pub fn uid(text: &str) -> EntityUid {
    text.parse::<Uid>().unwrap().into()
}

/// An action of the store.
pub fn action(id: &str) -> EntityUid {
    Uid::action(id).into()
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

/// Returns whether the answer is an allow; it must be an allow or a deny.
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
