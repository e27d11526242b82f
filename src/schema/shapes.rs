//! The declarations of a schema, as requests are checked against them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use cedar_policy_core::{
    ast::{EntityType, EntityUID},
    validator::{
        ValidatorActionId, ValidatorSchema,
        types::{Attributes, EntityKind, OpenTag, Type},
    },
};
use smol_str::SmolStr;

use crate::{model::hash::HashSet, schema::Slot};

/// The declaration of an entity type.
#[derive(Debug, Clone)]
pub struct EntityShape {
    /// The type.
    pub entity_type: EntityType,
    /// The attributes.
    pub attributes: RecordShape,
    /// The type of the tags' values, where the type has tags.
    pub tags: Option<Shape>,
    /// The types that an entity of this type may be in, directly or not.
    pub parents: HashSet<EntityType>,
    /// The only ids there are, for an enumerated type.
    pub ids: Option<HashSet<SmolStr>>,
    /// The role slots with the type of their Role entities.
    pub slots: BTreeMap<Slot, EntityType>,
}

/// The declaration of an action.
#[derive(Debug, Clone)]
pub struct ActionSchema {
    /// The action.
    pub uid: EntityUID,
    /// The types of principal that may ask for it, of which there are a few.
    pub principals: Box<[EntityType]>,
    /// The types of resource on which it may be asked.
    pub resources: Box<[EntityType]>,
    /// The facts of a request for it. Actions that want the same facts share them.
    pub context: Arc<RecordShape>,
    /// True where `now`, the time of the decision, is one of them.
    pub wants_now: bool,
}

/// The fields of a record and whether each is required.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RecordShape {
    /// The fields by name.
    pub fields: BTreeMap<SmolStr, FieldShape>,
    /// True where fields that are not declared may be there too.
    pub open: bool,
}

impl RecordShape {
    /// Returns the required fields that are not there, in the order of their names.
    pub fn missing(&self, is_there: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &Shape)> {
        let required = self.fields.iter().filter(|(_, field)| field.required);
        required
            .filter(move |(name, _)| !is_there(name))
            .map(|(name, field)| (name.as_str(), &field.shape))
    }
}

impl Shape {
    /// Names the type after its article, as `a string`.
    #[must_use]
    pub fn with_article(&self) -> String {
        match self {
            Self::Extension(name) if name == "ipaddr" => format!("an {self}"),
            _ => format!("a {self}"),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("boolean"),
            Self::Long => f.write_str("long"),
            Self::String => f.write_str("string"),
            Self::Entity(entity_type) => write!(f, "reference to a `{entity_type}`"),
            Self::Set(element) => write!(f, "set of which each is {}", element.with_article()),
            Self::Record(_) => f.write_str("record"),
            Self::Extension(name) if name == "ipaddr" => f.write_str("ip address"),
            Self::Extension(name) => f.write_str(name),
        }
    }
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldShape {
    /// The type of its value.
    pub shape: Shape,
    /// True where it must be there.
    pub required: bool,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `Bool`
    Bool,
    /// `Long`
    Long,
    /// `String`
    String,
    /// A reference to an entity of that type.
    Entity(Box<EntityType>),
    /// A set of values of that type.
    Set(Box<Shape>),
    /// A record.
    Record(RecordShape),
    /// A value of an extension type: `decimal`, `ipaddr`, `datetime` or `duration`.
    Extension(SmolStr),
}

/// The entity types that are annotated with `@role`. There are one or two.
pub(super) type RoleTypes = Vec<EntityType>;

/// An attribute of a role type that cannot be a role slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The attribute may be missing.
    #[error("the attribute `{attribute}` of `{entity_type}` cannot be a role slot: it is optional")]
    Optional {
        /// The type that declares the attribute.
        entity_type: EntityType,
        /// The attribute.
        attribute: SmolStr,
    },
    /// The attribute holds several roles.
    #[error("the attribute `{attribute}` of `{entity_type}` cannot be a role slot: it is a set")]
    Set {
        /// The type that declares the attribute.
        entity_type: EntityType,
        /// The attribute.
        attribute: SmolStr,
    },
    /// A required record requires a role.
    #[error(
        "the attribute `{attribute}` of `{entity_type}` requires a role in a record, which \
         nothing could fill"
    )]
    Record {
        /// The type that declares the attribute.
        entity_type: EntityType,
        /// The attribute.
        attribute: SmolStr,
    },
}

/// Reads the declaration of an entity type, or returns every attribute that cannot be a slot.
/// `parents` are the types that such an entity may be in.
pub(super) fn entity_shape(
    schema: &ValidatorSchema,
    entity_type: &EntityType,
    parents: HashSet<EntityType>,
    role_types: &RoleTypes,
) -> Result<EntityShape, Vec<SlotError>> {
    use cedar_policy_core::validator::ValidatorEntityTypeKind as Kind;

    let declared = schema.get_entity_type(entity_type);
    let open =
        declared.is_some_and(|declared| declared.open_attributes() == OpenTag::OpenAttributes);
    let attributes =
        declared.map(|declared| record(declared.attributes(), open)).unwrap_or_default();
    let slots = slots(entity_type, &attributes, role_types)?;
    let ids = declared.and_then(|declared| match &declared.kind {
        Kind::Enum(ids) => {
            Some(ids.iter().map(|id| SmolStr::from(AsRef::<str>::as_ref(id))).collect())
        }
        _ => None,
    });
    Ok(EntityShape {
        entity_type: entity_type.clone(),
        tags: declared.and_then(|declared| declared.tag_type()).and_then(shape),
        parents,
        ids,
        slots,
        attributes,
    })
}

fn slots(
    entity_type: &EntityType,
    attributes: &RecordShape,
    role_types: &RoleTypes,
) -> Result<BTreeMap<Slot, EntityType>, Vec<SlotError>> {
    let is_role = |shape: &Shape| matches!(shape, Shape::Entity(ty) if role_types.contains(ty));
    let (mut slots, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, field) in &attributes.fields {
        let (entity_type, attribute) = (|| entity_type.clone(), || name.clone());
        match &field.shape {
            Shape::Set(element) if is_role(element) => {
                errors.push(SlotError::Set { entity_type: entity_type(), attribute: attribute() });
            }
            shape @ Shape::Entity(role_type) if is_role(shape) => {
                if field.required {
                    slots.insert(Slot::new(name.clone()), (**role_type).clone());
                } else {
                    errors.push(SlotError::Optional {
                        entity_type: entity_type(),
                        attribute: attribute(),
                    });
                }
            }
            Shape::Record(record) if field.required && requires(record, &is_role) => {
                errors
                    .push(SlotError::Record { entity_type: entity_type(), attribute: attribute() });
            }
            _ => {}
        }
    }
    if errors.is_empty() { Ok(slots) } else { Err(errors) }
}

/// Returns whether a record is not whole without a value of such a type, at any depth.
fn requires(record: &RecordShape, is_so: &impl Fn(&Shape) -> bool) -> bool {
    record.fields.values().filter(|field| field.required).any(|field| match &field.shape {
        Shape::Record(record) => requires(record, is_so),
        shape => is_so(shape),
    })
}

/// Reads the declaration of an action. `contexts` are those of other actions, which it may share.
pub(super) fn action_schema(
    action: &ValidatorActionId,
    contexts: &mut HashSet<Arc<RecordShape>>,
) -> ActionSchema {
    let context = match action.context_type() {
        Some(Type::Record { attrs, open_attributes }) => {
            record(attrs, *open_attributes == OpenTag::OpenAttributes)
        }
        _ => RecordShape::default(),
    };
    let now = context.fields.get("now").map(|field| &field.shape);
    ActionSchema {
        uid: action.name().clone(),
        wants_now: matches!(now, Some(Shape::Extension(name)) if name == "datetime"),
        principals: sorted(action.applies_to_principals()),
        resources: sorted(action.applies_to_resources()),
        context: shared(context, contexts),
    }
}

/// Returns types in an order that is the same for equal sets.
fn sorted<'a>(types: impl Iterator<Item = &'a EntityType>) -> Box<[EntityType]> {
    let mut types: Vec<_> = types.cloned().collect();
    types.sort_unstable();
    types.into()
}

fn shared(record: RecordShape, records: &mut HashSet<Arc<RecordShape>>) -> Arc<RecordShape> {
    if let Some(same) = records.get(&record) {
        return Arc::clone(same);
    }
    let record = Arc::new(record);
    records.insert(Arc::clone(&record));
    record
}

fn record(attributes: &Attributes, open: bool) -> RecordShape {
    let fields = attributes
        .iter()
        .filter_map(|(name, attribute)| {
            let field =
                FieldShape { shape: shape(&attribute.attr_type)?, required: attribute.is_required };
            Some((name.clone(), field))
        })
        .collect();
    RecordShape { fields, open }
}

/// Converts a type of Cedar's; nothing for types that no schema can declare.
fn shape(ty: &Type) -> Option<Shape> {
    Some(match ty {
        Type::Bool(_) => Shape::Bool,
        Type::Long => Shape::Long,
        Type::String => Shape::String,
        Type::Entity(EntityKind::Entity(types)) => {
            Shape::Entity(Box::new(types.get_single_entity()?.clone()))
        }
        Type::Set { element_type: Some(element) } => Shape::Set(Box::new(shape(element)?)),
        Type::Record { attrs, open_attributes } => {
            Shape::Record(record(attrs, *open_attributes == OpenTag::OpenAttributes))
        }
        Type::ExtensionType { name } => Shape::Extension(name.to_string().into()),
        Type::Never | Type::Entity(EntityKind::AnyEntity) | Type::Set { element_type: None } => {
            return None;
        }
    })
}
