//! Values around those that policies name and that a request has already.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityUID, Value, ValueKind};
use smol_str::SmolStr;

use super::{
    fact::{Candidate, Choice},
    names::name_of,
    world::World,
};
use crate::{model, schema::Schema};

/// Returns the values that were chosen.
fn spoken<'w>(world: &'w World<'_>) -> impl Iterator<Item = &'w model::Value> {
    world.choices().iter().filter_map(|(_, choice)| match choice {
        Choice::Value(candidate) => Some(&candidate.sent),
        _ => None,
    })
}

pub(super) fn spoken_longs(world: &World<'_>) -> impl Iterator<Item = i64> {
    spoken(world).filter_map(|value| match value {
        model::Value::Long(number) => Some(*number),
        _ => None,
    })
}

pub(super) fn spoken_moments(world: &World<'_>) -> impl Iterator<Item = i64> {
    spoken(world).filter_map(|value| match value {
        model::Value::Datetime(moment) => Some(moment.as_millis()),
        _ => None,
    })
}

/// Returns the texts that were chosen or given.
pub(super) fn spoken_texts(world: &World<'_>) -> Vec<SmolStr> {
    let given = world.input.context.iter().map(|(_, value)| value);
    let of_entities = world.input.entities.iter().flat_map(|entity| &entity.attributes);
    let all = spoken(world).chain(given).chain(of_entities.map(|(_, value)| value));
    let texts = all.filter_map(|value| match value {
        model::Value::String(text) => Some(SmolStr::from(text.as_str())),
        _ => None,
    });
    texts.collect()
}

/// Returns numbers and their neighbours, after 0 and 1.
pub(super) fn around(numbers: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut all = vec![0, 1];
    for number in numbers {
        all.extend([number, number.saturating_sub(1), number.saturating_add(1)]);
    }
    all.push(-1);
    // For two facts of which one is beyond the other.
    let ends = (all.iter().max().copied(), all.iter().min().copied());
    if let (Some(most), Some(least)) = ends {
        all.extend([most.saturating_add(1), least.saturating_sub(1)]);
    }
    let mut seen = BTreeSet::new();
    all.retain(|number| seen.insert(*number));
    all
}

/// Returns a moment and its neighbours.
pub(super) fn near_moment(millis: i64) -> [i64; 3] {
    [millis, millis.saturating_sub(1), millis.saturating_add(1)]
}

/// Returns a decimal and its neighbours, in the four places that Cedar has.
pub(super) fn near_decimal(text: &str) -> Vec<String> {
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

/// Returns the empty set, each value alone, and all together.
pub(super) fn sets(values: Vec<Candidate>) -> Vec<Candidate> {
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

/// Returns those of the sets that lack an element, with it.
pub(super) fn with_element(sets: &[Candidate], element: &Candidate) -> Vec<Candidate> {
    let with = sets.iter().filter_map(|set| match (&set.sent, &set.known.value) {
        (model::Value::Set(sent), ValueKind::Set(known)) if !known.contains(&element.known) => {
            let sent = sent.iter().chain([&element.sent]).cloned().collect();
            let known = known.iter().chain([&element.known]).cloned();
            Some(Candidate { sent: model::Value::Set(sent), known: Value::set(known, None) })
        }
        _ => None,
    });
    // The element alone is there already.
    with.filter(|set| !sets.iter().any(|other| other.known == set.known)).collect()
}

pub(super) fn record_of(fields: Vec<(SmolStr, Candidate)>) -> Candidate {
    let sent = fields.iter().map(|(name, value)| (name.to_string(), value.sent.clone()));
    let sent = model::Value::Record(sent.collect());
    let known = fields.into_iter().map(|(name, value)| (name, value.known));
    Candidate { sent, known: Value::record(known, None) }
}

pub(super) fn entity(schema: &Schema, uid: EntityUID) -> Candidate {
    let sent = model::Value::Entity(name_of(schema, &uid));
    Candidate { sent, known: uid.into() }
}
