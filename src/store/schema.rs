//! What a store's schema says, prepared for checking requests without asking Cedar again.

use std::sync::OnceLock;

use cedar_policy::{Schema, SchemaFragment};
use cedar_policy_core::{
    ast::{Eid, EntityType, EntityUID, InternalName, Name},
    validator::ValidatorSchema,
};
use smol_str::SmolStr;

use super::{
    FileKind, StoreFiles,
    shapes::{ActionSchema, EntityShape, action_schema, entity_shape},
};
use crate::{
    diagnostics::Problem,
    hash::{HashMap, HashSet},
    roles::{RoleId, Slot},
    shard::Sharded,
};

/// A store's schema.
#[derive(Debug)]
pub struct StoreSchema {
    cedar: Schema,
    namespace: Option<String>,
    /// Entity types by every way in which they may be written.
    types: Sharded<OnceLock<Spellings>>,
    /// The type of the actions in the store's namespace, where there are any.
    action_type: Option<Sharded<EntityType>>,
    entities: HashMap<EntityType, EntityShape>,
    actions: HashMap<EntityUID, ActionSchema>,
    /// Uids of actions by id, for the action type of the store's namespace.
    action_ids: HashMap<SmolStr, EntityUID>,
}

/// Entity types by every way in which they may be written.
type Spellings = HashMap<SmolStr, Spelled>;

/// An entity type as it may be written.
#[derive(Debug)]
struct Spelled {
    entity_type: EntityType,
    is_enumerated: bool,
}

pub(super) fn read(files: &StoreFiles, problems: &mut Vec<Problem>) -> Option<StoreSchema> {
    let found = problems.len();
    let texts = files.texts(FileKind::Schema, problems);
    if texts.is_empty() {
        problems.push(
            Problem::of_file(files.name().as_str(), "the store has no schema")
                .with_help("add a file `schema.cedarschema`"),
        );
        return None;
    }
    let mut fragments = Vec::new();
    for (path, text) in &texts {
        match SchemaFragment::from_cedarschema_str(text) {
            Ok((fragment, _warnings)) => fragments.push(fragment),
            Err(error) => problems.extend(Problem::of_diagnostic(&files.path(path), text, &error)),
        }
    }
    if problems.len() > found {
        return None;
    }
    match Schema::from_schema_fragments(fragments) {
        Ok(schema) => Some(StoreSchema::new(schema)),
        Err(error) => {
            // Errors across fragments carry a span of one file only where there is one file.
            let (path, text) = match texts.as_slice() {
                [(path, text)] => (files.path(path), *text),
                _ => (files.name().to_string(), ""),
            };
            problems.extend(Problem::of_diagnostic(&path, text, &error));
            None
        }
    }
}

impl StoreSchema {
    fn new(cedar: Schema) -> Self {
        let core: &ValidatorSchema = cedar.as_ref();
        let namespace = main_namespace(core);
        let entities: HashMap<_, _> = core
            .entity_types()
            .map(|declared| (declared.name().clone(), entity_shape(core, declared.name())))
            .collect();
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
        let action_type = actions.keys().map(EntityUID::entity_type);
        let action_type = action_type.clone().find(|ty| ty.to_string() == own);
        let action_type = action_type.map(|ty| Sharded::new(|| copy(ty)));
        let types = Sharded::default();
        Self { namespace, types, action_type, entities, actions, action_ids, cedar }
    }

    /// The schema as Cedar knows it.
    #[must_use]
    pub fn cedar(&self) -> &Schema {
        &self.cedar
    }

    /// The namespace that may be left out in names: the only one, or the one that declares `Role`.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The entity type that is written so, with or without the store's namespace.
    #[must_use]
    pub fn entity_type(&self, written: &str) -> Option<&EntityType> {
        self.types().get(written).map(|spelled| &spelled.entity_type)
    }

    /// Those of this thread, made when it first asks: most threads never do.
    fn types(&self) -> &Spellings {
        let namespace = self.namespace.as_deref();
        let make = || spellings(self.cedar.as_ref(), &self.entities, namespace);
        self.types.mine().get_or_init(make)
    }

    /// The only ids that there are of the type that is written so, if it is enumerated.
    #[must_use]
    pub fn enumerated(&self, written: &str) -> Option<&HashSet<SmolStr>> {
        let spelled = self.types().get(written).filter(|spelled| spelled.is_enumerated)?;
        self.entity(&spelled.entity_type)?.ids.as_ref()
    }

    /// What the schema says of an entity type.
    #[must_use]
    pub fn entity(&self, entity_type: &EntityType) -> Option<&EntityShape> {
        self.entities.get(entity_type)
    }

    /// What the schema says of all entity types, in no order.
    pub fn entities(&self) -> impl Iterator<Item = &EntityShape> {
        self.entities.values()
    }

    /// The action of that type and id; an empty type is the `Action` of the store's namespace.
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

    /// The uid of an action, for a request to keep.
    #[must_use]
    pub fn action_uid(&self, action: &ActionSchema) -> EntityUID {
        match self.action_type.as_ref().map(Sharded::mine) {
            Some(own) if own == action.uid.entity_type() => {
                EntityUID::from_components(own.clone(), action.uid.eid().clone(), None)
            }
            _ => action.uid.clone(),
        }
    }

    /// All actions, in no order.
    pub fn actions(&self) -> impl Iterator<Item = &ActionSchema> {
        self.actions.values()
    }

    /// The Role entity of a slot on a scope; none where the scope's type has no such slot.
    #[must_use]
    pub fn role(&self, scope: &EntityUID, slot: &Slot) -> Option<EntityUID> {
        let role_type = self.entity(scope.entity_type())?.slots.get(slot)?;
        Some(role_entity(scope, slot, role_type))
    }

    /// Whether the entity is a Role.
    #[must_use]
    pub fn is_role(&self, uid: &EntityUID) -> bool {
        is_role(uid.entity_type())
    }

    /// Whether entities of that type are Roles.
    pub(crate) fn is_role_type(&self, entity_type: &EntityType) -> bool {
        is_role(entity_type)
    }

    /// The schema's own copy of an entity type. Types from one source are compared faster.
    pub(crate) fn own_type(&self, entity_type: &EntityType) -> Option<&EntityType> {
        self.entities.get_key_value(entity_type).map(|(own, _)| own)
    }

    /// The scope and slot of a Role entity; none where no scope type has such a slot.
    #[must_use]
    pub fn scope_of(&self, role: &EntityUID) -> Option<(EntityUID, Slot)> {
        let id: RoleId = AsRef::<str>::as_ref(role.eid()).parse().ok()?;
        let slot = Slot::new(id.slot.as_str());
        self.entities
            .values()
            .filter(|shape| shape.slots.get(&slot) == Some(role.entity_type()))
            .find(|shape| scope_type(&shape.entity_type, role.entity_type()) == id.scope_type)
            .map(|shape| {
                let scope_id = Eid::new(id.scope_id.as_str());
                (EntityUID::from_components(shape.entity_type.clone(), scope_id, None), slot)
            })
    }
}

pub(crate) fn role_entity(scope: &EntityUID, slot: &Slot, role_type: &EntityType) -> EntityUID {
    let role = RoleId {
        scope_type: scope_type(scope.entity_type(), role_type),
        scope_id: AsRef::<str>::as_ref(scope.eid()).to_owned(),
        slot: slot.as_str().to_owned(),
    };
    EntityUID::from_components(role_type.clone(), Eid::new(role.to_string()), None)
}

/// How a scope's type is written in the ids of roles of that type.
fn scope_type(scope: &EntityType, role_type: &EntityType) -> String {
    let (scope, role) = (scope.name(), role_type.name());
    if scope.as_ref().namespace() == role.as_ref().namespace() {
        scope.basename().to_string()
    } else {
        format!("::{scope}")
    }
}

fn main_namespace(schema: &ValidatorSchema) -> Option<String> {
    let namespace = |ty: &EntityType| ty.name().as_ref().namespace();
    let roles: HashSet<_> =
        schema.entity_type_names().filter(|ty| is_role(ty)).map(namespace).collect();
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

pub(super) fn is_role(entity_type: &EntityType) -> bool {
    matches!(entity_type.name().basename_as_ref().as_ref(), "Role" | "AccountRole")
}

/// The same type, of which clones are counted apart from those of the original.
fn copy(entity_type: &EntityType) -> EntityType {
    let name = entity_type.name().as_ref();
    let path = name.namespace_components().cloned();
    let copied = InternalName::new(name.basename().clone(), path, None);
    Name::try_from(copied).map_or_else(|_| entity_type.clone(), EntityType::from)
}

fn spellings(
    schema: &ValidatorSchema,
    shapes: &HashMap<EntityType, EntityShape>,
    namespace: Option<&str>,
) -> HashMap<SmolStr, Spelled> {
    let mut spellings = HashMap::default();
    for entity_type in schema.entity_type_names() {
        let is_enumerated = shapes.get(entity_type).is_some_and(|shape| shape.ids.is_some());
        let spelled = || Spelled { entity_type: copy(entity_type), is_enumerated };
        let full = entity_type.to_string();
        let prefix = namespace.map(|namespace| format!("{namespace}::"));
        if let Some(short) = prefix.and_then(|prefix| full.strip_prefix(&prefix).map(SmolStr::from))
        {
            // A type that is really called so is not overruled by a shortened name.
            spellings.entry(short).or_insert_with(spelled);
        }
        spellings.insert(full.into(), spelled());
    }
    spellings
}
