//! The people of a directory who gain and lose by a change of policies.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{Diff, PolicyChange, PolicyChangeKind};
use crate::{
    engine::{ListOptions, Page, decide, list_entities},
    model::{OnForbidError, Timestamp, Uid},
    request::{Held, ListInput, RequestInput, RequestLimits, Side},
    store::PolicyStore,
};

/// Entities of one page of a list.
const PAGE: usize = 1_000;

/// The gain or the loss of one principal at one action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonChange {
    /// Losses come after gains.
    pub is_loss: bool,
    /// The principal, with the full name of its type.
    pub principal: String,
    /// The action.
    pub action: String,
    /// The number of resources on which it changes.
    pub count: usize,
    /// One of them.
    pub example: String,
}

/// A state of a store with what a directory holds for it.
#[derive(Debug, Clone, Copy)]
pub struct StoreWithDirectory<'a> {
    /// The store.
    pub store: &'a PolicyStore,
    /// The directory, as it fits the store's schema.
    pub held: &'a Held,
}

/// Lists principals in the directory who gain or lose an action on a resource in it. Each is asked
/// about without facts of the request, so changes that depend on those are not listed.
#[must_use]
pub fn people(
    old: StoreWithDirectory<'_>,
    new: StoreWithDirectory<'_>,
    diff: &Diff,
    now: Timestamp,
    limits: &RequestLimits,
    on_forbid_error: OnForbidError,
) -> Vec<PersonChange> {
    let asked = Asked { now, limits, on_forbid_error };
    let mut changes = Vec::new();
    let actions = touched(old.store, new.store, diff);
    let schema = new.store.schema();
    for action in schema.actions().filter(|action| actions.contains(&action.uid)) {
        let places = action.principals.iter().flat_map(|of| new.held.facts.of_type(of));
        for principal in places.filter_map(|place| new.held.facts.uid(place)) {
            let may = |state| -> BTreeSet<_> {
                let types = action.resources.iter();
                types.flat_map(|of| allowed(state, &principal, &action.uid, of, asked)).collect()
            };
            let (before, after) = (may(old), may(new));
            for (is_loss, one, other) in [(false, &after, &before), (true, &before, &after)] {
                let changed: Vec<_> = one.difference(other).collect();
                if let Some(example) = changed.first() {
                    changes.push(PersonChange {
                        is_loss,
                        principal: principal.to_string(),
                        action: AsRef::<str>::as_ref(action.uid.eid()).to_owned(),
                        count: changed.len(),
                        example: example.to_string(),
                    });
                }
            }
        }
    }
    changes.sort();
    changes
}

/// Returns the actions that a change of policies can touch.
fn touched(old: &PolicyStore, new: &PolicyStore, diff: &Diff) -> BTreeSet<EntityUID> {
    let decide = |change: &&PolicyChange| change.kind != PolicyChangeKind::Annotations;
    let changed: BTreeSet<_> =
        diff.policies.iter().filter(decide).map(|change| change.id.as_str()).collect();
    // If no policy changed, then entities of the store or the schema did.
    let all_may_be = changed.is_empty() || !new.has_schema_of(old);
    let is_touched = |store: &PolicyStore, action: &EntityUID| {
        let slices = store.engine().slices();
        slices
            .of_action(action)
            .chain(slices.of_any())
            .any(|policy| changed.contains(policy.id()) || changed.contains(policy.written_as()))
    };
    let actions = new.schema().actions().map(|action| action.uid.clone());
    actions.filter(|uid| all_may_be || is_touched(old, uid) || is_touched(new, uid)).collect()
}

/// The way in which each is asked about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    now: Timestamp,
    limits: &'a RequestLimits,
    on_forbid_error: OnForbidError,
}

/// Returns the resources of a type on which a principal may do an action; none where the state does
/// not know the question.
fn allowed(
    state: StoreWithDirectory<'_>,
    principal: &EntityUID,
    action: &EntityUID,
    resource_type: &EntityType,
    asked: Asked<'_>,
) -> BTreeSet<EntityUID> {
    let Asked { now, limits, on_forbid_error } = asked;
    let input = ListInput {
        question: RequestInput {
            principal: Some(Uid::from(principal)),
            action: Some(Uid::from(action)),
            ..RequestInput::default()
        },
        open: Side::Resource,
        entity_type: resource_type.to_string(),
    };
    let options = ListOptions { held: Some(state.held), now, limits, on_forbid_error };
    let engine = state.store.engine();
    let mut all = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let page = Page { after: after.as_deref(), size: PAGE };
        let listed = list_entities(engine, &input, page, options, |request| {
            decide(engine, request, on_forbid_error)
        });
        let Ok(listed) = listed else { return all };
        all.extend(listed.allowed);
        match listed.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}
