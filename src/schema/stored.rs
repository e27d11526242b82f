//! The entities that a store itself holds.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

use cedar_policy_core::ast::{Entity, EntityType, EntityUID};

use crate::model::hash::HashMap;

/// Types that are looked through one by one.
const FEW_TYPES: usize = 16;

/// The entities that a store itself holds and the actions of its schema, with every role slot
/// filled and every ancestor known.
#[derive(Debug, Default)]
pub struct StoredEntities {
    entities: HashMap<EntityUID, Arc<Entity>>,
    /// The types of the entities.
    types: Vec<EntityType>,
    /// The entities that are in each entity, collected when first asked.
    members: OnceLock<HashMap<EntityUID, Vec<EntityUID>>>,
}

impl StoredEntities {
    /// Returns the entity of that uid, if the store holds it.
    pub fn get(&self, uid: &EntityUID) -> Option<&Arc<Entity>> {
        // Few types are told apart faster than a uid is hashed.
        let may_hold = self.types.len() > FEW_TYPES || self.types.contains(uid.entity_type());
        if may_hold { self.entities.get(uid) } else { None }
    }

    /// Returns the uids of all entities, in no order.
    pub fn uids(&self) -> impl Iterator<Item = &EntityUID> {
        self.entities.keys()
    }

    /// Returns the types of all entities, in no order.
    pub fn types(&self) -> &[EntityType] {
        &self.types
    }

    /// Collects entities that are transitively closed and whose slots are filled.
    pub fn new(entities: impl IntoIterator<Item = Entity>) -> Self {
        let entities: HashMap<_, _> =
            entities.into_iter().map(|entity| (entity.uid().clone(), Arc::new(entity))).collect();
        let types: HashSet<&EntityType> = entities.keys().map(EntityUID::entity_type).collect();
        let types = types.into_iter().cloned().collect();
        Self { types, entities, members: OnceLock::new() }
    }

    /// Returns the entities that are in an entity, directly or not.
    pub fn members(&self, uid: &EntityUID) -> &[EntityUID] {
        let members = self.members.get_or_init(|| {
            let mut members: HashMap<_, Vec<_>> = HashMap::default();
            for (uid, entity) in &self.entities {
                for ancestor in entity.ancestors() {
                    members.entry(ancestor.clone()).or_default().push(uid.clone());
                }
            }
            members
        });
        members.get(uid).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns whether the store holds that entity.
    pub fn contains(&self, uid: &EntityUID) -> bool {
        self.get(uid).is_some()
    }
}
