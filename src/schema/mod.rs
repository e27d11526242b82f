//! A store's schema, read once so that a request is checked without asking Cedar again: entity
//! types, actions, role slots, and the entities that the store itself holds.
//!
//! A store asks for role slots by annotating an entity type with `@role`. Every required attribute
//! of such a type is then a slot of the type that declares it: the slot `editor` of `Site::"42"` is
//! the entity `HitKeep::Role::"Site::42#editor"`, and a role assignment makes it a parent of the
//! principal. Without the annotation nothing is special about any type.

mod role_id;
mod shapes;
mod slot;
mod stored;

pub use role_id::{RoleId, RoleIdError};
pub use shapes::{ActionSchema, EntityShape, FieldShape, RecordShape, Shape, SlotError};
pub use slot::Slot;
pub use stored::StoredEntities;

use std::sync::Arc;

use cedar_policy::Schema as CedarSchema;
use cedar_policy_core::{
    ast::{Eid, EntityType, EntityUID, Name},
    validator::ValidatorSchema,
};
use smol_str::{SmolStr, format_smolstr};

use self::shapes::{RoleTypes, action_schema, entity_shape};
use crate::model::hash::{HashMap, HashSet};

/// A store's schema.
#[derive(Debug)]
pub struct Schema {
    cedar: CedarSchema,
    namespace: Option<String>,
    /// Entity types by every way in which they may be written.
    types: HashMap<SmolStr, EntityType>,
    entities: HashMap<EntityType, EntityShape>,
    actions: HashMap<EntityUID, ActionSchema>,
    /// Uids of actions by id, for the action type of the store's namespace.
    action_ids: HashMap<SmolStr, EntityUID>,
    role_types: RoleTypes,
    /// The types that have each slot.
    scopes: HashMap<Slot, Arc<[EntityType]>>,
}

impl Schema {
    /// Reads a schema. `is_role_type` tells the entity types that are annotated with `@role`.
    ///
    /// # Errors
    /// Every attribute of a role type that cannot be a slot.
    pub fn new(
        cedar: CedarSchema,
        is_role_type: impl Fn(&EntityType) -> bool,
    ) -> Result<Self, Vec<SlotError>> {
        let core: &ValidatorSchema = cedar.as_ref();
        let role_types: RoleTypes =
            core.entity_type_names().filter(|ty| is_role_type(ty)).cloned().collect();
        let namespace = main_namespace(core, &role_types);
        let mut errors = Vec::new();
        let mut entities = HashMap::default();
        let mut parents = parents(core);
        for declared in core.entity_types() {
            let parents = parents.remove(declared.name()).unwrap_or_default();
            match entity_shape(core, declared.name(), parents, &role_types) {
                Ok(shape) => drop(entities.insert(declared.name().clone(), shape)),
                Err(found) => errors.extend(found),
            }
        }
        if !errors.is_empty() {
            errors.sort_by_cached_key(ToString::to_string);
            return Err(errors);
        }
        let mut contexts = HashSet::default();
        let actions: HashMap<_, _> = core
            .action_ids()
            .map(|action| (action.name().clone(), action_schema(action, &mut contexts)))
            .collect();
        let own = own_action_type(namespace.as_deref());
        let action_ids = actions
            .keys()
            .filter(|uid| uid.entity_type().to_string() == own)
            .map(|uid| (SmolStr::from(AsRef::<str>::as_ref(uid.eid())), uid.clone()))
            .collect();
        let types = spellings(core, namespace.as_deref());
        let scopes = scopes(&entities);
        Ok(Self { namespace, types, entities, actions, action_ids, role_types, scopes, cedar })
    }

    /// Returns the schema as Cedar knows it.
    #[must_use]
    pub fn cedar(&self) -> &CedarSchema {
        &self.cedar
    }

    /// Returns the namespace that may be left out in names: the only one, or that of all role types.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Returns the entity type of a name, with or without the store's namespace.
    #[must_use]
    pub fn entity_type(&self, written: &str) -> Option<&EntityType> {
        self.types.get(written)
    }

    /// Returns the full name of an entity type, however it is written. One that the schema does not
    /// have is taken for one of the store's namespace, so that it is the same whether it is written in
    /// full or not.
    #[must_use]
    pub fn full_type_name(&self, written: &str) -> SmolStr {
        match (self.entity_type(written), self.namespace()) {
            (Some(entity_type), _) => format_smolstr!("{entity_type}"),
            (None, Some(namespace)) if !written.is_empty() && !written.contains("::") => {
                format_smolstr!("{namespace}::{written}")
            }
            (None, _) => written.into(),
        }
    }

    /// Returns the name without the store's namespace that means the entity type of a full name.
    #[must_use]
    pub fn short_type_name<'n>(&self, full: &'n str) -> Option<&'n str> {
        let short = full.strip_prefix(self.namespace()?)?.strip_prefix("::")?;
        (self.full_type_name(short) == full).then_some(short)
    }

    /// Returns the full names of the entity types that a name without a namespace may mean, in order.
    #[must_use]
    pub fn types_named(&self, written: &str) -> Vec<String> {
        let types = self.entities.keys();
        let meant = types.filter(|ty| AsRef::<str>::as_ref(&ty.name().basename()) == written);
        let mut names: Vec<_> = meant.map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    /// Finds names without a namespace that mean something else than in an old schema, each as
    /// `name: old -> new`. A name that is new with what it means is left out.
    #[must_use]
    pub fn other_meanings(&self, old: &Self) -> Vec<String> {
        let other = |written: &str, before: Option<&EntityType>, now: &EntityType| {
            let before = before.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            format!("{written}: {before} -> {now}")
        };
        let types = self.types.iter().filter_map(|(written, now)| {
            let before = old.types.get(written);
            let was_asked_for = before.is_some() || old.entities.contains_key(now);
            (before != Some(now) && was_asked_for).then(|| other(written, before, now))
        });
        let mut told: Vec<_> = types.collect();
        told.extend(self.action_ids.iter().find_map(|(id, now)| {
            let before = old.action_ids.get(id);
            let was_asked_for = before.is_some() || old.actions.contains_key(now);
            let before = before.map(EntityUID::entity_type);
            (before != Some(now.entity_type()) && was_asked_for)
                .then(|| other("Action", before, now.entity_type()))
        }));
        told.sort_unstable();
        told
    }

    /// Returns the only ids of the entity type of a name, if it is enumerated.
    #[must_use]
    pub fn enumerated(&self, written: &str) -> Option<&HashSet<SmolStr>> {
        self.entity(self.entity_type(written)?)?.ids.as_ref()
    }

    /// Returns the declaration of an entity type.
    #[must_use]
    pub fn entity(&self, entity_type: &EntityType) -> Option<&EntityShape> {
        self.entities.get(entity_type)
    }

    /// Returns the declarations of all entity types, in no order.
    pub fn entities(&self) -> impl Iterator<Item = &EntityShape> {
        self.entities.values()
    }

    /// Returns the action of that type and id; an empty type is the `Action` of the store's namespace.
    #[must_use]
    pub fn action(&self, type_name: &str, id: &str) -> Option<&ActionSchema> {
        let own = type_name.is_empty() || type_name == "Action";
        if own && let Some(uid) = self.action_ids.get(id) {
            return self.actions.get(uid);
        }
        let type_name = if type_name.is_empty() { "Action" } else { type_name };
        let entity_type = EntityType::from(type_name.parse::<Name>().ok()?);
        self.actions.get(&EntityUID::from_components(entity_type, Eid::new(id), None))
    }

    /// Returns whether a name is that of an action type.
    #[must_use]
    pub fn is_action_type(&self, type_name: &str) -> bool {
        type_name == "Action" || type_name.ends_with("::Action")
    }

    /// Returns all actions, in no order.
    pub fn actions(&self) -> impl Iterator<Item = &ActionSchema> {
        self.actions.values()
    }

    /// Returns whether an action is a group, or a member of it.
    #[must_use]
    pub fn is_action_in(&self, action: &EntityUID, group: &EntityUID) -> bool {
        let core: &ValidatorSchema = self.cedar.as_ref();
        let is_member = || core.get_action_id(group)?.descendants().find(|one| *one == action);
        action == group || is_member().is_some()
    }

    /// Returns the Role entity of a slot on a scope; nothing where the scope's type has no such slot.
    #[must_use]
    pub fn role(&self, scope: &EntityUID, slot: &Slot) -> Option<EntityUID> {
        let role_type = self.entity(scope.entity_type())?.slots.get(slot)?;
        Some(role_entity(scope, slot, role_type))
    }

    /// Returns whether the entity's type is a role type.
    #[must_use]
    pub fn is_role(&self, uid: &EntityUID) -> bool {
        self.is_role_type(uid.entity_type())
    }

    /// Returns whether the entity type is annotated with `@role`.
    #[must_use]
    pub fn is_role_type(&self, entity_type: &EntityType) -> bool {
        self.role_types.contains(entity_type)
    }

    /// Returns the schema's own copy of an entity type. Types from one source are compared faster.
    pub(crate) fn own_type(&self, entity_type: &EntityType) -> Option<&EntityType> {
        self.entities.get_key_value(entity_type).map(|(own, _)| own)
    }

    /// Returns the scope and slot of a Role entity; nothing where no scope type has such a slot.
    #[must_use]
    pub fn scope_of(&self, role: &EntityUID) -> Option<(EntityUID, Slot)> {
        let id: RoleId = AsRef::<str>::as_ref(role.eid()).parse().ok()?;
        let slot = Slot::new(id.slot.as_str());
        let role_type = role.entity_type();
        let full_name = match id.scope_type.strip_prefix("::") {
            Some(full_name) => full_name.to_owned(),
            None => match role_type.name().as_ref().namespace() {
                namespace if namespace.is_empty() => id.scope_type.clone(),
                namespace => format!("{namespace}::{}", id.scope_type),
            },
        };
        let shape = self.entity(self.entity_type(&full_name)?)?;
        let has_slot = shape.slots.get(&slot) == Some(role_type);
        if !has_slot || scope_type(&shape.entity_type, role_type) != id.scope_type {
            return None;
        }
        let scope_id = Eid::new(id.scope_id.as_str());
        Some((EntityUID::from_components(shape.entity_type.clone(), scope_id, None), slot))
    }

    /// Returns the entity types that have a slot of that name, in no order.
    pub(crate) fn scopes_of(&self, slot: &str) -> Arc<[EntityType]> {
        self.scopes.get(slot).cloned().unwrap_or_default()
    }
}

/// The types that an entity of each type may be in. Cedar knows it the other way round, and would look
/// through all types for each.
fn parents(schema: &ValidatorSchema) -> HashMap<EntityType, HashSet<EntityType>> {
    let mut parents: HashMap<_, HashSet<_>> = HashMap::default();
    for parent in schema.entity_types() {
        for child in &parent.descendants {
            parents.entry(child.clone()).or_default().insert(parent.name().clone());
        }
    }
    parents
}

fn scopes(entities: &HashMap<EntityType, EntityShape>) -> HashMap<Slot, Arc<[EntityType]>> {
    let mut scopes: HashMap<_, Vec<_>> = HashMap::default();
    for shape in entities.values() {
        for slot in shape.slots.keys() {
            scopes.entry(slot.clone()).or_default().push(shape.entity_type.clone());
        }
    }
    scopes.into_iter().map(|(slot, types)| (slot, types.into())).collect()
}

fn role_entity(scope: &EntityUID, slot: &Slot, role_type: &EntityType) -> EntityUID {
    let role = RoleId {
        scope_type: scope_type(scope.entity_type(), role_type),
        scope_id: AsRef::<str>::as_ref(scope.eid()).to_owned(),
        slot: slot.as_str().to_owned(),
    };
    EntityUID::from_components(role_type.clone(), Eid::new(role.to_string()), None)
}

/// Spells a scope's type as in the ids of roles of that role type.
fn scope_type(scope: &EntityType, role_type: &EntityType) -> String {
    let (scope, role) = (scope.name(), role_type.name());
    if scope.as_ref().namespace() == role.as_ref().namespace() {
        scope.basename().to_string()
    } else {
        format!("::{scope}")
    }
}

fn main_namespace(schema: &ValidatorSchema, role_types: &RoleTypes) -> Option<String> {
    let namespace = |ty: &EntityType| ty.name().as_ref().namespace();
    let roles: HashSet<_> = role_types.iter().map(namespace).collect();
    let all: HashSet<_> = schema
        .entity_type_names()
        .chain(schema.action_ids().map(|action| action.name().entity_type()))
        .map(namespace)
        .collect();
    [all, roles]
        .into_iter()
        .find_map(|set| if set.len() == 1 { set.into_iter().next() } else { None })
        .filter(|namespace| !namespace.is_empty())
}

fn own_action_type(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "Action".to_owned(), |namespace| format!("{namespace}::Action"))
}

fn spellings(schema: &ValidatorSchema, namespace: Option<&str>) -> HashMap<SmolStr, EntityType> {
    let mut spellings = HashMap::default();
    for entity_type in schema.entity_type_names() {
        let full = entity_type.to_string();
        let prefix = namespace.map(|namespace| format!("{namespace}::"));
        if let Some(short) = prefix.and_then(|prefix| full.strip_prefix(&prefix).map(SmolStr::from))
        {
            // A type that is really called so is not overruled by a shortened name.
            spellings.entry(short).or_insert_with(|| entity_type.clone());
        }
        spellings.insert(full.into(), entity_type.clone());
    }
    spellings
}
