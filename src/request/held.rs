//! Facts that the sidecar itself holds, so that a caller need not send them.

use std::{fmt, sync::Arc};

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{EntityFacts, RoleAssignment};
use crate::{model::Timestamp, schema::Slot};

/// The place of an entity among those of which anything is held. Places of one [`HeldFacts`] mean
/// nothing to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeldPlace(pub u32);

/// Role assignments and entities that are held for one store, at one moment. It never changes: a
/// change makes another.
///
/// Everything that it tells fits the schema of the store that is decided with: an assignment that does
/// not is left out, and an entity is told to be unreadable.
pub trait HeldFacts: fmt::Debug + Send + Sync {
    /// Returns the place of an entity of which anything is held: facts, a role that it has, one that
    /// is held on it, or an entity that is in it.
    fn place(&self, uid: &EntityUID) -> Option<HeldPlace>;

    /// Returns the entity at a place.
    fn uid(&self, place: HeldPlace) -> Option<EntityUID>;

    /// Returns the attributes, parents and tags of an entity; nothing where only roles are held.
    fn entity(&self, place: HeldPlace) -> Option<&EntityFacts>;

    /// Returns whether attributes, parents and tags of an entity are held that do not fit the schema.
    /// Nobody knows what they restrict: a decision that looks at the entity is a deny, and no caller may
    /// describe it.
    fn is_unreadable(&self, place: HeldPlace) -> bool;

    /// Returns how many entities one may be in, directly or through others (`limits.ancestors`). A
    /// decision that looks at an entity that is in more is a deny.
    fn most_ancestors(&self) -> usize;

    /// Returns the entities of which these are the direct parents.
    fn members(&self, place: HeldPlace) -> Vec<HeldPlace>;

    /// Returns the entities that name an entity in an attribute, by itself or in a set or record.
    fn named_by(&self, uid: &EntityUID) -> Vec<HeldPlace>;

    /// Returns whether a principal itself holds a role on a scope at that moment.
    fn holds(&self, principal: HeldPlace, scope: HeldPlace, slot: &str, now: Timestamp) -> bool;

    /// Returns the roles that a principal itself holds on one scope at that moment.
    fn roles_between(
        &self,
        principal: HeldPlace,
        scope: HeldPlace,
        now: Timestamp,
    ) -> Vec<HeldRole<'_>>;

    /// Returns how many roles a principal itself holds at most: expired ones and those that do not
    /// fit the schema are included.
    fn role_count(&self, principal: HeldPlace) -> usize;

    /// Returns the roles that a principal itself holds at that moment, in the order of scopes.
    fn roles_of(&self, principal: HeldPlace, now: Timestamp) -> Vec<HeldRole<'_>>;

    /// Returns the roles that are held on a scope at that moment, in the order of principals.
    fn roles_on(&self, scope: HeldPlace, now: Timestamp) -> Vec<HeldRole<'_>>;

    /// Returns every entity of a type of which anything is held.
    fn of_type(&self, entity_type: &EntityType) -> Vec<HeldPlace>;

    /// Returns who granted a role, when and why.
    fn grant(&self, principal: HeldPlace, scope: HeldPlace, slot: &str) -> Option<Grant>;
}

/// A role assignment that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRole<'a> {
    /// The holder.
    pub principal: HeldPlace,
    /// The role.
    pub slot: &'a Slot,
    /// The entity on which it is held.
    pub scope: HeldPlace,
    /// From this moment on the assignment does not exist.
    pub expires_at: Option<Timestamp>,
}

impl HeldRole<'_> {
    /// Names the entities of the assignment.
    #[must_use]
    pub fn assignment(&self, facts: &dyn HeldFacts) -> Option<RoleAssignment> {
        Some(RoleAssignment {
            principal: facts.uid(self.principal)?,
            slot: self.slot.clone(),
            scope: facts.uid(self.scope)?,
            expires_at: self.expires_at,
        })
    }
}

/// The origin of a grant: by whom, when and why, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The time of the grant.
    pub granted_at: Option<Timestamp>,
    /// The name of the one who granted it, in the words of the directory; empty: not known.
    pub granted_by: String,
    /// The reason; empty: not known.
    pub reason: String,
}

/// The facts that are held for a store, and what callers may say beside them.
#[derive(Debug, Clone)]
pub struct Held {
    /// The facts.
    pub facts: Arc<dyn HeldFacts>,
    /// The facts that callers may send beside them.
    pub request_facts: RequestFacts,
}

/// The facts that callers may send of roles and of entities where the sidecar holds some. In this
/// order each believes callers more than the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestFacts {
    /// Neither role assignments nor parents. Attributes and tags are taken of entities that neither
    /// the store nor the directory holds.
    #[default]
    Refuse,
    /// Facts that are sent are added to those held; one that contradicts them is refused.
    Add,
}

/// The same entities without any role.
#[derive(Debug)]
pub(crate) struct WithoutRoles(pub Arc<dyn HeldFacts>);

impl HeldFacts for WithoutRoles {
    fn place(&self, uid: &EntityUID) -> Option<HeldPlace> {
        self.0.place(uid)
    }

    fn uid(&self, place: HeldPlace) -> Option<EntityUID> {
        self.0.uid(place)
    }

    fn entity(&self, place: HeldPlace) -> Option<&EntityFacts> {
        self.0.entity(place)
    }

    fn is_unreadable(&self, place: HeldPlace) -> bool {
        self.0.is_unreadable(place)
    }

    fn most_ancestors(&self) -> usize {
        self.0.most_ancestors()
    }

    fn members(&self, place: HeldPlace) -> Vec<HeldPlace> {
        self.0.members(place)
    }

    fn named_by(&self, uid: &EntityUID) -> Vec<HeldPlace> {
        self.0.named_by(uid)
    }

    fn holds(&self, _: HeldPlace, _: HeldPlace, _: &str, _: Timestamp) -> bool {
        false
    }

    fn roles_between(&self, _: HeldPlace, _: HeldPlace, _: Timestamp) -> Vec<HeldRole<'_>> {
        Vec::new()
    }

    fn role_count(&self, _: HeldPlace) -> usize {
        0
    }

    fn roles_of(&self, _: HeldPlace, _: Timestamp) -> Vec<HeldRole<'_>> {
        Vec::new()
    }

    fn roles_on(&self, _: HeldPlace, _: Timestamp) -> Vec<HeldRole<'_>> {
        Vec::new()
    }

    fn of_type(&self, entity_type: &EntityType) -> Vec<HeldPlace> {
        self.0.of_type(entity_type)
    }

    fn grant(&self, principal: HeldPlace, scope: HeldPlace, slot: &str) -> Option<Grant> {
        self.0.grant(principal, scope, slot)
    }
}
