//! The entities that an entity of a request is in, as far as they are known.

use std::sync::Arc;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    declared::may_be_parent,
    doubt::Note,
    fact::{Choice, Fact},
    truth::Truth,
    world::{Optional, World},
};
use crate::{engine::Engine, schema::Slot};

impl<'a> World<'a> {
    /// Returns whether an entity is in another, directly or not.
    pub(super) fn is_in(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> Truth {
        // A choice that made it a member, or not, may be on any way from one to the other.
        if uid == of || self.ancestors(engine, uid).contains(of) {
            return Truth::True;
        }
        if !may_be_parent(self.schema, uid, of) || !self.knows_parent(engine, uid, of) {
            return Truth::False;
        }
        let open = if self.may_be_directly_in(engine, uid, of) {
            self.open_directly(engine, uid, of)
        } else {
            self.open_by_others(engine, uid, of)
        };
        let open = open.filter(|_| self.optional == Optional::Open);
        open.map_or(Truth::False, |fact| Truth::Open(Some(Arc::new(fact))))
    }

    /// Returns whether it is open whether an entity is in another, directly.
    pub(super) fn may_join(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> bool {
        let may_be_in = uid != of && self.may_be_directly_in(engine, uid, of);
        self.optional == Optional::Open
            && may_be_in
            && self.member_chosen(uid, of).is_none()
            && !self.ancestors(engine, uid).contains(of)
    }

    /// Returns the fact that decides whether an entity is in another, where it may be directly in it.
    fn open_directly(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> Option<Fact> {
        if self.member_chosen(uid, of).is_some() {
            return None;
        }
        // One of which nothing is sent may be in the other by a role, and not directly.
        if self.is_partly_sent
            && self.is_sent(uid).is_none()
            && !self.is_fixed(engine, uid)
            && !self.role_ways(engine, uid, of).roles.is_empty()
        {
            return Some(Fact::Sent(uid.clone()));
        }
        Some(self.first_member(engine, uid, of))
    }

    /// Returns the fact that decides whether an entity is in another by a role or a group that it is in.
    fn open_by_others(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> Option<Fact> {
        // What is known of the principal of a cell is all that it is in.
        if self.schema.is_role(of) || self.open_roles_of(uid).is_some() {
            return None;
        }
        if let Some(via) = self.bridge(engine, uid, of) {
            return Some(Fact::Member(uid.clone(), via.clone()));
        }
        let may_lead = |above: &EntityUID| {
            self.may_be_directly_in(engine, above, of) && self.member_chosen(above, of).is_none()
        };
        let ways = self.role_ways(engine, uid, of);
        for role in &ways.roles {
            match self.member_chosen(uid, role) {
                None => return Some(Fact::Member(uid.clone(), role.clone())),
                Some(true) if may_lead(role) => return Some(self.first_member(engine, role, of)),
                Some(_) => {}
            }
        }
        if ways.has_more && self.optional == Optional::Open {
            self.note(Note::NotSearched(format!(
                "`{uid}` may be in `{of}` by one of many roles that it may hold"
            )));
        }
        let groups = self.ancestors(engine, uid).into_iter();
        let group = groups.filter(|above| !self.schema.is_role(above)).find(may_lead)?;
        Some(self.first_member(engine, &group, of))
    }

    /// Returns the membership that is tried first where an entity may be in another.
    fn first_member(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> Fact {
        let first = self.bridge(engine, uid, of).unwrap_or(of);
        Fact::Member(uid.clone(), first.clone())
    }

    fn member_chosen(&self, uid: &EntityUID, of: &EntityUID) -> Option<bool> {
        let is_it = |fact: &Fact| matches!(fact, Fact::Member(member, above) if member == uid && above == of);
        self.chosen(is_it).map(|choice| matches!(choice, Choice::Holds(true)))
    }

    /// Returns whether an entity could be in another without being in anything else, as far as the schema
    /// and what is closed tell.
    fn may_be_directly_in(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> bool {
        if !may_be_parent(self.schema, uid, of) || !self.knows_parent(engine, uid, of) {
            return false;
        }
        let role = self.schema.scope_of(of);
        // Nobody can hold a role that the schema does not know.
        if role.is_none() && self.schema.is_role(of) {
            return false;
        }
        if role.is_none() && self.is_fixed(engine, uid) {
            return false;
        }
        match self.open_roles_of(uid) {
            None => true,
            Some(open) => role.is_some_and(|(scope, slot)| {
                open.iter().any(|(ty, role)| ty == scope.entity_type() && *role == slot)
            }),
        }
    }

    /// Returns whether an entity is in nothing that a caller says of it, but may be assigned roles: one that
    /// a store holds, or of which nothing is sent.
    fn is_fixed(&self, engine: &Engine, uid: &EntityUID) -> bool {
        engine.stored().contains(uid) || self.is_stored(uid) || self.is_sent(uid) == Some(false)
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
    fn bridge(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> Option<&'a EntityUID> {
        let bridges = self.change.into_iter().flat_map(|change| &change.bridges);
        let mut via = bridges.filter(|(above, _)| above == of).map(|(_, via)| via);
        via.find(|via| {
            uid != *via
                && self.member_chosen(uid, via).is_none()
                && self.may_be_directly_in(engine, uid, via)
        })
    }
}
