//! The names of entities as callers send them.

use cedar_policy_core::ast::{Eid, EntityUID};

use crate::{model::Uid, schema::Schema};

/// Returns the name of an entity as a caller sends it: without the namespace where it may be left out.
pub(super) fn name_of(schema: &Schema, uid: &EntityUID) -> Uid {
    let ty = uid.entity_type();
    let short = ty.name().basename().to_string();
    let is_enough = schema.entity_type(&short) == Some(ty);
    Uid::new(if is_enough { short } else { ty.to_string() }, AsRef::<str>::as_ref(uid.eid()))
}

/// Returns the entity of a name as it was written.
pub(crate) fn entity_named(schema: &Schema, uid: &Uid) -> Option<EntityUID> {
    let entity_type = schema.entity_type(&uid.type_name)?.clone();
    Some(EntityUID::from_components(entity_type, Eid::new(uid.id.as_str()), None))
}
