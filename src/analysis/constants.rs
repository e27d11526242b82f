//! The literals of policies, and the values that an open fact is tried with because of them.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{Eid, EntityType, EntityUID, Value};
use smol_str::SmolStr;

use super::{
    fact::{Candidate, Choice, Fact},
    literals::fits,
    names::entity_named,
    near::{
        around, entity, near_decimal, near_moment, record_of, sets, spoken_longs, spoken_moments,
        spoken_texts, with_element,
    },
    texts::Texts,
    world::World,
};
use crate::{
    engine::PreparedPolicy,
    model::{self, Timestamp, extension},
    schema::{FieldShape, Schema, Shape},
};

/// Values tried for one fact.
const MOST: usize = 48;

/// Names of people that are made up.
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// The literals of policies, around which values are tried.
#[derive(Debug, Default)]
pub(super) struct Constants {
    pub longs: BTreeSet<i64>,
    pub texts: Texts,
    /// Sets and records that are written out.
    pub wholes: Vec<Value>,
    /// The number of those that are not tried, for there are too many.
    pub wholes_left_out: usize,
    pub entities: BTreeSet<EntityUID>,
    /// Entities of the stores that those lead to, or that are to be tried besides.
    pub reached: BTreeSet<EntityUID>,
    pub decimals: BTreeSet<String>,
    pub ips: BTreeSet<String>,
    pub moments: BTreeSet<i64>,
    pub durations: BTreeSet<i64>,
    /// The types of those who ask.
    pub principals: BTreeSet<EntityType>,
    /// Entities that the stores hold, by type: the first of each.
    pub stored: BTreeMap<EntityType, Vec<EntityUID>>,
}

impl Constants {
    /// Returns whether entities of the type ask.
    pub(super) fn is_principal(&self, ty: &EntityType) -> bool {
        self.principals.contains(ty)
    }

    /// Returns the entities of a type that policies name, in order.
    pub(super) fn entities_of(&self, ty: &EntityType) -> impl Iterator<Item = &EntityUID> {
        self.entities.iter().filter(move |uid| uid.entity_type() == ty)
    }

    fn reached_of(&self, ty: &EntityType) -> impl Iterator<Item = &EntityUID> {
        self.reached.iter().filter(move |uid| uid.entity_type() == ty)
    }

    /// Returns a scope of the type that policies name, directly or by one of its roles.
    pub(super) fn scopes_of(&self, schema: &Schema, ty: &EntityType) -> Option<EntityUID> {
        let roles = self.entities.iter().filter_map(|uid| schema.scope_of(uid));
        let is_example = |scope: &EntityUID| scope.entity_type() == ty && !is_nameless(scope);
        let of_roles = roles.map(|(scope, _)| scope).find(is_example);
        let has_slots = schema.entity(ty).is_some_and(|shape| !shape.slots.is_empty());
        of_roles.or_else(|| self.entities_of(ty).next().filter(|_| has_slots).cloned())
    }

    /// Returns the entities of a type to try as a principal or a resource.
    pub(super) fn examples(&self, schema: &Schema, ty: &EntityType) -> Vec<EntityUID> {
        if let Some(ids) = schema.entity(ty).and_then(|shape| shape.ids.as_ref()) {
            let mut ids: Vec<_> = ids.iter().collect();
            ids.sort_unstable();
            let uid =
                |id: &SmolStr| EntityUID::from_components(ty.clone(), Eid::new(id.clone()), None);
            return ids.into_iter().map(uid).collect();
        }
        let one = self.fresh(ty, &[]);
        let mut examples = vec![one.clone()];
        if self.principals.contains(ty) {
            // Somebody may ask about themselves, or about another.
            examples.push(self.fresh(ty, &[one]));
        }
        examples.extend(self.entities_of(ty).cloned());
        examples.extend(self.reached_of(ty).cloned());
        let roles = self.entities.iter().filter_map(|uid| schema.scope_of(uid));
        examples.extend(roles.map(|(scope, _)| scope).filter(|scope| scope.entity_type() == ty));
        examples.retain(|uid| !is_nameless(uid));
        let mut seen = BTreeSet::new();
        examples.retain(|uid| seen.insert(uid.clone()));
        examples
    }

    /// Makes up an entity that no policy names and that is not among those that are spoken of.
    pub(super) fn fresh(&self, ty: &EntityType, spoken_of: &[EntityUID]) -> EntityUID {
        let people: &[&str] = if self.principals.contains(ty) { &PEOPLE } else { &[] };
        let taken = |uid: &EntityUID| spoken_of.contains(uid) || self.entities.contains(uid);
        let uid = |id: String| EntityUID::from_components(ty.clone(), Eid::new(id), None);
        let people = people.iter().map(ToString::to_string);
        let names = people.chain((1..).map(|number: u32| number.to_string()));
        let mut free = names.map(uid).filter(|uid| !taken(uid));
        // There are more numbers than entities.
        free.next().unwrap_or_else(|| EntityUID::from_components(ty.clone(), Eid::new("1"), None))
    }

    /// Returns what a fact may be, the plainest first, and how many values there are where those are not
    /// all that should be tried.
    pub(super) fn choices(&self, world: &World<'_>, fact: &Fact) -> (Vec<Choice>, Option<usize>) {
        let (shape, required) = match fact {
            Fact::Member(..) => return (vec![Choice::Holds(false), Choice::Holds(true)], None),
            Fact::Sent(_) => return (vec![Choice::Holds(true), Choice::Holds(false)], None),
            Fact::Field(place) => match world.shape(place) {
                Some(found) => found,
                None => return (vec![Choice::Absent], None),
            },
            Fact::Tag(uid, _) => {
                let declared = world.schema.entity(uid.entity_type());
                match declared.and_then(|shape| shape.tags.as_ref()) {
                    Some(shape) => (shape, false),
                    None => return (vec![Choice::Absent], None),
                }
            }
        };
        let mut choices = Vec::new();
        if !required {
            choices.push(Choice::Absent);
        }
        if matches!((shape, fact), (Shape::Record(_), Fact::Field(_))) {
            choices.push(Choice::Record);
            return (choices, None);
        }
        let values = self.values(world, shape);
        let left_out = match shape {
            Shape::Set(_) | Shape::Record(_) => self.wholes_left_out,
            _ => 0,
        };
        let beyond = Some(values.len() + left_out).filter(|count| left_out > 0 || *count > MOST);
        choices.extend(values.into_iter().take(MOST).map(Choice::Value));
        (choices, beyond)
    }

    /// Returns values of a type, the plainest first.
    pub(super) fn values(&self, world: &World<'_>, shape: &Shape) -> Vec<Candidate> {
        match shape {
            Shape::Bool => [false, true]
                .map(|value| Candidate { sent: model::Value::Bool(value), known: value.into() })
                .into(),
            Shape::Long => around(self.longs.iter().copied().chain(spoken_longs(world)))
                .into_iter()
                .map(|value| Candidate { sent: model::Value::Long(value), known: value.into() })
                .collect(),
            Shape::String => {
                let candidate = |text: SmolStr| Candidate {
                    sent: model::Value::String(text.to_string()),
                    known: text.into(),
                };
                self.texts.tried(&spoken_texts(world)).into_iter().map(candidate).collect()
            }
            Shape::Entity(ty) => {
                self.entities(world, ty).into_iter().map(|uid| entity(world.schema, uid)).collect()
            }
            Shape::Set(element) => {
                let mut sets = sets(self.values(world, element));
                let place = sets.len().min(1);
                sets.splice(place..place, self.wholes_of(shape));
                // Those that have more than a policy writes out or looks for.
                if let Some(unnamed) = self.unnamed(world, element) {
                    sets.extend(with_element(&sets, &unnamed));
                }
                sets
            }
            Shape::Record(record) => {
                // Inside a set or a tag: the required fields, each with its plainest value, those that are
                // written out, and the first with each other value of one of the fields.
                let values = |field: &FieldShape| self.values(world, &field.shape);
                let required = record.fields.iter().filter(|(_, field)| field.required);
                let plain: Option<Vec<_>> = required
                    .map(|(name, field)| Some((name.clone(), values(field).into_iter().next()?)))
                    .collect();
                let Some(plain) = plain else { return self.wholes_of(shape) };
                let others = record.fields.iter().flat_map(|(name, field)| {
                    let others = values(field).into_iter().skip(usize::from(field.required));
                    let with = |value: Candidate| {
                        let kept = plain.iter().filter(|(other, _)| other != name).cloned();
                        record_of(kept.chain([(name.clone(), value)]).collect())
                    };
                    others.map(with).collect::<Vec<_>>()
                });
                let others: Vec<_> = others.collect();
                let written = self.wholes_of(shape);
                std::iter::once(record_of(plain)).chain(written).chain(others).collect()
            }
            Shape::Extension(name) => self.extension(world, name),
        }
    }

    /// Returns a value of a type that no policy names, where there is one that is plain.
    fn unnamed(&self, world: &World<'_>, shape: &Shape) -> Option<Candidate> {
        let is_named = |value: &model::Value| match value {
            model::Value::String(text) => self.texts.names(text),
            model::Value::Long(number) => self.longs.contains(number),
            model::Value::Entity(uid) => {
                entity_named(world.schema, uid).is_none_or(|uid| self.entities.contains(&uid))
            }
            // The others are few, or compared with ranges.
            _ => true,
        };
        self.values(world, shape).into_iter().find(|value| !is_named(&value.sent))
    }

    /// Returns the sets or records of a type that policies write out.
    fn wholes_of(&self, shape: &Shape) -> Vec<Candidate> {
        let of_type = self.wholes.iter().filter(|value| fits(value, shape));
        let candidate = |value: &Value| {
            let sent = model::Value::from_cedar(value)?;
            Some(Candidate { sent, known: value.clone() })
        };
        of_type.filter_map(candidate).collect()
    }

    fn entities(&self, world: &World<'_>, ty: &EntityType) -> Vec<EntityUID> {
        if let Some(ids) = world.schema.entity(ty).and_then(|shape| shape.ids.as_ref()) {
            let mut ids: Vec<_> = ids.iter().collect();
            ids.sort_unstable();
            let uid =
                |id: &SmolStr| EntityUID::from_components(ty.clone(), Eid::new(id.clone()), None);
            return ids.into_iter().map(uid).collect();
        }
        let spoken_of = world.entities();
        let mut found: Vec<_> =
            spoken_of.iter().filter(|uid| uid.entity_type() == ty).cloned().collect();
        if world.schema.is_role_type(ty) {
            found.extend(self.roles(world.schema, ty, &spoken_of));
        }
        found.push(self.fresh(ty, &spoken_of));
        found.extend(self.entities_of(ty).cloned());
        found.extend(self.reached_of(ty).cloned());
        found.extend(self.stored.get(ty).into_iter().flatten().cloned());
        let mut seen = BTreeSet::new();
        found.retain(|uid| seen.insert(uid.clone()));
        found
    }

    /// Returns the roles of a type on the scopes that are spoken of, on those that are named, and on one
    /// more of each type.
    fn roles(&self, schema: &Schema, ty: &EntityType, spoken_of: &[EntityUID]) -> Vec<EntityUID> {
        let mut shapes: Vec<_> = schema.entities().collect();
        shapes.sort_unstable_by(|a, b| a.entity_type.cmp(&b.entity_type));
        let roles = shapes.into_iter().flat_map(|shape| {
            let slots = shape.slots.iter().filter(|(_, role_type)| *role_type == ty);
            let slots: Vec<_> = slots.map(|(slot, _)| slot).collect();
            let of_type = |scope: &&EntityUID| *scope.entity_type() == shape.entity_type;
            let mut scopes: Vec<_> = spoken_of.iter().filter(of_type).cloned().collect();
            if !slots.is_empty() {
                scopes.push(self.fresh(&shape.entity_type, spoken_of));
                scopes.extend(self.entities_of(&shape.entity_type).cloned());
            }
            let roles = scopes.into_iter().flat_map(move |scope| {
                slots.clone().into_iter().filter_map(move |slot| schema.role(&scope, slot))
            });
            roles.collect::<Vec<_>>()
        });
        roles.collect()
    }

    fn extension(&self, world: &World<'_>, name: &str) -> Vec<Candidate> {
        let made = |sent: model::Value, known: Result<Value, String>| {
            known.ok().map(|known| Candidate { sent, known })
        };
        match name {
            "datetime" => {
                let now = world.request.now.as_millis();
                let mut moments = vec![now];
                for span in &self.durations {
                    moments.extend(near_moment(now.saturating_sub(*span)));
                    moments.extend(near_moment(now.saturating_add(*span)));
                }
                moments.extend([now - 1, now + 1]);
                moments.extend(spoken_moments(world).flat_map(near_moment));
                moments.extend(self.moments.iter().copied().flat_map(near_moment));
                // No request has another.
                moments.retain(|moment| Timestamp::from_millis(*moment).is_in_range());
                let mut seen = BTreeSet::new();
                moments.retain(|moment| seen.insert(*moment));
                let candidate = |at| {
                    let moment = Timestamp::from_millis(at);
                    made(model::Value::Datetime(moment), extension::datetime(moment))
                };
                moments.into_iter().filter_map(candidate).collect()
            }
            "duration" => around(self.durations.iter().copied())
                .into_iter()
                .filter_map(|span| made(model::Value::Duration(span), extension::duration(span)))
                .collect(),
            "decimal" => {
                let texts = self.decimals.iter().flat_map(|text| near_decimal(text));
                std::iter::once("0.0".to_owned())
                    .chain(texts)
                    .filter_map(|text| {
                        let known = extension::decimal(&text);
                        made(model::Value::Decimal(text), known)
                    })
                    .collect()
            }
            _ => {
                let plain = ["192.0.2.1", "127.0.0.1", "224.0.0.1", "::1", "2001:db8::1"];
                let texts = plain.iter().map(ToString::to_string);
                texts
                    .chain(self.ips.iter().cloned())
                    .filter_map(|text| {
                        let known = extension::ip(&text);
                        made(model::Value::Ip(text), known)
                    })
                    .collect()
            }
        }
    }
}

/// Returns whether an id is empty. Such an entity is in no request.
pub(super) fn is_nameless(uid: &EntityUID) -> bool {
    AsRef::<str>::as_ref(uid.eid()).is_empty()
}

/// Returns the entities that a policy names, and the scopes of which it names a role.
pub(super) fn named_by(policy: &PreparedPolicy, schema: &Schema) -> Vec<EntityUID> {
    let mut constants = Constants::default();
    constants.add_policy(policy);
    let scopes = constants.entities.iter().filter_map(|uid| schema.scope_of(uid));
    let scopes: Vec<_> = scopes.map(|(scope, _)| scope).collect();
    constants.entities.into_iter().chain(scopes).filter(|uid| !is_nameless(uid)).collect()
}
