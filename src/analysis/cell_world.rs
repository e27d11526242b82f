//! The requests of a cell, with what is known of them.

use super::{
    MatrixError,
    fact::{Base, Place},
    policies::Policies,
    world::{Optional, World},
};
use crate::{store::PolicyStore, testing::MatrixCell};

/// Makes the world of a cell.
///
/// # Errors
/// The cell is no request that fits the schema.
pub(super) fn world<'a>(
    store: &'a PolicyStore,
    question: &MatrixCell,
    optional: Optional,
) -> Result<World<'a>, MatrixError> {
    let world = World::new(store.schema(), store.stored(), &question.input, question.now, optional);
    let mut world = world.map_err(|violations| MatrixError::Violations {
        cell: format!("{} / {} / {}", question.scope, question.action, question.column),
        violations,
    })?;
    world.open_roles = Some(question.open_roles.clone());
    let principal = Base::Entity(world.request.principal.clone());
    let open = question
        .open_attributes
        .iter()
        .map(|name| Place { base: principal.clone(), path: vec![name.as_str().into()] });
    world.opened.extend(open);
    Ok(world)
}

/// Returns the policies that can have a say in the request of a world.
pub(super) fn policies<'a>(store: &'a PolicyStore, world: &World<'_>) -> Policies<'a> {
    let request = &world.request;
    let (principal, resource) = (request.principal.entity_type(), request.resource.entity_type());
    Policies::new(store.engine(), &request.action, principal, resource)
}

/// Returns whether the action may be asked by such a principal on such a resource.
pub(super) fn applies(store: &PolicyStore, question: &MatrixCell) -> bool {
    let schema = store.schema();
    let input = &question.input;
    let action = input.action.as_ref().and_then(|uid| schema.action(&uid.type_name, &uid.id));
    let type_of = |uid: &Option<crate::model::Uid>| {
        uid.as_ref().and_then(|uid| schema.entity_type(&uid.type_name))
    };
    let types = type_of(&input.principal).zip(type_of(&input.resource));
    action.zip(types).is_some_and(|(action, (principal, resource))| {
        action.principals.contains(principal) && action.resources.contains(resource)
    })
}
