//! The parts of a directory: entities, the types that they are of, role assignments and their
//! kinds, and texts.

use std::{hash::BuildHasher, sync::Arc};

use cedar_policy_core::ast::EntityType;
use foldhash::fast::RandomState;
use smol_str::SmolStr;

use super::table::TableRecord;
use crate::{
    model::Timestamp,
    request::{EntityFacts, HeldPlace},
    schema::Slot,
};

/// The name of an entity type, known to the schema or not.
#[derive(Clone)]
pub(super) struct TypeRecord {
    /// The full name.
    pub name: SmolStr,
    /// The type, if the schema has it.
    pub entity_type: Option<EntityType>,
    /// The types of that name in other namespaces, if the schema does not have it.
    pub namesakes: Arc<[EntityType]>,
    uses: u32,
}

/// An entity of which anything is held.
///
/// It fills one line of the processor's cache: a decision waits for one of its principal and one of
/// its resource among a million. What most decisions do not need lies apart, in [`Related`].
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct EntityRecord {
    /// The number of its type.
    pub type_number: u32,
    uses: u32,
    pub id: SmolStr,
    /// True where anything is held of it that counts: what fits the schema, or a row that does not.
    pub is_visible: bool,
    row: EntityRowState,
    /// The roles that it holds, sorted by [`RoleRecord::key`].
    pub roles: Arc<[RoleRecord]>,
    related: Option<Arc<Related>>,
}

const _: () = assert!(size_of::<EntityRecord>() == 64);

/// The row of an entity, in a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntityRowState {
    /// There is no row, or the policy store holds the entity itself.
    None,
    /// The row fits the schema.
    Fits,
    /// The row does not fit, or says that the entity is in itself; or there is one under a type that
    /// the schema does not have any more. Nobody knows what it restricts.
    Unreadable,
}

/// The facts that are held of an entity beside its own roles.
#[derive(Clone, Default)]
pub(super) struct Related {
    /// The holders of roles on it, sorted by [`Holder::key`].
    pub holders: Arc<[Holder]>,
    /// The entities of which it is a direct parent, sorted.
    pub members: Arc<[HeldPlace]>,
    /// The entities of which an attribute names it, sorted.
    pub named_by: Arc<[HeldPlace]>,
    /// Those whose rows may be about it, for the schema does not have their types, sorted.
    pub meant_by: Arc<[HeldPlace]>,
    /// Its own row.
    pub row: Option<Arc<HeldEntity>>,
}

/// The types and the role of an assignment. Whether they fit the schema is decided once for all
/// assignments of a kind: ids do not matter, for an entity type that lists its ids can neither hold a
/// role nor have one held on it.
#[derive(Clone)]
pub(super) struct AssignmentKind {
    /// The number of the principal's type.
    pub principal_type: u32,
    /// The number of the scope's type.
    pub scope_type: u32,
    pub slot: Slot,
    pub fits: bool,
    pub uses: u32,
}

/// A text that several assignments share.
#[derive(Clone)]
pub(super) struct SharedText {
    pub text: SmolStr,
    uses: u32,
}

/// A moment or none, in half the room of an `Option`.
#[derive(Debug, Clone, Copy)]
pub(super) struct MaybeMoment(i64);

/// A role assignment, kept with its principal.
#[derive(Debug, Clone)]
pub(super) struct RoleRecord {
    pub scope: HeldPlace,
    /// The number of its kind.
    pub kind: u32,
    pub expires_at: MaybeMoment,
    pub granted_at: MaybeMoment,
    /// The number of the text.
    pub granted_by: u32,
    /// The number of the text.
    pub reason: u32,
}

/// The same assignment, kept with its scope.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub principal: HeldPlace,
    /// The number of its kind.
    pub kind: u32,
    pub expires_at: MaybeMoment,
}

/// The row of an entity.
pub(super) struct HeldEntity {
    pub json: Box<str>,
    /// The facts of the row, where it fits the schema.
    pub facts: Option<EntityFacts>,
    /// True where the policy store holds the entity itself.
    pub is_stored: bool,
    /// The places of the parents, sorted.
    pub parents: Box<[HeldPlace]>,
    /// The places of the entities that attributes name, sorted.
    pub named: Box<[HeldPlace]>,
    /// The places of the entities that it may be about instead, as the schema does not have its type,
    /// sorted.
    pub may_mean: Box<[HeldPlace]>,
}

impl MaybeMoment {
    const NONE: i64 = i64::MIN;

    pub(super) fn get(self) -> Option<Timestamp> {
        (self.0 != Self::NONE).then(|| Timestamp::from_millis(self.0))
    }

    /// Returns whether an assignment that ends then is in force at a moment.
    fn is_after(self, now: Timestamp) -> bool {
        self.get().is_none_or(|expires_at| now < expires_at)
    }
}

impl From<Option<Timestamp>> for MaybeMoment {
    fn from(moment: Option<Timestamp>) -> Self {
        // The very first moment is taken for the next, and not for none: that would never expire.
        Self(moment.map_or(Self::NONE, |moment| moment.as_millis().max(Self::NONE + 1)))
    }
}

impl Related {
    fn is_empty(&self) -> bool {
        self.holders.is_empty()
            && self.members.is_empty()
            && self.named_by.is_empty()
            && self.meant_by.is_empty()
            && self.row.is_none()
    }

    fn state(&self) -> EntityRowState {
        match &self.row {
            Some(row) => row.state(),
            None if self.meant_by.is_empty() => EntityRowState::None,
            None => EntityRowState::Unreadable,
        }
    }
}

impl HeldEntity {
    fn state(&self) -> EntityRowState {
        match &self.facts {
            Some(_) => EntityRowState::Fits,
            None if self.is_stored => EntityRowState::None,
            None => EntityRowState::Unreadable,
        }
    }
}

impl RoleRecord {
    pub(super) fn key(&self) -> (HeldPlace, u32) {
        (self.scope, self.kind)
    }

    pub(super) fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires_at.is_after(now)
    }
}

impl Holder {
    pub(super) fn key(&self) -> (HeldPlace, u32) {
        (self.principal, self.kind)
    }

    pub(super) fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires_at.is_after(now)
    }
}

impl EntityRecord {
    /// Makes an entity of which nothing is held yet.
    pub(super) fn new(type_number: u32, id: SmolStr) -> Self {
        Self {
            type_number,
            uses: 1,
            id,
            is_visible: false,
            row: EntityRowState::None,
            roles: Arc::default(),
            related: None,
        }
    }

    /// Returns what its row says, where that fits the schema.
    pub(super) fn facts(&self) -> Option<&EntityFacts> {
        if self.row != EntityRowState::Fits {
            return None;
        }
        self.row()?.facts.as_ref()
    }

    /// Returns whether a row is about it of which nobody knows what it restricts.
    pub(super) fn is_unreadable(&self) -> bool {
        self.row == EntityRowState::Unreadable
    }

    /// Makes it one that cannot be read as it is in itself, or is so no more.
    pub(super) fn set_in_circle(&mut self, is_in_circle: bool) {
        self.row = match &self.related {
            Some(_) if is_in_circle => EntityRowState::Unreadable,
            related => related.as_ref().map_or(EntityRowState::None, |related| related.state()),
        };
    }

    /// Returns its own row.
    pub(super) fn row(&self) -> Option<&Arc<HeldEntity>> {
        self.related.as_ref()?.row.as_ref()
    }

    /// Returns the holders of roles on it.
    pub(super) fn holders(&self) -> &[Holder] {
        self.related.as_ref().map_or(&[], |related| &related.holders)
    }

    /// Returns the entities of which it is a direct parent.
    pub(super) fn members(&self) -> &[HeldPlace] {
        self.related.as_ref().map_or(&[], |related| &related.members)
    }

    /// Returns the entities of which an attribute names it.
    pub(super) fn named_by(&self) -> &[HeldPlace] {
        self.related.as_ref().map_or(&[], |related| &related.named_by)
    }

    /// Changes what is held of it beside its own roles.
    pub(super) fn change_related<T>(&mut self, change: impl FnOnce(&mut Related) -> T) -> T {
        let related = Arc::make_mut(self.related.get_or_insert_default());
        let result = change(related);
        self.row = related.state();
        if related.is_empty() {
            self.related = None;
        }
        result
    }

    /// Returns the roles that it holds on a scope.
    pub(super) fn roles_on(&self, scope: HeldPlace) -> &[RoleRecord] {
        let from = self.roles.partition_point(|role| role.scope < scope);
        let roles = self.roles.get(from..).unwrap_or_default();
        let count = roles.iter().take_while(|role| role.scope == scope).count();
        roles.get(..count).unwrap_or_default()
    }
}

impl TypeRecord {
    pub(super) fn new(
        name: SmolStr,
        entity_type: Option<EntityType>,
        namesakes: Arc<[EntityType]>,
    ) -> Self {
        Self { name, entity_type, namesakes, uses: 1 }
    }

    pub(super) fn hash_of(state: &RandomState, name: &str) -> u64 {
        state.hash_one(name)
    }
}

impl TableRecord for TypeRecord {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, &self.name)
    }

    fn uses(&mut self) -> &mut u32 {
        &mut self.uses
    }
}

impl EntityRecord {
    pub(super) fn hash_of(state: &RandomState, type_number: u32, id: &str) -> u64 {
        state.hash_one((type_number, id))
    }
}

impl TableRecord for EntityRecord {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, self.type_number, &self.id)
    }

    fn uses(&mut self) -> &mut u32 {
        &mut self.uses
    }
}

impl AssignmentKind {
    /// Makes a kind that does not fit yet.
    pub(super) fn new(principal_type: u32, slot: Slot, scope_type: u32) -> Self {
        Self { principal_type, scope_type, slot, fits: false, uses: 1 }
    }

    pub(super) fn hash_of(
        state: &RandomState,
        principal_type: u32,
        slot: &str,
        scope_type: u32,
    ) -> u64 {
        state.hash_one((principal_type, slot, scope_type))
    }
}

impl TableRecord for AssignmentKind {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, self.principal_type, self.slot.as_str(), self.scope_type)
    }

    fn uses(&mut self) -> &mut u32 {
        &mut self.uses
    }
}

impl SharedText {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.into(), uses: 1 }
    }

    pub(super) fn hash_of(state: &RandomState, text: &str) -> u64 {
        state.hash_one(text)
    }
}

impl TableRecord for SharedText {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, &self.text)
    }

    fn uses(&mut self) -> &mut u32 {
        &mut self.uses
    }
}
