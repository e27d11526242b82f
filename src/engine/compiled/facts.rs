//! The facts of one request, borrowed from the request and the store.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashSet,
    rc::Rc,
};

use cedar_policy_core::ast::{EntityUID, PartialValue};

use super::{
    NeedsCedar,
    expr::{RoleRef, SlotField},
    held_entities::HeldEntities,
    value::Val,
};
use crate::{
    model::Timestamp,
    request::{EntityFacts, HeldFacts, HeldPlace, Request, RoleAssignments, SEARCHED},
    schema::{Schema, StoredEntities},
};

type Hash = foldhash::fast::RandomState;

/// The facts of one request.
pub(in crate::engine) struct CompiledFacts<'a> {
    schema: &'a Schema,
    stored: &'a StoredEntities,
    request: &'a Request,
    held: Option<HeldEntities<'a>>,
    closures: RefCell<Vec<(&'a EntityUID, Rc<Closure<'a>>)>>,
}

/// An entity with everything that it is in.
#[derive(Debug)]
pub(in crate::engine) struct Closure<'a> {
    assignments: &'a RoleAssignments,
    held: Option<&'a dyn HeldFacts>,
    now: Timestamp,
    entities: Vec<&'a EntityUID>,
    /// The same entities as a set, where there are more than [`SEARCHED`].
    indexed: Option<HashSet<&'a EntityUID, Hash>>,
    /// The roles that it has, collected when first needed: a principal of a batch may have a
    /// thousand, of which an item is about one.
    roles: OnceCell<HashSet<RoleRef<'a>, Hash>>,
    /// The places of those entities of which the directory holds anything.
    places: Vec<HeldPlace>,
}

impl<'a> CompiledFacts<'a> {
    pub(in crate::engine) fn new(
        schema: &'a Schema,
        stored: &'a StoredEntities,
        request: &'a Request,
    ) -> Result<Self, NeedsCedar> {
        let held = request.facts.held.as_deref().map(HeldEntities::new);
        let closures = RefCell::new(Vec::with_capacity(4));
        let facts = Self { schema, stored, request, held, closures };
        let asked = [&request.principal, &request.action, &request.resource];
        // A Role that is something by itself, and not only what somebody has.
        let sent = &request.facts;
        if asked.into_iter().any(|uid| facts.is_role(uid))
            || sent.entities.has_roles()
            || sent.role_assignments.has_roles()
        {
            return Err(NeedsCedar);
        }
        Ok(facts)
    }

    pub(super) fn request(&self) -> &'a Request {
        self.request
    }

    pub(super) fn is_role(&self, uid: &EntityUID) -> bool {
        self.schema.is_role(uid)
    }

    /// Returns what was sent of an entity, else what the directory holds of it. Cedar has to tell what
    /// becomes of a question about one that cannot be read.
    fn described(&self, uid: &'a EntityUID) -> Result<Option<&'a EntityFacts>, NeedsCedar> {
        let sent = self.request.facts.entities.get(uid);
        match (sent, &self.held) {
            (Some(sent), _) => Ok(Some(sent)),
            (None, Some(held)) => held.entity(uid),
            (None, None) => Ok(None),
        }
    }

    /// Returns an attribute of an entity.
    pub(super) fn attribute(
        &self,
        uid: &'a EntityUID,
        field: &'a SlotField,
    ) -> Result<Option<Val<'a>>, NeedsCedar> {
        // Whoever describes the entity, a slot has the slot's own Role.
        if is_slot(uid, field) {
            return Ok(Some(Val::Role(RoleRef { scope: uid, slot: &field.name })));
        }
        let is_role = |uid: &EntityUID| self.is_role(uid);
        if let Some(described) = self.described(uid)? {
            let given = described.attributes.iter().rev().find(|(name, _)| *name == field.name);
            return given.map(|(_, value)| Val::of(&value.value, is_role)).transpose();
        }
        match self.stored.get(uid).and_then(|entity| entity.get(&field.name)) {
            Some(PartialValue::Value(value)) => Val::of(&value.value, is_role).map(Some),
            Some(PartialValue::Residual(_)) => Err(NeedsCedar),
            None => Ok(None),
        }
    }

    /// Returns whether an entity has an attribute, whatever its value.
    pub(super) fn has_attribute(
        &self,
        uid: &'a EntityUID,
        field: &SlotField,
    ) -> Result<bool, NeedsCedar> {
        if is_slot(uid, field) {
            return Ok(true);
        }
        if let Some(described) = self.described(uid)? {
            return Ok(described.attributes.iter().any(|(name, _)| *name == field.name));
        }
        Ok(self.stored.get(uid).is_some_and(|entity| entity.get(&field.name).is_some()))
    }

    /// Returns an entity with everything that it is in.
    pub(in crate::engine) fn closure(
        &self,
        uid: &'a EntityUID,
    ) -> Result<Rc<Closure<'a>>, NeedsCedar> {
        let known = self.closures.borrow().iter().find_map(|(other, closure)| {
            (std::ptr::eq(*other, uid) || *other == uid).then(|| Rc::clone(closure))
        });
        if let Some(closure) = known {
            return Ok(closure);
        }
        let closure = Rc::new(self.close(uid)?);
        self.closures.borrow_mut().push((uid, Rc::clone(&closure)));
        Ok(closure)
    }

    /// Returns whether an entity has a role, by itself or by what it is in.
    pub(super) fn has_role(&self, closure: &Closure<'a>, role: RoleRef<'a>) -> bool {
        closure.was_sent(role) || self.holds(closure, role)
    }

    /// Returns whether the directory holds that an entity has a role.
    fn holds(&self, closure: &Closure<'a>, role: RoleRef<'a>) -> bool {
        let Some(held) = self.held.as_ref().filter(|_| !closure.places.is_empty()) else {
            return false;
        };
        let Some(scope) = held.place(role.scope) else { return false };
        let holds =
            |place: &HeldPlace| held.facts().holds(*place, scope, role.slot, self.request.now);
        closure.places.iter().any(holds)
    }

    fn close(&self, uid: &'a EntityUID) -> Result<Closure<'a>, NeedsCedar> {
        let mut closure = Closure {
            assignments: &self.request.facts.role_assignments,
            held: self.held.as_ref().map(HeldEntities::facts),
            now: self.request.now,
            entities: Vec::new(),
            indexed: None,
            roles: OnceCell::new(),
            places: Vec::new(),
        };
        closure.add_entity(uid);
        let most_described = self.held.as_ref().map(|held| held.facts().most_ancestors());
        let (mut next, mut described_ancestors) = (0, 0);
        while let Some(uid) = closure.entities.get(next).copied() {
            next += 1;
            closure.places.extend(self.held.as_ref().and_then(|held| held.place(uid)));
            if let Some(described) = self.described(uid)? {
                // Cedar's entities tell which of them is in too many.
                described_ancestors += usize::from(next > 1);
                if most_described.is_some_and(|most| described_ancestors > most) {
                    return Err(NeedsCedar);
                }
                for parent in &described.parents {
                    self.add_parent(&mut closure, parent)?;
                }
            } else if let Some(entity) = self.stored.get(uid) {
                for ancestor in entity.ancestors() {
                    self.add_parent(&mut closure, ancestor)?;
                }
            }
        }
        Ok(closure)
    }

    fn add_parent(
        &self,
        closure: &mut Closure<'a>,
        parent: &'a EntityUID,
    ) -> Result<(), NeedsCedar> {
        if self.is_role(parent) {
            return Err(NeedsCedar);
        }
        closure.add_entity(parent);
        Ok(())
    }
}

fn is_slot(uid: &EntityUID, field: &SlotField) -> bool {
    field.slot_of.contains(uid.entity_type())
}

impl<'a> Closure<'a> {
    /// The entity itself and those that it is in.
    pub(super) fn entities(&self) -> &[&'a EntityUID] {
        &self.entities
    }

    /// Calls `each` with the roles that it has, by itself or by what it is in.
    pub(in crate::engine) fn each_role(&self, mut each: impl FnMut(RoleRef<'_>)) {
        self.sent_roles().iter().copied().for_each(&mut each);
        let Some(held) = self.held else { return };
        let roles = self.places.iter().flat_map(|place| held.roles_of(*place, self.now));
        for role in roles {
            if let Some(scope) = held.uid(role.scope) {
                each(RoleRef { scope: &scope, slot: role.slot.as_str() });
            }
        }
    }

    fn sent_roles(&self) -> &HashSet<RoleRef<'a>, Hash> {
        self.roles.get_or_init(|| {
            let held = self.entities.iter().flat_map(|uid| self.assignments.of(uid));
            let in_force = held.filter(|role| role.is_in_force(self.now));
            let roles =
                in_force.map(|role| RoleRef { scope: &role.scope, slot: role.slot.as_str() });
            roles.collect()
        })
    }

    pub(super) fn has_entity(&self, uid: &EntityUID) -> bool {
        match &self.indexed {
            Some(entities) => entities.contains(uid),
            None => self.entities.contains(&uid),
        }
    }

    /// Returns whether the caller says that it has the role.
    fn was_sent(&self, role: RoleRef<'_>) -> bool {
        let mut on_scope = self.assignments.on(role.scope);
        for held in on_scope.by_ref().take(SEARCHED) {
            if held.slot.as_str() == role.slot
                && held.is_in_force(self.now)
                && self.has_entity(&held.principal)
            {
                return true;
            }
        }
        // The set is made only where more roles are held on the scope than are searched.
        on_scope.next().is_some() && self.sent_roles().contains(&role)
    }

    fn add_entity(&mut self, uid: &'a EntityUID) {
        if self.has_entity(uid) {
            return;
        }
        self.entities.push(uid);
        match &mut self.indexed {
            Some(entities) => drop(entities.insert(uid)),
            None if self.entities.len() > SEARCHED => {
                self.indexed = Some(self.entities.iter().copied().collect());
            }
            None => {}
        }
    }
}
