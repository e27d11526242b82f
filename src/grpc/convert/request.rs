//! From protobuf to the core. Everything is moved, nothing is copied.

use std::collections::HashMap;

use super::time;
use crate::{
    model::{Timestamp, Uid, Value},
    proto,
    request::{
        BatchItemInput, EntityInput, FieldPath, ListInput, RequestInput, RequestLimits,
        RoleAssignmentInput, Side, Violation,
    },
};

/// The depth to which values are read. Prost refuses what nests deeper, so nothing that came over
/// the wire ever does.
const NESTING: usize = 100;

/// A message as it was sent, with violations of what cannot even be read of it.
#[derive(Debug)]
pub(in crate::grpc) struct ReadInput<T> {
    /// The input. What could not be read has a value of its kind in its place.
    pub input: T,
    /// Violations of what could not be read.
    pub violations: Vec<Violation>,
}

impl ReadInput<RequestInput> {
    /// Reads one question.
    pub fn request(sent: proto::IsAuthorizedRequest, limits: &RequestLimits) -> Self {
        let mut reader = MessageReader::new(limits);
        let input = RequestInput {
            principal: sent.principal.map(uid),
            action: sent.action.map(uid),
            resource: sent.resource.map(uid),
            context: reader.values(&FieldPath::Field("context"), sent.context, 1),
            entities: reader.entities(sent.entities),
            role_assignments: reader.role_assignments(sent.role_assignments),
        };
        Self { input, violations: reader.violations }
    }

    /// Reads a question without an action.
    pub fn list(sent: proto::ListActionsRequest, limits: &RequestLimits) -> Self {
        let request = proto::IsAuthorizedRequest {
            principal: sent.principal,
            resource: sent.resource,
            context: sent.context,
            entities: sent.entities,
            role_assignments: sent.role_assignments,
            ..proto::IsAuthorizedRequest::default()
        };
        Self::request(request, limits)
    }

    fn of_list(self, open: Side, entity_type: String) -> ReadInput<ListInput> {
        let input = ListInput { question: self.input, open, entity_type };
        ReadInput { input, violations: self.violations }
    }

    /// Reads what the items of a batch share, and leaves the items in their place.
    pub fn shared(sent: &mut proto::BatchIsAuthorizedRequest, limits: &RequestLimits) -> Self {
        let request = proto::IsAuthorizedRequest {
            principal: sent.principal.take(),
            action: sent.action.take(),
            resource: sent.resource.take(),
            context: std::mem::take(&mut sent.context),
            entities: std::mem::take(&mut sent.entities),
            role_assignments: std::mem::take(&mut sent.role_assignments),
            ..proto::IsAuthorizedRequest::default()
        };
        Self::request(request, limits)
    }
}

impl ReadInput<ListInput> {
    /// Reads a question without a resource.
    pub fn list_resources(sent: proto::ListResourcesRequest, limits: &RequestLimits) -> Self {
        let request = proto::IsAuthorizedRequest {
            principal: sent.principal,
            action: sent.action,
            context: sent.context,
            entities: sent.entities,
            role_assignments: sent.role_assignments,
            ..proto::IsAuthorizedRequest::default()
        };
        ReadInput::request(request, limits).of_list(Side::Resource, sent.resource_type)
    }

    /// Reads a question without a principal.
    pub fn list_principals(sent: proto::ListPrincipalsRequest, limits: &RequestLimits) -> Self {
        let request = proto::IsAuthorizedRequest {
            action: sent.action,
            resource: sent.resource,
            context: sent.context,
            entities: sent.entities,
            role_assignments: sent.role_assignments,
            ..proto::IsAuthorizedRequest::default()
        };
        ReadInput::request(request, limits).of_list(Side::Principal, sent.principal_type)
    }
}

impl ReadInput<BatchItemInput> {
    /// Reads one item of a batch.
    pub fn item(sent: proto::BatchIsAuthorizedItem, limits: &RequestLimits) -> Self {
        let mut reader = MessageReader::new(limits);
        let roles = sent.role_assignments.map(|roles| reader.role_assignments(roles.items));
        let input = BatchItemInput {
            principal: sent.principal.map(uid),
            action: sent.action.map(uid),
            resource: sent.resource.map(uid),
            context: reader.values(&FieldPath::Field("context"), sent.context, 1),
            entities: reader.entities(sent.entities),
            role_assignments: roles,
        };
        Self { input, violations: reader.violations }
    }
}

impl<T> ReadInput<T> {
    /// Checks the input with `check`, and returns it with what came of that.
    ///
    /// # Errors
    /// Every violation, those of reading included.
    pub fn check<C>(
        self,
        limits: &RequestLimits,
        check: impl FnOnce(&T) -> Result<C, Vec<Violation>>,
    ) -> Result<(C, T), Vec<Violation>> {
        let checked = check(&self.input);
        with_violations(self.violations, checked, limits).map(|checked| (checked, self.input))
    }
}

/// Adds the violations of reading to those of checking.
///
/// # Errors
/// Every violation, if there is one.
pub(in crate::grpc) fn with_violations<C>(
    mut violations: Vec<Violation>,
    checked: Result<C, Vec<Violation>>,
    limits: &RequestLimits,
) -> Result<C, Vec<Violation>> {
    if violations.is_empty() {
        return checked;
    }
    violations.extend(checked.err().unwrap_or_default());
    let limit = limits.violations.max(1);
    if violations.len() > limit {
        let description =
            format!("there are at least {} violations more", violations.len() - limit);
        violations.truncate(limit);
        violations.push(FieldPath::Field("request").violation(description));
    }
    Err(violations)
}

/// Reads messages and gathers what is wrong with them.
pub(super) struct MessageReader {
    pub violations: Vec<Violation>,
    limit: usize,
}

impl MessageReader {
    pub fn new(limits: &RequestLimits) -> Self {
        // One more than is listed, so that it shows that there are more.
        Self { violations: Vec::new(), limit: limits.violations.max(1) + 1 }
    }

    pub fn violation(&mut self, path: &FieldPath<'_>, description: impl Into<String>) {
        if self.violations.len() < self.limit {
            self.violations.push(path.violation(description));
        }
    }

    fn read<T>(&mut self, path: &FieldPath<'_>, read: Result<T, &'static str>) -> Option<T> {
        read.map_err(|description| self.violation(path, description)).ok()
    }

    fn entities(&mut self, sent: Vec<proto::Entity>) -> Vec<EntityInput> {
        let list = FieldPath::Field("entities");
        let entities = sent.into_iter().enumerate();
        entities
            .map(|(index, entity)| self.entity(&FieldPath::Index(&list, index), entity))
            .collect()
    }

    pub fn entity(&mut self, path: &FieldPath<'_>, sent: proto::Entity) -> EntityInput {
        EntityInput {
            uid: sent.uid.map(uid),
            attributes: self.values(&FieldPath::Of(path, "attributes"), sent.attributes, 1),
            parents: sent.parents.into_iter().map(uid).collect(),
            tags: self.values(&FieldPath::Of(path, "tags"), sent.tags, 1),
            overrides: false,
        }
    }

    fn role_assignments(&mut self, sent: Vec<proto::RoleAssignment>) -> Vec<RoleAssignmentInput> {
        let list = FieldPath::Field("role_assignments");
        let assignments = sent.into_iter().enumerate().map(|(index, assignment)| {
            let path = FieldPath::Index(&list, index);
            RoleAssignmentInput {
                principal: assignment.principal.map(uid),
                role: assignment.role,
                scope: assignment.scope.map(uid),
                expires_at: self.moment(&path, "expires_at", assignment.expires_at),
            }
        });
        assignments.collect()
    }

    pub fn moment(
        &mut self,
        path: &FieldPath<'_>,
        field: &str,
        sent: Option<prost_types::Timestamp>,
    ) -> Option<Timestamp> {
        self.read(&FieldPath::Of(path, field), time::moment(&sent?))
    }

    /// Reads values in the order of their names, so that the same request always gets the same answer.
    fn values(
        &mut self,
        path: &FieldPath<'_>,
        sent: HashMap<String, proto::Value>,
        depth: usize,
    ) -> Vec<(String, Value)> {
        let mut sent: Vec<_> = sent.into_iter().collect();
        sent.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let values = sent.into_iter().map(|(name, value)| {
            let value = self.value(&FieldPath::Of(path, &name), value, depth);
            (name, value)
        });
        values.collect()
    }

    fn value(&mut self, path: &FieldPath<'_>, sent: proto::Value, depth: usize) -> Value {
        use proto::value::Kind;

        let Some(kind) = sent.kind else { return Value::Missing };
        if depth > NESTING {
            self.violation(path, format!("nested deeper than {NESTING} levels"));
            return Value::Missing;
        }
        match kind {
            Kind::Boolean(value) => Value::Bool(value),
            Kind::Long(value) => Value::Long(value),
            Kind::String(text) => Value::String(text),
            Kind::Entity(entity) => Value::Entity(uid(entity)),
            Kind::Set(set) => {
                let values = set.values.into_iter().enumerate();
                let values = values.map(|(index, value)| {
                    self.value(&FieldPath::Index(path, index), value, depth + 1)
                });
                Value::Set(values.collect())
            }
            Kind::Record(record) => Value::Record(self.values(path, record.fields, depth + 1)),
            Kind::Decimal(text) => Value::Decimal(text),
            Kind::Ip(text) => Value::Ip(text),
            Kind::Datetime(moment) => {
                let moment = self.read(path, time::moment(&moment));
                Value::Datetime(moment.unwrap_or(Timestamp::from_millis(0)))
            }
            Kind::Duration(span) => {
                Value::Duration(self.read(path, time::span(&span)).unwrap_or_default())
            }
        }
    }
}

/// Reads the name of an entity.
pub(in crate::grpc) fn uid(sent: proto::EntityUid) -> Uid {
    Uid { type_name: sent.r#type, id: sent.id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_read_without_end() {
        let mut value = proto::Value::default();
        for _ in 0..NESTING + 10 {
            let set = proto::ValueSet { values: vec![value] };
            value = proto::Value { kind: Some(proto::value::Kind::Set(set)) };
        }
        let sent = proto::IsAuthorizedRequest {
            context: HashMap::from([("deep".to_owned(), value)]),
            ..proto::IsAuthorizedRequest::default()
        };
        let question = ReadInput::request(sent, &RequestLimits::default());
        let path = format!("context.deep{}", "[0]".repeat(NESTING));
        assert_eq!(question.violations.len(), 1);
        assert_eq!(question.violations.first().map(|violation| &violation.field), Some(&path));
    }
}
