//! The entities that an entity of a request is in, as far as they are known.

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    declared::may_be_parent,
    doubt::Note,
    fact::{Choice, Fact},
    world::{Optional, World},
};
use crate::{engine::Engine, schema::Slot};

impl<'a> World<'a> {
    /// Returns whether an entity is in another, directly or not; nothing where that is open.
    pub(super) fn is_in(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> Option<bool> {
        if uid == of {
            return Some(true);
        }
        // A choice that made it a member, or not, may be on any way from one to the other.
        if self.ancestors(engine, uid).contains(of) {
            return Some(true);
        }
        if !self.may_be_in(engine, uid, of) {
            return Some(false);
        }
        let is_it = |fact: &Fact| *fact == Fact::Member(uid.clone(), of.clone());
        if self.chosen(is_it).is_some() || self.optional == Optional::Absent {
            // It may be so without being sent, which a chosen membership is not.
            if self.is_partly_sent && self.may_be_in_by_role(uid, of) {
                self.note_other_ways(uid, of);
            }
            return Some(false);
        }
        None
    }

    /// Returns whether an entity could be in another as far as the schema and what is closed tell.
    pub(super) fn may_be_in(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> bool {
        if !may_be_parent(self.schema, uid, of) || !self.knows_parent(engine, uid, of) {
            return false;
        }
        let role = self.schema.scope_of(of);
        // Nobody can hold a role that the schema does not know.
        if role.is_none() && self.schema.is_role(of) {
            return false;
        }
        // A stored entity, and one of which nothing is sent, is in nothing else but may be assigned roles.
        let is_fixed = engine.stored().contains(uid)
            || self.is_stored(uid)
            || self.is_sent(uid) == Some(false);
        if role.is_none() && is_fixed {
            let may_lead = |above: &EntityUID| {
                !engine.stored().contains(above) && may_be_parent(self.schema, above, of)
            };
            if self.may_be_in_by_role(uid, of) || self.ancestors(engine, uid).iter().any(may_lead) {
                self.note_other_ways(uid, of);
            }
            return false;
        }
        match self.open_roles_of(uid) {
            None => true,
            Some(open) => role.is_some_and(|(scope, slot)| {
                open.iter().any(|(ty, role)| ty == scope.entity_type() && *role == slot)
            }),
        }
    }

    /// Returns whether an entity may be in another that is no role by a role that it is assigned.
    fn may_be_in_by_role(&self, uid: &EntityUID, of: &EntityUID) -> bool {
        let parents_of = |ty| self.schema.entity(ty).map(|shape| &shape.parents);
        let roles = parents_of(uid.entity_type()).into_iter().flatten();
        let mut roles = roles.filter(|ty| self.schema.is_role_type(ty));
        !self.schema.is_role(of)
            && roles
                .any(|ty| parents_of(ty).is_some_and(|parents| parents.contains(of.entity_type())))
    }

    /// Notes that requests are not searched in which an entity is in another by what it is in.
    fn note_other_ways(&self, uid: &EntityUID, of: &EntityUID) {
        self.note(Note::NotSearched(format!(
            "`{uid}` may be in `{of}` by a role or a group that it is in"
        )));
    }

    /// Returns the roles that an entity may be in besides its known ancestors; none where it may be
    /// in anything.
    pub(super) fn open_roles_of(&self, uid: &EntityUID) -> Option<&[(EntityType, Slot)]> {
        if *uid == self.request.principal { self.open_roles.as_deref() } else { None }
    }

    /// Returns the known ancestors of an entity, without itself.
    pub(super) fn ancestors(&self, engine: &Engine, uid: &EntityUID) -> Vec<EntityUID> {
        let mut found: Vec<EntityUID> = Vec::new();
        let mut pending = vec![uid.clone()];
        while let Some(uid) = pending.pop() {
            for parent in self.parents(engine, &uid) {
                if !found.contains(&parent) {
                    found.push(parent.clone());
                    pending.push(parent);
                }
            }
        }
        found
    }

    fn parents(&self, engine: &Engine, uid: &EntityUID) -> Vec<EntityUID> {
        let mut parents = Vec::new();
        self.look_at(uid);
        let is_stored = engine.stored().contains(uid);
        if let Some(stored) = engine.stored().get(uid) {
            parents.extend(stored.ancestors().cloned());
        } else if let Some(entity) = self.request.facts.entities.get(uid) {
            parents.extend(entity.parents.iter().cloned());
        }
        for role in self.request.facts.role_assignments.in_force(self.request.now) {
            if role.principal == *uid {
                parents.extend(self.schema.role(&role.scope, &role.slot));
            }
        }
        for (place, (fact, choice)) in self.choices().iter().enumerate() {
            if let (Fact::Member(member, of), Choice::Holds(is_member)) = (fact, choice)
                && member == uid
                && (!is_stored || self.schema.is_role(of))
            {
                self.consult(place);
                parents.extend(is_member.then(|| of.clone()));
            }
        }
        parents.retain(|of| self.knows_parent(engine, uid, of));
        parents
    }

    /// Returns the entity in which an open membership is tried first: one that two states hold
    /// differently, and that is in `of` in one of them alone.
    pub(super) fn bridge(
        &self,
        engine: &Engine,
        uid: &EntityUID,
        of: &EntityUID,
    ) -> Option<&'a EntityUID> {
        let bridges = self.change.into_iter().flat_map(|change| &change.bridges);
        let mut via = bridges.filter(|(above, _)| above == of).map(|(_, via)| via);
        via.find(|via| {
            let is_it = |fact: &Fact| *fact == Fact::Member(uid.clone(), (*via).clone());
            uid != *via && self.chosen(is_it).is_none() && self.may_be_in(engine, uid, via)
        })
    }
}
