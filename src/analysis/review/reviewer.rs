//! Reviews the role assignments of one store, row by row.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use cedar_policy_core::ast::EntityUID;

use super::{
    super::{
        MatrixError,
        names::{entity_named, name_of},
        reach::Reaches,
    },
    Finding, FindingKind, ReviewRow, RowState,
};
use crate::{
    directory::{Assignment, Directory},
    model::{Timestamp, Uid},
    request::HeldFacts as _,
    schema::Schema,
    store::PolicyStore,
};

/// Scopes that there must be before it is remarkable that one holds roles on most of them.
const MANY_SCOPES: usize = 10;

/// A row with its entities, where it fits, and what its role is good for.
struct Held {
    row: ReviewRow,
    principal: Option<EntityUID>,
    scope: Option<EntityUID>,
    strength: usize,
    is_used: bool,
}

/// The numbers of actions that the roles on a scope make possible.
#[derive(Debug, Clone, Copy)]
struct Strength {
    strongest: usize,
    weakest: usize,
}

/// Goes through the rows and finds what a reviewer should look at.
pub(super) struct Reviewer<'a> {
    schema: &'a Schema,
    as_of: Timestamp,
    rows: Vec<Held>,
    /// The scopes with how much their roles make possible.
    strongest: BTreeMap<EntityUID, Strength>,
    findings: Vec<Finding>,
}

impl<'a> Reviewer<'a> {
    pub fn new(
        store: &'a PolicyStore,
        directory: &Directory,
        as_of: Timestamp,
    ) -> Result<Self, MatrixError> {
        let schema = store.schema();
        let mut reaches = Reaches::new(store);
        let mut rows = Vec::new();
        let mut strongest = BTreeMap::new();
        for assignment in directory.assignments() {
            let mut held = Held::new(schema, directory, assignment, as_of);
            if let (Some(principal), Some(scope)) = (&held.principal, &held.scope) {
                let ty = principal.entity_type();
                let reach = reaches.of(ty, &held.row.assignment.key.role, scope)?;
                (held.strength, held.is_used) = (reach.on_scope, reach.is_used);
                if !strongest.contains_key(scope) {
                    strongest.insert(scope.clone(), strength_on(schema, &mut reaches, scope)?);
                }
            }
            rows.push(held);
        }
        for scope in scopes(schema, directory) {
            if let Entry::Vacant(entry) = strongest.entry(scope) {
                let strength = strength_on(schema, &mut reaches, entry.key())?;
                entry.insert(strength);
            }
        }
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        Ok(Self { schema, as_of, rows, strongest, findings: Vec::new() })
    }

    /// Returns the rows and what was found.
    pub fn review(mut self, soon: Duration) -> (Vec<ReviewRow>, Vec<Finding>) {
        self.scopes();
        self.holders();
        self.unused();
        self.ends(soon);
        (self.rows.into_iter().map(|held| held.row).collect(), self.findings)
    }

    fn find(&mut self, kind: FindingKind, about: String, message: String, rows: Vec<usize>) {
        self.findings.push(Finding { kind, about, message, rows });
    }

    fn in_force(&self) -> impl Iterator<Item = (usize, &Held)> {
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, held)| held.row.state == RowState::InForce)
    }

    fn shown(&self, uid: &EntityUID) -> String {
        name_of(self.schema, uid).to_string()
    }

    /// Finds scopes on which all or none hold the strongest role.
    fn scopes(&mut self) {
        let mut holders: BTreeMap<&EntityUID, Vec<(usize, &Held)>> = BTreeMap::new();
        for (at, held) in self.in_force() {
            if let Some(scope) = &held.scope {
                holders.entry(scope).or_default().push((at, held));
            }
        }
        let mut findings = Vec::new();
        let any = self.strongest.iter().filter(|(_, strength)| strength.strongest > 0);
        for (scope, strength) in any {
            let rows = holders.get(scope).map(Vec::as_slice).unwrap_or_default();
            let (strong, weak): (Vec<_>, Vec<_>) =
                rows.iter().partition(|(_, held)| held.strength == strength.strongest);
            let of = |rows: &[&(usize, &Held)]| {
                rows.iter().filter_map(|(_, held)| held.principal.clone()).collect::<BTreeSet<_>>()
            };
            let (strong_holders, weak_holders) = (of(&strong), of(&weak));
            let about = self.shown(scope);
            let places = rows.iter().map(|(at, _)| *at).collect();
            if strong.is_empty() {
                let message = "nobody holds the strongest role".to_owned();
                findings.push((FindingKind::NoStrongest, about, message, places));
            } else if strength.weakest < strength.strongest
                && strong_holders.len() > 1
                && weak_holders.is_subset(&strong_holders)
            {
                let message = format!("all {} hold the strongest role", strong_holders.len());
                findings.push((FindingKind::AllStrongest, about, message, places));
            }
        }
        findings.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        for (kind, about, message, rows) in findings {
            self.find(kind, about, message, rows);
        }
    }

    /// Finds who holds roles on more than half of all scopes.
    fn holders(&mut self) {
        let all = self.strongest.len();
        if all < MANY_SCOPES {
            return;
        }
        let mut held_by: BTreeMap<&EntityUID, (BTreeSet<&EntityUID>, Vec<usize>)> = BTreeMap::new();
        for (at, held) in self.in_force() {
            if let (Some(principal), Some(scope)) = (&held.principal, &held.scope) {
                let (scopes, rows) = held_by.entry(principal).or_default();
                scopes.insert(scope);
                rows.push(at);
            }
        }
        let found: Vec<_> = held_by
            .into_iter()
            .filter(|(_, (scopes, _))| scopes.len() * 2 > all)
            .map(|(principal, (scopes, rows))| {
                let message = format!("holds roles on {} of {all} scopes", scopes.len());
                (self.shown(principal), message, rows)
            })
            .collect();
        for (about, message, rows) in found {
            self.find(FindingKind::HoldsMost, about, message, rows);
        }
    }

    /// Finds roles that no policy asks for.
    fn unused(&mut self) {
        let mut unused: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (at, held) in self.in_force().filter(|(_, held)| !held.is_used) {
            let key = &held.row.assignment.key;
            unused.entry((key.scope.type_name.clone(), key.role.clone())).or_default().push(at);
        }
        for ((scope, role), rows) in unused {
            let message = "no policy asks for the role".to_owned();
            self.find(FindingKind::Unused, format!("{scope}.{role}"), message, rows);
        }
    }

    /// Finds what has expired, and what will soon.
    fn ends(&mut self, soon: Duration) {
        let soon_millis = i64::try_from(soon.as_millis()).unwrap_or(i64::MAX);
        let limit = Timestamp::from_millis(self.as_of.as_millis().saturating_add(soon_millis));
        let rows = self.rows.iter().enumerate();
        let expired: Vec<_> = rows
            .filter(|(_, held)| held.row.state == RowState::Expired)
            .map(|(at, _)| at)
            .collect();
        let ends_soon: Vec<_> = self
            .in_force()
            .filter(|(_, held)| held.row.assignment.expires_at.is_some_and(|end| end <= limit))
            .map(|(at, _)| at)
            .collect();
        let days = soon.as_secs() / (24 * 60 * 60);
        for (kind, rows, what) in [
            (FindingKind::Expired, expired, "expired".to_owned()),
            (FindingKind::ExpiresSoon, ends_soon, format!("will expire within {days} days")),
        ] {
            if !rows.is_empty() {
                let noun = if rows.len() == 1 { "assignment" } else { "assignments" };
                let message = format!("{} {noun} {what}", rows.len());
                self.find(kind, String::new(), message, rows);
            }
        }
    }
}

impl Held {
    fn new(
        schema: &Schema,
        directory: &Directory,
        mut assignment: Assignment,
        as_of: Timestamp,
    ) -> Self {
        let key = &assignment.key;
        let uids = [&key.principal, &key.scope].map(|uid| entity_named(schema, uid));
        let fitting = match &uids {
            [Some(principal), Some(scope)] => {
                let places = directory.place(principal).zip(directory.place(scope));
                places.is_some_and(|(principal, scope)| {
                    directory.grant(principal, scope, &key.role).is_some()
                })
            }
            _ => false,
        };
        let state = match assignment.expires_at {
            _ if !fitting => RowState::Unfit,
            Some(end) if end <= as_of => RowState::Expired,
            _ => RowState::InForce,
        };
        for (written, uid) in
            [&mut assignment.key.principal, &mut assignment.key.scope].into_iter().zip(&uids)
        {
            if let Some(uid) = uid {
                *written = name_of(schema, uid);
            }
        }
        let [principal, scope] = uids.map(|uid| uid.filter(|_| fitting));
        let row = ReviewRow { assignment, state };
        Self { row, principal, scope, strength: 0, is_used: true }
    }
}

fn order(held: &Held) -> (&Uid, std::cmp::Reverse<usize>, &str, &Uid) {
    let key = &held.row.assignment.key;
    (&key.scope, std::cmp::Reverse(held.strength), &key.role, &key.principal)
}

/// Returns the entities of which the directory knows anything, and on which roles can be held.
fn scopes(schema: &Schema, directory: &Directory) -> Vec<EntityUID> {
    let with_slots = schema.entities().filter(|shape| !shape.slots.is_empty());
    let places = with_slots.flat_map(|shape| directory.of_type(&shape.entity_type));
    places.filter_map(|place| directory.uid(place)).collect()
}

fn strength_on(
    schema: &Schema,
    reaches: &mut Reaches<'_>,
    scope: &EntityUID,
) -> Result<Strength, MatrixError> {
    let mut of_slots = Vec::new();
    let slots = schema.entity(scope.entity_type()).into_iter().flat_map(|shape| &shape.slots);
    for (slot, role_type) in slots {
        let mut strength = 0;
        let holders = schema.entities().filter(|shape| shape.parents.contains(role_type));
        for holder in holders {
            let reach = reaches.of(&holder.entity_type, slot.as_str(), scope)?;
            strength = strength.max(reach.on_scope);
        }
        of_slots.push(strength);
    }
    Ok(Strength {
        strongest: of_slots.iter().copied().max().unwrap_or_default(),
        weakest: of_slots.iter().copied().min().unwrap_or_default(),
    })
}
