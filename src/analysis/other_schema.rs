//! A request as policies of another state see it, whose schema is not the request's: they know no facts
//! but those that their own schema declares.

use cedar_policy_core::ast::EntityUID;

use super::{
    declared::{is_now, may_be_parent, shape_in, slot_of},
    doubt::Note,
    fact::{Base, Choice, Fact, FieldKnowledge, Place},
    world::{World, entities_in},
};
use crate::{
    engine::Engine,
    model::extension,
    schema::{Schema, Shape},
};

impl World<'_> {
    /// Returns what is known of a field to policies of another schema, which also fills slots and the
    /// time itself. Nothing where that schema declares the field as the request's does.
    pub(super) fn field_of_another(
        &self,
        engine: &Engine,
        place: &Place,
    ) -> Option<FieldKnowledge> {
        let schema = engine.schema();
        if self.is_own(schema) {
            return None;
        }
        if let (Base::Entity(uid), [name]) = (&place.base, &*place.path)
            && let Some(role) = slot_of(schema, uid, name)
        {
            return Some(FieldKnowledge::Value(role.into()));
        }
        // Nobody sends a slot, and what is none in the other schema is not filled there.
        if let (Base::Entity(uid), [name]) = (&place.base, &*place.path)
            && slot_of(self.schema, uid, name).is_some()
        {
            return Some(FieldKnowledge::Absent);
        }
        let action = &self.request.action;
        let Some((of_engine, _)) = shape_in(schema, action, place) else {
            return Some(FieldKnowledge::Absent);
        };
        match self.shape(place) {
            Some((shape, _)) if is_alike(shape, of_engine) => None,
            None if is_now(schema, action, place) => {
                self.note(Note::Beyond("a request may come at any time".to_owned()));
                let now = extension::datetime(self.request.now);
                Some(now.map_or(FieldKnowledge::Absent, FieldKnowledge::Value))
            }
            _ => Some(FieldKnowledge::Absent),
        }
    }

    /// Returns whether the schema of an engine declares the tags of an entity as the request's does.
    pub(super) fn knows_tags(&self, engine: &Engine, uid: &EntityUID) -> bool {
        let tags =
            |schema: &Schema| schema.entity(uid.entity_type()).and_then(|shape| shape.tags.clone());
        self.is_own(engine.schema()) || tags(engine.schema()) == tags(self.schema)
    }

    /// Returns whether an entity may be in another by the schema of an engine.
    pub(super) fn knows_parent(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> bool {
        let is_stored = || {
            let stored = engine.stored().get(uid);
            stored.is_some_and(|stored| stored.ancestors().any(|ancestor| ancestor == of))
        };
        // Roles are assigned, which a schema without the slot does not take.
        let is_assigned = |schema: &Schema| {
            schema.is_role_type(of.entity_type()) && schema.scope_of(of).is_some()
        };
        let is_known = || !is_assigned(self.schema) || is_assigned(engine.schema());
        self.is_own(engine.schema())
            || (may_be_parent(engine.schema(), uid, of) && is_known())
            || is_stored()
    }

    /// Returns whether a store with another schema refuses the request: it lacks a fact that is required
    /// there, or names an entity that there is not.
    pub(super) fn is_refused_by(&self, schema: &Schema) -> bool {
        if self.is_own(schema) {
            return false;
        }
        let is_no_id = |uid: &EntityUID| {
            let ids = schema.entity(uid.entity_type()).and_then(|shape| shape.ids.as_ref());
            ids.is_some_and(|ids| !ids.contains(AsRef::<str>::as_ref(uid.eid())))
        };
        if is_no_id(&self.request.principal) || is_no_id(&self.request.resource) {
            return true;
        }
        let is_refused = |(fact, choice): &(Fact, Choice)| match (fact, choice) {
            (Fact::Field(place), Choice::Absent) => {
                shape_in(schema, &self.request.action, place).is_some_and(|(_, required)| required)
            }
            (_, Choice::Value(candidate)) => {
                let mut named = Vec::new();
                entities_in(&candidate.known, &mut named);
                named.iter().any(is_no_id)
            }
            _ => false,
        };
        let place = self.choices().iter().position(is_refused);
        place.is_some_and(|place| {
            self.consult(place);
            true
        })
    }
}

/// Returns whether two types take the same values; the fields of records are looked at one by one.
pub(super) fn is_alike(one: &Shape, other: &Shape) -> bool {
    one == other || matches!((one, other), (Shape::Record(_), Shape::Record(_)))
}
