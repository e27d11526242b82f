//! The comparison of two states of a store: the cells of the matrix that change, and requests that
//! no cell stands for.
//!
//! A *gain* is a request that the new state allows and the old one denies, a *loss* the other way
//! round. Each comes with a request that shows it. What is not found is not proved to be absent:
//! that takes a solver.

mod changes;
mod comparison;
mod differing;

use self::{
    comparison::Change,
    differing::{changed_entities, policies, unfit},
};
use super::{Finder, Kind, MatrixError, policies::Policies, world::World};
use crate::{
    schema::ActionSchema,
    store::{FileKind, PolicyStore},
};

pub use self::changes::{CellChange, Diff, Direction, OtherChange, PolicyChange, PolicyChangeKind};

/// Compares two states of a store.
///
/// # Errors
/// The problems of the files of the expected matrix, of either state.
pub fn diff(old: &PolicyStore, new: &PolicyStore) -> Result<Diff, MatrixError> {
    let mut diff = Diff { policies: policies(old, new), ..Diff::default() };
    let same_schema = [FileKind::Schema, FileKind::SchemaJson]
        .into_iter()
        .all(|kind| old.files().same(kind, new.files()));
    let same_entities = old.files().same(FileKind::Entities, new.files());
    let rebuilt;
    let before = if same_schema {
        old
    } else if !same_entities {
        diff.not_comparable
            .push("schema and fixed entities both differ: change one at a time".to_owned());
        return Ok(diff);
    } else {
        match new.with_policies(old.policies().clone()) {
            Ok(store) => {
                rebuilt = store;
                &rebuilt
            }
            Err(error) => {
                diff.not_comparable = unfit(old, new);
                if diff.not_comparable.is_empty() {
                    diff.not_comparable.push(error);
                }
                return Ok(diff);
            }
        }
    };
    let change = Change {
        // An environment that the old schema did not have is not compared but gained.
        old_schema_of: (!same_schema).then_some(old),
        old: before,
        new,
        finder: Finder::new(new, [before.engine(), new.engine()]),
        everything: !same_schema || !same_entities,
        changed_entities: changed_entities(old.stored(), new.stored()),
        changed_ids: diff
            .policies
            .iter()
            .filter(|change| change.kind != PolicyChangeKind::Annotations)
            .map(|change| change.id.clone())
            .collect(),
    };
    change.cells(old, &mut diff)?;
    change.others(&mut diff);
    if !same_schema {
        lost_with_their_kind(old, new, &mut diff);
    }
    diff.cells.sort_by_key(|cell| !cell.direction.is_gain());
    diff.others.sort_by_key(|other| !other.direction.is_gain());
    Ok(diff)
}

/// Adds what is lost because the new schema knows no such kind of requests.
fn lost_with_their_kind(old: &PolicyStore, new: &PolicyStore, diff: &mut Diff) {
    let finder = Finder::new(old, [old.engine()]);
    let mut actions: Vec<&ActionSchema> = old.schema().actions().collect();
    actions.sort_by(|a, b| a.uid.cmp(&b.uid));
    for action in actions {
        let id: &str = action.uid.eid().as_ref();
        let there = new.schema().action(&action.uid.entity_type().to_string(), id);
        for (principal, resource) in action
            .principals
            .iter()
            .flat_map(|principal| action.resources.iter().map(move |one| (principal, one)))
        {
            let is_there = there.is_some_and(|there| {
                there.principals.contains(principal) && there.resources.contains(resource)
            });
            if is_there {
                continue;
            }
            let policies = Policies::new(old.engine(), &action.uid, principal, resource);
            let allowed = |world: &World<'_>| policies.allow(world);
            let kind = Kind { action: &action.uid, principal, resource };
            if let Some(Some(witness)) = finder.anywhere(kind, &[], &[&allowed]) {
                diff.others.push(OtherChange {
                    action: id.to_owned(),
                    principal: principal.to_string(),
                    resource: resource.to_string(),
                    direction: Direction::Loss,
                    witness,
                });
            }
        }
    }
}
