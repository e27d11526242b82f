//! A directory of plain maps, which looks at everything whenever it is asked.

use std::collections::{BTreeMap, BTreeSet};

use super::support::Store;
use crate::{
    directory::{Assignment, AssignmentFilter, AssignmentKey, Change, EntityRow, RowCounts},
    model::{Timestamp, Uid},
    request::{
        EntityFacts, Grant, Known, RequestInput, RequestLimits, RoleAssignmentInput, check_facts,
        json::FactReader,
    },
};

#[derive(Debug, Clone)]
pub(super) struct Model {
    store: Store,
    limits: RequestLimits,
    assignments: BTreeMap<AssignmentKey, Assignment>,
    rows: BTreeMap<Uid, EntityRow>,
}

impl Model {
    pub(super) fn new(store: &Store, limits: &RequestLimits) -> Self {
        Self {
            store: store.clone(),
            limits: limits.clone(),
            assignments: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// Makes a change, and returns whether it fits.
    pub(super) fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Put(row) => {
                let key = self.full_key(&row.key);
                let row = Assignment { key: key.clone(), ..row.clone() };
                self.assignments.remove(&key);
                let texts = [&row.key.role, &row.grant.granted_by, &row.grant.reason];
                let is_short = texts.iter().all(|text| text.len() <= self.limits.text_bytes);
                let is_kept = is_short && self.is_name(&key.principal) && self.is_name(&key.scope);
                let fits = is_kept && self.role_fits(&row);
                if is_kept {
                    self.assignments.insert(key, row);
                }
                fits
            }
            Change::Delete(key) => {
                self.assignments.remove(&self.full_key(key));
                true
            }
            Change::PutEntity(row) => {
                let row = EntityRow { uid: self.full(&row.uid), json: row.json.clone() };
                let fits = self.is_name(&row.uid) && self.facts(&row).is_some();
                if self.is_name(&row.uid) {
                    self.rows.insert(row.uid.clone(), row);
                }
                fits
            }
            Change::DeleteEntity(uid) => {
                self.rows.remove(&self.full(uid));
                true
            }
        }
    }

    /// Among assignments that have one name now the first to end counts; entities that differ cannot be
    /// read.
    pub(super) fn with(&self, store: &Store) -> Self {
        let mut next = Self::new(store, &self.limits);
        let rank = |row: &Assignment| {
            let Grant { granted_at, granted_by, reason } = row.grant.clone();
            (row.expires_at.is_none(), row.expires_at, granted_at, granted_by, reason)
        };
        let mut rows: Vec<_> = self.assignments.values().cloned().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(rank(row)));
        for row in rows {
            next.apply(&Change::Put(row));
        }
        for row in self.rows.values() {
            let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            let other = next.rows.get(&next.full(&row.uid));
            let differs = other.is_some_and(|other| {
                other.json != row.json
                    && (json(&row.json).is_none() || json(&other.json) != json(&row.json))
            });
            if other.is_none() || differs {
                let json = if differs { String::new() } else { row.json.clone() };
                next.apply(&Change::PutEntity(EntityRow { uid: row.uid.clone(), json }));
            }
        }
        next
    }

    fn is_name(&self, uid: &Uid) -> bool {
        let is_text = |text: &str| (1..=self.limits.text_bytes).contains(&text.len());
        is_text(&uid.type_name) && is_text(&uid.id)
    }

    pub(super) fn full(&self, uid: &Uid) -> Uid {
        let schema = &self.store.schema;
        let written = &uid.type_name;
        let full = match schema.entity_type(written) {
            Some(full) => full.to_string(),
            None if written.is_empty() || written.contains("::") => written.clone(),
            None => match schema.namespace() {
                Some(namespace) => format!("{namespace}::{written}"),
                None => written.clone(),
            },
        };
        Uid::new(full, uid.id.clone())
    }

    fn full_key(&self, key: &AssignmentKey) -> AssignmentKey {
        let (principal, scope) = (self.full(&key.principal), self.full(&key.scope));
        AssignmentKey { principal, role: key.role.clone(), scope }
    }

    fn known(&self) -> Known<'_> {
        Known { schema: &self.store.schema, stored: &self.store.stored, held: None }
    }

    fn role_fits(&self, row: &Assignment) -> bool {
        let assignment = RoleAssignmentInput {
            principal: Some(row.key.principal.clone()),
            role: row.key.role.clone(),
            scope: Some(row.key.scope.clone()),
            expires_at: row.expires_at,
        };
        let input = RequestInput { role_assignments: vec![assignment], ..RequestInput::default() };
        check_facts(self.known(), &input, &self.limits).is_ok()
    }

    fn facts(&self, row: &EntityRow) -> Option<EntityFacts> {
        let mut json: serde_json::Value = serde_json::from_str(&row.json).ok()?;
        if json.get("uid").is_some() {
            // The rows of these tests name none but others.
            return None;
        }
        let uid = serde_json::json!({"type": row.uid.type_name, "id": row.uid.id});
        json.as_object_mut()?.insert("uid".to_owned(), uid);
        let mut reader = FactReader::default();
        let entities = reader.entities(&serde_json::json!([json]), Some(&self.store.schema));
        let input = RequestInput { entities, ..RequestInput::default() };
        let facts = check_facts(self.known(), &input, &self.limits).ok()?;
        let facts = facts.entities.iter().next().cloned()?;
        let has_role = facts.parents.iter().any(|parent| self.store.schema.is_role(parent));
        (reader.violations.is_empty() && !has_role).then_some(facts)
    }

    pub(super) fn rows(&self) -> Vec<EntityRow> {
        self.rows.values().cloned().collect()
    }

    pub(super) fn assignments(&self) -> Vec<Assignment> {
        self.assignments.values().cloned().collect()
    }

    pub(super) fn counts(&self) -> RowCounts {
        let roles = self.assignments.values().filter(|row| !self.role_fits(row)).count();
        let rows = self.rows.values().filter(|row| self.facts(row).is_none()).count();
        RowCounts {
            assignments: self.assignments.len(),
            entities: self.rows.len(),
            ignored: roles + rows + self.in_circles().len(),
        }
    }

    /// Returns the assignments that grant something.
    pub(super) fn roles(&self) -> Vec<Assignment> {
        self.assignments.values().filter(|row| self.role_fits(row)).cloned().collect()
    }

    /// Returns the entities that are in themselves, through others.
    pub(super) fn in_circles(&self) -> BTreeSet<Uid> {
        let facts = self.entities();
        let parents = |uid: &Uid| -> Vec<Uid> {
            let facts = facts.get(uid).into_iter();
            facts.flat_map(|facts| facts.parents.iter().map(Uid::from)).collect()
        };
        let is_in_itself = |uid: &&Uid| {
            let (mut seen, mut next) = (BTreeSet::new(), parents(uid));
            while let Some(ancestor) = next.pop() {
                if seen.insert(ancestor.clone()) {
                    next.extend(parents(&ancestor));
                }
            }
            seen.contains(*uid)
        };
        facts.keys().filter(is_in_itself).cloned().collect()
    }

    /// Returns the entities of rows that fit, by name.
    pub(super) fn entities(&self) -> BTreeMap<Uid, EntityFacts> {
        let rows = self.rows.values();
        rows.filter_map(|row| Some((row.uid.clone(), self.facts(row)?))).collect()
    }

    /// Returns everything that rows name, those included that do not fit.
    pub(super) fn names(&self) -> BTreeSet<Uid> {
        let keys = self.assignments.keys();
        let of_roles = keys.flat_map(|key| [key.principal.clone(), key.scope.clone()]);
        let facts = self.entities();
        let parents = facts.values().flat_map(|facts| facts.parents.iter().map(Uid::from));
        let named = facts.values().flat_map(named);
        let meant = self.may_mean();
        of_roles.chain(self.rows.keys().cloned()).chain(parents).chain(named).chain(meant).collect()
    }

    /// Returns the entities that rows may be about of which the schema does not have the type.
    fn may_mean(&self) -> BTreeSet<Uid> {
        let schema = &self.store.schema;
        let strange = self.rows.keys().filter(|uid| schema.entity_type(&uid.type_name).is_none());
        let last = |name: &str| name.rsplit("::").next().unwrap().to_owned();
        let meant = strange.flat_map(|uid| {
            let types = schema.entities().map(|shape| shape.entity_type.to_string());
            let types = types.filter(move |name| last(name) == last(&uid.type_name));
            types.map(|name| Uid::new(name, uid.id.as_str()))
        });
        meant.filter(|uid| !self.is_stored(uid)).collect()
    }

    fn is_stored(&self, uid: &Uid) -> bool {
        self.store.stored.uids().map(Uid::from).any(|stored| stored == *uid)
    }

    /// Returns the entities of which nobody knows what they restrict.
    pub(super) fn unreadable(&self) -> BTreeSet<Uid> {
        let facts = self.entities();
        let unfit = self.rows.keys().filter(|uid| !facts.contains_key(*uid)).filter(|uid| {
            self.store.schema.entity_type(&uid.type_name).is_some() && !self.is_stored(uid)
        });
        let meant = self.may_mean().into_iter().filter(|uid| !self.rows.contains_key(uid));
        unfit.cloned().chain(meant).chain(self.in_circles()).collect()
    }

    /// Returns everything that counts: what rows that fit name, and entities that cannot be read.
    pub(super) fn visible(&self) -> BTreeSet<Uid> {
        let roles = self.roles();
        let of_roles = roles.into_iter().flat_map(|row| [row.key.principal, row.key.scope]);
        let facts = self.entities();
        let parents = facts.values().flat_map(|facts| facts.parents.iter().map(Uid::from));
        let of_rows = facts.keys().cloned();
        of_roles.chain(of_rows).chain(self.unreadable()).chain(parents).collect()
    }

    pub(super) fn listed(&self, filter: &AssignmentFilter) -> Vec<Assignment> {
        let is = |sought: &Option<Uid>, uid: &Uid| {
            sought.as_ref().is_none_or(|sought| self.full(sought) == *uid)
        };
        let is_in_force = |row: &Assignment, now: Timestamp| {
            self.role_fits(row) && row.expires_at.is_none_or(|end| now < end)
        };
        let sought = self.assignments.values().filter(|row| {
            is(&filter.principal, &row.key.principal)
                && is(&filter.scope, &row.key.scope)
                && filter.role.as_ref().is_none_or(|role| *role == row.key.role)
                && filter.in_force_at.is_none_or(|now| is_in_force(row, now))
        });
        let mut sought: Vec<_> = sought.cloned().collect();
        sought.sort_by_key(|row| {
            (row.key.principal.clone(), row.key.scope.clone(), row.key.role.clone())
        });
        sought
    }
}

/// Returns the entities that attributes of an entity of the schema name.
pub(super) fn named(facts: &EntityFacts) -> BTreeSet<Uid> {
    let ids = |name: &str| {
        let values = facts.attributes.iter().filter(move |(field, _)| field == name);
        values.map(|(_, value)| value.to_string()).collect::<String>()
    };
    let text = ids("manager") + &ids("teams") + &ids("desk");
    let every = ["User", "Group"].into_iter().flat_map(|entity_type| {
        let ids = ["u0", "u1", "u2", "u3", "named"];
        ids.map(|id| Uid::new(format!("App::{entity_type}"), id))
    });
    every.filter(|uid| text.contains(&uid.to_string())).collect()
}
