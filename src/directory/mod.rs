//! Role assignments and entities that the sidecar holds, so that a caller need not send them.
//!
//! A [`Directory`] never changes: [`Directory::apply`] makes another, and both share what is the same
//! in them. It does not know where rows come from.
//!
//! Entities are numbered ([`HeldPlace`]), and lie in chunks that states share. An assignment lies in the
//! sorted list of its principal, and once more, shorter, in that of its scope. A change copies the
//! lists, chunks and parts of indexes that it touches, and nothing else.

mod apply;
mod change;
mod circles;
mod finish;
mod held_facts;
mod name_order;
mod page;
mod postgres_snapshot;
mod records;
mod row_check;
pub mod rows;
mod sorted;
mod table;
#[cfg(test)]
mod tests;
mod version;
mod with_schema;

pub use apply::{Applying, ChangeFault};
pub use change::{
    Assignment, AssignmentFilter, AssignmentKey, Change, EntityFilter, EntityRow, Fault,
};
pub use postgres_snapshot::{PostgresSnapshot, PostgresSnapshotError};
pub use version::{DirectoryVersion, Position, VersionError};

use std::{cmp::Ordering, collections::BTreeSet, fmt, sync::Arc};

use cedar_policy_core::ast::EntityType;
use smol_str::SmolStr;

use self::{
    name_order::NameOrder,
    records::{AssignmentKind, EntityRecord, RoleRecord, SharedText, TypeRecord},
    row_check::RowCheck,
    table::Table,
};
use crate::{
    model::{Uid, hash::HashMap},
    request::{Grant, HeldPlace, RequestLimits},
    schema::{Schema, StoredEntities},
};

/// The role assignments and entities of one store at one moment. Clones share everything.
#[derive(Clone)]
pub struct Directory {
    check: Arc<RowCheck>,
    types: Table<TypeRecord>,
    /// The numbers of those types that the schema has.
    type_numbers: Arc<HashMap<EntityType, u32>>,
    entities: Table<EntityRecord>,
    order: NameOrder,
    kinds: Table<AssignmentKind>,
    texts: Table<SharedText>,
    counts: RowCounts,
    /// The entities that are in themselves, through others.
    circles: Arc<BTreeSet<HeldPlace>>,
    was_renamed: bool,
}

/// The numbers of rows that a directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Role assignments, those included that do not fit the schema.
    pub assignments: usize,
    /// Entities, those included that do not fit the schema.
    pub entities: usize,
    /// Rows that do not fit the schema of the store, and grant nothing.
    pub ignored: usize,
}

impl Directory {
    /// Makes an empty directory for a store of that schema and those fixed entities.
    #[must_use]
    pub fn new(schema: Arc<Schema>, stored: Arc<StoredEntities>, limits: RequestLimits) -> Self {
        Self {
            check: Arc::new(RowCheck::new(schema, stored, limits)),
            types: Table::new(),
            type_numbers: Arc::default(),
            entities: Table::new(),
            order: NameOrder::default(),
            kinds: Table::new(),
            texts: Table::new(),
            counts: RowCounts::default(),
            circles: Arc::default(),
            was_renamed: false,
        }
    }

    /// Returns whether names of types have come to mean others since the rows were read, so that only
    /// their source knows what was written.
    #[must_use]
    pub fn was_renamed(&self) -> bool {
        self.was_renamed
    }

    /// Returns whether the directory was made for that state of a store.
    #[must_use]
    pub fn is_of(&self, schema: &Arc<Schema>, stored: &Arc<StoredEntities>) -> bool {
        Arc::ptr_eq(&self.check.schema, schema) && Arc::ptr_eq(&self.check.stored, stored)
    }

    /// Returns whether a row names a type of entities, be it that the schema has it or not.
    #[must_use]
    pub fn names_type(&self, written: &str) -> bool {
        self.find_type(&self.check.schema.full_type_name(written)).is_some()
    }

    /// Returns whether a row names a role, be it that the schema has it or not.
    #[must_use]
    pub fn names_role(&self, role: &str) -> bool {
        self.kinds.iter().any(|(_, kind)| kind.slot.as_str() == role)
    }

    /// Returns how many rows it holds.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// Returns all assignments, those included that do not fit the schema, in the order of the names
    /// of their principals; those of one principal in no order.
    pub fn assignments(&self) -> impl Iterator<Item = Assignment> {
        self.order.iter().flat_map(move |principal| {
            let record = self.entity_record(principal);
            let roles = record.map_or(&[][..], |record| &record.roles);
            roles.iter().filter_map(move |role| self.assignment(principal, role))
        })
    }

    /// Returns whether another directory holds the same rows, whatever it makes of them.
    #[must_use]
    pub fn has_same_rows(&self, other: &Self) -> bool {
        (self.counts.assignments, self.counts.entities)
            == (other.counts.assignments, other.counts.entities)
            && self.assignments().all(|row| other.find_assignment(&row.key) == Some(row))
            && self.entities().all(|row| other.find_entity_row(&row.uid) == Some(row))
    }

    /// Returns the rows of all entities, those included that do not fit the schema, in the order of
    /// their names.
    pub fn entities(&self) -> impl Iterator<Item = EntityRow> {
        self.order.iter().filter_map(|place| self.entity_row(place))
    }

    /// Returns the row of an entity, be it that it fits the schema or not.
    #[must_use]
    pub fn find_entity_row(&self, uid: &Uid) -> Option<EntityRow> {
        self.entity_row(self.find(uid)?)
    }

    fn entity_row(&self, place: HeldPlace) -> Option<EntityRow> {
        let row = self.entity_record(place)?.row()?;
        Some(EntityRow { uid: self.written(place)?, json: row.json.to_string() })
    }

    fn assignment(&self, principal: HeldPlace, role: &RoleRecord) -> Option<Assignment> {
        let text = |number| self.texts.get(number).map(|text| text.text.to_string());
        Some(Assignment {
            key: AssignmentKey {
                principal: self.written(principal)?,
                role: self.kinds.get(role.kind)?.slot.to_string(),
                scope: self.written(role.scope)?,
            },
            expires_at: role.expires_at.get(),
            grant: Grant {
                granted_at: role.granted_at.get(),
                granted_by: text(role.granted_by)?,
                reason: text(role.reason)?,
            },
        })
    }

    fn entity_record(&self, place: HeldPlace) -> Option<&EntityRecord> {
        self.entities.get(place.0)
    }

    /// Returns whether assignments of a kind fit the schema.
    fn fits(&self, kind: u32) -> bool {
        self.kinds.get(kind).is_some_and(|kind| kind.fits)
    }

    /// Returns the full name of the type, and the id, of an entity.
    fn name(&self, place: HeldPlace) -> Option<(&SmolStr, &SmolStr)> {
        let record = self.entity_record(place)?;
        Some((&self.types.get(record.type_number)?.name, &record.id))
    }

    fn written(&self, place: HeldPlace) -> Option<Uid> {
        self.name(place).map(|(type_name, id)| Uid::new(type_name.as_str(), id.as_str()))
    }

    /// Compares the names of entities.
    fn name_order(&self, one: HeldPlace, other: HeldPlace) -> Ordering {
        match (self.entity_record(one), self.entity_record(other)) {
            (Some(a), Some(b)) if a.type_number == b.type_number => a.id.cmp(&b.id),
            _ => self.name(one).cmp(&self.name(other)),
        }
    }

    /// Returns the place of an entity as it is written, whatever is held of it.
    fn find(&self, uid: &Uid) -> Option<HeldPlace> {
        let number = self.find_type(&self.check.schema.full_type_name(&uid.type_name))?;
        self.find_entity(number, &uid.id)
    }

    fn find_type(&self, full_name: &str) -> Option<u32> {
        let hash = TypeRecord::hash_of(self.types.state(), full_name);
        self.types.find(hash, |record| record.name == full_name)
    }

    fn find_entity(&self, type_number: u32, id: &str) -> Option<HeldPlace> {
        let hash = EntityRecord::hash_of(self.entities.state(), type_number, id);
        let is_it = |record: &EntityRecord| record.type_number == type_number && record.id == id;
        self.entities.find(hash, is_it).map(HeldPlace)
    }

    fn find_kind(&self, principal_type: u32, slot: &str, scope_type: u32) -> Option<u32> {
        let hash = AssignmentKind::hash_of(self.kinds.state(), principal_type, slot, scope_type);
        self.kinds.find(hash, |kind| {
            (kind.principal_type, kind.slot.as_str(), kind.scope_type)
                == (principal_type, slot, scope_type)
        })
    }
}

impl fmt::Debug for Directory {
    /// Writes how much it holds: all of it may be a gigabyte.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("counts", &self.counts).finish_non_exhaustive()
    }
}
