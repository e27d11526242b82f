//! The knowledge of fields and tags of a request.

use cedar_policy_core::ast::{EntityUID, PartialValue, Value};
use smol_str::SmolStr;

use super::{
    declared::{is_now, slot_of},
    doubt::Note,
    fact::{Base, Choice, Fact, FieldKnowledge, Place},
    world::{Optional, World},
};
use crate::engine::Engine;

impl World<'_> {
    /// Returns what is known of a field. `engine` holds the stored entities, and its schema says which
    /// facts of the request it knows.
    pub(super) fn field(&self, engine: &Engine, place: &Place) -> FieldKnowledge {
        // An entity that the store holds is as it is there, whatever a caller says.
        if let (Base::Entity(uid), [name]) = (&place.base, &*place.path) {
            self.look_at(uid);
            if let Some(stored) = engine.stored().get(uid) {
                if self.may_be_overridden(uid, name) {
                    self.note(Note::NotSearched(format!(
                        "a question may lay a value over `{name}` of `{uid}`"
                    )));
                }
                return match stored.get(name) {
                    Some(PartialValue::Value(value)) => FieldKnowledge::Value(value.clone()),
                    _ => FieldKnowledge::Absent,
                };
            }
        }
        if let Some(known) = self.field_of_another(engine, place) {
            return known;
        }
        if let (Base::Entity(uid), [name]) = (&place.base, &*place.path)
            && let Some(role) = slot_of(self.schema, uid, name)
        {
            return FieldKnowledge::Value(role.into());
        }
        // Looked up before what was chosen, for that rests on it.
        let is_sent = match &place.base {
            Base::Entity(uid) => self.is_sent(uid),
            Base::Context => Some(true),
        };
        if is_sent == Some(false) {
            return FieldKnowledge::Absent;
        }
        if let Some(choice) = self.chosen(|fact| matches!(fact, Fact::Field(at) if at == place)) {
            return match choice {
                Choice::Absent | Choice::Holds(_) => FieldKnowledge::Absent,
                Choice::Record => FieldKnowledge::Record,
                Choice::Value(candidate) => FieldKnowledge::Value(candidate.known.clone()),
            };
        }
        if let (Base::Entity(uid), [_]) = (&place.base, &*place.path)
            && self.is_stored(uid)
        {
            return FieldKnowledge::Absent;
        }
        if !self.opened.contains(place)
            && let Some(value) = self.given(place)
        {
            return FieldKnowledge::Value(value.clone());
        }
        let field = self.record_of(place).zip(place.path.last());
        match field.and_then(|(record, name)| record.fields.get(name)) {
            None => FieldKnowledge::Absent,
            Some(field) if field.required && is_sent.is_none() => match &place.base {
                Base::Entity(uid) => FieldKnowledge::OpenIfSent(uid.clone()),
                Base::Context => FieldKnowledge::Open,
            },
            Some(field) if field.required || self.optional == Optional::Open => {
                FieldKnowledge::Open
            }
            // The sidecar adds the time where it is declared.
            Some(_) if self.is_now(place) => FieldKnowledge::Open,
            Some(_) => FieldKnowledge::Absent,
        }
    }

    /// Returns whether a question in the form of AuthZEN may give a held entity another value there.
    fn may_be_overridden(&self, uid: &EntityUID, name: &str) -> bool {
        self.authzen.is_some_and(|rules| rules.is_overridable(self.schema, uid.entity_type(), name))
    }

    /// Returns whether anything is sent of an entity; nothing where that is open.
    pub(super) fn is_sent(&self, uid: &EntityUID) -> Option<bool> {
        if !self.is_partly_sent || self.request.facts.entities.get(uid).is_some() {
            return Some(true);
        }
        for (place, (fact, choice)) in self.choices().iter().enumerate() {
            let (of, is_sent) = match (fact, choice) {
                (Fact::Sent(of), Choice::Holds(is_sent)) => (of, *is_sent),
                (
                    Fact::Field(Place { base: Base::Entity(of), .. }) | Fact::Tag(of, _),
                    Choice::Record | Choice::Value(_),
                ) => (of, true),
                // Roles are assigned to entities that are not sent, too.
                (Fact::Member(of, above), Choice::Holds(true)) if !self.schema.is_role(above) => {
                    (of, true)
                }
                _ => continue,
            };
            if of == uid {
                self.consult(place);
                return Some(is_sent);
            }
        }
        None
    }

    fn is_now(&self, place: &Place) -> bool {
        is_now(self.schema, &self.request.action, place)
    }

    fn given(&self, place: &Place) -> Option<&Value> {
        let [name] = &*place.path else { return None };
        match &place.base {
            Base::Context => self.request.context.sent(name),
            Base::Entity(uid) => {
                let entity = self.request.facts.entities.get(uid)?;
                let found = entity.attributes.iter().find(|(given, _)| given == name);
                found.map(|(_, value)| value)
            }
        }
    }

    /// Returns what is known of a tag.
    pub(super) fn tag(&self, engine: &Engine, uid: &EntityUID, name: &SmolStr) -> FieldKnowledge {
        self.look_at(uid);
        if let Some(stored) = engine.stored().get(uid) {
            return match stored.get_tag(name) {
                Some(PartialValue::Value(value)) => FieldKnowledge::Value(value.clone()),
                _ => FieldKnowledge::Absent,
            };
        }
        let is_it = |fact: &Fact| matches!(fact, Fact::Tag(of, tag) if of == uid && tag == name);
        if let Some(choice) = self.chosen(is_it) {
            return match choice {
                Choice::Value(candidate) => FieldKnowledge::Value(candidate.known.clone()),
                Choice::Absent | Choice::Record | Choice::Holds(_) => FieldKnowledge::Absent,
            };
        }
        if self.is_stored(uid) || !self.knows_tags(engine, uid) || self.is_sent(uid) == Some(false)
        {
            return FieldKnowledge::Absent;
        }
        let entity = self.request.facts.entities.get(uid);
        if let Some((_, value)) =
            entity.and_then(|entity| entity.tags.iter().find(|(given, _)| given == name))
        {
            return FieldKnowledge::Value(value.clone());
        }
        let declared = self.schema.entity(uid.entity_type()).and_then(|shape| shape.tags.as_ref());
        match self.optional {
            Optional::Open if declared.is_some() => FieldKnowledge::Open,
            _ => FieldKnowledge::Absent,
        }
    }
}
