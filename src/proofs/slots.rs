//! Conditions in Cedar that tell the solver what it does not know of role slots.
//!
//! To the solver a slot is an attribute like others, so that one entity may fill two of them and the
//! owner of one site be the viewer of another. In a request every slot is filled with an entity of its
//! own. The conditions say so of the scopes that policies name and of those that are reached from the
//! request in two steps.

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    policies::Environment,
    policy_view::{PolicyView, Reached},
};
use crate::{
    analysis::terms::{attribute, given},
    schema::Slot,
};

/// The most scopes whose slots are told apart. Their number squared is the length of the condition.
const MAX_SCOPES: usize = 8;

/// Returns what holds of the slots in a kind of request.
pub(super) fn facts(view: &PolicyView<'_>, env: &Environment<'_>) -> Vec<String> {
    let roles = roles(view);
    let mut scopes = view.entities(env);
    scopes.retain(|scope| !slots(view, scope.of).is_empty());
    scopes.truncate(MAX_SCOPES);
    let mut facts = Vec::new();
    for (index, scope) in scopes.iter().enumerate() {
        let own = slots(view, scope.of);
        for (at, (slot, role_type)) in own.iter().enumerate() {
            let filled = attribute(&scope.expr, slot.as_str());
            for (other, other_type) in own.iter().skip(at + 1) {
                if role_type == other_type {
                    let other = attribute(&scope.expr, other.as_str());
                    facts.push(given(&scope.presence, &format!("{filled} != {other}")));
                }
            }
            for (role, role_scope, role_slot) in &roles {
                if role.entity_type() != *role_type {
                    continue;
                }
                let differs = format!("{filled} != {role}");
                let fact = if role_scope.entity_type() == scope.of && role_slot == *slot {
                    format!(
                        "(if {} == {role_scope} then {filled} == {role} else {differs})",
                        scope.expr
                    )
                } else {
                    differs
                };
                facts.push(given(&scope.presence, &fact));
            }
        }
        for other in scopes.iter().skip(index + 1) {
            facts.extend(apart(view, scope, other));
        }
    }
    facts
}

/// Returns the roles that policies name, and those of the scopes that they name, with scope and slot.
fn roles(view: &PolicyView<'_>) -> Vec<(EntityUID, EntityUID, Slot)> {
    let mut roles: Vec<_> = view
        .named
        .iter()
        .filter_map(|role| {
            view.schema.scope_of(role).map(|(scope, slot)| (role.clone(), scope, slot))
        })
        .collect();
    for scope in &view.named {
        for (slot, _) in slots(view, scope.entity_type()) {
            let role =
                view.schema.role(scope, slot).map(|role| (role, scope.clone(), slot.clone()));
            roles.extend(role.filter(|role| !roles.contains(role)));
        }
    }
    roles
}

/// Returns the slots of a type that policies look at, with the types of their roles.
fn slots<'a>(view: &PolicyView<'a>, scope: &EntityType) -> Vec<(&'a Slot, &'a EntityType)> {
    let slots = view.schema.entity(scope).into_iter().flat_map(|shape| &shape.slots);
    slots.filter(|(slot, _)| view.attributes.contains(slot.as_str())).collect()
}

/// Returns the fact that two scopes share no slot, unless they are the same scope.
fn apart(
    view: &PolicyView<'_>,
    one: &Reached<&EntityType>,
    other: &Reached<&EntityType>,
) -> Vec<String> {
    let presence = [&one.presence[..], &other.presence[..]].concat();
    let mut facts = Vec::new();
    let others = slots(view, other.of);
    for (slot, role_type) in slots(view, one.of) {
        for (other_slot, _) in others.iter().filter(|(_, of_type)| *of_type == role_type) {
            let filled = attribute(&one.expr, slot.as_str());
            let differ = format!("{filled} != {}", attribute(&other.expr, other_slot.as_str()));
            let fact = if one.of == other.of {
                format!("{} == {} || {differ}", one.expr, other.expr)
            } else {
                differ
            };
            facts.push(given(&presence, &fact));
        }
    }
    facts
}
