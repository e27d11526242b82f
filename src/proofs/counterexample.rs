//! From the solver's counterexample to a request that can be asked.
//!
//! The solver gives entities with ids like `""` and `"A"`, slots that are attributes and roles that are
//! ancestors. A request has role assignments instead, and names that people read; and it says nothing
//! that makes no difference.

use std::collections::{BTreeSet, HashMap};

use cedar_policy_core::ast::{self, EntityUID, Literal, PartialValue, ValueKind};
use cedar_policy_symcc::Env;

use crate::{
    analysis::{RoleWays, Witness, entity_named},
    model::{OnForbidError, Timestamp, Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::{Schema, Slot},
    store::PolicyStore,
};

/// The time of a witness, unless its context has another. `now` is a fact like others to the solver.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Makes a request of a counterexample. `named` are the entities that the policies name; those keep
/// their ids. `sent` returns of an entity what is sent of it, if anything is. One of which nothing is sent, or
/// that the store holds, may be in something all the same, by a role. Nothing where the solver left
/// something out.
pub(super) fn witness(
    store: &PolicyStore,
    counterexample: &Env,
    named: &BTreeSet<EntityUID>,
    sent: &dyn Fn(&ast::Entity) -> Option<ast::Entity>,
) -> Option<Witness> {
    let schema = store.schema();
    let request: &ast::Request = counterexample.request.as_ref();
    let principal = request.principal().uid()?;
    let resource = request.resource().uid()?;
    let context = match request.context()? {
        ast::Context::Value(fields) => fields
            .iter()
            .map(|(name, value)| Some((name.to_string(), Value::from_cedar(value)?)))
            .collect::<Option<Vec<_>>>()?,
        ast::Context::RestrictedResidual(_) => return None,
    };
    let entities: Vec<&ast::Entity> = counterexample.entities.iter().map(AsRef::as_ref).collect();
    let roles = Roles::new(schema, &entities);
    let mut inputs: Vec<EntityInput> = Vec::new();
    let mut role_assignments = Vec::new();
    let mut not_described = Vec::new();
    for entity in &entities {
        let uid = entity.uid();
        if uid.is_action() {
            continue;
        }
        let (held, parents): (Vec<_>, Vec<_>) =
            entity.ancestors().partition(|ancestor| schema.is_role(ancestor));
        for own in roles.named(uid) {
            for (scope, slot) in held.iter().flat_map(|role| roles.filled_by(role)) {
                role_assignments.push(assignment(&own, &scope, &slot));
            }
            let is_held = store.stored().contains(&own);
            match sent(entity).filter(|_| !is_held) {
                Some(sent) => inputs.extend(described(schema, &own, &sent, &parents)?),
                // Of a role no more may be known than what it is in.
                None if schema.is_role(&own) && !is_held && !parents.is_empty() => {
                    inputs.push(member(Uid::from(&own), &parents));
                }
                None => not_described.push((own, parents.clone())),
            }
        }
    }
    let mut named = named.clone();
    for (uid, of) in not_described.iter().flat_map(|(uid, all)| all.iter().map(move |of| (uid, of)))
    {
        let Some(way) = way_between(store, uid, of) else { continue };
        match schema.scope_of(&way).filter(|_| schema.is_role(&way)) {
            Some((scope, slot)) => role_assignments.push(assignment(uid, &scope, &slot)),
            None => drop(named.insert(way.clone())),
        }
        let way = Uid::from(&way);
        match inputs.iter_mut().find(|input| input.uid.as_ref() == Some(&way)) {
            Some(input) => input.parents.push(Uid::from(*of)),
            None => inputs.push(member(way, &[*of])),
        }
    }
    let input = RequestInput {
        principal: Some(Uid::from(principal)),
        action: Some(Uid::from(request.action().uid()?)),
        resource: Some(Uid::from(resource)),
        context,
        entities: inputs,
        role_assignments,
    };
    let input = Names::new(schema, &named, principal).rename(&input);
    Some(Witness { input, now: NOW, on_forbid_error: OnForbidError::default() })
}

fn assignment(principal: &EntityUID, scope: &EntityUID, slot: &Slot) -> RoleAssignmentInput {
    RoleAssignmentInput {
        principal: Some(Uid::from(principal)),
        role: slot.to_string(),
        scope: Some(Uid::from(scope)),
        expires_at: None,
    }
}

fn member(uid: Uid, parents: &[&EntityUID]) -> EntityInput {
    let parents = parents.iter().map(|parent| Uid::from(*parent)).collect();
    EntityInput { uid: Some(uid), parents, ..EntityInput::default() }
}

/// Returns the description of an entity. Of a role nothing is sent that says nothing.
fn described(
    schema: &Schema,
    uid: &EntityUID,
    entity: &ast::Entity,
    parents: &[&EntityUID],
) -> Option<Option<EntityInput>> {
    let slots = schema.entity(uid.entity_type()).map(|shape| &shape.slots);
    let is_slot = |name: &str| slots.is_some_and(|slots| slots.contains_key(name));
    let input = EntityInput {
        attributes: values(entity.attrs().filter(|(name, _)| !is_slot(name)))?,
        tags: values(entity.tags())?,
        ..member(Uid::from(uid), parents)
    };
    let is_plain = input.attributes.is_empty() && input.parents.is_empty() && input.tags.is_empty();
    Some((!is_plain || !schema.is_role(uid)).then_some(input))
}

/// Returns a role or a group by which an entity that nobody describes may be in another: the store may hold it
/// in a group that the store does not hold.
fn way_between(store: &PolicyStore, uid: &EntityUID, of: &EntityUID) -> Option<EntityUID> {
    let schema = store.schema();
    if let Some(role) = RoleWays::between(schema, uid, of, false).roles.into_iter().next() {
        return Some(role);
    }
    let stored = store.stored();
    let may_lead = |above: &&EntityUID| {
        let parents = schema.entity(above.entity_type()).map(|shape| &shape.parents);
        !stored.contains(above) && parents.is_some_and(|types| types.contains(of.entity_type()))
    };
    let held = stored.get(uid)?;
    // What it is in is no news.
    let is_new = !held.ancestors().any(|above| above == of);
    held.ancestors().filter(may_lead).min().filter(|_| is_new).cloned()
}

/// Returns all of an entity, where all of it is sent.
pub(super) fn all_of(entity: &ast::Entity) -> Option<ast::Entity> {
    Some(entity.clone())
}

/// Leaves out of a witness what the claim does not need. Nothing where the claim does not hold of the
/// witness unchanged.
pub(super) fn shrunk(witness: Witness, claim: impl Fn(&Witness) -> bool) -> Option<Witness> {
    if !claim(&witness) {
        return None;
    }
    let mut smallest = witness;
    loop {
        let before = smallest.clone();
        let input = |smallest: &Witness| smallest.input.clone();
        drop_each(
            &mut smallest,
            |witness| input(witness).entities.len(),
            &claim,
            |input, at| {
                input.entities.remove(at);
            },
        );
        let roles = |witness: &Witness| witness.input.role_assignments.len();
        drop_each(&mut smallest, roles, &claim, |input, at| {
            input.role_assignments.remove(at);
        });
        drop_each(
            &mut smallest,
            |witness| witness.input.context.len(),
            &claim,
            |input, at| {
                input.context.remove(at);
            },
        );
        for entity in 0..smallest.input.entities.len() {
            let of = |witness: &Witness| witness.input.entities.get(entity).cloned();
            let of = |witness: &Witness| of(witness).unwrap_or_default();
            drop_each(
                &mut smallest,
                |witness| of(witness).attributes.len(),
                &claim,
                |input, at| {
                    input.entities.get_mut(entity).map(|entity| entity.attributes.remove(at));
                },
            );
            drop_each(
                &mut smallest,
                |witness| of(witness).parents.len(),
                &claim,
                |input, at| {
                    input.entities.get_mut(entity).map(|entity| entity.parents.remove(at));
                },
            );
            drop_each(
                &mut smallest,
                |witness| of(witness).tags.len(),
                &claim,
                |input, at| {
                    input.entities.get_mut(entity).map(|entity| entity.tags.remove(at));
                },
            );
        }
        if smallest == before {
            return Some(smallest);
        }
    }
}

/// Tries to leave out each part of a kind, from the last.
fn drop_each(
    smallest: &mut Witness,
    count: impl Fn(&Witness) -> usize,
    claim: &impl Fn(&Witness) -> bool,
    drop: impl Fn(&mut RequestInput, usize),
) {
    for at in (0..count(smallest)).rev() {
        let mut smaller = smallest.clone();
        drop(&mut smaller.input, at);
        if claim(&smaller) {
            *smallest = smaller;
        }
    }
}

/// The scopes and slots of role entities.
struct Roles<'a> {
    schema: &'a Schema,
    slots: HashMap<EntityUID, Vec<(EntityUID, Slot)>>,
}

impl<'a> Roles<'a> {
    fn new(schema: &'a Schema, entities: &[&ast::Entity]) -> Self {
        let mut slots: HashMap<_, Vec<_>> = HashMap::new();
        for entity in entities {
            let Some(shape) = schema.entity(entity.uid().entity_type()) else { continue };
            for slot in shape.slots.keys() {
                if let Some(PartialValue::Value(value)) = entity.get(slot.as_str())
                    && let ValueKind::Lit(Literal::EntityUID(role)) = &value.value
                {
                    let filled = (entity.uid().clone(), slot.clone());
                    slots.entry((**role).clone()).or_default().push(filled);
                }
            }
        }
        Self { schema, slots }
    }

    /// Returns an entity by the names that a request has for it. A role has the name of each slot that it
    /// fills.
    fn named(&self, uid: &EntityUID) -> Vec<EntityUID> {
        if !self.schema.is_role(uid) {
            return vec![uid.clone()];
        }
        let slots = self.filled_by(uid);
        slots.iter().filter_map(|(scope, slot)| self.schema.role(scope, slot)).collect()
    }

    /// Returns the slots that a role fills: that which its id names, else those in which the solver
    /// has it.
    fn filled_by(&self, role: &EntityUID) -> Vec<(EntityUID, Slot)> {
        match self.schema.scope_of(role) {
            Some(named) => vec![named],
            None => self.slots.get(role).cloned().unwrap_or_default(),
        }
    }
}

/// Converts the values of attributes or tags.
fn values<'e>(
    fields: impl Iterator<Item = (&'e smol_str::SmolStr, &'e PartialValue)>,
) -> Option<Vec<(String, Value)>> {
    let values = fields.map(|(name, value)| match value {
        PartialValue::Value(value) => Some((name.to_string(), Value::from_cedar(value)?)),
        PartialValue::Residual(_) => None,
    });
    values.collect()
}

/// Names for people and, for everything else, numbers.
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

/// Gives entities ids that people read. Cedar cannot look at an id, so only those that the policies
/// name must stay.
struct Names<'a> {
    schema: &'a Schema,
    kept: BTreeSet<Uid>,
    people: String,
    given: HashMap<Uid, Uid>,
}

impl<'a> Names<'a> {
    fn new(schema: &'a Schema, named: &BTreeSet<EntityUID>, principal: &EntityUID) -> Self {
        let scopes = named.iter().filter_map(|role| schema.scope_of(role));
        let scopes = scopes.map(|(scope, _)| Uid::from(&scope));
        let kept = named.iter().map(Uid::from).chain(scopes).collect();
        let people = principal.entity_type().to_string();
        Self { schema, kept, people, given: HashMap::new() }
    }

    fn rename(mut self, input: &RequestInput) -> RequestInput {
        let principal = input.principal.as_ref().map(|uid| self.name(uid));
        let resource = input.resource.as_ref().map(|uid| self.name(uid));
        RequestInput {
            principal,
            action: input.action.as_ref().map(|uid| self.short(uid.clone())),
            resource,
            context: self.fields(&input.context),
            entities: input
                .entities
                .iter()
                .map(|entity| EntityInput {
                    uid: entity.uid.as_ref().map(|uid| self.name(uid)),
                    attributes: self.fields(&entity.attributes),
                    parents: entity.parents.iter().map(|uid| self.name(uid)).collect(),
                    tags: self.fields(&entity.tags),
                    overrides: entity.overrides,
                })
                .collect(),
            role_assignments: input
                .role_assignments
                .iter()
                .map(|role| RoleAssignmentInput {
                    principal: role.principal.as_ref().map(|uid| self.name(uid)),
                    role: role.role.clone(),
                    scope: role.scope.as_ref().map(|uid| self.name(uid)),
                    expires_at: role.expires_at,
                })
                .collect(),
        }
    }

    fn fields(&mut self, fields: &[(String, Value)]) -> Vec<(String, Value)> {
        fields.iter().map(|(name, value)| (name.clone(), self.value(value))).collect()
    }

    fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Entity(uid) => Value::Entity(self.name(uid)),
            Value::Set(values) => Value::Set(values.iter().map(|one| self.value(one)).collect()),
            Value::Record(fields) => Value::Record(self.fields(fields)),
            other => other.clone(),
        }
    }

    fn name(&mut self, uid: &Uid) -> Uid {
        let named = self.full(uid);
        self.short(named)
    }

    /// Leaves out the store's namespace where the name is understood without it.
    fn short(&self, uid: Uid) -> Uid {
        let own = self.schema.namespace().and_then(|namespace| {
            uid.type_name.strip_prefix(namespace).and_then(|rest| rest.strip_prefix("::"))
        });
        let same = |short: &&str| {
            let meant = self.schema.entity_type(short);
            *short == "Action" || meant.is_some_and(|meant| meant.to_string() == uid.type_name)
        };
        match own.filter(same) {
            Some(short) => Uid::new(short, uid.id.clone()),
            None => uid,
        }
    }

    fn full(&mut self, uid: &Uid) -> Uid {
        if self.is_named(uid) {
            return uid.clone();
        }
        // A role is named after its scope.
        if let Some((scope, slot)) = self.slot(uid) {
            let scope = self.full(&Uid::from(&scope));
            let scope = entity_named(self.schema, &scope);
            let role = scope.and_then(|scope| self.schema.role(&scope, &slot));
            return role.map_or_else(|| uid.clone(), |role| Uid::from(&role));
        }
        if let Some(given) = self.given.get(uid) {
            return given.clone();
        }
        let of_type = self.given.keys().filter(|other| other.type_name == uid.type_name).count();
        let people = if uid.type_name == self.people { &PEOPLE[..] } else { &[] };
        let ids = people.iter().map(|id| (*id).to_owned()).skip(of_type);
        let ids = ids.chain((1..).map(|number: usize| number.to_string()));
        let taken: BTreeSet<_> = self.given.values().cloned().collect();
        let fresh = ids
            .map(|id| Uid::new(uid.type_name.clone(), id))
            .find(|fresh| !self.is_named(fresh) && !taken.contains(fresh));
        let fresh = fresh.unwrap_or_else(|| uid.clone());
        self.given.insert(uid.clone(), fresh.clone());
        fresh
    }

    /// Returns the scope and the slot of a role.
    fn slot(&self, uid: &Uid) -> Option<(EntityUID, Slot)> {
        let uid = entity_named(self.schema, uid)?;
        self.schema.is_role(&uid).then(|| self.schema.scope_of(&uid))?
    }

    /// Returns whether an entity must keep its id.
    fn is_named(&self, uid: &Uid) -> bool {
        self.kept.contains(uid)
            || self.schema.is_action_type(&uid.type_name)
            || self.schema.enumerated(&uid.type_name).is_some()
    }
}
