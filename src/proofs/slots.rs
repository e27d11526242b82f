//! Conditions in Cedar that tell the solver what it does not know of role slots.
//!
//! To the solver a slot is an attribute like others, so that one entity may fill two of them and the
//! owner of one site be the viewer of another. In a request every slot is filled with an entity of its
//! own. The conditions say so of the scopes that are reached from the request in two steps; whatever is
//! proved under them holds for every request that the sidecar answers.

use std::collections::BTreeSet;

use cedar_policy_core::ast::EntityType;
use smol_str::SmolStr;

use super::policies::{Environment, StaticPolicy, named_attributes, named_entities};
use crate::{
    analysis::terms::{attribute, given, has},
    schema::{RecordShape, Schema, Shape, Slot},
};

/// The most scopes whose slots are told apart. Their number squared is the length of the condition.
const MAX_SCOPES: usize = 6;

/// A scope as an expression, with what must be there for it to have a value.
#[derive(Clone)]
struct Scope<'a> {
    expr: String,
    presence: Vec<String>,
    entity_type: &'a EntityType,
}

/// Returns what holds of a kind of request and what those policies look at. Each fact stands by itself:
/// of one long condition the solver's compiler would make a term that grows without measure.
pub(super) fn facts(
    schema: &Schema,
    env: &Environment<'_>,
    policies: &[&StaticPolicy],
) -> Vec<String> {
    let roles: Vec<_> = named_entities(policies)
        .into_iter()
        .filter_map(|role| schema.scope_of(&role).map(|(scope, slot)| (role, scope, slot)))
        .collect();
    let seen = Seen { schema, attributes: named_attributes(policies) };
    let scopes = seen.scopes(env);
    let mut facts = Vec::new();
    for (index, scope) in scopes.iter().enumerate() {
        let own = seen.slots(scope);
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
                let fact = if role_scope.entity_type() == scope.entity_type && role_slot == *slot {
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
            facts.extend(seen.apart(scope, other));
        }
    }
    facts
}

/// The part of a schema that policies see: the attributes of those names.
struct Seen<'a> {
    schema: &'a Schema,
    attributes: BTreeSet<SmolStr>,
}

impl<'a> Seen<'a> {
    /// Finds the scopes that are principal, resource, an attribute of theirs or of the context, or an
    /// attribute of that.
    fn scopes(&self, env: &Environment<'a>) -> Vec<Scope<'a>> {
        let start = |expr: &str, entity_type| Scope {
            expr: expr.to_owned(),
            presence: Vec::new(),
            entity_type,
        };
        let mut reached = vec![start("principal", env.principal), start("resource", env.resource)];
        reached.extend(self.entities_in("context", &[], env.context));
        for _ in 0..2 {
            let further: Vec<_> = reached
                .iter()
                .filter_map(|scope| Some((scope, self.schema.entity(scope.entity_type)?)))
                .flat_map(|(scope, shape)| {
                    self.entities_in(&scope.expr, &scope.presence, &shape.attributes)
                })
                .collect();
            for scope in further {
                if reached.iter().all(|known| known.expr != scope.expr) {
                    reached.push(scope);
                }
            }
        }
        reached.retain(|scope| !self.slots(scope).is_empty());
        reached.truncate(MAX_SCOPES);
        reached
    }

    /// Finds the entities among the fields of a record.
    fn entities_in(
        &self,
        expr: &str,
        presence: &[String],
        record: &'a RecordShape,
    ) -> Vec<Scope<'a>> {
        let seen = record.fields.iter().filter(|(name, _)| self.attributes.contains(*name));
        let fields = seen.filter_map(|(name, field)| {
            let Shape::Entity(entity_type) = &field.shape else { return None };
            if self.schema.is_role_type(entity_type) {
                return None;
            }
            let mut presence = presence.to_vec();
            if !field.required {
                presence.push(has(expr, name));
            }
            Some(Scope { expr: attribute(expr, name), presence, entity_type })
        });
        fields.collect()
    }

    fn slots(&self, scope: &Scope<'_>) -> Vec<(&'a Slot, &'a EntityType)> {
        let shape = self.schema.entity(scope.entity_type);
        let slots = shape.into_iter().flat_map(|shape| &shape.slots);
        slots.filter(|(slot, _)| self.attributes.contains(slot.as_str())).collect()
    }

    /// Returns the fact that two scopes share no slot, unless they are the same scope.
    fn apart(&self, one: &Scope<'_>, other: &Scope<'_>) -> Vec<String> {
        let presence = [&one.presence[..], &other.presence[..]].concat();
        let mut facts = Vec::new();
        let others = self.slots(other);
        for (slot, role_type) in self.slots(one) {
            for (other_slot, _) in others.iter().filter(|(_, of_type)| *of_type == role_type) {
                let filled = attribute(&one.expr, slot.as_str());
                let differ = format!("{filled} != {}", attribute(&other.expr, other_slot.as_str()));
                let fact = if one.entity_type == other.entity_type {
                    format!("{} == {} || {differ}", one.expr, other.expr)
                } else {
                    differ
                };
                facts.push(given(&presence, &fact));
            }
        }
        facts
    }
}
