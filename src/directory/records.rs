//! The parts of a directory: entities, the types that they are of, role assignments and their
//! kinds, and texts.

use std::{hash::BuildHasher, sync::Arc};

use cedar_policy_core::ast::EntityType;
use foldhash::fast::RandomState;
use smol_str::SmolStr;

use super::table::Record;
use crate::{
    model::Timestamp,
    request::{EntityFacts, Place},
    schema::Slot,
};

/// The name of an entity type, known to the schema or not.
#[derive(Clone)]
pub(super) struct TypeRecord {
    /// The full name.
    pub name: SmolStr,
    /// The type, if the schema has it.
    pub entity_type: Option<EntityType>,
}

/// An entity of which anything is held.
#[derive(Clone)]
pub(super) struct EntityRecord {
    /// The number of its type.
    pub type_number: u32,
    pub id: SmolStr,
    /// True where anything is held of it that fits the schema.
    pub is_visible: bool,
    /// How many roles it holds that fit the schema.
    pub role_count: u32,
    /// The roles that it holds, sorted by [`Role::key`].
    pub roles: Arc<[Role]>,
    /// The holders of roles on it, sorted by [`Holder::key`].
    pub holders: Arc<[Holder]>,
    /// The entities of which it is a direct parent, sorted.
    pub members: Arc<[Place]>,
    /// Its own row.
    pub row: Option<Arc<HeldEntity>>,
}

/// The types and the role of an assignment. Whether they fit the schema is decided once for all
/// assignments of a kind: ids do not matter, for an entity type that lists its ids can neither hold a
/// role nor have one held on it.
#[derive(Clone)]
pub(super) struct Kind {
    /// The number of the principal's type.
    pub principal_type: u32,
    /// The number of the scope's type.
    pub scope_type: u32,
    pub slot: Slot,
    pub fits: bool,
}

/// A text that several assignments share.
#[derive(Clone)]
pub(super) struct Text(pub SmolStr);

/// A role assignment, kept with its principal.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub scope: Place,
    /// The number of its kind.
    pub kind: u32,
    pub expires_at: Option<Timestamp>,
    pub granted_at: Option<Timestamp>,
    /// The number of the text.
    pub granted_by: u32,
    /// The number of the text.
    pub reason: u32,
}

/// The same assignment, kept with its scope.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub principal: Place,
    /// The number of its kind.
    pub kind: u32,
    pub expires_at: Option<Timestamp>,
}

/// The row of an entity.
pub(super) struct HeldEntity {
    pub json: Box<str>,
    /// The facts of the row, where it fits the schema.
    pub facts: Option<EntityFacts>,
    /// The places of the parents, sorted.
    pub parents: Box<[Place]>,
}

impl Role {
    pub(super) fn key(&self) -> (Place, u32) {
        (self.scope, self.kind)
    }

    pub(super) fn is_in_force(&self, now: Timestamp) -> bool {
        is_in_force(self.expires_at, now)
    }
}

impl Holder {
    pub(super) fn key(&self) -> (Place, u32) {
        (self.principal, self.kind)
    }

    pub(super) fn is_in_force(&self, now: Timestamp) -> bool {
        is_in_force(self.expires_at, now)
    }
}

fn is_in_force(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_none_or(|expires_at| now < expires_at)
}

impl EntityRecord {
    /// Makes an entity of which nothing is held yet.
    pub(super) fn new(type_number: u32, id: SmolStr) -> Self {
        Self {
            type_number,
            id,
            is_visible: false,
            role_count: 0,
            roles: Arc::default(),
            holders: Arc::default(),
            members: Arc::default(),
            row: None,
        }
    }

    /// Returns what its row says, where that fits the schema.
    pub(super) fn facts(&self) -> Option<&EntityFacts> {
        self.row.as_ref()?.facts.as_ref()
    }

    /// Returns the roles that it holds on a scope.
    pub(super) fn roles_on(&self, scope: Place) -> &[Role] {
        let from = self.roles.partition_point(|role| role.scope < scope);
        let roles = self.roles.get(from..).unwrap_or_default();
        let count = roles.iter().take_while(|role| role.scope == scope).count();
        roles.get(..count).unwrap_or_default()
    }
}

impl TypeRecord {
    pub(super) fn hash_of(state: &RandomState, name: &str) -> u64 {
        state.hash_one(name)
    }
}

impl Record for TypeRecord {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, &self.name)
    }
}

impl EntityRecord {
    pub(super) fn hash_of(state: &RandomState, type_number: u32, id: &str) -> u64 {
        state.hash_one((type_number, id))
    }
}

impl Record for EntityRecord {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, self.type_number, &self.id)
    }
}

impl Kind {
    pub(super) fn hash_of(
        state: &RandomState,
        principal_type: u32,
        slot: &str,
        scope_type: u32,
    ) -> u64 {
        state.hash_one((principal_type, slot, scope_type))
    }
}

impl Record for Kind {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, self.principal_type, self.slot.as_str(), self.scope_type)
    }
}

impl Text {
    pub(super) fn hash_of(state: &RandomState, text: &str) -> u64 {
        state.hash_one(text)
    }
}

impl Record for Text {
    fn hash(&self, state: &RandomState) -> u64 {
        Self::hash_of(state, &self.0)
    }
}
