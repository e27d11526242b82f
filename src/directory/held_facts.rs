//! The facts of a directory for decisions: only those that fit the schema.

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

use super::{
    Directory,
    records::{EntityRecord, Holder, RoleRecord},
};
use crate::{
    model::Timestamp,
    request::{EntityFacts, Grant, HeldFacts, HeldPlace, HeldRole},
};

impl Directory {
    /// Returns the place of an entity, also where no row that fits the schema is about it.
    fn any_place(&self, uid: &EntityUID) -> Option<HeldPlace> {
        let type_number = self.type_numbers.get(uid.entity_type())?;
        self.find_entity(*type_number, uid.eid().as_ref())
    }

    fn is_visible(&self, place: &HeldPlace) -> bool {
        self.entity_record(*place).is_some_and(|record| record.is_visible)
    }

    fn roles(&self, principal: HeldPlace) -> &[RoleRecord] {
        self.entity_record(principal).map_or(&[], |record| &record.roles)
    }

    fn roles_of_pair(&self, principal: HeldPlace, scope: HeldPlace) -> &[RoleRecord] {
        self.entity_record(principal).map_or(&[], |record| record.roles_on(scope))
    }

    fn find_role(&self, principal: HeldPlace, scope: HeldPlace, slot: &str) -> Option<&RoleRecord> {
        self.roles_of_pair(principal, scope).iter().find(|role| {
            let kind = self.kinds.get(role.kind);
            kind.is_some_and(|kind| kind.fits && kind.slot.as_str() == slot)
        })
    }

    fn held_role(&self, principal: HeldPlace, role: &RoleRecord) -> Option<HeldRole<'_>> {
        let holder = Holder { principal, kind: role.kind, expires_at: role.expires_at };
        self.held_by(&holder, role.scope)
    }

    fn held_by(&self, holder: &Holder, scope: HeldPlace) -> Option<HeldRole<'_>> {
        let slot = &self.kinds.get(holder.kind).filter(|kind| kind.fits)?.slot;
        let (principal, expires_at) = (holder.principal, holder.expires_at.get());
        Some(HeldRole { principal, slot, scope, expires_at })
    }
}

impl HeldFacts for Directory {
    fn place(&self, uid: &EntityUID) -> Option<HeldPlace> {
        self.any_place(uid).filter(|place| self.is_visible(place))
    }

    fn uid(&self, place: HeldPlace) -> Option<EntityUID> {
        let record = self.entity_record(place).filter(|record| record.is_visible)?;
        let entity_type = self.types.get(record.type_number)?.entity_type.clone()?;
        Some(EntityUID::from_components(entity_type, Eid::new(record.id.clone()), None))
    }

    fn entity(&self, place: HeldPlace) -> Option<&EntityFacts> {
        self.entity_record(place)?.facts()
    }

    fn is_unreadable(&self, place: HeldPlace) -> bool {
        self.entity_record(place).is_some_and(EntityRecord::is_unreadable)
    }

    fn most_ancestors(&self) -> usize {
        self.check.limits.ancestors
    }

    fn members(&self, place: HeldPlace) -> Vec<HeldPlace> {
        self.entity_record(place).map(|record| record.members().to_vec()).unwrap_or_default()
    }

    fn named_by(&self, uid: &EntityUID) -> Vec<HeldPlace> {
        let record = self.any_place(uid).and_then(|place| self.entity_record(place));
        record.map(|record| record.named_by().to_vec()).unwrap_or_default()
    }

    fn holds(&self, principal: HeldPlace, scope: HeldPlace, slot: &str, now: Timestamp) -> bool {
        self.find_role(principal, scope, slot).is_some_and(|role| role.is_in_force(now))
    }

    fn roles_between(
        &self,
        principal: HeldPlace,
        scope: HeldPlace,
        now: Timestamp,
    ) -> Vec<HeldRole<'_>> {
        let roles = self.roles_of_pair(principal, scope).iter();
        let in_force = roles.filter(|role| role.is_in_force(now));
        in_force.filter_map(|role| self.held_role(principal, role)).collect()
    }

    fn role_count(&self, principal: HeldPlace) -> usize {
        self.entity_record(principal).map_or(0, |record| record.roles.len())
    }

    fn roles_of(&self, principal: HeldPlace, now: Timestamp) -> Vec<HeldRole<'_>> {
        let roles = self.roles(principal).iter().filter(|role| role.is_in_force(now));
        roles.filter_map(|role| self.held_role(principal, role)).collect()
    }

    fn roles_on(&self, scope: HeldPlace, now: Timestamp) -> Vec<HeldRole<'_>> {
        let holders = self.entity_record(scope).map_or(&[][..], |record| record.holders());
        let in_force = holders.iter().filter(|holder| holder.is_in_force(now));
        in_force.filter_map(|holder| self.held_by(holder, scope)).collect()
    }

    fn of_type(&self, entity_type: &EntityType) -> Vec<HeldPlace> {
        let Some(number) = self.type_numbers.get(entity_type) else { return Vec::new() };
        let Some(record) = self.types.get(*number) else { return Vec::new() };
        let type_of = |place: HeldPlace| self.name(place).map(|(type_name, _)| type_name);
        let from = self.order.skip(|place| type_of(place) < Some(&record.name));
        let of_type = from.take_while(|place| type_of(*place) == Some(&record.name));
        of_type.filter(|place| self.is_visible(place)).collect()
    }

    fn grant(&self, principal: HeldPlace, scope: HeldPlace, slot: &str) -> Option<Grant> {
        let role = self.find_role(principal, scope, slot)?;
        self.assignment(principal, role).map(|assignment| assignment.grant)
    }
}
