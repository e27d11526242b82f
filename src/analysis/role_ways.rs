//! The roles by which an entity that nobody describes anew may come to be in something that is no role.
//!
//! An entity that the store holds, and one of which nothing is sent, is in nothing else than its roles and
//! what these are in. Any role will do for that: one on a scope of which nobody speaks makes no other
//! difference. So an entity is tried with one such role, which is then in whatever is asked for.

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

use super::world::World;
use crate::{engine::Engine, schema::Schema};

/// Roles that are tried for one entity and what it may be in.
const ROLES: usize = 16;

/// The roles that are tried.
#[derive(Debug, Default)]
pub(crate) struct RoleWays {
    pub roles: Vec<EntityUID>,
    /// True where there are others that may lead elsewhere.
    pub has_more: bool,
}

impl RoleWays {
    /// Finds roles by which an entity may be in another that is no role: one, or one for each slot.
    pub(crate) fn between(
        schema: &Schema,
        uid: &EntityUID,
        of: &EntityUID,
        of_each_slot: bool,
    ) -> Self {
        let role_types = role_types_between(schema, uid, of);
        let mut roles: Vec<EntityUID> = Vec::new();
        for shape in schema.entities() {
            let leading = shape.slots.iter().filter(|(_, ty)| role_types.contains(ty));
            let scope = scope_of(uid, &shape.entity_type);
            roles.extend(leading.filter_map(|(slot, _)| schema.role(&scope, slot)));
        }
        roles.sort_unstable();
        let wanted = if of_each_slot { ROLES } else { 1 };
        let has_more = of_each_slot && roles.len() > wanted;
        roles.truncate(wanted);
        Self { roles, has_more }
    }
}

impl World<'_> {
    /// Returns the roles to try by which an entity may be in another that is no role.
    pub(super) fn role_ways(&self, engine: &Engine, uid: &EntityUID, of: &EntityUID) -> RoleWays {
        // One of two schemas may know a slot that the other does not.
        let of_each_slot = self.change.is_some_and(|change| !change.same_schema);
        let mut ways = RoleWays::between(self.schema, uid, of, of_each_slot);
        ways.roles.retain(|role| self.knows_parent(engine, uid, role));
        ways
    }
}

/// Returns the types of the roles that an entity may hold and that may be in another entity.
fn role_types_between<'s>(
    schema: &'s Schema,
    uid: &EntityUID,
    of: &EntityUID,
) -> Vec<&'s EntityType> {
    if schema.is_role(of) {
        return Vec::new();
    }
    let parents_of = |ty: &EntityType| schema.entity(ty).map(|shape| &shape.parents);
    let may_lead = |ty: &&EntityType| {
        let parents = parents_of(ty);
        schema.is_role_type(ty) && parents.is_some_and(|types| types.contains(of.entity_type()))
    };
    let above = parents_of(uid.entity_type()).into_iter().flatten();
    above.filter(may_lead).collect()
}

/// Returns a scope of which nobody speaks but because of that entity.
fn scope_of(uid: &EntityUID, ty: &EntityType) -> EntityUID {
    let owner = uid.entity_type().to_string().replace("::", ".");
    let id: &str = uid.eid().as_ref();
    EntityUID::from_components(ty.clone(), Eid::new(format!("of {owner} {id}")), None)
}
