//! A request of which some facts are known and the others open.

use std::{cell::Cell, collections::BTreeMap};

use cedar_policy_core::ast::{EntityType, EntityUID, PartialValue, Value};
use smol_str::SmolStr;

use super::{
    complete::completed,
    fact::{Base, Choice, Fact, FieldKnowledge, Place},
};
use crate::{
    engine::Engine,
    model::Timestamp,
    request::{self, Request, RequestInput, RequestLimits, Violation},
    schema::{RecordShape, Schema, Shape, Slot, StoredEntities},
};

/// The treatment of optional facts that were not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    /// They are not there.
    Absent,
    /// They may be there or not.
    Open,
}

/// A request of which some facts are known, some chosen and the others open. Required facts that
/// nobody gave are open; of optional ones `optional` decides.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub schema: &'a Schema,
    /// The given facts, as a caller sends them; `request` has them checked.
    pub input: RequestInput,
    pub request: Request,
    pub optional: Optional,
    /// The roles that the principal may hold besides those of the request; none where it may be in
    /// anything.
    pub open_roles: Option<Vec<(EntityType, Slot)>>,
    /// Given facts that only stand for something: they are open.
    pub opened: Vec<Place>,
    choices: Vec<(Fact, Choice)>,
    /// The choices that were looked at, by their places, since [`Self::forget_consulted`].
    consulted: Cell<u128>,
    /// The number of policies that were evaluated in it.
    evaluated: Cell<usize>,
}

impl<'a> World<'a> {
    /// Makes a world of a request. Required facts that it lacks are open.
    ///
    /// # Errors
    /// The violations of the request, which are not about facts that are missing.
    pub(super) fn new(
        schema: &'a Schema,
        stored: &StoredEntities,
        input: &RequestInput,
        now: Timestamp,
        optional: Optional,
    ) -> Result<Self, Vec<Violation>> {
        let (input, opened) = completed(schema, input, now);
        let limits = RequestLimits::default();
        let known = request::Known { schema, stored, held: None };
        let request = request::check(known, &input, now, &limits)?;
        Ok(Self {
            schema,
            input,
            request,
            optional,
            open_roles: Some(Vec::new()),
            opened,
            choices: Vec::new(),
            consulted: Cell::new(0),
            evaluated: Cell::new(0),
        })
    }

    pub(super) fn choose(&mut self, fact: Fact, choice: Choice) {
        self.choices.push((fact, choice));
    }

    pub(super) fn take_back(&mut self) {
        self.choices.pop();
    }

    pub(super) fn forget_choices(&mut self) {
        self.choices.clear();
    }

    pub(super) fn choices(&self) -> &[(Fact, Choice)] {
        &self.choices
    }

    /// The choices that were looked at since [`Self::forget_consulted`]: a bit each, by their places.
    pub(super) fn consulted(&self) -> u128 {
        self.consulted.get()
    }

    /// Returns how many policies were evaluated in it.
    pub(super) fn evaluated(&self) -> usize {
        self.evaluated.get()
    }

    pub(super) fn count_evaluated(&self) {
        self.evaluated.set(self.evaluated.get().saturating_add(1));
    }

    pub(super) fn forget_consulted(&self) {
        self.consulted.set(0);
    }

    /// Returns what is known of a field. `engine` holds the stored entities.
    pub(super) fn field(&self, engine: &Engine, place: &Place) -> FieldKnowledge {
        if let Some(choice) = self.chosen(|fact| matches!(fact, Fact::Field(at) if at == place)) {
            return match choice {
                Choice::Absent | Choice::Member(_) => FieldKnowledge::Absent,
                Choice::Record => FieldKnowledge::Record,
                Choice::Value(candidate) => FieldKnowledge::Value(candidate.known.clone()),
            };
        }
        if let (Base::Entity(uid), [name]) = (&place.base, &*place.path) {
            if let Some(stored) = engine.stored().get(uid) {
                return match stored.get(name) {
                    Some(PartialValue::Value(value)) => FieldKnowledge::Value(value.clone()),
                    _ => FieldKnowledge::Absent,
                };
            }
            let shape = self.schema.entity(uid.entity_type());
            if let Some((slot, _)) =
                shape.and_then(|shape| shape.slots.get_key_value(name.as_str()))
            {
                return self
                    .schema
                    .role(uid, slot)
                    .map_or(FieldKnowledge::Absent, |role| FieldKnowledge::Value(role.into()));
            }
        }
        if !self.opened.contains(place)
            && let Some(value) = self.given(place)
        {
            return FieldKnowledge::Value(value.clone());
        }
        let field = self.record_of(place).zip(place.path.last());
        match field.and_then(|(record, name)| record.fields.get(name)) {
            None => FieldKnowledge::Absent,
            Some(field) if field.required || self.optional == Optional::Open => {
                FieldKnowledge::Open
            }
            // The sidecar adds the time where it is declared.
            Some(_) if self.is_now(place) => FieldKnowledge::Open,
            Some(_) => FieldKnowledge::Absent,
        }
    }

    fn is_now(&self, place: &Place) -> bool {
        place.base == Base::Context
            && matches!(&*place.path, [name] if name == "now")
            && self.action().is_some_and(|action| action.wants_now)
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
        let is_it = |fact: &Fact| matches!(fact, Fact::Tag(of, tag) if of == uid && tag == name);
        if let Some(choice) = self.chosen(is_it) {
            return match choice {
                Choice::Value(candidate) => FieldKnowledge::Value(candidate.known.clone()),
                Choice::Absent | Choice::Record | Choice::Member(_) => FieldKnowledge::Absent,
            };
        }
        if let Some(stored) = engine.stored().get(uid) {
            return match stored.get_tag(name) {
                Some(PartialValue::Value(value)) => FieldKnowledge::Value(value.clone()),
                _ => FieldKnowledge::Absent,
            };
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

    /// Returns whether an entity is in another, directly or not; nothing where that is open.
    pub(super) fn is_in(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> Option<bool> {
        if uid == of {
            return Some(true);
        }
        // A choice that made it a member, or not, may be on any way from one to the other.
        if self.ancestors(engine, uid).contains(of) {
            return Some(true);
        }
        if !self.may_be_in(engine, uid, of) {
            return Some(false);
        }
        let is_it = |fact: &Fact| *fact == Fact::Member(uid.clone(), of.clone());
        if self.chosen(is_it).is_some() || self.optional == Optional::Absent {
            return Some(false);
        }
        None
    }

    /// Returns whether an entity could be in another as far as the schema and what is closed tell.
    pub(super) fn may_be_in(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> bool {
        let types = self.schema.entity(uid.entity_type()).map(|shape| &shape.parents);
        if types.is_none_or(|types| !types.contains(of.entity_type())) {
            return false;
        }
        let role = self.schema.scope_of(of);
        // A stored entity is in nothing else, but may be assigned roles.
        if engine.stored().contains(uid) && role.is_none() {
            return false;
        }
        match self.open_roles_of(uid) {
            None => true,
            Some(open) => role.is_some_and(|(scope, slot)| {
                open.iter().any(|(ty, role)| ty == scope.entity_type() && *role == slot)
            }),
        }
    }

    /// Returns the roles that an entity may be in besides its known ancestors; none where it may be
    /// in anything.
    pub(super) fn open_roles_of(&self, uid: &EntityUID) -> Option<&[(EntityType, Slot)]> {
        if *uid == self.request.principal { self.open_roles.as_deref() } else { None }
    }

    /// Returns the known ancestors of an entity, without itself.
    pub(super) fn ancestors(&self, engine: &Engine, uid: &EntityUID) -> Vec<EntityUID> {
        let mut found: Vec<EntityUID> = Vec::new();
        let mut pending = vec![uid.clone()];
        while let Some(uid) = pending.pop() {
            for parent in self.parents(engine, &uid) {
                if !found.contains(&parent) {
                    found.push(parent.clone());
                    pending.push(parent);
                }
            }
        }
        found
    }

    fn parents(&self, engine: &Engine, uid: &EntityUID) -> Vec<EntityUID> {
        let mut parents = Vec::new();
        if let Some(stored) = engine.stored().get(uid) {
            parents.extend(stored.ancestors().cloned());
        } else if let Some(entity) = self.request.facts.entities.get(uid) {
            parents.extend(entity.parents.iter().cloned());
        }
        for role in self.request.facts.role_assignments.in_force(self.request.now) {
            if role.principal == *uid {
                parents.extend(self.schema.role(&role.scope, &role.slot));
            }
        }
        for (place, (fact, choice)) in self.choices.iter().enumerate() {
            if let (Fact::Member(member, of), Choice::Member(is_member)) = (fact, choice)
                && member == uid
            {
                self.consult(place);
                parents.extend(is_member.then(|| of.clone()));
            }
        }
        parents
    }

    fn chosen(&self, is_it: impl Fn(&Fact) -> bool) -> Option<&Choice> {
        let place = self.choices.iter().position(|(fact, _)| is_it(fact))?;
        self.consult(place);
        self.choices.get(place).map(|(_, choice)| choice)
    }

    fn consult(&self, place: usize) {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place));
        // Choices beyond the bits share them all, so that none is jumped over.
        self.consulted.set(self.consulted.get() | bit.unwrap_or(u128::MAX));
    }

    pub(super) fn action(&self) -> Option<&'a crate::schema::ActionSchema> {
        let uid = &self.request.action;
        self.schema.action(&uid.entity_type().to_string(), uid.eid().as_ref())
    }

    /// Returns the declared type of a field, and whether it is required.
    pub(super) fn shape(&self, place: &Place) -> Option<(&'a Shape, bool)> {
        let field = self.record_of(place)?.fields.get(place.path.last()?)?;
        Some((&field.shape, field.required))
    }

    fn record_of(&self, place: &Place) -> Option<&'a RecordShape> {
        let mut record = match &place.base {
            Base::Context => &*self.action()?.context,
            Base::Entity(uid) => &self.schema.entity(uid.entity_type())?.attributes,
        };
        let (_, inner) = place.path.split_last()?;
        for name in inner {
            match &record.fields.get(name)?.shape {
                Shape::Record(fields) => record = fields,
                _ => return None,
            }
        }
        Some(record)
    }

    /// Returns every entity that is spoken of: of the request, its facts and the choices.
    pub(super) fn entities(&self) -> Vec<EntityUID> {
        let mut found = vec![self.request.principal.clone(), self.request.resource.clone()];
        for entity in self.request.facts.entities.iter() {
            found.push(entity.uid.clone());
            found.extend(entity.parents.iter().cloned());
            for (_, value) in &entity.attributes {
                entities_in(value, &mut found);
            }
        }
        for role in self.request.facts.role_assignments.iter() {
            found.extend([role.principal.clone(), role.scope.clone()]);
        }
        for value in self.request.context.whole().values() {
            entities_in(value, &mut found);
        }
        for (fact, choice) in &self.choices {
            match fact {
                Fact::Field(Place { base: Base::Entity(uid), .. }) | Fact::Tag(uid, _) => {
                    found.push(uid.clone());
                }
                Fact::Member(member, of) => found.extend([member.clone(), of.clone()]),
                Fact::Field(_) => {}
            }
            if let Choice::Value(candidate) = choice {
                entities_in(&candidate.known, &mut found);
            }
        }
        let mut seen = BTreeMap::new();
        found.retain(|uid| !self.schema.is_role(uid) && seen.insert(uid.clone(), ()).is_none());
        found
    }
}

fn entities_in(value: &Value, found: &mut Vec<EntityUID>) {
    use cedar_policy_core::ast::{Literal, ValueKind};

    match &value.value {
        ValueKind::Lit(Literal::EntityUID(uid)) => found.push((**uid).clone()),
        ValueKind::Set(set) => {
            set.authoritative.iter().for_each(|value| entities_in(value, found));
        }
        ValueKind::Record(record) => {
            record.values().for_each(|value| entities_in(value, found));
        }
        ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => {}
    }
}
