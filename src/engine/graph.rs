//! The entities of one request: what the caller sent, what the store holds, filled role slots and
//! role assignments, closed under ancestry.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use cedar_policy_core::{
    ast::{self, Context, Entity, EntityUID, EntityUIDEntry, PartialValue, Value, ValueKind},
    entities::{Entities, NoEntitiesSchema, TCComputation},
    extensions::Extensions,
};
use smol_str::SmolStr;

use super::Engine;
use crate::{
    request::{Request, SentEntities},
    schema::Schema,
};

/// An entity while the request's entities are being gathered.
#[derive(Debug, Default)]
struct Node {
    attributes: BTreeMap<SmolStr, PartialValue>,
    parents: HashSet<EntityUID>,
    tags: BTreeMap<SmolStr, PartialValue>,
}

struct Graph<'a> {
    engine: &'a Engine,
    sent: &'a SentEntities,
    nodes: HashMap<EntityUID, Node>,
    to_visit: Vec<EntityUID>,
}

/// Converts a request into Cedar's.
pub(crate) fn cedar_request(request: &Request) -> ast::Request {
    let known = |uid: &EntityUID| EntityUIDEntry::known(uid.clone(), None);
    ast::Request::new_unchecked(
        known(&request.principal),
        known(&request.action),
        known(&request.resource),
        Some(Context::Value(Arc::clone(request.context.whole()))),
    )
}

/// Gathers every entity that a policy can look at in this request.
///
/// # Errors
/// Cedar's words, if it does not take them. Uids are unique, so this is not expected to happen.
pub(crate) fn entities(engine: &Engine, request: &Request) -> Result<Entities, String> {
    let mut graph = Graph {
        engine,
        sent: &request.facts.entities,
        nodes: HashMap::with_capacity(request.facts.entities.len() + 4),
        to_visit: vec![request.principal.clone(), request.resource.clone(), request.action.clone()],
    };
    graph.to_visit.extend(request.facts.entities.iter().map(|entity| entity.uid.clone()));
    graph.to_visit.extend(engine.literals().iter().cloned());
    for value in request.context.whole().values() {
        graph.visit_later(&value.value);
    }
    let in_force = || request.facts.role_assignments.in_force(request.now);
    for assignment in in_force() {
        graph.to_visit.extend([assignment.principal.clone(), assignment.scope.clone()]);
        graph.to_visit.extend(engine.schema().role(&assignment.scope, &assignment.slot));
    }
    graph.gather();
    for assignment in in_force() {
        let role = engine.schema().role(&assignment.scope, &assignment.slot);
        let node = graph.nodes.entry(assignment.principal.clone()).or_default();
        node.parents.extend(role);
    }
    graph.close()
}

impl Graph<'_> {
    fn gather(&mut self) {
        while let Some(uid) = self.to_visit.pop() {
            if self.nodes.contains_key(&uid) {
                continue;
            }
            let mut node = self.known(&uid);
            fill_slots(&uid, &mut node, self.engine.schema());
            for value in node.attributes.values().chain(node.tags.values()) {
                if let PartialValue::Value(value) = value {
                    self.visit_later(&value.value);
                }
            }
            self.to_visit.extend(node.parents.iter().cloned());
            if !node.is_empty() {
                self.nodes.insert(uid, node);
            }
        }
    }

    fn known(&self, uid: &EntityUID) -> Node {
        if let Some(sent) = self.sent.get(uid) {
            let values = |values: &[(SmolStr, Value)]| {
                values.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
            };
            return Node {
                attributes: values(&sent.attributes),
                parents: sent.parents.iter().cloned().collect(),
                tags: values(&sent.tags),
            };
        }
        self.engine.stored().get(uid).map_or_else(Node::default, |entity| {
            let values = |values: &mut dyn Iterator<Item = (&SmolStr, &PartialValue)>| {
                values.map(|(name, value)| (name.clone(), value.clone())).collect()
            };
            Node {
                attributes: values(&mut entity.attrs()),
                // A fixed entity brings all its ancestors: the store has them closed already.
                parents: entity.ancestors().cloned().collect(),
                tags: values(&mut entity.tags()),
            }
        })
    }

    fn visit_later(&mut self, value: &ValueKind) {
        match value {
            // Filled slots are the bulk of all references, and a Role that the store does not hold
            // has nothing in it.
            ValueKind::Lit(ast::Literal::EntityUID(uid)) => {
                if !self.engine.schema().is_role(uid) || self.engine.stored().contains(uid) {
                    self.to_visit.push((**uid).clone());
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

    fn close(self) -> Result<Entities, String> {
        let mut closed: HashMap<&EntityUID, HashSet<EntityUID>> =
            HashMap::with_capacity(self.nodes.len());
        for uid in self.nodes.keys() {
            let mut ancestors = HashSet::new();
            let mut pending: Vec<&EntityUID> =
                self.nodes.get(uid).into_iter().flat_map(|node| &node.parents).collect();
            while let Some(ancestor) = pending.pop() {
                if ancestors.insert(ancestor.clone()) {
                    pending.extend(
                        self.nodes.get(ancestor).into_iter().flat_map(|node| &node.parents),
                    );
                }
            }
            closed.insert(uid, ancestors);
        }
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

impl Node {
    fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.parents.is_empty() && self.tags.is_empty()
    }
}

/// Fills the role slots of a scope that the caller left out.
fn fill_slots(uid: &EntityUID, node: &mut Node, schema: &Schema) {
    let Some(shape) = schema.entity(uid.entity_type()) else { return };
    for slot in shape.slots.keys() {
        if !node.attributes.contains_key(slot.as_str())
            && let Some(role) = schema.role(uid, slot)
        {
            node.attributes.insert(slot.as_str().into(), Value::from(role).into());
        }
    }
}
