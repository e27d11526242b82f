//! From the solver's counterexample to a request that can be asked.
//!
//! The solver gives entities with ids like `""` and `"A"`, slots that are attributes and roles that are
//! ancestors. A request has role assignments instead, and names that people read; and it says nothing
//! that makes no difference.

use std::collections::{BTreeSet, HashMap};

use cedar_policy_core::ast::{self, EntityUID, Literal, PartialValue, ValueKind};
use cedar_policy_symcc::Env;

use crate::{
    analysis::Witness,
    model::{OnForbidError, Timestamp, Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::{Schema, Slot},
};

/// The time of a witness, unless its context has another. `now` is a fact like others to the solver.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Makes a request of a counterexample. `named` are the entities that the policies name; those keep
/// their ids. `sent` returns of an entity what is sent of it, if anything is. Nothing where the solver left
/// something out.
pub(super) fn witness(
    schema: &Schema,
    counterexample: &Env,
    named: &BTreeSet<EntityUID>,
    sent: &dyn Fn(&ast::Entity) -> Option<ast::Entity>,
) -> Option<Witness> {
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
    let mut inputs = Vec::new();
    let mut role_assignments = Vec::new();
    for entity in &entities {
        let uid = entity.uid();
        if schema.is_role(uid) || uid.is_action() {
            continue;
        }
        let (held, parents): (Vec<_>, Vec<_>) =
            entity.ancestors().partition(|ancestor| schema.is_role(ancestor));
        for role in held {
            for (scope, slot) in roles.filled_by(role) {
                role_assignments.push(RoleAssignmentInput {
                    principal: Some(Uid::from(uid)),
                    role: slot.to_string(),
                    scope: Some(Uid::from(&scope)),
                    expires_at: None,
                });
            }
        }
        let Some(entity) = sent(entity) else { continue };
        let slots = schema.entity(uid.entity_type()).map(|shape| &shape.slots);
        let is_slot = |name: &str| slots.is_some_and(|slots| slots.contains_key(name));
        inputs.push(EntityInput {
            uid: Some(Uid::from(uid)),
            attributes: values(entity.attrs().filter(|(name, _)| !is_slot(name)))?,
            parents: parents.into_iter().map(Uid::from).collect(),
            tags: values(entity.tags())?,
            overrides: false,
        });
    }
    let input = RequestInput {
        principal: Some(Uid::from(principal)),
        action: Some(Uid::from(request.action().uid()?)),
        resource: Some(Uid::from(resource)),
        context,
        entities: inputs,
        role_assignments,
    };
    let input = Names::new(schema, named, principal).rename(&input);
    Some(Witness { input, now: NOW, on_forbid_error: OnForbidError::default() })
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

    /// Returns whether an entity must keep its id.
    fn is_named(&self, uid: &Uid) -> bool {
        self.kept.contains(uid)
            || self.schema.is_action_type(&uid.type_name)
            || self.schema.enumerated(&uid.type_name).is_some()
    }
}
