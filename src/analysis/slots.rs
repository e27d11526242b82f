//! The cells of a matrix that nobody has written down: one column for each role slot and type of principal
//! that can hold it, one row for each action and type of resource.

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

use super::{
    constants::Constants,
    names::name_of,
    singletons::{Singletons, singletons},
};
use crate::{
    model::Uid,
    request::{RequestInput, RoleAssignmentInput},
    schema::{EntityShape, Schema},
    store::PolicyStore,
    testing::{DEFAULT_NOW, MatrixCell},
};

/// A column: who asks, in which role.
struct Column {
    name: String,
    principal: EntityType,
    role: Option<(EntityType, String)>,
}

pub(super) fn questions(store: &PolicyStore) -> Vec<MatrixCell> {
    let schema = store.schema();
    let constants = Constants::of([store.engine()]);
    let singletons = singletons(store);
    let example = |ty: &EntityType| example(schema, &constants, &singletons, ty);
    let columns = columns(schema);
    let mut actions: Vec<_> = schema.actions().collect();
    actions.sort_by(|a, b| a.uid.cmp(&b.uid));
    let mut cells = Vec::new();
    for action in actions {
        for resource_type in &action.resources {
            let resource = example(resource_type);
            for column in &columns {
                let role = column.role.as_ref().map(|(scope_type, slot)| RoleAssignmentInput {
                    principal: None,
                    role: slot.clone(),
                    scope: Some(name_of(schema, &example(scope_type))),
                    expires_at: None,
                });
                let action_type = action.uid.entity_type().to_string();
                let id: &str = action.uid.eid().as_ref();
                let principal = any(schema, &constants, &column.principal);
                cells.push(MatrixCell {
                    scope: resource_type.name().basename().to_string(),
                    action: id.to_owned(),
                    label: String::new(),
                    column: column.name.clone(),
                    expected: None,
                    exempt: None,
                    input: RequestInput {
                        principal: Some(name_of(schema, &principal)),
                        action: Some(Uid::new(action_type, id)),
                        resource: Some(name_of(schema, &resource)),
                        role_assignments: role.into_iter().collect(),
                        ..RequestInput::default()
                    },
                    now: DEFAULT_NOW,
                    open_roles: Vec::new(),
                    open_attributes: Vec::new(),
                });
            }
        }
    }
    cells
}

/// Returns a column for each slot and type of principal that can hold it, and one for each type of
/// principal that can hold none. A policy may be for one of the types alone, so that none of them stands for
/// the others.
fn columns(schema: &Schema) -> Vec<Column> {
    let mut shapes: Vec<&EntityShape> = schema.entities().collect();
    shapes.sort_by(|a, b| a.entity_type.cmp(&b.entity_type));
    let mut principals: Vec<&EntityType> =
        schema.actions().flat_map(|action| &*action.principals).collect();
    principals.sort_unstable();
    principals.dedup();
    let can_hold = |principal: &EntityType, role_type: &EntityType| {
        schema.entity(principal).is_some_and(|shape| shape.parents.contains(role_type))
    };
    let of_slots = shapes.iter().flat_map(|shape| {
        shape.slots.iter().flat_map(|(slot, role_type)| {
            let holders: Vec<_> =
                principals.iter().filter(|principal| can_hold(principal, role_type)).collect();
            let is_only = holders.len() == 1;
            let scope_type = shape.entity_type.clone();
            let slot_name = format!("{}.{slot}", scope_type.name().basename());
            let column = move |principal: &&EntityType| Column {
                name: if is_only {
                    slot_name.clone()
                } else {
                    format!("{} as {slot_name}", principal.name().basename())
                },
                principal: (*principal).clone(),
                role: Some((scope_type.clone(), slot.as_str().to_owned())),
            };
            holders.into_iter().map(column).collect::<Vec<_>>()
        })
    });
    let mut columns: Vec<_> = of_slots.collect();
    for principal in principals {
        if !columns.iter().any(|column| column.principal == *principal) {
            let name = principal.name().basename().to_string();
            columns.push(Column { name, principal: principal.clone(), role: None });
        }
    }
    columns
}

/// Returns the scope or resource of a type that stands in the matrix: its singleton, else one that no policy
/// names, so that what is said of one entity alone is not told of all.
fn example(
    schema: &Schema,
    constants: &Constants,
    singletons: &Singletons,
    ty: &EntityType,
) -> EntityUID {
    singletons.get(ty).cloned().unwrap_or_else(|| {
        let one = any(schema, constants, ty);
        // It is not the one who asks.
        let is_free = schema.entity(ty).is_some_and(|shape| shape.ids.is_none());
        if is_free && constants.is_principal(ty) { constants.fresh(ty, &[one]) } else { one }
    })
}

/// Returns an entity of a type that no policy names, if it may have any id.
pub(super) fn any(schema: &Schema, constants: &Constants, ty: &EntityType) -> EntityUID {
    let ids = schema.entity(ty).and_then(|shape| shape.ids.as_ref());
    if let Some(id) = ids.and_then(|ids| ids.iter().min()) {
        return EntityUID::from_components(ty.clone(), Eid::new(id.clone()), None);
    }
    constants.fresh(ty, &[])
}
