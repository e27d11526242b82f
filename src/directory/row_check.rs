//! The check of single rows against a store's schema: the same as of what callers send.

use std::sync::Arc;

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

use super::change::{Assignment, EntityRow};
use crate::{
    model::{Uid, json},
    request::{
        EntityFacts, EntityInput, Facts, Known, RequestInput, RequestLimits, RoleAssignmentInput,
        Violation, check_facts, json::FactReader,
    },
    schema::{Schema, StoredEntities},
};

/// The schema and limits that rows are checked against.
#[derive(Debug, Clone)]
pub(super) struct RowCheck {
    pub schema: Arc<Schema>,
    pub stored: Arc<StoredEntities>,
    pub limits: RequestLimits,
}

/// The wrong part of a row, and what is wrong with it.
pub(super) type Wrong = (String, String);

impl RowCheck {
    pub(super) fn new(
        schema: Arc<Schema>,
        stored: Arc<StoredEntities>,
        limits: RequestLimits,
    ) -> Self {
        // A request may have none of these, but a row is checked as a request with one.
        let limits = RequestLimits {
            entities: limits.entities.max(1),
            role_assignments: limits.role_assignments.max(1),
            ..limits
        };
        Self { schema, stored, limits }
    }

    /// Returns how long a text may be, in bytes.
    pub(super) fn text_bytes(&self) -> usize {
        self.limits.text_bytes
    }

    /// Returns whether principals of a type can hold a role on scopes of a type.
    pub(super) fn kind_fits(&self, principal_type: &str, role: &str, scope_type: &str) -> bool {
        let assignment = RoleAssignmentInput {
            principal: Some(Uid::new(principal_type, "any")),
            role: role.to_owned(),
            scope: Some(Uid::new(scope_type, "any")),
            expires_at: None,
        };
        self.assignment_is_valid(assignment).is_ok()
    }

    /// Returns what is wrong with a role assignment.
    pub(super) fn wrong_in_assignment(&self, row: &Assignment) -> Option<Wrong> {
        let key = &row.key;
        let too_long = self.too_long([
            ("principal.type", &key.principal.type_name),
            ("principal.id", &key.principal.id),
            ("role", &key.role),
            ("scope.type", &key.scope.type_name),
            ("scope.id", &key.scope.id),
            ("granted_by", &row.grant.granted_by),
            ("reason", &row.grant.reason),
        ]);
        if too_long.is_some() {
            return too_long;
        }
        let assignment = RoleAssignmentInput {
            principal: Some(row.key.principal.clone()),
            role: row.key.role.clone(),
            scope: Some(row.key.scope.clone()),
            expires_at: row.expires_at,
        };
        self.assignment_is_valid(assignment).err()
    }

    fn too_long<const N: usize>(&self, texts: [(&str, &String); N]) -> Option<Wrong> {
        let limit = self.limits.text_bytes;
        let (field, text) = texts.into_iter().find(|(_, text)| text.len() > limit)?;
        let length = text.len();
        Some((field.to_owned(), format!("{length} bytes, more than the limit of {limit}")))
    }

    fn assignment_is_valid(&self, assignment: RoleAssignmentInput) -> Result<(), Wrong> {
        let input = RequestInput { role_assignments: vec![assignment], ..RequestInput::default() };
        let facts = self.check(&input);
        facts.map(drop).map_err(|violations| first(violations, "role_assignments[0]."))
    }

    /// Returns the types that the full name of a type may mean which the schema does not have: those of
    /// the same name in other namespaces.
    pub(super) fn namesakes(&self, type_name: &str) -> Arc<[EntityType]> {
        if self.schema.entity_type(type_name).is_some() {
            return Arc::default();
        }
        let name = type_name.rsplit("::").next().unwrap_or(type_name);
        let names = self.schema.types_named(name);
        names.iter().filter_map(|name| self.schema.entity_type(name)).cloned().collect()
    }

    /// Returns whether the policy store holds an entity itself.
    pub(super) fn is_stored(&self, uid: &Uid) -> bool {
        let entity_type = self.schema.entity_type(&uid.type_name).cloned();
        entity_type.is_some_and(|entity_type| {
            let uid = EntityUID::from_components(entity_type, Eid::new(uid.id.as_str()), None);
            self.stored.contains(&uid)
        })
    }

    /// Reads the row of an entity.
    ///
    /// # Errors
    /// The fault in words.
    pub(super) fn facts_of(&self, row: &EntityRow) -> Result<EntityFacts, Wrong> {
        let uid = [("uid.type", &row.uid.type_name), ("uid.id", &row.uid.id)];
        self.too_long(uid).map_or(Ok(()), Err)?;
        let entity = self.read(row)?;
        let input = RequestInput { entities: vec![entity], ..RequestInput::default() };
        let facts = self.check(&input).map_err(|violations| first(violations, "entities[0]."))?;
        let facts = facts.entities.iter().next().cloned();
        let facts = facts.ok_or_else(|| {
            ("entity".to_owned(), "the policy store holds it itself: leave it out".to_owned())
        })?;
        match facts.parents.iter().find(|parent| self.schema.is_role(parent)) {
            Some(role) => Err((
                "entity.parents".to_owned(),
                format!("`{role}` is a role, which an assignment gives: leave it out"),
            )),
            None => Ok(facts),
        }
    }

    fn read(&self, row: &EntityRow) -> Result<EntityInput, Wrong> {
        if row.json.is_empty() {
            let message = "two rows of it differ, and nobody knows which counts: delete one";
            return Err(("entity".to_owned(), message.to_owned()));
        }
        let mut json =
            json::parse(&row.json).map_err(|error| ("entity".to_owned(), error.to_string()))?;
        if let serde_json::Value::Object(fields) = &mut json
            && !fields.contains_key("uid")
        {
            let uid = serde_json::json!({"type": row.uid.type_name, "id": row.uid.id});
            fields.insert("uid".to_owned(), uid);
        }
        let mut reader = FactReader::default();
        let entities = reader.entities(&serde_json::Value::Array(vec![json]), Some(&self.schema));
        match entities.into_iter().next() {
            Some(entity) if reader.violations.is_empty() => self.of_row(entity, row),
            _ => Err(first(reader.violations, "entities[0].")),
        }
    }

    /// Refuses an entity of another name than its row.
    fn of_row(&self, entity: EntityInput, row: &EntityRow) -> Result<EntityInput, Wrong> {
        let name = |uid: &Uid| (self.schema.full_type_name(&uid.type_name), uid.id.clone());
        match &entity.uid {
            Some(uid) if name(uid) == name(&row.uid) => Ok(entity),
            _ if self.schema.entity_type(&row.uid.type_name).is_none() => Err((
                "uid.type".to_owned(),
                format!("the schema has no entity type `{}`", row.uid.type_name),
            )),
            _ => Err((
                "entity.uid".to_owned(),
                format!("not the name of the row, which is `{}`: leave it out", row.uid),
            )),
        }
    }

    fn check(&self, input: &RequestInput) -> Result<Facts, Vec<Violation>> {
        let known = Known { schema: &self.schema, stored: &self.stored, held: None };
        check_facts(known, input, &self.limits)
    }
}

/// Returns the field, without its prefix, and the description of the first violation.
fn first(violations: Vec<Violation>, prefix: &str) -> Wrong {
    let violation = violations.into_iter().next();
    violation.map_or_else(Default::default, |violation| {
        let field = violation.field.strip_prefix(prefix).unwrap_or(&violation.field).to_owned();
        (field, violation.description)
    })
}
