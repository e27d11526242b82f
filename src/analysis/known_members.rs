//! The knowledge of memberships in a cell's requests, as conditions in Cedar.

use cedar_policy_core::ast::{EntityType, EntityUID};
use smol_str::SmolStr;

use super::{
    known_facts::{Facts, one_of},
    terms::Term,
    world::Optional,
};
use crate::schema::{Shape, Slot};

impl Facts<'_, '_> {
    /// Says what entities are in, and that the principal is in nothing else than is known.
    pub(super) fn known_members(&mut self) {
        for uid in self.entities.clone() {
            for ancestor in self.world.ancestors(self.engine, &uid) {
                self.add(&[], &format!("{uid} in {ancestor}"));
            }
        }
        let principal = &self.world.request.principal;
        for (left, right) in &self.looked_at.members {
            if left.entity_type() != Some(principal.entity_type()) {
                continue;
            }
            let Some(ways) = self.ways(principal, right) else { continue };
            let is_in = format!("principal in {}", right.text);
            if self.is_open(right) {
                for way in ways {
                    self.add(&right.presence, &format!("!({way}) || {is_in}"));
                }
            } else {
                self.add(&right.presence, &one_of(&format!("!({is_in})"), ways));
            }
        }
    }

    /// Says that nothing else is in anything, as in a base request.
    pub(super) fn absent_members(&mut self) {
        let looked_at = self.looked_at;
        for (left, right) in &looked_at.members {
            let entity_type = left.entity_type().filter(|ty| !self.others.contains(*ty));
            let Some(entity_type) = entity_type else { continue };
            let mut all = Vec::new();
            match &right.shape {
                Shape::Entity(of) if **of == *entity_type => {
                    all.push(format!("{} == {}", left.text, right.text));
                }
                Shape::Set(of) if **of == left.shape => {
                    all.push(format!("{}.contains({})", right.text, left.text));
                }
                _ => {}
            }
            for uid in self.of_type(entity_type) {
                let Some(ways) = self.ways(uid, right) else { continue };
                all.extend(
                    ways.into_iter().map(|way| format!("({} == {uid} && {way})", left.text)),
                );
            }
            if self.ways(&self.world.request.principal, right).is_some() {
                let presence = [&left.presence[..], &right.presence[..]].concat();
                let is_in = format!("!({} in {})", left.text, right.text);
                self.add(&presence, &one_of(&is_in, all));
            }
        }
    }

    /// Returns the conditions under which an entity is in what a term stands for, as far as known
    /// memberships go: one of them. Nothing where they cannot be said.
    fn ways(&self, uid: &EntityUID, term: &Term) -> Option<Vec<String>> {
        let schema = self.world.schema;
        let ancestors = self.world.ancestors(self.engine, uid);
        let own = std::iter::once(uid).chain(&ancestors);
        let ways: Vec<_> = match &term.shape {
            Shape::Entity(_) if let Some((owner, owner_type, slot)) = self.slot(term) => {
                let scopes = ancestors.iter().filter_map(|role| schema.scope_of(role));
                let filled = scopes.filter(|(scope, filled)| {
                    scope.entity_type() == owner_type && filled.as_str() == slot.as_str()
                });
                filled.map(|(scope, _)| format!("{owner} == {scope}")).collect()
            }
            // A role that is reached otherwise may be that of any scope.
            Shape::Entity(ty) if schema.is_role_type(ty) && !term.path.is_empty() => return None,
            Shape::Entity(ty) => own
                .filter(|own| own.entity_type() == &**ty)
                .map(|own| format!("{} == {own}", term.text))
                .collect(),
            Shape::Set(element) => match &**element {
                Shape::Entity(ty) if !schema.is_role_type(ty) => own
                    .filter(|own| own.entity_type() == &**ty)
                    .map(|own| format!("{}.contains({own})", term.text))
                    .collect(),
                _ => return None,
            },
            _ => return None,
        };
        Some(ways)
    }

    /// Returns the scope, its type and the slot of a term that is the slot of a scope.
    fn slot<'t>(&self, term: &'t Term) -> Option<(&'t str, &'t EntityType, &'t SmolStr)> {
        let ((owner, owner_type), [slot]) = (term.owner.as_ref()?, &*term.path) else {
            return None;
        };
        let shape = self.world.schema.entity(owner_type)?;
        shape.slots.contains_key(slot.as_str()).then_some((owner, owner_type, slot))
    }

    /// Returns whether the principal may hold such a role besides those that are known.
    fn is_open(&self, term: &Term) -> bool {
        let open = self.world.open_roles.as_deref().unwrap_or_default();
        let is_open = |scope: &EntityType, slot: &str| {
            open.iter().any(|(ty, role)| ty == scope && Slot::as_str(role) == slot)
        };
        if self.world.optional == Optional::Absent {
            return false;
        }
        if let Some((_, owner_type, slot)) = self.slot(term) {
            return is_open(owner_type, slot);
        }
        let named = self.looked_at.entities.iter().filter(|uid| uid.to_string() == term.text);
        let mut scopes = named.filter_map(|role| self.world.schema.scope_of(role));
        scopes.any(|(scope, slot)| is_open(scope.entity_type(), slot.as_str()))
    }
}
