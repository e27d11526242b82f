//! The end of changes: the lists that they touch are made anew, and what no row names any more goes.

use std::sync::Arc;

use super::{
    Change, ChangeFault, Directory, EntityRow, Fault,
    apply::{Applying, RoleChange, RowChange},
    records::{Holder, Related, RoleRecord},
    sorted::{changed, keep_last},
};
use crate::request::HeldPlace;

impl Applying {
    /// Makes the directory with the changes.
    #[must_use]
    pub fn finish(self) -> Directory {
        self.finish_with_faults().0
    }

    /// Makes the directory, and returns the faults that only all changes together show: entities
    /// that are in themselves, in the order of their changes.
    pub(super) fn finish_with_faults(mut self) -> (Directory, Vec<Fault>) {
        self.make_lists();
        let changed = self.with_parents.iter();
        let in_circles = changed.filter(|(place, _)| self.next.circles.contains(place));
        let faults = in_circles.enumerate().map(|(count, (place, index))| {
            let is_described = count < self.described;
            let fault = is_described.then(|| self.next.circle_of(*place));
            let ChangeFault { field, description } = fault.unwrap_or_default();
            Fault { index: *index, field, description }
        });
        let mut faults: Vec<_> = faults.collect();
        faults.sort_by_key(|fault| fault.index);
        self.forget();
        (self.next, faults)
    }

    /// Makes the directory, and returns the rows that were held, or put, and are not held any more.
    /// In a directory that was empty and of which nothing is deleted, those rows share their key with
    /// a later one.
    #[must_use]
    pub fn finish_with_replaced(mut self) -> (Directory, Vec<Change>) {
        self.make_lists();
        let roles = self.dropped.roles.iter();
        let assignments = roles
            .filter_map(|(principal, role)| self.next.assignment(*principal, role))
            .map(Change::Put);
        let rows = self.dropped.rows.iter();
        let entities = rows.filter_map(|(place, row)| {
            let uid = self.next.written(*place)?;
            Some(Change::PutEntity(EntityRow { uid, json: row.json.to_string() }))
        });
        let replaced = assignments.chain(entities).collect();
        self.forget();
        (self.next, replaced)
    }

    fn make_lists(&mut self) {
        let mut touched = self.change_roles();
        let has_rows = !self.rows.is_empty();
        touched.extend(self.change_rows());
        if has_rows || !self.next.circles.is_empty() {
            touched.extend(self.find_circles());
        }
        touched.sort_unstable();
        touched.dedup();
        for place in touched {
            self.next.update_visible(place);
        }
    }

    /// Makes the lists of principals and scopes, and returns the places of both.
    fn change_roles(&mut self) -> Vec<HeldPlace> {
        let mut changes = std::mem::take(&mut self.roles);
        changes.sort_by_key(RoleChange::key);
        keep_last(&mut changes, RoleChange::key, |earlier| {
            let role = earlier.role.clone().map(|role| (earlier.principal, role));
            self.dropped.roles.extend(role);
        });
        let mut touched: Vec<HeldPlace> = Vec::new();
        for of_principal in changes.chunk_by(|one, other| one.principal == other.principal) {
            touched.extend(of_principal.first().map(|change| change.principal));
            self.change_roles_of(of_principal);
        }
        changes.sort_unstable_by_key(|change| (change.scope, change.principal, change.kind));
        for on_scope in changes.chunk_by(|one, other| one.scope == other.scope) {
            touched.extend(on_scope.first().map(|change| change.scope));
            self.change_holders_on(on_scope);
        }
        touched
    }

    fn change_roles_of(&mut self, changes: &[RoleChange]) {
        let Some(RoleChange { principal, .. }) = changes.first() else { return };
        let Some(record) = self.next.entity_record(*principal) else { return };
        let list = Arc::clone(&record.roles);
        let dropped = self.dropped.roles.len();
        let with_keys =
            changes.iter().map(|change| ((change.scope, change.kind), change.role.clone()));
        let made = changed(&list, with_keys, RoleRecord::key, |old| {
            self.dropped.roles.push((*principal, old.clone()));
        });
        let ignored = |role: &RoleRecord| !self.next.fits(role.kind);
        let put = changes.iter().filter_map(|change| change.role.as_ref());
        let ignored_put = put.filter(|role| ignored(role)).count();
        let old = self.dropped.roles.get(dropped..).unwrap_or_default();
        let ignored_old = old.iter().filter(|(_, role)| ignored(role)).count();
        let counts = &mut self.next.counts;
        counts.assignments = counts.assignments + made.len() - list.len();
        counts.ignored = counts.ignored + ignored_put - ignored_old;
        if let Some(record) = self.next.entities.get_mut(principal.0) {
            record.roles = made;
        }
    }

    fn change_holders_on(&mut self, changes: &[RoleChange]) {
        let Some(RoleChange { scope, .. }) = changes.first() else { return };
        let Some(record) = self.next.entities.get_mut(scope.0) else { return };
        let changes = changes.iter().map(|change| {
            let (principal, kind) = (change.principal, change.kind);
            let holder =
                |role: &RoleRecord| Holder { principal, kind, expires_at: role.expires_at };
            ((principal, kind), change.role.as_ref().map(holder))
        });
        record.change_related(|related| {
            related.holders = changed(&related.holders, changes, Holder::key, |_| {});
        });
    }

    /// Puts and deletes rows of entities, makes the lists of members, of those that name an entity and of
    /// those that may mean it, and returns the places of all.
    fn change_rows(&mut self) -> Vec<HeldPlace> {
        let mut changes = std::mem::take(&mut self.rows);
        changes.sort_by_key(|change| change.place);
        let place_of = |change: &RowChange| change.place;
        keep_last(&mut changes, place_of, |earlier| {
            self.dropped.rows.extend(earlier.row.clone().map(|row| (earlier.place, row)));
        });
        let (mut members, mut named_by, mut meant_by) = (Vec::new(), Vec::new(), Vec::new());
        let mut touched: Vec<HeldPlace> = Vec::new();
        for RowChange { place, row, index } in changes {
            touched.push(place);
            if row.as_ref().is_some_and(|row| !row.parents.is_empty()) {
                self.with_parents.push((place, index));
            }
            let Some(record) = self.next.entities.get_mut(place.0) else { continue };
            let old =
                record.change_related(|related| std::mem::replace(&mut related.row, row.clone()));
            let counts = &mut self.next.counts;
            if let Some(old) = old {
                counts.entities -= 1;
                counts.ignored -= usize::from(old.facts.is_none());
                members.extend(old.parents.iter().map(|parent| (*parent, place, None)));
                named_by.extend(old.named.iter().map(|named| (*named, place, None)));
                meant_by.extend(old.may_mean.iter().map(|meant| (*meant, place, None)));
                self.dropped.rows.push((place, old));
            }
            if let Some(new) = row {
                counts.entities += 1;
                counts.ignored += usize::from(new.facts.is_none());
                members.extend(new.parents.iter().map(|parent| (*parent, place, Some(place))));
                named_by.extend(new.named.iter().map(|named| (*named, place, Some(place))));
                meant_by.extend(new.may_mean.iter().map(|meant| (*meant, place, Some(place))));
            }
        }
        touched.extend(self.change_lists(members, |related| &mut related.members));
        touched.extend(self.change_lists(named_by, |related| &mut related.named_by));
        touched.extend(self.change_lists(meant_by, |related| &mut related.meant_by));
        touched
    }

    /// Makes one list of each entity anew: the changes name the entity, what its list has, and the same
    /// again where it is put and not removed. Returns the places of the entities.
    fn change_lists(
        &mut self,
        mut changes: Vec<(HeldPlace, HeldPlace, Option<HeldPlace>)>,
        list: impl Fn(&mut Related) -> &mut Arc<[HeldPlace]>,
    ) -> Vec<HeldPlace> {
        // A place that the new row names as well is removed before it is added.
        changes.sort_by_key(|(entity, item, _)| (*entity, *item));
        let mut touched = Vec::new();
        for of_entity in changes.chunk_by(|one, other| one.0 == other.0) {
            let Some((entity, ..)) = of_entity.first() else { continue };
            touched.push(*entity);
            if let Some(record) = self.next.entities.get_mut(entity.0) {
                let changes = of_entity.iter().map(|(_, item, new)| (*item, *new));
                record.change_related(|related| {
                    let list = list(related);
                    *list = changed(list, changes, |item| *item, |_| {});
                });
            }
        }
        touched
    }

    /// Ends the uses of what was dropped, and removes what nothing uses any more.
    fn forget(&mut self) {
        let next = &mut self.next;
        let mut unused = Vec::new();
        let mut unuse =
            |place: HeldPlace| unused.extend(next.entities.unuse(place.0).then_some(place));
        for (principal, role) in &self.dropped.roles {
            unuse(*principal);
            unuse(role.scope);
            next.kinds.release(role.kind);
            next.texts.release(role.granted_by);
            next.texts.release(role.reason);
        }
        for (place, row) in &self.dropped.rows {
            unuse(*place);
            let named = row.parents.iter().chain(&row.named).chain(&row.may_mean);
            named.copied().for_each(&mut unuse);
        }
        let mut order = std::mem::take(&mut next.order);
        let by_name = |one: &HeldPlace, other: &HeldPlace| next.name_order(*one, *other);
        self.new.sort_unstable_by(by_name);
        unused.sort_unstable_by(by_name);
        for (added, removed) in [(&self.new[..], &[][..]), (&[], &unused)] {
            order.change(added, removed, |one, other| next.name_order(one, other));
        }
        next.order = order;
        for place in unused {
            if let Some(record) = next.entities.remove(place.0) {
                next.release_type(record.type_number);
            }
        }
        for number in self.type_names.values() {
            next.release_type(*number);
        }
    }
}

impl Directory {
    fn release_type(&mut self, number: u32) {
        if self.types.unuse(number)
            && let Some(record) = self.types.remove(number)
            && let Some(entity_type) = record.entity_type
        {
            Arc::make_mut(&mut self.type_numbers).remove(&entity_type);
        }
    }

    /// Finds out whether anything is held of an entity that counts.
    pub(super) fn update_visible(&mut self, place: HeldPlace) {
        let Some(record) = self.entity_record(place) else { return };
        let is_visible = record.roles.iter().any(|role| self.fits(role.kind))
            || record.facts().is_some()
            || record.is_unreadable()
            || !record.members().is_empty()
            || record.holders().iter().any(|holder| self.fits(holder.kind));
        if record.is_visible != is_visible
            && let Some(record) = self.entities.get_mut(place.0)
        {
            record.is_visible = is_visible;
        }
    }
}
