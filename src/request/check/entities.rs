//! Checks the entities that a caller sends.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use cedar_policy_core::ast::{Entity, EntityUID, PartialValue, Value};
use smol_str::SmolStr;

use super::checker::{Checker, listed};
use crate::{
    request::{EntityFacts, EntityInput, FieldPath, SentEntities},
    schema::EntityShape,
};

impl<'a> Checker<'a> {
    /// Checks entities, which are laid over shared ones.
    pub(in crate::request) fn entities(
        &mut self,
        sent: &[EntityInput],
        shared: Option<Arc<SentEntities>>,
    ) -> SentEntities {
        let list = FieldPath::Field("entities");
        let count = sent.len() + shared.as_ref().map_or(0, |shared| shared.len());
        if !self.count_fits(&list, count, ("entities", self.limits.entities)) {
            return SentEntities::default();
        }
        if sent.is_empty() {
            return SentEntities::default();
        }
        let mut entities: Vec<EntityFacts> = Vec::with_capacity(sent.len());
        let mut places: HashMap<EntityUID, usize> = HashMap::with_capacity(sent.len());
        for (index, entity) in sent.iter().enumerate() {
            let path = FieldPath::Index(&list, index);
            let Some(facts) = self.entity(&path, entity) else { continue };
            match places.entry(facts.uid.clone()) {
                Entry::Vacant(place) => {
                    place.insert(index);
                    entities.push(facts);
                }
                Entry::Occupied(place) => {
                    let first = entities.iter().find(|first| first.uid == facts.uid);
                    if first.is_none_or(|first| !first.says_the_same(&facts)) {
                        let first = place.get();
                        self.violation(
                            &FieldPath::Of(&path, "uid"),
                            format!("the same entity as entities[{first}], and another value: send it once"),
                        );
                    }
                }
            }
        }
        let mut entities = SentEntities::new(self.schema(), entities);
        if let Some(shared) = shared {
            entities = entities.over(shared);
        }
        self.no_cycle(&entities, &places);
        entities
    }

    fn entity(&mut self, path: &FieldPath<'_>, sent: &EntityInput) -> Option<EntityFacts> {
        let uid_path = FieldPath::Of(path, "uid");
        let uid = self.required(&uid_path, sent.uid.as_ref())?;
        let Some(shape) = self.schema().entity(uid.entity_type()) else {
            self.action_entity(path, sent, &uid);
            return None;
        };
        self.values_limit = "entity_values";
        self.values_left = self.limits.entity_values.saturating_add(1);
        let attributes_path = FieldPath::Of(path, "attributes");
        let attributes = self.fields(&attributes_path, &sent.attributes, &shape.attributes);
        for (name, _) in
            sent.attributes.iter().filter(|(name, _)| shape.slots.contains_key(&**name))
        {
            self.violation(
                &FieldPath::Of(&attributes_path, name),
                "a role slot is filled by role assignments alone: send one instead of the attribute",
            );
        }
        if self.is_unreadable(&uid) {
            let description = format!(
                "the directory holds `{uid}`, in a row that cannot be read: do not send it, and mend \
                 the row"
            );
            self.violation(&uid_path, description);
            return None;
        }
        let held = self.held(&uid);
        let stored = self.known.stored.get(&uid);
        let is_held = |name: &str| match (held, stored) {
            (Some(held), _) => held.attributes.iter().any(|(held, _)| held == name),
            (None, Some(stored)) => sent.overrides && stored.get(name).is_some(),
            (None, None) => false,
        };
        let given = |name: &str| {
            let is_sent = || sent.attributes.iter().any(|(sent, _)| sent == name);
            shape.slots.contains_key(name) || is_sent() || is_held(name)
        };
        let missing: Vec<_> = shape.attributes.missing(given).collect();
        for (name, value) in missing {
            self.violation(
                &FieldPath::Of(&attributes_path, name),
                format!("missing: `{}` requires {}", uid.entity_type(), value.with_article()),
            );
        }
        let tags = self.tags(&FieldPath::Of(path, "tags"), sent, shape);
        let parents = self.parents(&FieldPath::Of(path, "parents"), sent, shape);
        if !parents.is_empty() && self.refuses_facts() {
            self.violation(
                &FieldPath::Of(path, "parents"),
                "the store's directory says what an entity is in: send none (`request_facts` in \
                 its `store.toml` is `refuse`)",
            );
        }
        let facts = EntityFacts { uid, attributes, parents, tags };
        if let Some(held) = held {
            return self.beside_held(path, facts, held, sent.overrides);
        }
        let Some(stored) = stored else { return Some(facts) };
        if sent.overrides {
            return Some(over_stored(facts, stored, shape));
        }
        if !is_as_stored(&facts, stored, shape) {
            let description = format!(
                "the policy store holds `{}` itself, and with another value: do not send it",
                facts.uid
            );
            self.violation(&uid_path, description);
        }
        None
    }

    /// Returns whether the directory holds something of an entity that cannot be read.
    fn is_unreadable(&self, uid: &EntityUID) -> bool {
        self.known.held.is_some_and(|held| {
            held.facts.place(uid).is_some_and(|place| held.facts.is_unreadable(place))
        })
    }

    /// Returns what the directory holds of an entity.
    fn held(&self, uid: &EntityUID) -> Option<&'a EntityFacts> {
        let facts = &self.known.held?.facts;
        facts.entity(facts.place(uid)?)
    }

    /// Adds what was sent of an entity to what the directory holds of it.
    fn beside_held(
        &mut self,
        path: &FieldPath<'_>,
        sent: EntityFacts,
        held: &EntityFacts,
        overrides: bool,
    ) -> Option<EntityFacts> {
        let refuses = self.refuses_facts();
        let mut all = held.clone();
        for (list, sent, all) in [
            ("attributes", sent.attributes, &mut all.attributes),
            ("tags", sent.tags, &mut all.tags),
        ] {
            let list = FieldPath::Of(path, list);
            for (name, value) in sent {
                match all.iter_mut().find(|(held, _)| *held == name) {
                    Some((_, held)) if *held == value => {}
                    Some((_, held)) if overrides => *held = value,
                    None if overrides => all.push((name, value)),
                    None if !refuses => all.push((name, value)),
                    _ => self.violation(
                        &FieldPath::Of(&list, &name),
                        format!(
                            "the directory holds `{}`, and without this: do not send it",
                            held.uid
                        ),
                    ),
                }
            }
        }
        for parent in sent.parents {
            if !all.parents.contains(&parent) {
                all.parents.push(parent);
            }
        }
        Some(all)
    }

    /// Checks an action that is sent as an entity, as Cedar takes it: equal to the schema's.
    fn action_entity(&mut self, path: &FieldPath<'_>, sent: &EntityInput, uid: &EntityUID) {
        let list = FieldPath::Of(path, "parents");
        let parents: Vec<_> = sent.parents.iter().filter_map(|uid| self.uid(&list, uid)).collect();
        let is_same = sent.attributes.is_empty()
            && sent.tags.is_empty()
            && parents.len() == sent.parents.len()
            && self.known.stored.get(uid).is_some_and(|stored| are_parents_of(&parents, stored));
        if !is_same {
            let description = format!("`{uid}` is not as the schema declares it: do not send it");
            self.violation(&FieldPath::Of(path, "uid"), description);
        }
    }

    fn tags(
        &mut self,
        path: &FieldPath<'_>,
        sent: &EntityInput,
        shape: &EntityShape,
    ) -> Vec<(SmolStr, Value)> {
        let Some(tag) = &shape.tags else {
            if !sent.tags.is_empty() {
                self.violation(path, format!("`{}` has no tags", shape.entity_type));
            }
            return Vec::new();
        };
        let mut tags = Vec::with_capacity(sent.tags.len());
        for (name, value) in &sent.tags {
            let path = FieldPath::Of(path, name);
            if self.text_fits(&path, name)
                && let Some(value) = self.value(&path, value, tag, 1)
            {
                tags.push((name.as_str().into(), value));
            }
        }
        tags
    }

    fn parents(
        &mut self,
        list: &FieldPath<'_>,
        sent: &EntityInput,
        shape: &EntityShape,
    ) -> Vec<EntityUID> {
        if !self.count_fits(list, sent.parents.len(), ("parents", self.limits.parents)) {
            return Vec::new();
        }
        let mut parents = Vec::with_capacity(sent.parents.len());
        for (index, parent) in sent.parents.iter().enumerate() {
            let path = FieldPath::Index(list, index);
            let Some(parent) = self.uid(&path, parent) else { continue };
            if shape.parents.contains(parent.entity_type()) {
                parents.push(parent);
            } else {
                let types = if shape.parents.is_empty() {
                    "it can be in nothing".to_owned()
                } else {
                    format!("it can be in {}", listed(&shape.parents))
                };
                self.violation(
                    &path,
                    format!(
                        "a `{}` cannot be in a `{}`: {types}",
                        shape.entity_type,
                        parent.entity_type()
                    ),
                );
            }
        }
        parents
    }

    /// Refuses entities that are in each other in a circle: `in` would mean nothing.
    fn no_cycle(&mut self, entities: &SentEntities, places: &HashMap<EntityUID, usize>) {
        let mut free: HashSet<&EntityUID> = HashSet::with_capacity(places.len());
        let mut starts: Vec<_> = places.iter().collect();
        // The same request always gets the same place.
        starts.sort_unstable_by_key(|(_, index)| **index);
        for start in starts.into_iter().filter_map(|(uid, _)| entities.get(uid)) {
            // Depth first; an entity is free of cycles once everything above it is.
            let mut path: Vec<(&EntityFacts, usize)> = vec![(start, 0)];
            let mut on_path: HashSet<&EntityUID> = HashSet::from([&start.uid]);
            while let Some((entity, next)) = path.last_mut() {
                let Some(parent) = entity.parents.get(*next) else {
                    on_path.remove(&entity.uid);
                    free.insert(&entity.uid);
                    path.pop();
                    continue;
                };
                *next += 1;
                if on_path.contains(parent) {
                    let index = places.get(&entity.uid).copied().unwrap_or_default();
                    let list = FieldPath::Field("entities");
                    self.violation(
                        &FieldPath::Of(&FieldPath::Index(&list, index), "parents"),
                        format!("`{}` is in `{parent}`, which is in it: a circle", entity.uid),
                    );
                    return;
                }
                if let Some(parent) =
                    entities.get(parent).filter(|parent| !free.contains(&parent.uid))
                {
                    on_path.insert(&parent.uid);
                    path.push((parent, 0));
                }
            }
        }
    }
}

/// Lays what was sent of an entity over what the store holds of it. Parents, tags and slots stay.
fn over_stored(sent: EntityFacts, stored: &Entity, shape: &EntityShape) -> EntityFacts {
    let values = |(name, value): (&SmolStr, &PartialValue)| match value {
        PartialValue::Value(value) => Some((name.clone(), value.clone())),
        // Stored entities are read without unknowns.
        PartialValue::Residual(_) => None,
    };
    let is_kept = |name: &SmolStr| {
        let is_sent = sent.attributes.iter().any(|(sent, _)| sent == name);
        !is_sent && !shape.slots.contains_key(name.as_str())
    };
    let kept = stored.attrs().filter(|(name, _)| is_kept(name)).filter_map(values);
    EntityFacts {
        attributes: kept.chain(sent.attributes.iter().cloned()).collect(),
        parents: stored.ancestors().cloned().collect(),
        tags: stored.tags().filter_map(values).collect(),
        uid: sent.uid,
    }
}

/// Returns whether what was sent of an entity is what the store holds of it. The store's slots are
/// filled, and a caller leaves them out.
fn is_as_stored(sent: &EntityFacts, stored: &Entity, shape: &EntityShape) -> bool {
    let is_same = |value: &Value, stored: Option<&PartialValue>| matches!(stored, Some(PartialValue::Value(stored)) if stored == value);
    let attributes = stored.attrs().filter(|(name, _)| !shape.slots.contains_key(name.as_str()));
    sent.attributes.len() == attributes.count()
        && sent.attributes.iter().all(|(name, value)| is_same(value, stored.get(name)))
        && sent.tags.len() == stored.tags().count()
        && sent.tags.iter().all(|(name, value)| is_same(value, stored.get_tag(name)))
        && are_parents_of(&sent.parents, stored)
}

/// Returns whether uids are the direct parents of a stored entity, or all its ancestors.
fn are_parents_of(sent: &[EntityUID], stored: &Entity) -> bool {
    let sent: HashSet<&EntityUID> = sent.iter().collect();
    sent == stored.parents().collect() || sent == stored.ancestors().collect()
}
