//! The comparison of two states of a store: the cells of the matrix that change, and requests that
//! no cell stands for.
//!
//! A *gain* is a request that the new state allows and the old one denies, a *loss* the other way
//! round. Each comes with a request that shows it. What is not found is not proved to be absent:
//! that takes a solver.

mod both;
mod changes;
mod differing;
mod schema_change;
mod state_pair;

use self::{
    differing::{bridges, changed_entities, policies, unfit},
    schema_change::SchemaChange,
    state_pair::StatePair,
};
use super::{
    Finder, Kind, MatrixError,
    declared::knows,
    policies::Policies,
    seen_schema_change::all_not_comparable,
    world::{StateChange, World},
};
use crate::{model::OnForbidError, schema::ActionSchema, store::PolicyStore};

pub use self::{
    changes::{
        CellChange, Diff, Direction, NotSettled, OtherChange, PolicyChange, PolicyChangeKind,
    },
    differing::same_entities,
};

/// Compares two states of a store. A forbid whose evaluation fails counts by that rule.
///
/// # Errors
/// The problems of the files of the expected matrix, of either state.
pub fn diff(
    old: &PolicyStore,
    new: &PolicyStore,
    on_forbid_error: OnForbidError,
) -> Result<Diff, MatrixError> {
    let same_schema = old.has_schema_of(new);
    let changed_entities = changed_entities(old, new);
    let mut diff = Diff {
        policies: policies(old, new),
        entities_differ: !changed_entities.is_empty(),
        ..Diff::default()
    };
    if !same_schema {
        diff.not_comparable = unfit(old, new);
        diff.not_comparable.extend(all_not_comparable(old, new));
    }
    let states = StateChange {
        same_schema,
        changed: changed_entities.iter().cloned().collect(),
        bridges: bridges(old, new, &changed_entities),
    };
    let finder = |store| {
        Finder::of_two(store, [old.engine(), new.engine()], &states)
            .on_forbid_error(on_forbid_error)
    };
    let pair = StatePair {
        old,
        new,
        finder: finder(new),
        old_finder: (!same_schema).then(|| finder(old)),
        schema_change: (!same_schema).then(|| SchemaChange::between(old, new)),
        changed_ids: diff
            .policies
            .iter()
            .filter(|change| change.kind != PolicyChangeKind::Annotations)
            .map(|change| change.id.clone())
            .collect(),
        changed_entities,
    };
    pair.cells(&mut diff)?;
    pair.others(&mut diff);
    if !same_schema {
        let finder = Finder::new(old, [old.engine()]).partly_sent();
        let finder = finder.on_forbid_error(on_forbid_error);
        lost_with_their_kind(&finder, old, new, &mut diff);
    }
    diff.cells.sort_by_key(|cell| !cell.direction.is_gain());
    diff.others.sort_by_key(|other| !other.direction.is_gain());
    Ok(diff)
}

/// Adds what is lost because the new schema knows no such kind of requests.
fn lost_with_their_kind(
    finder: &Finder<'_>,
    old: &PolicyStore,
    new: &PolicyStore,
    diff: &mut Diff,
) {
    let mut actions: Vec<&ActionSchema> = old.schema().actions().collect();
    actions.sort_by(|a, b| a.uid.cmp(&b.uid));
    for action in actions {
        let id: &str = action.uid.eid().as_ref();
        for (principal, resource) in action
            .principals
            .iter()
            .flat_map(|principal| action.resources.iter().map(move |one| (principal, one)))
        {
            if knows(new.schema(), &action.uid, (principal, resource)) {
                continue;
            }
            let policies = Policies::new(old.engine(), &action.uid, principal, resource);
            let allowed = |world: &World<'_>| policies.allow(world);
            let kind = Kind { action: &action.uid, principal, resource };
            let (principal, resource) = (principal.to_string(), resource.to_string());
            match finder.anywhere(kind, &[], &[&allowed]) {
                Ok(None) => {}
                Ok(Some(witness)) => diff.others.push(OtherChange {
                    action: id.to_owned(),
                    principal,
                    resource,
                    direction: Direction::Loss,
                    witness,
                    without_dropped_facts: false,
                }),
                Err(reason) => diff.unknown.push(NotSettled {
                    who: format!("a {principal}"),
                    action: id.to_owned(),
                    principal,
                    resource,
                    direction: Direction::Loss,
                    reason: reason.to_string(),
                }),
            }
        }
    }
}
