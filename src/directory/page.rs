//! Pages of assignments and of entities.

use super::{
    Assignment, AssignmentFilter, AssignmentKey, Directory, EntityFilter, EntityRow,
    records::{Holder, RoleRecord},
};
use crate::{model::Uid, request::HeldPlace};

/// An assignment by its places.
#[derive(Clone, Copy)]
struct FoundAssignment<'a> {
    principal: HeldPlace,
    scope: HeldPlace,
    kind: u32,
    key: Key<'a>,
}

/// The order of assignments: type and id of the principal, type and id of the scope, and role.
type Key<'a> = [&'a str; 5];

/// An [`AssignmentFilter`] as this directory sees it.
struct ResolvedFilter<'a> {
    filter: &'a AssignmentFilter,
    after: Option<Key<'a>>,
    limit: usize,
}

impl Directory {
    /// Returns the assignment of a key, be it that it fits the schema or not.
    #[must_use]
    pub fn find_assignment(&self, key: &AssignmentKey) -> Option<Assignment> {
        let filter = AssignmentFilter {
            principal: Some(key.principal.clone()),
            role: Some(key.role.clone()),
            scope: Some(key.scope.clone()),
            in_force_at: None,
        };
        self.assignments_page(&filter, None, 1).pop()
    }

    /// Returns the first assignments after a key, up to a number, in the order of the types and ids
    /// of their principals, then of their scopes, then of their roles, each compared byte by byte
    /// with full names of types. Those that do not fit the schema are included, unless the filter
    /// says otherwise. The key need not be held any more.
    ///
    /// It takes time for the roles of those principals that are met until the page is full, or, if
    /// only a scope is named, for all who hold a role on it.
    #[must_use]
    pub fn assignments_page(
        &self,
        filter: &AssignmentFilter,
        after: Option<&AssignmentKey>,
        limit: usize,
    ) -> Vec<Assignment> {
        let full =
            |uid: &Uid| Uid::new(self.check.schema.full_type_name(&uid.type_name), uid.id.as_str());
        let after = after.map(|key| (full(&key.principal), full(&key.scope), key.role.as_str()));
        let after = after.as_ref().map(|(principal, scope, role)| {
            [&principal.type_name, &principal.id, &scope.type_name, &scope.id, *role]
        });
        let sought = ResolvedFilter { filter, after, limit };
        let found = match (&filter.principal, &filter.scope) {
            (Some(principal), _) => self.first_of(&sought, self.find(principal)),
            (None, Some(scope)) => self.first_on(&sought, self.find(scope)),
            (None, None) => self.first_of(&sought, self.principals_from(sought.after)),
        };
        found.iter().filter_map(|found| self.found_assignment(found)).collect()
    }

    /// Returns the rows of entities after a name, in the order of their types and ids, each compared
    /// byte by byte with full names of types. The name need not be held any more.
    pub fn entities_after(
        &self,
        filter: &EntityFilter,
        after: Option<&Uid>,
    ) -> impl Iterator<Item = EntityRow> {
        let full = |name: &str| self.check.schema.full_type_name(name);
        let only = filter.entity_type.as_deref().map(full);
        let after = after.map(|uid| (full(&uid.type_name), uid.id.as_str()));
        let from = after.clone().or_else(|| Some((only.clone()?, "")));
        let is_before = move |place| {
            from.as_ref().zip(self.name(place)).is_some_and(|((type_name, id), name)| {
                (name.0.as_str(), name.1.as_str()) < (type_name.as_str(), *id)
            })
        };
        let is_after = move |(type_name, id): (&str, &str)| {
            after.as_ref().is_none_or(|after| (type_name, id) > (after.0.as_str(), after.1))
        };
        let fitting = filter.fitting;
        self.order
            .skip(is_before)
            .map_while(move |place| {
                let (type_name, id) = self.name(place)?;
                let is_of_type = only.as_ref().is_none_or(|only| only == type_name);
                is_of_type.then(|| (place, is_after((type_name, id))))
            })
            .filter(|(_, is_after)| *is_after)
            .filter(move |(place, _)| {
                !fitting
                    || self.entity_record(*place).is_some_and(|record| record.facts().is_some())
            })
            .filter_map(|(place, _)| self.entity_row(place))
    }

    /// Returns the entities in the order of their names, from the principal of a key on.
    fn principals_from(&self, after: Option<Key<'_>>) -> impl Iterator<Item = HeldPlace> {
        self.order.skip(move |place| {
            after.zip(self.name(place)).is_some_and(|([type_name, id, ..], name)| {
                (name.0.as_str(), name.1.as_str()) < (type_name, id)
            })
        })
    }

    fn first_of<'a>(
        &'a self,
        sought: &ResolvedFilter<'_>,
        principals: impl IntoIterator<Item = HeldPlace>,
    ) -> Vec<FoundAssignment<'a>> {
        let scope = sought.filter.scope.as_ref().map(|scope| self.find(scope));
        let mut page: Vec<FoundAssignment<'a>> = Vec::new();
        for principal in principals {
            let Some(record) = self.entity_record(principal) else { continue };
            let roles = match scope {
                Some(Some(scope)) => record.roles_on(scope),
                Some(None) => &[],
                None => &*record.roles,
            };
            let holder = |role: &RoleRecord| {
                (Holder { principal, kind: role.kind, expires_at: role.expires_at }, role.scope)
            };
            let left = sought.limit.saturating_sub(page.len());
            page.extend(self.first(sought, roles.iter().map(holder), left));
            if page.len() >= sought.limit {
                break;
            }
        }
        page
    }

    fn first_on<'a>(
        &'a self,
        sought: &ResolvedFilter<'_>,
        scope: Option<HeldPlace>,
    ) -> Vec<FoundAssignment<'a>> {
        let record = scope.and_then(|scope| Some((scope, self.entity_record(scope)?)));
        let holders = record.into_iter().flat_map(|(scope, record)| {
            record.holders().iter().map(move |holder| (holder.clone(), scope))
        });
        self.first(sought, holders, sought.limit)
    }

    /// Returns the first assignments that are sought, in order.
    fn first<'a>(
        &'a self,
        sought: &ResolvedFilter<'_>,
        roles: impl Iterator<Item = (Holder, HeldPlace)>,
        limit: usize,
    ) -> Vec<FoundAssignment<'a>> {
        let of_filter = roles.filter(|(holder, _)| self.is_sought(sought, holder));
        let found = of_filter.filter_map(|(holder, scope)| self.found(&holder, scope));
        let mut found: Vec<_> =
            found.filter(|found| sought.after.is_none_or(|after| found.key > after)).collect();
        if limit < found.len() {
            found.select_nth_unstable_by_key(limit, |found| found.key);
            found.truncate(limit);
        }
        found.sort_unstable_by_key(|found| found.key);
        found
    }

    fn is_sought(&self, sought: &ResolvedFilter<'_>, holder: &Holder) -> bool {
        let is_of_role = |role: &String| {
            self.kinds.get(holder.kind).is_some_and(|kind| kind.slot.as_str() == role)
        };
        sought.filter.role.as_ref().is_none_or(is_of_role)
            && sought
                .filter
                .in_force_at
                .is_none_or(|now| holder.is_in_force(now) && self.fits(holder.kind))
    }

    fn found(&self, holder: &Holder, scope: HeldPlace) -> Option<FoundAssignment<'_>> {
        let (principal_type, principal_id) = self.name(holder.principal)?;
        let (scope_type, scope_id) = self.name(scope)?;
        let role = self.kinds.get(holder.kind)?.slot.as_str();
        Some(FoundAssignment {
            principal: holder.principal,
            scope,
            kind: holder.kind,
            key: [principal_type, principal_id, scope_type, scope_id, role],
        })
    }

    fn found_assignment(&self, found: &FoundAssignment<'_>) -> Option<Assignment> {
        let roles = self.entity_record(found.principal)?.roles_on(found.scope);
        let role = roles.iter().find(|role| role.kind == found.kind)?;
        self.assignment(found.principal, role)
    }
}
