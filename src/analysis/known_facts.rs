//! The knowledge of a cell's requests, as conditions in Cedar for a solver.
//!
//! Each condition is true of every request of the cell, so that whatever the solver proves under
//! them holds of the cell. What cannot be said in Cedar is left out.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityType, EntityUID, Expr, Value, ValueKind};
use smol_str::SmolStr;

use super::{
    fact::{Base, FieldKnowledge, Place},
    policies::Policies,
    terms::{LookedAt, attribute, given, has, quoted},
    world::{Optional, World},
};
use crate::{
    engine::Engine,
    schema::{RecordShape, Shape},
};

/// Entities that the store holds and that are spoken of one by one.
const STORED: usize = 64;

/// Returns conditions that are true of each request of a world.
pub(super) fn facts(
    world: &World<'_>,
    engine: &Engine,
    policies: &Policies<'_>,
) -> BTreeSet<String> {
    let looked_at = LookedAt::by(policies, world);
    let entities = spoken_of(world, policies);
    let others = engine.stored().uids().filter(|uid| !entities.contains(*uid));
    let others = others.map(|uid| uid.entity_type().clone()).collect();
    let facts = BTreeSet::new();
    let mut facts = Facts { world, engine, looked_at: &looked_at, entities, others, facts };
    facts.variables();
    facts.known_fields();
    facts.known_tags();
    facts.known_members();
    if world.optional == Optional::Absent {
        facts.absent_fields();
        facts.absent_members();
    }
    facts.facts
}

/// Returns the entities of a world, those that the policies name and the first of those that the store
/// holds, but for roles.
pub(super) fn spoken_of(world: &World<'_>, policies: &Policies<'_>) -> BTreeSet<EntityUID> {
    let mut entities: BTreeSet<_> = world.entities().into_iter().collect();
    let is_declared = |uid: &EntityUID| world.schema.entity(uid.entity_type()).is_some();
    let mut stored: Vec<_> =
        policies.engine.stored().uids().filter(|uid| is_declared(uid)).collect();
    stored.sort_unstable();
    entities.extend(stored.into_iter().take(STORED).cloned());
    for uid in LookedAt::by(policies, world).entities {
        match world.schema.scope_of(&uid) {
            Some((scope, _)) => entities.insert(scope),
            None => entities.insert(uid),
        };
    }
    entities.retain(is_declared);
    entities
}

/// Gathers the conditions.
pub(super) struct Facts<'f, 'a> {
    pub world: &'f World<'a>,
    pub engine: &'f Engine,
    pub looked_at: &'f LookedAt,
    /// The entities of which something is known.
    pub entities: BTreeSet<EntityUID>,
    /// The types of which the store holds others than those.
    pub others: BTreeSet<EntityType>,
    facts: BTreeSet<String>,
}

impl Facts<'_, '_> {
    pub(super) fn add(&mut self, presence: &[String], fact: &str) {
        self.facts.insert(given(presence, fact));
    }

    fn variables(&mut self) {
        let request = &self.world.request;
        let (principal, resource) = (&request.principal, &request.resource);
        self.add(&[], &format!("principal == {principal}"));
        self.add(&[], &format!("resource == {resource}"));
    }

    /// Says what is known of the attributes that the policies look at.
    fn known_fields(&mut self) {
        let (schema, action) = (self.world.schema, self.world.action());
        if let Some(action) = action {
            self.known_fields_of("context", &Base::Context, &action.context);
        }
        for uid in self.entities.clone() {
            if let Some(shape) = schema.entity(uid.entity_type()) {
                let text = uid.to_string();
                self.known_fields_of(&text, &Base::Entity(uid), &shape.attributes);
            }
        }
    }

    fn known_fields_of(&mut self, text: &str, base: &Base, record: &RecordShape) {
        let looked_at = self.looked_at;
        for (name, field) in
            record.fields.iter().filter(|(name, _)| looked_at.names.contains(*name))
        {
            let is_there = has(text, name);
            match self.field(base, name) {
                FieldKnowledge::Absent if !field.required => {
                    self.add(&[], &format!("!({is_there})"))
                }
                FieldKnowledge::Value(value) if field.required => {
                    self.equals(&[], &attribute(text, name), &field.shape, &value);
                }
                FieldKnowledge::Value(value) => {
                    self.add(&[], &is_there);
                    self.equals(&[is_there], &attribute(text, name), &field.shape, &value);
                }
                FieldKnowledge::Absent
                | FieldKnowledge::Record
                | FieldKnowledge::Open
                | FieldKnowledge::OpenIfSent(_) => {}
            }
        }
    }

    /// Says what is known of the tags that the policies look at.
    fn known_tags(&mut self) {
        let (looked_at, schema) = (self.looked_at, self.world.schema);
        for (term, name) in &looked_at.tags {
            let Some(ty) = term.entity_type() else { continue };
            let Some(shape) = schema.entity(ty).and_then(|shape| shape.tags.as_ref()) else {
                continue;
            };
            let of_type: Vec<_> = self.of_type(ty).cloned().collect();
            for uid in of_type {
                let is_there = format!("{uid}.hasTag({})", quoted(name));
                match self.world.tag(self.engine, &uid, name) {
                    FieldKnowledge::Absent => self.add(&[], &format!("!{is_there}")),
                    FieldKnowledge::Value(value) => {
                        self.add(&[], &is_there);
                        let text = format!("{uid}.getTag({})", quoted(name));
                        self.equals(&[is_there], &text, shape, &value);
                    }
                    FieldKnowledge::Record
                    | FieldKnowledge::Open
                    | FieldKnowledge::OpenIfSent(_) => {}
                }
            }
        }
    }

    fn field(&self, base: &Base, name: &SmolStr) -> FieldKnowledge {
        let place = Place { base: base.clone(), path: vec![name.clone()] };
        self.world.field(self.engine, &place)
    }

    /// Says the value of an expression. Cedar's validator takes neither an empty set nor a record
    /// without an optional field as such a value.
    fn equals(&mut self, presence: &[String], text: &str, shape: &Shape, value: &Value) {
        match (shape, &value.value) {
            (Shape::Record(shape), ValueKind::Record(fields)) => {
                for (name, field) in &shape.fields {
                    let is_there = has(text, name);
                    let mut present = presence.to_vec();
                    if !field.required {
                        present.push(is_there.clone());
                    }
                    match fields.get(name) {
                        Some(value) => {
                            if !field.required {
                                self.add(presence, &is_there);
                            }
                            self.equals(&present, &attribute(text, name), &field.shape, value);
                        }
                        None => self.add(presence, &format!("!({is_there})")),
                    }
                }
            }
            (_, ValueKind::Set(set)) if set.is_empty() => {
                self.add(presence, &format!("{text}.isEmpty()"));
            }
            _ if is_plain(value) => {
                self.add(presence, &format!("{text} == {}", Expr::from(value.clone())));
            }
            _ => {}
        }
    }

    /// Says that no optional attribute and no tag is there but those that are known, as in a base
    /// request.
    fn absent_fields(&mut self) {
        let looked_at = self.looked_at;
        for (term, name) in &looked_at.fields {
            let record = term.record(self.world.schema);
            if record.and_then(|record| record.fields.get(name)).is_none_or(|field| field.required)
            {
                continue;
            }
            // The entity whose attribute it is, or is a part of, and that attribute.
            let (owner, top) = match (&term.shape, &term.owner, term.path.first()) {
                (Shape::Entity(ty), ..) => (Some((&term.text, &**ty)), name),
                (_, Some((owner, ty)), Some(top)) => (Some((owner, ty)), top),
                (_, None, Some(top)) => (None, top),
                // The fields of the context itself are known.
                (_, _, None) => continue,
            };
            let absent = format!("!({})", has(&term.text, name));
            match owner {
                Some((_, ty)) if self.others.contains(ty) => {}
                Some((owner, ty)) => {
                    let others = self.of_type(ty).filter(|uid| {
                        let known = self.field(&Base::Entity((*uid).clone()), top);
                        !matches!(known, FieldKnowledge::Absent | FieldKnowledge::Open)
                    });
                    let others = others.map(|uid| format!("{owner} == {uid}")).collect();
                    self.add(&term.presence, &one_of(&absent, others));
                }
                None if matches!(self.field(&Base::Context, top), FieldKnowledge::Open) => {
                    self.add(&term.presence, &absent);
                }
                None => {}
            }
        }
        for (term, name) in &looked_at.tags {
            let ty = term.entity_type().filter(|ty| !self.others.contains(*ty));
            let Some(ty) = ty else { continue };
            let others = self.of_type(ty).filter(|uid| {
                !matches!(self.world.tag(self.engine, uid, name), FieldKnowledge::Absent)
            });
            let others = others.map(|uid| format!("{} == {uid}", term.text)).collect();
            let absent = format!("!({}.hasTag({}))", term.text, quoted(name));
            self.add(&term.presence, &one_of(&absent, others));
        }
    }

    pub(super) fn of_type<'e>(&'e self, ty: &'e EntityType) -> impl Iterator<Item = &'e EntityUID> {
        self.entities.iter().filter(move |uid| uid.entity_type() == ty)
    }
}

/// Writes that one of several conditions holds.
pub(super) fn one_of(first: &str, others: Vec<String>) -> String {
    std::iter::once(first.to_owned()).chain(others).collect::<Vec<_>>().join(" || ")
}

/// Returns whether Cedar's validator takes a value as it is written.
fn is_plain(value: &Value) -> bool {
    match &value.value {
        ValueKind::Record(_) => false,
        ValueKind::Set(set) => !set.is_empty() && set.iter().all(is_plain),
        ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => true,
    }
}
