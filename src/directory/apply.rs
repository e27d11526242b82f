//! Changes of a directory: here every change is read, in order; then the lists that they touch are made
//! anew, each of them once (`finish.rs`).

use std::{borrow::Borrow, sync::Arc};

use cedar_policy_core::ast::{Eid, EntityUID};
use smol_str::SmolStr;

use super::{
    Assignment, AssignmentKey, Change, Directory, EntityRow, Fault,
    change::can_be_named,
    records::{AssignmentKind, EntityRecord, HeldEntity, RoleRecord, SharedText, TypeRecord},
    row_check::Wrong,
    sorted::keep_last,
};
use crate::{
    model::{Uid, hash::HashMap},
    request::{EntityFacts, HeldPlace},
    schema::Slot,
};

/// Faults that are described.
const FAULTS: usize = 1_000;

impl Directory {
    /// Makes the directory as it is after changes, and tells which of them do not fit the schema.
    ///
    /// Such a row is kept, grants nothing, and comes in force once a schema has what it names. Not
    /// kept is what has an empty type or id, or a text of more than `limits.text_bytes`; what was
    /// held by the same key is then gone too.
    ///
    /// An entity of which such a row is kept cannot be read. If the schema does not have its type, those
    /// cannot be read that have its id, the same type in another namespace and no row of their own.
    ///
    /// An entity that is in itself, through others, cannot be read either, and the change that has made
    /// it so has a fault.
    ///
    /// The first thousand faults are described; the others have their index alone.
    #[must_use]
    pub fn apply<C: Borrow<Change>>(
        &self,
        changes: impl IntoIterator<Item = C>,
    ) -> (Self, Vec<Fault>) {
        let mut applying = self.begin();
        let mut faults = Vec::new();
        for (index, change) in changes.into_iter().enumerate() {
            if let Err(ChangeFault { field, description }) = applying.make(change.borrow()) {
                faults.push(Fault { index, field, description });
            }
        }
        let (directory, of_circles) = applying.finish_with_faults();
        faults.extend(of_circles);
        faults.sort_by_key(|fault| fault.index);
        (directory, faults)
    }

    /// Returns what is wrong with a row, if it does not fit the schema.
    #[must_use]
    pub fn fault_of(&self, row: &Change) -> Option<ChangeFault> {
        let wrong = match row {
            Change::Put(row) => self.check.wrong_in_assignment(row),
            Change::PutEntity(row) => self.check.facts_of(row).err(),
            Change::Delete(_) | Change::DeleteEntity(_) => None,
        };
        wrong.map(|(field, description)| ChangeFault { field, description })
    }

    /// Begins to make changes, which come one after the other.
    #[must_use]
    pub fn begin(&self) -> Applying {
        Applying { described: FAULTS, ..Applying::new(self) }
    }
}

/// The fault of a change that does not fit the schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFault {
    /// The wrong part, e.g. `scope`; empty beyond the first thousand faults.
    pub field: String,
    /// The fault in words; empty beyond the first thousand faults.
    pub description: String,
}

/// Changes of a directory that are being made. They come in force together with
/// [`Applying::finish`], and until then take some fifty bytes each.
// Everything that is numbered has a use for each change, and each row of the directory, that names it.
pub struct Applying {
    pub(super) next: Directory,
    /// The number of further faults that are described. Describing takes longer than the change itself.
    pub(super) described: usize,
    /// The number of changes.
    made: usize,
    /// The numbers of types by the names that the changes write, with a use of each.
    pub(super) type_names: HashMap<String, u32>,
    pub(super) roles: Vec<RoleChange>,
    pub(super) rows: Vec<RowChange>,
    /// Entities that have parents by a new row, and the index of its change.
    pub(super) with_parents: Vec<(HeldPlace, usize)>,
    /// Entities of which nothing was held before.
    pub(super) new: Vec<HeldPlace>,
    /// Entities that have lost their row.
    pub(super) dropped: DroppedRows,
}

/// An assignment that is put, or is deleted.
pub(super) struct RoleChange {
    pub(super) principal: HeldPlace,
    pub(super) scope: HeldPlace,
    pub(super) kind: u32,
    pub(super) role: Option<RoleRecord>,
}

/// The row of an entity that is put, or is deleted.
pub(super) struct RowChange {
    pub(super) place: HeldPlace,
    pub(super) row: Option<Arc<HeldEntity>>,
    /// The index of the change.
    pub(super) index: usize,
}

#[derive(Default)]
pub(super) struct DroppedRows {
    pub(super) roles: Vec<(HeldPlace, RoleRecord)>,
    pub(super) rows: Vec<(HeldPlace, Arc<HeldEntity>)>,
}

impl RoleChange {
    pub(super) fn key(&self) -> (HeldPlace, HeldPlace, u32) {
        (self.principal, self.scope, self.kind)
    }
}

impl Applying {
    pub(super) fn new(directory: &Directory) -> Self {
        Self {
            next: directory.clone(),
            described: 0,
            made: 0,
            type_names: HashMap::default(),
            roles: Vec::new(),
            rows: Vec::new(),
            with_parents: Vec::new(),
            new: Vec::new(),
            dropped: DroppedRows::default(),
        }
    }

    /// Makes a change, as [`Directory::apply`] does.
    ///
    /// # Errors
    /// It does not fit the schema, and grants nothing.
    pub fn make(&mut self, change: &Change) -> Result<(), ChangeFault> {
        let made = match change {
            Change::Put(row) => self.put(row),
            Change::Delete(key) => {
                self.delete(key);
                Ok(())
            }
            Change::PutEntity(row) => self.put_entity(row),
            Change::DeleteEntity(uid) => {
                if let Some(place) = self.find(uid) {
                    self.rows.push(RowChange { place, row: None, index: self.made });
                }
                Ok(())
            }
        };
        self.made += 1;
        made.map_err(|(field, description)| {
            if self.described == 0 {
                return ChangeFault::default();
            }
            self.described -= 1;
            ChangeFault { field, description }
        })
    }

    fn put(&mut self, row: &Assignment) -> Result<(), Wrong> {
        let (key, check) = (&row.key, Arc::clone(&self.next.check));
        if !row.can_be_kept(check.text_bytes()) {
            self.delete(key);
            return Err(self.described(row));
        }
        let (principal, principal_type) = self.entity(&key.principal);
        let (scope, scope_type) = self.entity(&key.scope);
        let kind = self.kind(principal_type, &key.role, scope_type);
        let role = RoleRecord {
            scope,
            kind,
            expires_at: row.expires_at.into(),
            granted_at: row.grant.granted_at.into(),
            granted_by: self.text(&row.grant.granted_by),
            reason: self.text(&row.grant.reason),
        };
        self.roles.push(RoleChange { principal, scope, kind, role: Some(role) });
        if self.next.fits(kind) { Ok(()) } else { Err(self.described(row)) }
    }

    /// Describes what is wrong with a row that does not fit.
    fn described(&self, row: &Assignment) -> Wrong {
        let wrong = (self.described > 0).then(|| self.next.check.wrong_in_assignment(row));
        wrong.flatten().unwrap_or_default()
    }

    fn delete(&mut self, key: &AssignmentKey) {
        let (Some(principal), Some(scope)) = (self.find(&key.principal), self.find(&key.scope))
        else {
            return;
        };
        let type_of = |place| self.next.entity_record(place).map(|record| record.type_number);
        if let (Some(principal_type), Some(scope_type)) = (type_of(principal), type_of(scope))
            && let Some(kind) = self.next.find_kind(principal_type, &key.role, scope_type)
        {
            self.roles.push(RoleChange { principal, scope, kind, role: None });
        }
    }

    fn put_entity(&mut self, row: &EntityRow) -> Result<(), Wrong> {
        let check = Arc::clone(&self.next.check);
        let type_name = check.schema.full_type_name(&row.uid.type_name);
        let row =
            EntityRow { uid: Uid::new(type_name, row.uid.id.as_str()), json: row.json.clone() };
        let (facts, wrong) = match check.facts_of(&row) {
            Ok(facts) => (Some(facts), Ok(())),
            Err(wrong) => (None, Err(wrong)),
        };
        if can_be_named(&row.uid, check.text_bytes()) {
            let (place, type_number) = self.entity(&row.uid);
            let parents = facts.iter().flat_map(|facts| &facts.parents);
            let parents = self.places_of(parents);
            let named = facts.iter().flat_map(EntityFacts::named);
            let named = self.places_of(named);
            let may_mean = self.namesakes(type_number, &row.uid.id);
            let may_mean = self.places_of(may_mean.iter());
            let json = row.json.into();
            let is_stored = check.is_stored(&row.uid);
            let row = HeldEntity { json, facts, is_stored, parents, named, may_mean };
            let row = Some(Arc::new(row));
            self.rows.push(RowChange { place, row, index: self.made });
        }
        wrong
    }

    /// Returns the entities that a row may be about of which the schema does not have the type. What the
    /// policy store holds itself is none of them.
    fn namesakes(&self, type_number: u32, id: &str) -> Vec<EntityUID> {
        let record = self.next.types.get(type_number);
        let types = record.map_or(&[][..], |record| &*record.namesakes).iter();
        let uid = |ty| EntityUID::from_components(ty, Eid::new(id), None);
        let uids = types.cloned().map(uid);
        uids.filter(|uid| !self.next.check.stored.contains(uid)).collect()
    }

    /// Returns the places of entities, each once and with a use more, sorted.
    fn places_of<'u>(&mut self, uids: impl Iterator<Item = &'u EntityUID>) -> Box<[HeldPlace]> {
        let mut places: Vec<_> = uids.map(|uid| self.entity(&Uid::from(uid)).0).collect();
        places.sort_unstable();
        let itself = |place: &HeldPlace| *place;
        keep_last(&mut places, itself, |twice| self.next.entities.release(twice.0));
        places.into()
    }

    fn find(&self, uid: &Uid) -> Option<HeldPlace> {
        match self.type_names.get(&uid.type_name) {
            Some(number) => self.next.find_entity(*number, &uid.id),
            None => self.next.find(uid),
        }
    }

    /// Returns the place of an entity, with a use more, and the number of its type.
    fn entity(&mut self, uid: &Uid) -> (HeldPlace, u32) {
        let type_number = self.type_number(&uid.type_name);
        if let Some(place) = self.next.find_entity(type_number, &uid.id) {
            self.next.entities.retain(place.0);
            return (place, type_number);
        }
        self.next.types.retain(type_number);
        let record = EntityRecord::new(type_number, uid.id.as_str().into());
        let place = HeldPlace(self.next.entities.insert(record));
        self.new.push(place);
        (place, type_number)
    }

    fn type_number(&mut self, written: &str) -> u32 {
        if let Some(number) = self.type_names.get(written) {
            return *number;
        }
        let name = self.next.check.schema.full_type_name(written);
        let number = match self.next.find_type(&name) {
            Some(number) => {
                self.next.types.retain(number);
                number
            }
            None => self.next.add_type(name),
        };
        self.type_names.insert(written.to_owned(), number);
        number
    }

    /// Returns the number of a kind of assignment, with a use more.
    fn kind(&mut self, principal_type: u32, slot: &str, scope_type: u32) -> u32 {
        let next = &mut self.next;
        if let Some(kind) = next.find_kind(principal_type, slot, scope_type) {
            next.kinds.retain(kind);
            return kind;
        }
        let mut kind = AssignmentKind::new(principal_type, Slot::new(slot), scope_type);
        kind.fits = next.kind_fits(&kind);
        next.kinds.insert(kind)
    }

    /// Returns the number of a text, with a use more.
    fn text(&mut self, text: &str) -> u32 {
        let texts = &mut self.next.texts;
        let hash = SharedText::hash_of(texts.state(), text);
        match texts.find(hash, |other| other.text == text) {
            Some(number) => {
                texts.retain(number);
                number
            }
            None => texts.insert(SharedText::new(text)),
        }
    }
}

impl Directory {
    /// Adds a type that is not there yet, with one use.
    fn add_type(&mut self, name: SmolStr) -> u32 {
        let entity_type = self.check.schema.entity_type(&name).cloned();
        let namesakes = self.check.namesakes(&name);
        let record = TypeRecord::new(name, entity_type.clone(), namesakes);
        let number = self.types.insert(record);
        if let Some(entity_type) = entity_type {
            Arc::make_mut(&mut self.type_numbers).insert(entity_type, number);
        }
        number
    }

    /// Returns whether the types and the role of a kind fit the schema.
    pub(super) fn kind_fits(&self, kind: &AssignmentKind) -> bool {
        let name = |number| self.types.get(number).map(|record| record.name.as_str());
        name(kind.principal_type).zip(name(kind.scope_type)).is_some_and(|(principal, scope)| {
            self.check.kind_fits(principal, kind.slot.as_str(), scope)
        })
    }
}
