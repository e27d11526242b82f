//! Changes of a directory, from protobuf and back.

use super::{
    request::{MessageReader, uid},
    response::grant,
    time,
};
use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::{Uid, json},
    proto::{self, directory_change::Change as Sent},
    request::{
        FieldPath, Grant, RequestLimits, Violation,
        json::{EntityJson, FactReader},
    },
    schema::Schema,
};

/// Reads the changes of a write. Whether they fit the schema of a store is not looked at.
///
/// # Errors
/// Everything that cannot be read, with its field path.
pub(crate) fn read_changes(
    sent: Vec<proto::DirectoryChange>,
    limits: &RequestLimits,
) -> Result<Vec<Change>, Vec<Violation>> {
    let mut reader = ChangeReader { reader: MessageReader::new(limits), limits };
    let list = FieldPath::Field("changes");
    let changes: Vec<_> = sent
        .into_iter()
        .enumerate()
        .filter_map(|(index, change)| reader.change(&FieldPath::Index(&list, index), change))
        .collect();
    let violations = reader.reader.violations;
    if violations.is_empty() { Ok(changes) } else { Err(violations) }
}

struct ChangeReader<'a> {
    reader: MessageReader,
    limits: &'a RequestLimits,
}

impl ChangeReader<'_> {
    fn change(&mut self, path: &FieldPath<'_>, sent: proto::DirectoryChange) -> Option<Change> {
        match sent.change {
            None => {
                self.reader.violation(path, "it says nothing: set one of its fields");
                None
            }
            Some(Sent::PutAssignment(sent)) => {
                self.assignment(&FieldPath::Of(path, "put_assignment"), sent).map(Change::Put)
            }
            Some(Sent::DeleteAssignment(sent)) => {
                let path = FieldPath::Of(path, "delete_assignment");
                self.key(&path, sent.principal, sent.role, sent.scope).map(Change::Delete)
            }
            Some(Sent::PutEntity(sent)) => {
                self.entity(&FieldPath::Of(path, "put_entity"), sent).map(Change::PutEntity)
            }
            Some(Sent::DeleteEntity(sent)) => {
                let path = FieldPath::Of(path, "delete_entity");
                self.named(&path, Some(sent)).map(Change::DeleteEntity)
            }
        }
    }

    fn assignment(
        &mut self,
        path: &FieldPath<'_>,
        sent: proto::RoleAssignment,
    ) -> Option<Assignment> {
        let key = self.key(path, sent.principal, sent.role, sent.scope);
        let expires_at = self.reader.moment(path, "expires_at", sent.expires_at);
        let sent = sent.grant.unwrap_or_default();
        let path = FieldPath::Of(path, "grant");
        let granted_at = self.reader.moment(&path, "granted_at", sent.granted_at);
        for (field, text) in [("granted_by", &sent.granted_by), ("reason", &sent.reason)] {
            self.text(&FieldPath::Of(&path, field), text);
        }
        let grant = Grant { granted_at, granted_by: sent.granted_by, reason: sent.reason };
        Some(Assignment { key: key?, expires_at, grant })
    }

    fn key(
        &mut self,
        path: &FieldPath<'_>,
        principal: Option<proto::EntityUid>,
        role: String,
        scope: Option<proto::EntityUid>,
    ) -> Option<AssignmentKey> {
        let principal = self.named(&FieldPath::Of(path, "principal"), principal);
        let scope = self.named(&FieldPath::Of(path, "scope"), scope);
        let path = FieldPath::Of(path, "role");
        if role.is_empty() {
            self.reader.violation(&path, "name the role slot, e.g. `editor`");
        }
        self.text(&path, &role);
        Some(AssignmentKey { principal: principal?, role, scope: scope? })
    }

    fn entity(&mut self, path: &FieldPath<'_>, sent: proto::Entity) -> Option<EntityRow> {
        let entity = self.reader.entity(path, sent);
        let uid = entity.uid.clone().map(Into::into);
        let uid = self.named(&FieldPath::Of(path, "uid"), uid)?;
        match serde_json::to_string(&EntityJson::new(&entity)) {
            Ok(json) => Some(EntityRow { uid, json }),
            Err(error) => {
                self.reader.violation(path, error.to_string());
                None
            }
        }
    }

    /// Reads the name of an entity, which a change must say itself: no request does it.
    fn named(&mut self, path: &FieldPath<'_>, sent: Option<proto::EntityUid>) -> Option<Uid> {
        let Some(sent) = sent.filter(|sent| !sent.r#type.is_empty() && !sent.id.is_empty()) else {
            self.reader.violation(path, "name an entity by its type and id");
            return None;
        };
        let uid = uid(sent);
        self.text(&FieldPath::Of(path, "type"), &uid.type_name);
        self.text(&FieldPath::Of(path, "id"), &uid.id);
        Some(uid)
    }

    fn text(&mut self, path: &FieldPath<'_>, text: &str) {
        let limit = self.limits.text_bytes;
        if text.len() > limit {
            let length = text.len();
            self.reader.violation(path, format!("{length} bytes, more than the limit of {limit}"));
        }
    }
}

/// Converts a change for those who follow a directory of a store with that schema.
pub(in crate::grpc) fn sent_change(change: Change, schema: &Schema) -> proto::DirectoryChange {
    let change = match change {
        Change::Put(row) => Sent::PutAssignment(held_assignment(row)),
        Change::Delete(key) => Sent::DeleteAssignment(assignment_of(key)),
        Change::PutEntity(row) => Sent::PutEntity(held_entity(row, schema)),
        Change::DeleteEntity(uid) => Sent::DeleteEntity(uid.into()),
    };
    proto::DirectoryChange { change: Some(change) }
}

/// Returns an assignment that a directory holds.
pub(in crate::grpc) fn held_assignment(row: Assignment) -> proto::RoleAssignment {
    proto::RoleAssignment {
        expires_at: row.expires_at.map(time::to_moment),
        grant: Some(row.grant).filter(|known| *known != Grant::default()).map(grant),
        ..assignment_of(row.key)
    }
}

fn assignment_of(key: AssignmentKey) -> proto::RoleAssignment {
    proto::RoleAssignment {
        principal: Some(key.principal.into()),
        role: key.role,
        scope: Some(key.scope.into()),
        ..proto::RoleAssignment::default()
    }
}

/// Returns an entity as a directory holds it: its name alone where the row cannot be read, and grants
/// nothing.
pub(in crate::grpc) fn held_entity(row: EntityRow, schema: &Schema) -> proto::Entity {
    let mut json = json::parse(&row.json).unwrap_or_default();
    if let serde_json::Value::Object(fields) = &mut json {
        let uid = serde_json::json!({"type": row.uid.type_name, "id": row.uid.id});
        fields.entry("uid").or_insert(uid);
    }
    let json = serde_json::Value::Array(vec![json]);
    let entity = FactReader::default().entities(&json, Some(schema)).pop();
    let sent = entity.map(proto::Entity::from).unwrap_or_default();
    proto::Entity { uid: Some(row.uid.into()), ..sent }
}
