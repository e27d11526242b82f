//! The entities of one request: what the caller sent, what the store holds, filled role slots and
//! role assignments, closed under ancestry.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use cedar_policy_core::{
    ast::{
        self, Context, Entity, EntityUID, EntityUIDEntry, Expr, ExprKind, PartialValue, Unknown,
        Value, ValueKind,
    },
    entities::{Entities, NoEntitiesSchema, TCComputation},
    extensions::Extensions,
};
use smol_str::SmolStr;

use super::{
    Engine,
    nodes::{EntityNode, GatherLimits},
};
use crate::{
    model::Timestamp,
    request::{
        EntityFacts, EntityInput, Facts, HeldFacts, HeldPlace, Request, RequestInput,
        RoleAssignment, RoleAssignmentInput, RoleAssignments, SentEntities, WithoutRoles,
    },
    schema::Schema,
};

struct Graph<'a> {
    engine: &'a Engine,
    /// The principal and the resource.
    asked: [&'a EntityUID; 2],
    sent: &'a SentEntities,
    held: Option<&'a dyn HeldFacts>,
    nodes: HashMap<EntityUID, EntityNode>,
    to_visit: Vec<EntityUID>,
    /// The places of those visited entities of which the directory holds anything.
    places: BTreeSet<HeldPlace>,
    /// The visited entities whose rows in the directory cannot be read.
    unreadable: BTreeSet<EntityUID>,
    /// The entities from which the visit began, where there is a directory, but for those that conditions
    /// of policies name.
    starts: HashSet<EntityUID>,
    /// The number of entities that were named by others which the directory or the caller describes.
    named: usize,
}

/// Converts a request into Cedar's.
pub(crate) fn cedar_request(request: &Request) -> ast::Request {
    cedar_request_in(request, Arc::clone(request.context.whole()))
}

/// Converts a request with another context into Cedar's.
pub(super) fn cedar_request_in(
    request: &Request,
    context: Arc<BTreeMap<SmolStr, Value>>,
) -> ast::Request {
    let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
    ast::Request::new_unchecked(
        known(&request.principal),
        known(&request.action),
        known(&request.resource),
        Some(Context::Value(context)),
    )
}

/// Gathers every entity that a policy can look at in this request.
///
/// # Errors
/// One of them cannot be read; or Cedar's words, if it does not take them. Uids are unique, so that is
/// not expected to happen.
pub(crate) fn entities(engine: &Engine, request: &Request) -> Result<Entities, String> {
    let graph = gathered(engine, request).0;
    match graph.unreadable.first() {
        Some(uid) => Err(unreadable(uid)),
        None => graph.close(),
    }
}

/// Gathers them as far as they can be read. Where an entity that cannot be read is named by attributes
/// and tags alone, the values of these are unknown; by policies on other actions nobody looks at it. Returns
/// what is wrong with such an entity.
///
/// # Errors
/// Those of [`entities`]: an entity cannot be read that is more than the value of an attribute.
pub(super) fn readable_entities(
    engine: &Engine,
    request: &Request,
) -> Result<(Entities, Option<String>), String> {
    let mut graph = gathered(engine, request).0;
    let parents = || graph.nodes.values().flat_map(|node| &node.parents);
    let is_value_alone = |uid: &EntityUID| {
        !graph.starts.contains(uid)
            && parents().all(|parent| parent != uid)
            && !is_named_by_policies(engine, &request.action, uid)
    };
    if let Some(uid) = graph.unreadable.iter().find(|uid| !is_value_alone(uid)) {
        return Err(unreadable(uid));
    }
    let message = graph.unreadable.first().map(unreadable);
    graph.forget_unreadable();
    Ok((graph.close()?, message))
}

/// Returns whether the condition of a policy on an action names an entity.
fn is_named_by_policies(engine: &Engine, action: &EntityUID, uid: &EntityUID) -> bool {
    let slices = engine.slices();
    slices.of_any().chain(slices.of_action(action)).any(|policy| {
        let parts = policy.condition().into_iter().flat_map(Expr::subexpressions);
        let mut named = parts.filter_map(|part| match part.expr_kind() {
            ExprKind::Lit(ast::Literal::EntityUID(named)) => Some(&**named),
            ExprKind::Slot(slot) => policy.variables().get(slot),
            _ => None,
        });
        named.any(|named| named == uid)
    })
}

fn unreadable(uid: &EntityUID) -> String {
    format!(
        "the row of `{uid}` in the directory does not fit the schema, is written under a namespace that \
         the schema does not have, or says that it is in itself; nobody knows what it restricts: mend \
         the row"
    )
}

/// Returns the request with the roles of the directory that a policy can look at in it spelled out,
/// as if the caller had sent them and the directory held none.
pub(super) fn spelled_out(engine: &Engine, request: &Request) -> Request {
    let Some(held) = &request.facts.held else { return request.clone() };
    let mut roles: Vec<_> = request.facts.role_assignments.iter().cloned().collect();
    for role in gathered(engine, request).1 {
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    let facts = Facts {
        entities: Arc::clone(&request.facts.entities),
        role_assignments: Arc::new(RoleAssignments::new(engine.schema(), roles)),
        held: Some(Arc::new(WithoutRoles(Arc::clone(held)))),
    };
    Request { facts, ..request.clone() }
}

/// Returns a question as it could be asked where there is no directory: with what the directory holds
/// of everything that a policy can look at in it.
#[must_use]
pub fn without_directory(engine: &Engine, request: &Request, asked: &RequestInput) -> RequestInput {
    let (graph, held_roles) = gathered(engine, request);
    let facts = &request.facts;
    let held = graph.held.iter().flat_map(|held| {
        let entities = graph.places.iter().filter_map(|place| held.entity(*place));
        entities.filter(|entity| facts.entities.get(&entity.uid).is_none())
    });
    let entity = |facts: &EntityFacts| EntityInput {
        // Facts that are sent of an entity of the store have been laid over it.
        overrides: engine.stored().contains(&facts.uid),
        ..EntityInput::from(facts)
    };
    RequestInput {
        entities: facts.entities.iter().chain(held).map(entity).collect(),
        role_assignments: facts
            .role_assignments
            .iter()
            .chain(&held_roles)
            .map(RoleAssignmentInput::from)
            .collect(),
        ..asked.clone()
    }
}

/// Gathers the entities, and the roles of the directory that their holders have.
fn gathered<'a>(engine: &'a Engine, request: &'a Request) -> (Graph<'a>, Vec<RoleAssignment>) {
    let mut graph = Graph {
        engine,
        asked: [&request.principal, &request.resource],
        sent: &request.facts.entities,
        held: request.facts.held.as_deref(),
        nodes: HashMap::with_capacity(request.facts.entities.len() + 4),
        to_visit: vec![request.principal.clone(), request.resource.clone(), request.action.clone()],
        places: BTreeSet::new(),
        unreadable: BTreeSet::new(),
        starts: HashSet::new(),
        named: 0,
    };
    graph.to_visit.extend(request.facts.entities.iter().map(|entity| entity.uid.clone()));
    if graph.held.is_some() {
        graph.to_visit.extend(engine.named_roles().iter().map(|(scope, _)| scope.clone()));
    }
    for value in request.context.whole().values() {
        graph.visit_later(&value.value);
    }
    let in_force = || request.facts.role_assignments.in_force(request.now);
    for assignment in in_force() {
        graph.to_visit.extend([assignment.principal.clone(), assignment.scope.clone()]);
        graph.to_visit.extend(engine.schema().role(&assignment.scope, &assignment.slot));
    }
    if graph.held.is_some() {
        graph.starts.extend(graph.to_visit.iter().cloned());
        graph.to_visit.extend(engine.looked_into().iter().cloned());
    }
    graph.to_visit.extend(engine.literals().iter().cloned());
    graph.gather();
    in_force().for_each(|assignment| graph.give(assignment));
    let mut held = Vec::new();
    // An entity that a role itself is in may be the scope of further ones.
    loop {
        let roles = graph.held_roles(request.now);
        let new: Vec<_> = roles.into_iter().filter(|role| !held.contains(role)).collect();
        if new.is_empty() {
            return (graph, held);
        }
        for role in &new {
            graph.give(role);
            graph.to_visit.extend(engine.schema().role(&role.scope, &role.slot));
        }
        held.extend(new);
        graph.gather();
    }
}

impl Graph<'_> {
    /// Returns the limits where there is a directory, which may hold any number of entities; a caller
    /// sends but few.
    fn limits(&self) -> GatherLimits {
        GatherLimits { ancestors: self.held.map_or(usize::MAX, HeldFacts::most_ancestors) }
    }

    fn gather(&mut self) {
        while let Some(uid) = self.to_visit.pop() {
            if self.nodes.contains_key(&uid) {
                continue;
            }
            if let Some((held, place)) = self.held.and_then(|held| Some((held, held.place(&uid)?)))
            {
                self.places.insert(place);
                if held.is_unreadable(place) && self.sent.get(&uid).is_none() {
                    self.unreadable.insert(uid.clone());
                }
            }
            let mut node = self.known(&uid);
            let before = self.to_visit.len();
            fill_slots(&uid, &mut node, self.engine.schema());
            for value in node.attributes.values().chain(node.tags.values()) {
                if let PartialValue::Value(value) = value {
                    self.visit_later(&value.value);
                }
            }
            self.to_visit.extend(node.parents.iter().cloned());
            if node.is_described {
                self.named += self.to_visit.len() - before;
            }
            if node.is_described || !node.is_empty() {
                self.nodes.insert(uid, node);
            }
            if self.limits().check_named(self.named).is_err() {
                self.to_visit.clear();
            }
        }
    }

    /// Makes the holder of a role one of those that are in it.
    fn give(&mut self, assignment: &RoleAssignment) {
        let role = self.engine.schema().role(&assignment.scope, &assignment.slot);
        self.nodes.entry(assignment.principal.clone()).or_default().parents.extend(role);
    }

    /// Returns the roles that visited entities hold on visited entities. A policy can name no other:
    /// it takes a Role from a slot, or names it.
    fn held_roles(&self, now: Timestamp) -> Vec<RoleAssignment> {
        let Some(held) = self.held else { return Vec::new() };
        let of_principal = |principal: &HeldPlace| {
            if held.role_count(*principal) <= self.places.len() {
                let mut roles = held.roles_of(*principal, now);
                roles.retain(|role| self.places.contains(&role.scope));
                return roles;
            }
            let scopes = self.places.iter();
            scopes.flat_map(|scope| held.roles_between(*principal, *scope, now)).collect()
        };
        let roles = self.places.iter().flat_map(of_principal);
        roles.filter_map(|role| role.assignment(held)).collect()
    }

    fn known(&self, uid: &EntityUID) -> EntityNode {
        let of_directory = || {
            let held = self.held?;
            held.entity(held.place(uid)?)
        };
        if let Some(described) = self.sent.get(uid).or_else(of_directory) {
            let values = |values: &[(SmolStr, Value)]| {
                values.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
            };
            return EntityNode {
                attributes: values(&described.attributes),
                parents: described.parents.iter().cloned().collect(),
                tags: values(&described.tags),
                is_described: true,
            };
        }
        self.engine.stored().get(uid).map_or_else(EntityNode::default, |entity| {
            let values = |values: &mut dyn Iterator<Item = (&SmolStr, &PartialValue)>| {
                values.map(|(name, value)| (name.clone(), value.clone())).collect()
            };
            EntityNode {
                attributes: values(&mut entity.attrs()),
                // A fixed entity brings all its ancestors: the store has them closed already.
                parents: entity.ancestors().cloned().collect(),
                tags: values(&mut entity.tags()),
                is_described: false,
            }
        })
    }

    fn visit_later(&mut self, value: &ValueKind) {
        match value {
            // Filled slots are the bulk of all references, and a Role that the store does not hold
            // has nothing in it.
            ValueKind::Lit(ast::Literal::EntityUID(uid)) => {
                let schema = self.engine.schema();
                if !schema.is_role(uid) || self.engine.stored().contains(uid) {
                    self.to_visit.push((**uid).clone());
                } else if self.held.is_some() {
                    self.to_visit.extend(schema.scope_of(uid).map(|(scope, _)| scope));
                }
            }
            ValueKind::Set(set) => {
                set.authoritative.iter().for_each(|value| self.visit_later(&value.value))
            }
            ValueKind::Record(record) => {
                record.values().for_each(|value| self.visit_later(&value.value))
            }
            ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => {}
        }
    }

    /// Makes those values unknown that name an entity which cannot be read. A policy that reads one
    /// fails, so that none looks into that entity as if it said nothing.
    fn forget_unreadable(&mut self) {
        if self.unreadable.is_empty() {
            return;
        }
        for node in self.nodes.values_mut() {
            for value in node.attributes.values_mut().chain(node.tags.values_mut()) {
                let PartialValue::Value(known) = value else { continue };
                if let Some(uid) = self.unreadable.iter().find(|uid| names(&known.value, uid)) {
                    *value = PartialValue::unknown(Unknown::new_untyped(uid.to_string()));
                }
            }
        }
    }

    fn close(self) -> Result<Entities, String> {
        let limits = self.limits();
        limits.check_named(self.named)?;
        let mut closed = limits.ancestors(&self.nodes, self.asked)?;
        let entities: Vec<_> = self
            .nodes
            .iter()
            .map(|(uid, node)| {
                let mut ancestors = closed.remove(uid).unwrap_or_default();
                ancestors.retain(|ancestor| !node.parents.contains(ancestor));
                Entity::new_with_attr_partial_value(
                    uid.clone(),
                    node.attributes.clone(),
                    ancestors,
                    node.parents.clone(),
                    node.tags.clone(),
                )
            })
            .collect();
        Entities::from_entities(
            entities,
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::all_available(),
        )
        .map_err(|error| error.to_string())
    }
}

/// Returns whether a value is an entity, or has it in it.
fn names(value: &ValueKind, uid: &EntityUID) -> bool {
    match value {
        ValueKind::Lit(ast::Literal::EntityUID(other)) => **other == *uid,
        ValueKind::Set(set) => set.authoritative.iter().any(|value| names(&value.value, uid)),
        ValueKind::Record(record) => record.values().any(|value| names(&value.value, uid)),
        ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => false,
    }
}

/// Fills the role slots of a scope that the caller left out.
fn fill_slots(uid: &EntityUID, node: &mut EntityNode, schema: &Schema) {
    let Some(shape) = schema.entity(uid.entity_type()) else { return };
    for slot in shape.slots.keys() {
        if !node.attributes.contains_key(slot.as_str())
            && let Some(role) = schema.role(uid, slot)
        {
            node.attributes.insert(slot.as_str().into(), Value::from(role).into());
        }
    }
}
