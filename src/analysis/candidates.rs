//! The values that an open fact is tried with.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{Eid, EntityType, EntityUID, Expr, ExprKind, Literal, Value};
use smol_str::SmolStr;

use super::{
    fact::{Candidate, Choice, Fact},
    names::name_of,
    world::World,
};
use crate::{
    engine::{Engine, PreparedPolicy},
    model::{self, Timestamp, duration_millis, extension},
    schema::{Schema, Shape},
};

/// Values tried for one fact.
const MOST: usize = 48;

/// Entities of one type that a store holds and that are tried.
const STORED: usize = 32;
/// Names of people that are made up.
const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// The literals of policies, around which values are tried.
#[derive(Debug, Default)]
pub(super) struct Constants {
    longs: BTreeSet<i64>,
    texts: BTreeSet<SmolStr>,
    entities: BTreeSet<EntityUID>,
    decimals: BTreeSet<String>,
    ips: BTreeSet<String>,
    moments: BTreeSet<i64>,
    durations: BTreeSet<i64>,
    /// The types of those who ask.
    principals: BTreeSet<EntityType>,
    /// Entities that the stores hold, by type: the first of each.
    stored: BTreeMap<EntityType, Vec<EntityUID>>,
}

impl Constants {
    /// Gathers the literals of all policies of the engines.
    pub(super) fn of<'a>(engines: impl IntoIterator<Item = &'a Engine>) -> Self {
        let mut constants = Self::default();
        let engines: Vec<&Engine> = engines.into_iter().collect();
        for action in engines.iter().flat_map(|engine| engine.schema().actions()) {
            constants.principals.extend(action.principals.iter().cloned());
        }
        constants.gather_stored(&engines);
        for policy in engines.iter().flat_map(|engine| engine.slices().policies()) {
            constants.add_policy(policy);
        }
        constants
    }

    fn add_policy(&mut self, policy: &PreparedPolicy) {
        self.entities.extend(policy.variables().values().cloned());
        let scopes = [policy.principal(), policy.resource()];
        let named = scopes.iter().filter_map(|scope| scope.entity.as_deref().cloned());
        self.entities.extend(named);
        for expr in policy.condition().into_iter().flat_map(Expr::subexpressions) {
            self.add(expr);
        }
    }

    fn gather_stored(&mut self, engines: &[&Engine]) {
        for engine in engines {
            for uid in engine.stored().uids() {
                if engine.schema().entity(uid.entity_type()).is_some() {
                    self.stored.entry(uid.entity_type().clone()).or_default().push(uid.clone());
                }
            }
        }
        for uids in self.stored.values_mut() {
            uids.sort_unstable();
            uids.dedup();
            uids.truncate(STORED);
        }
    }

    fn add(&mut self, expr: &Expr) {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::Long(value)) => drop(self.longs.insert(*value)),
            ExprKind::Lit(Literal::String(text)) => drop(self.texts.insert(text.clone())),
            ExprKind::Lit(Literal::EntityUID(uid)) => drop(self.entities.insert((**uid).clone())),
            ExprKind::Like { pattern, .. } => {
                let text: String = pattern.iter().filter_map(ordinary).collect();
                self.texts.insert(text.into());
            }
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                let Some(ExprKind::Lit(Literal::String(text))) = args.first().map(Expr::expr_kind)
                else {
                    return;
                };
                match fn_name.to_string().as_str() {
                    "decimal" => drop(self.decimals.insert(text.to_string())),
                    "ip" => drop(self.ips.insert(text.to_string())),
                    "datetime" => {
                        let moment: Option<Timestamp> = text.parse().ok();
                        self.moments.extend(moment.map(Timestamp::as_millis));
                    }
                    "duration" => self.durations.extend(duration_millis(text)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Returns whether entities of the type ask.
    pub(super) fn is_principal(&self, ty: &EntityType) -> bool {
        self.principals.contains(ty)
    }

    /// Returns the entities of a type that policies name, in order.
    pub(super) fn entities_of(&self, ty: &EntityType) -> impl Iterator<Item = &EntityUID> {
        self.entities.iter().filter(move |uid| uid.entity_type() == ty)
    }

    /// Returns a scope of the type that policies name, directly or by one of its roles.
    pub(super) fn scopes_of(&self, schema: &Schema, ty: &EntityType) -> Option<EntityUID> {
        let roles = self.entities.iter().filter_map(|uid| schema.scope_of(uid));
        let of_roles = roles.map(|(scope, _)| scope).find(|scope| scope.entity_type() == ty);
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
        examples.extend(self.stored.get(ty).into_iter().flatten().cloned());
        let roles = self.entities.iter().filter_map(|uid| schema.scope_of(uid));
        examples.extend(roles.map(|(scope, _)| scope).filter(|scope| scope.entity_type() == ty));
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

    /// Returns what a fact may be, the plainest first.
    pub(super) fn choices(&self, world: &World<'_>, fact: &Fact) -> Vec<Choice> {
        let (shape, required) = match fact {
            Fact::Member(..) => return vec![Choice::Member(false), Choice::Member(true)],
            Fact::Field(place) => match world.shape(place) {
                Some(found) => found,
                None => return vec![Choice::Absent],
            },
            Fact::Tag(uid, _) => {
                let declared = world.schema.entity(uid.entity_type());
                match declared.and_then(|shape| shape.tags.as_ref()) {
                    Some(shape) => (shape, false),
                    None => return vec![Choice::Absent],
                }
            }
        };
        let mut choices = Vec::new();
        if !required {
            choices.push(Choice::Absent);
        }
        if matches!((shape, fact), (Shape::Record(_), Fact::Field(_))) {
            choices.push(Choice::Record);
            return choices;
        }
        let values = self.values(world, shape);
        choices.extend(values.into_iter().take(MOST).map(Choice::Value));
        choices
    }

    /// Returns values of a type, the plainest first.
    pub(super) fn values(&self, world: &World<'_>, shape: &Shape) -> Vec<Candidate> {
        match shape {
            Shape::Bool => [false, true]
                .map(|value| Candidate { sent: model::Value::Bool(value), known: value.into() })
                .into(),
            Shape::Long => around(&self.longs)
                .into_iter()
                .map(|value| Candidate { sent: model::Value::Long(value), known: value.into() })
                .collect(),
            Shape::String => {
                let mut texts = vec![SmolStr::from("text")];
                texts.extend(self.texts.iter().cloned());
                let candidate = |text: SmolStr| Candidate {
                    sent: model::Value::String(text.to_string()),
                    known: text.into(),
                };
                texts.into_iter().map(candidate).collect()
            }
            Shape::Entity(ty) => {
                self.entities(world, ty).into_iter().map(|uid| entity(world.schema, uid)).collect()
            }
            Shape::Set(element) => sets(self.values(world, element)),
            Shape::Record(record) => {
                // Inside a set or a tag: the required fields, each with its plainest value.
                let required = record.fields.iter().filter(|(_, field)| field.required);
                let fields: Option<Vec<_>> = required
                    .map(|(name, field)| {
                        let value = self.values(world, &field.shape).into_iter().next()?;
                        Some((name.clone(), value))
                    })
                    .collect();
                fields.map(record_of).into_iter().collect()
            }
            Shape::Extension(name) => self.extension(world, name),
        }
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
        found.push(self.fresh(ty, &spoken_of));
        found.extend(self.entities_of(ty).cloned());
        found.extend(self.stored.get(ty).into_iter().flatten().cloned());
        let mut seen = BTreeSet::new();
        found.retain(|uid| seen.insert(uid.clone()));
        found
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
                    let (before, after) = (now.saturating_sub(*span), now.saturating_add(*span));
                    moments.extend([before, before - 1, before + 1, after, after - 1, after + 1]);
                }
                moments.extend([now - 1, now + 1]);
                moments.extend(self.moments.iter().flat_map(|at| [*at, at - 1, at + 1]));
                let mut seen = BTreeSet::new();
                moments.retain(|moment| seen.insert(*moment));
                let candidate = |at| {
                    let moment = Timestamp::from_millis(at);
                    made(model::Value::Datetime(moment), extension::datetime(moment))
                };
                moments.into_iter().filter_map(candidate).collect()
            }
            "duration" => around(&self.durations)
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

/// Returns the entities that a policy names, and the scopes of which it names a role.
pub(super) fn named_by(policy: &PreparedPolicy, schema: &Schema) -> Vec<EntityUID> {
    let mut constants = Constants::default();
    constants.add_policy(policy);
    let scopes = constants.entities.iter().filter_map(|uid| schema.scope_of(uid));
    let scopes: Vec<_> = scopes.map(|(scope, _)| scope).collect();
    constants.entities.into_iter().chain(scopes).collect()
}

/// The character that a part of a pattern stands for; none for `*`.
fn ordinary(part: &cedar_policy_core::ast::PatternElem) -> Option<char> {
    match part {
        cedar_policy_core::ast::PatternElem::Char(c) => Some(*c),
        cedar_policy_core::ast::PatternElem::Wildcard => None,
    }
}

/// Returns numbers and their neighbours, after 0 and 1.
fn around(numbers: &BTreeSet<i64>) -> Vec<i64> {
    let mut all = vec![0, 1];
    for number in numbers {
        all.extend([*number, number.saturating_sub(1), number.saturating_add(1)]);
    }
    all.push(-1);
    let mut seen = BTreeSet::new();
    all.retain(|number| seen.insert(*number));
    all
}

/// Returns a decimal and its neighbours, in the four places that Cedar has.
fn near_decimal(text: &str) -> Vec<String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let Some((whole, part)) = digits.split_once('.') else { return vec![text.to_owned()] };
    let Ok(units) = format!("{whole}{part:0<4}").parse::<i64>() else {
        return vec![text.to_owned()];
    };
    let units = if negative { -units } else { units };
    let near = [units.saturating_sub(1), units.saturating_add(1)].map(|units| {
        let sign = if units < 0 { "-" } else { "" };
        let units = units.unsigned_abs();
        format!("{sign}{}.{:04}", units / 10_000, units % 10_000)
    });
    std::iter::once(text.to_owned()).chain(near).collect()
}

/// The empty set, each value alone, and all together.
fn sets(values: Vec<Candidate>) -> Vec<Candidate> {
    let set = |values: Vec<Candidate>| {
        let (sent, known) =
            values.into_iter().map(|value| (value.sent, value.known)).unzip::<_, _, _, Vec<_>>();
        Candidate { sent: model::Value::Set(sent), known: Value::set(known, None) }
    };
    let alone = values.iter().cloned().map(|value| set(vec![value]));
    let mut sets: Vec<_> = std::iter::once(set(Vec::new())).chain(alone).collect();
    if values.len() > 1 {
        sets.insert(2, set(values));
    }
    sets
}

fn record_of(fields: Vec<(SmolStr, Candidate)>) -> Candidate {
    let sent = fields.iter().map(|(name, value)| (name.to_string(), value.sent.clone()));
    let sent = model::Value::Record(sent.collect());
    let known = fields.into_iter().map(|(name, value)| (name, value.known));
    Candidate { sent, known: Value::record(known, None) }
}

fn entity(schema: &Schema, uid: EntityUID) -> Candidate {
    let sent = model::Value::Entity(name_of(schema, &uid));
    Candidate { sent, known: uid.into() }
}
