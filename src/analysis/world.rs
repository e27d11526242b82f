//! A request of which some facts are known and the others open.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    sync::Arc,
};

use cedar_policy_core::ast::{EntityType, EntityUID, Value};

use super::{
    complete::completed,
    declared::{action_in, record_in, shape_in},
    doubt::Note,
    fact::{Base, Choice, Fact, Place},
};
use crate::{
    model::{OnForbidError, Timestamp},
    request::{self, Request, RequestInput, RequestLimits, Violation},
    schema::{ActionSchema, RecordShape, Schema, Shape, Slot, StoredEntities},
    store::AuthzenRules,
};

/// The treatment of optional facts that were not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    /// They are not there.
    Absent,
    /// They may be there or not.
    Open,
}

/// The change between two states of a store of which policies are asked about one request.
#[derive(Debug, Default)]
pub(super) struct StateChange {
    /// True where both have the same schema, word for word.
    pub same_schema: bool,
    /// The entities that they hold differently, those among them that one state alone holds.
    pub changed: BTreeSet<EntityUID>,
    /// Pairs of an entity and one of these, which is in it in one state alone.
    pub bridges: Vec<(EntityUID, EntityUID)>,
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
    /// True where it is open which entities are sent: to look at an attribute of one that is not fails,
    /// though the schema requires the attribute.
    pub is_partly_sent: bool,
    /// Set where policies of two states are asked: the change between them.
    pub change: Option<&'a StateChange>,
    /// The entities that the state holds which is asked: no caller describes them.
    pub stored: Option<&'a StoredEntities>,
    /// The values that questions in the form of AuthZEN may lay over them.
    pub authzen: Option<&'a AuthzenRules>,
    /// The rule for a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
    choices: Vec<(Fact, Choice)>,
    /// The choices that were looked at, by their places, since [`Self::forget_consulted`].
    consulted: Cell<u128>,
    /// The number of policies that were evaluated in it.
    evaluated: Cell<usize>,
    /// The notes of evaluations since [`Self::forget_consulted`].
    notes: RefCell<Vec<Note>>,
    /// True where an entity that two states hold differently was looked at since [`Self::forget_looks`].
    looked_at_change: Cell<bool>,
    /// The facts because of which it is open whether the evaluation of a condition fails.
    failures: RefCell<Vec<Option<Arc<Fact>>>>,
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
            is_partly_sent: false,
            change: None,
            stored: None,
            authzen: None,
            on_forbid_error: OnForbidError::default(),
            choices: Vec::new(),
            consulted: Cell::new(0),
            evaluated: Cell::new(0),
            notes: RefCell::default(),
            looked_at_change: Cell::new(false),
            failures: RefCell::default(),
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
        self.notes.borrow_mut().clear();
    }

    pub(super) fn forget_looks(&self) {
        self.looked_at_change.set(false);
    }

    /// Runs an evaluation, and returns with its result whether that depends on choices.
    pub(super) fn traced<T>(&self, evaluation: impl FnOnce() -> T) -> (T, bool) {
        let before = self.consulted.replace(0);
        let result = evaluation();
        let own = self.consulted.get();
        self.consulted.set(before | own);
        (result, own != 0)
    }

    pub(super) fn note(&self, note: Note) {
        self.notes.borrow_mut().push(note);
    }

    /// Returns how many notes there are.
    pub(super) fn notes(&self) -> usize {
        self.notes.borrow().len()
    }

    /// Forgets the notes of those places: what they are about decided nothing.
    pub(super) fn forget_notes(&self, places: std::ops::Range<usize>) {
        let mut notes = self.notes.borrow_mut();
        let end = places.end.min(notes.len());
        notes.drain(places.start.min(end)..end);
    }

    /// Notes that a fact decides whether the evaluation fails.
    pub(super) fn may_fail(&self, because_of: Option<Arc<Fact>>) {
        self.failures.borrow_mut().push(because_of);
    }

    /// Returns how many such facts were noted.
    pub(super) fn failures(&self) -> usize {
        self.failures.borrow().len()
    }

    /// Returns the first of them that was noted after so many, if any was.
    pub(super) fn failure_after(&self, count: usize) -> Option<Option<Arc<Fact>>> {
        self.failures.borrow().get(count).cloned()
    }

    pub(super) fn forget_failures(&self) {
        self.failures.borrow_mut().clear();
    }

    pub(super) fn take_notes(&self) -> Vec<Note> {
        self.notes.take()
    }

    /// Returns whether an entity that two states hold differently was looked at since
    /// [`Self::forget_looks`].
    pub(super) fn looked_at_change(&self) -> bool {
        self.looked_at_change.get()
    }

    /// Returns whether a schema is the one of the request.
    pub(super) fn is_own(&self, schema: &Schema) -> bool {
        std::ptr::eq(schema, self.schema) || self.change.is_some_and(|change| change.same_schema)
    }

    pub(super) fn look_at(&self, uid: &EntityUID) {
        if self.change.is_some_and(|change| change.changed.contains(uid)) {
            self.looked_at_change.set(true);
        }
    }

    pub(super) fn is_stored(&self, uid: &EntityUID) -> bool {
        self.stored.is_some_and(|stored| stored.contains(uid))
    }

    pub(super) fn chosen(&self, is_it: impl Fn(&Fact) -> bool) -> Option<&Choice> {
        let place = self.choices.iter().position(|(fact, _)| is_it(fact))?;
        self.consult(place);
        self.choices.get(place).map(|(_, choice)| choice)
    }

    pub(super) fn consult(&self, place: usize) {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place));
        // Choices beyond the bits share them all, so that none is jumped over.
        self.consulted.set(self.consulted.get() | bit.unwrap_or(u128::MAX));
    }

    pub(super) fn action(&self) -> Option<&'a ActionSchema> {
        action_in(self.schema, &self.request.action)
    }

    /// Returns the declared type of a field, and whether it is required.
    pub(super) fn shape(&self, place: &Place) -> Option<(&'a Shape, bool)> {
        shape_in(self.schema, &self.request.action, place)
    }

    /// Returns the declared fields of a record.
    pub(super) fn fields_of(&self, place: &Place) -> Option<&'a RecordShape> {
        match (&place.base, &*place.path) {
            (Base::Context, []) => Some(&self.action()?.context),
            _ => match self.shape(place)?.0 {
                Shape::Record(record) => Some(record),
                _ => None,
            },
        }
    }

    pub(super) fn record_of(&self, place: &Place) -> Option<&'a RecordShape> {
        record_in(self.schema, &self.request.action, place)
    }

    /// Returns every entity that is spoken of: of the request, its facts and the choices. In place of a role
    /// stands its scope.
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
                Fact::Sent(uid) => found.push(uid.clone()),
                Fact::Field(_) => {}
            }
            if let Choice::Value(candidate) = choice {
                entities_in(&candidate.known, &mut found);
            }
        }
        for uid in &mut found {
            if let Some((scope, _)) = self.schema.scope_of(uid).filter(|_| self.schema.is_role(uid))
            {
                *uid = scope;
            }
        }
        let mut seen = BTreeSet::new();
        found.retain(|uid| !self.schema.is_role(uid) && seen.insert(uid.clone()));
        found
    }
}

pub(super) fn entities_in(value: &Value, found: &mut Vec<EntityUID>) {
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
