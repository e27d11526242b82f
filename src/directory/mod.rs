//! Role assignments and entities that the sidecar holds, so that a caller need not send them.
//!
//! A [`Directory`] never changes: [`Directory::apply`] makes another, and both share what is the same
//! in them. Where rows come from is none of its business.

mod change;
pub mod rows;
mod snapshot;
mod version;

pub use change::{Assignment, AssignmentKey, Change, EntityRow, Fault};
pub use snapshot::{Snapshot, SnapshotError};
pub use version::{DirectoryVersion, Position, VersionError};

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

use crate::{
    model::{Timestamp, Uid, hash::HashMap},
    request::{
        EntityFacts, Grant, HeldFacts, HeldRole, Known, Place, RequestInput, RequestLimits,
        check_facts, json::FactReader,
    },
    schema::{Schema, Slot, StoredEntities},
};

/// The role assignments and entities of one store at one moment.
#[derive(Debug, Clone)]
pub struct Directory {
    schema: Arc<Schema>,
    stored: Arc<StoredEntities>,
    limits: RequestLimits,
    assignments: BTreeMap<AssignmentKey, Assignment>,
    rows: BTreeMap<Uid, EntityRow>,
    uids: Vec<EntityUID>,
    places: HashMap<EntityUID, Place>,
    roles: Vec<HeldAssignment>,
    entities: HashMap<Place, EntityFacts>,
    counts: Counts,
}

/// How many rows a directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Role assignments, those included that do not fit the schema.
    pub assignments: usize,
    /// Entities, those included that do not fit the schema.
    pub entities: usize,
    /// Rows that do not fit the schema of the store, and grant nothing.
    pub ignored: usize,
}

#[derive(Debug, Clone)]
struct HeldAssignment {
    principal: Place,
    slot: Slot,
    scope: Place,
    expires_at: Option<Timestamp>,
    grant: Grant,
}

impl Directory {
    /// Makes an empty directory for a store of that schema and those fixed entities.
    #[must_use]
    pub fn new(schema: Arc<Schema>, stored: Arc<StoredEntities>, limits: RequestLimits) -> Self {
        Self {
            schema,
            stored,
            limits,
            assignments: BTreeMap::new(),
            rows: BTreeMap::new(),
            uids: Vec::new(),
            places: HashMap::default(),
            roles: Vec::new(),
            entities: HashMap::default(),
            counts: Counts::default(),
        }
    }

    /// Makes the directory as it is after changes, and tells which of them do not fit the schema.
    /// Such a row is kept and grants nothing, and comes in force once a schema has what it names.
    #[must_use]
    pub fn apply(&self, changes: Vec<Change>) -> (Self, Vec<Fault>) {
        let mut next = self.clone();
        let mut faults = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            match change {
                Change::Put(mut row) => {
                    next.canonical_key(&mut row.key);
                    if let Err((field, description)) = next.resolved(&row) {
                        faults.push(Fault { index, field, description });
                    }
                    next.assignments.insert(row.key.clone(), row);
                }
                Change::Delete(mut key) => {
                    next.canonical_key(&mut key);
                    next.assignments.remove(&key);
                }
                Change::PutEntity(mut row) => {
                    next.canonical(&mut row.uid);
                    if let Err((field, description)) = next.facts_of(&row) {
                        faults.push(Fault { index, field, description });
                    }
                    next.rows.insert(row.uid.clone(), row);
                }
                Change::DeleteEntity(mut uid) => {
                    next.canonical(&mut uid);
                    next.rows.remove(&uid);
                }
            }
        }
        next.rebuild();
        (next, faults)
    }

    /// Makes the same directory for another state of the store.
    #[must_use]
    pub fn with_schema(&self, schema: Arc<Schema>, stored: Arc<StoredEntities>) -> Self {
        let mut next = Self { schema, stored, ..self.clone() };
        next.rebuild();
        next
    }

    /// Returns whether the directory was made for that state of a store.
    #[must_use]
    pub fn is_of(&self, schema: &Arc<Schema>, stored: &Arc<StoredEntities>) -> bool {
        Arc::ptr_eq(&self.schema, schema) && Arc::ptr_eq(&self.stored, stored)
    }

    /// Returns how many rows it holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns all assignments, those included that do not fit the schema, in the order of their
    /// principals' places.
    pub fn assignments(&self) -> impl Iterator<Item = Assignment> {
        self.assignments.values().cloned()
    }

    fn canonical(&self, uid: &mut Uid) {
        if let Some(full) = self.schema.entity_type(&uid.type_name) {
            uid.type_name = full.to_string();
        }
    }

    fn canonical_key(&self, key: &mut AssignmentKey) {
        self.canonical(&mut key.principal);
        self.canonical(&mut key.scope);
    }

    fn uid(&self, uid: &Uid) -> Option<EntityUID> {
        let entity_type = self.schema.entity_type(&uid.type_name)?.clone();
        Some(EntityUID::from_components(entity_type, Eid::new(uid.id.as_str()), None))
    }

    fn resolved(&self, row: &Assignment) -> Result<(), (String, String)> {
        let input = RequestInput {
            role_assignments: vec![crate::request::RoleAssignmentInput {
                principal: Some(row.key.principal.clone()),
                role: row.key.role.clone(),
                scope: Some(row.key.scope.clone()),
                expires_at: row.expires_at,
            }],
            ..RequestInput::default()
        };
        let known = Known { schema: &self.schema, stored: &self.stored, held: None };
        match check_facts(known, &input, &self.limits) {
            Ok(_) => Ok(()),
            Err(violations) => Err(first(violations, "role_assignments[0].")),
        }
    }

    fn facts_of(&self, row: &EntityRow) -> Result<EntityFacts, (String, String)> {
        let known = Known { schema: &self.schema, stored: &self.stored, held: None };
        let json = crate::model::json::parse(&row.json)
            .map_err(|error| ("entity".to_owned(), error.to_string()))?;
        let mut reader = FactReader::default();
        let mut entity = match json {
            serde_json::Value::Object(mut fields) => {
                let uid = serde_json::json!({"type": row.uid.type_name, "id": row.uid.id});
                fields.insert("uid".to_owned(), uid);
                serde_json::Value::Object(fields)
            }
            other => other,
        };
        let entities = reader.entities(&serde_json::json!([entity.take()]), Some(&self.schema));
        if !reader.violations.is_empty() {
            return Err(first(reader.violations, "entities[0]."));
        }
        let input = RequestInput { entities, ..RequestInput::default() };
        let facts = check_facts(known, &input, &self.limits)
            .map_err(|violations| first(violations, "entities[0]."))?;
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

    fn place_of(&mut self, uid: EntityUID) -> Place {
        if let Some(place) = self.places.get(&uid) {
            return *place;
        }
        let place = Place(u32::try_from(self.uids.len()).unwrap_or(u32::MAX));
        self.uids.push(uid.clone());
        self.places.insert(uid, place);
        place
    }

    fn rebuild(&mut self) {
        self.uids.clear();
        self.places.clear();
        self.roles.clear();
        self.entities.clear();
        let mut ignored = 0;
        let rows: Vec<_> = self.assignments.values().cloned().collect();
        for row in rows {
            let (principal, scope) = (self.uid(&row.key.principal), self.uid(&row.key.scope));
            match (self.resolved(&row), principal, scope) {
                (Ok(()), Some(principal), Some(scope)) => {
                    let (principal, scope) = (self.place_of(principal), self.place_of(scope));
                    let slot = Slot::new(row.key.role.as_str());
                    let (expires_at, grant) = (row.expires_at, row.grant);
                    self.roles.push(HeldAssignment { principal, slot, scope, expires_at, grant });
                }
                _ => ignored += 1,
            }
        }
        let rows: Vec<_> = self.rows.values().cloned().collect();
        for row in rows {
            match self.facts_of(&row) {
                Ok(facts) => {
                    let place = self.place_of(facts.uid.clone());
                    for parent in &facts.parents {
                        self.place_of(parent.clone());
                    }
                    self.entities.insert(place, facts);
                }
                Err(_) => ignored += 1,
            }
        }
        let (assignments, entities) = (self.assignments.len(), self.rows.len());
        self.counts = Counts { assignments, entities, ignored };
    }

    fn held(&self, now: Timestamp) -> impl Iterator<Item = HeldRole<'_>> {
        let in_force = move |role: &&HeldAssignment| role.expires_at.is_none_or(|end| now < end);
        self.roles.iter().filter(in_force).map(|role| HeldRole {
            principal: role.principal,
            slot: &role.slot,
            scope: role.scope,
            expires_at: role.expires_at,
        })
    }
}

impl HeldFacts for Directory {
    fn place(&self, uid: &EntityUID) -> Option<Place> {
        self.places.get(uid).copied()
    }

    fn uid(&self, place: Place) -> Option<EntityUID> {
        self.uids.get(place.0 as usize).cloned()
    }

    fn entity(&self, place: Place) -> Option<&EntityFacts> {
        self.entities.get(&place)
    }

    fn members(&self, place: Place) -> Vec<Place> {
        let uid = self.uids.get(place.0 as usize);
        let is_in = |facts: &EntityFacts| uid.is_some_and(|uid| facts.parents.contains(uid));
        let members = self.entities.iter().filter(|(_, facts)| is_in(facts));
        members.map(|(place, _)| *place).collect()
    }

    fn holds(&self, principal: Place, scope: Place, slot: &str, now: Timestamp) -> bool {
        self.roles_between(principal, scope, now).iter().any(|role| role.slot.as_str() == slot)
    }

    fn roles_between(&self, principal: Place, scope: Place, now: Timestamp) -> Vec<HeldRole<'_>> {
        let is_between = |role: &HeldRole<'_>| role.principal == principal && role.scope == scope;
        self.held(now).filter(is_between).collect()
    }

    fn role_count(&self, principal: Place) -> usize {
        self.roles.iter().filter(|role| role.principal == principal).count()
    }

    fn roles_of(&self, principal: Place, now: Timestamp) -> Vec<HeldRole<'_>> {
        let mut roles: Vec<_> = self.held(now).filter(|role| role.principal == principal).collect();
        roles.sort_by_key(|role| role.scope);
        roles
    }

    fn roles_on(&self, scope: Place, now: Timestamp) -> Vec<HeldRole<'_>> {
        let mut roles: Vec<_> = self.held(now).filter(|role| role.scope == scope).collect();
        roles.sort_by_key(|role| role.principal);
        roles
    }

    fn of_type(&self, entity_type: &EntityType) -> Vec<Place> {
        let of_type = self.uids.iter().filter(|uid| uid.entity_type() == entity_type);
        of_type.filter_map(|uid| self.place(uid)).collect()
    }

    fn grant(&self, principal: Place, scope: Place, slot: &str) -> Option<Grant> {
        let role = self.roles.iter().find(|role| {
            role.principal == principal && role.scope == scope && role.slot.as_str() == slot
        });
        role.map(|role| role.grant.clone())
    }
}

/// Returns the field, without its prefix, and the description of the first violation.
fn first(violations: Vec<crate::request::Violation>, prefix: &str) -> (String, String) {
    let violation = violations.into_iter().next();
    violation.map_or_else(Default::default, |violation| {
        let field = violation.field.strip_prefix(prefix).unwrap_or(&violation.field).to_owned();
        (field, violation.description)
    })
}
