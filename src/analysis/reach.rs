//! The actions that a role makes possible, whoever holds it.

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    MatrixError, cell::cell, cell_world::applies, constants::Constants, names::name_of,
    role_uses::RoleUses, slots::any,
};
use crate::{
    model::{Uid, hash::HashMap},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::{ActionSchema, Schema},
    store::PolicyStore,
    testing::{DEFAULT_NOW, Expected, MatrixCell},
};

/// The actions that a role makes possible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    /// The number of actions on the scope itself that it makes possible, on conditions or without.
    pub on_scope: usize,
    /// True where a policy may ask for it, on whatever resource.
    pub is_used: bool,
}

/// A role with its holder's type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Role {
    principal: EntityType,
    slot: String,
    /// The scope where policies name it, else any of its type.
    scope: EntityUID,
}

/// Finds the actions that roles of a store make possible. Each kind of role is computed once.
#[derive(Debug)]
pub struct Reaches<'a> {
    store: &'a PolicyStore,
    constants: Constants,
    uses: RoleUses,
    known: HashMap<Role, Reach>,
}

impl<'a> Reaches<'a> {
    /// Begins with a store.
    #[must_use]
    pub fn new(store: &'a PolicyStore) -> Self {
        let constants = Constants::of([store.engine()]);
        Self { store, constants, uses: RoleUses::of(store), known: HashMap::default() }
    }

    /// Returns what a role on a scope is good for, held by somebody of that type.
    ///
    /// # Errors
    /// A question about it does not fit the schema.
    pub fn of(
        &mut self,
        principal: &EntityType,
        slot: &str,
        scope: &EntityUID,
    ) -> Result<Reach, MatrixError> {
        let ty = scope.entity_type();
        let is_named = self.constants.scopes_of(self.store.schema(), ty).as_ref() == Some(scope)
            || self.constants.entities_of(ty).any(|named| named == scope);
        let scope = if is_named { scope.clone() } else { any(self.schema(), &self.constants, ty) };
        let role = Role { principal: principal.clone(), slot: slot.to_owned(), scope };
        if let Some(reach) = self.known.get(&role) {
            return Ok(*reach);
        }
        let reach = self.look_at(&role)?;
        self.known.insert(role, reach);
        Ok(reach)
    }

    fn schema(&self) -> &'a Schema {
        self.store.schema()
    }

    fn look_at(&self, role: &Role) -> Result<Reach, MatrixError> {
        let mut reach =
            Reach { on_scope: 0, is_used: self.uses.has(role.scope.entity_type(), &role.slot) };
        for asker in self.askers(&role.principal) {
            let mut on_scope = 0;
            for action in self.schema().actions() {
                if !action.resources.contains(role.scope.entity_type()) {
                    continue;
                }
                let question = self.question(&asker, role, action, &role.scope);
                if applies(self.store, &question) {
                    let cell = cell(self.store, &self.constants, question)?;
                    on_scope += usize::from(cell.value != Expected::Deny);
                }
            }
            reach.on_scope = reach.on_scope.max(on_scope);
        }
        Ok(reach)
    }

    /// Returns the types of those who can use a role that such a principal holds: its own, and those
    /// that can be in it.
    fn askers(&self, principal: &EntityType) -> Vec<EntityType> {
        let mut askers: Vec<EntityType> =
            self.schema().actions().flat_map(|action| action.principals.iter().cloned()).collect();
        askers.sort_unstable();
        askers.dedup();
        askers.retain(|asker| {
            let shape = self.schema().entity(asker);
            asker == principal || shape.is_some_and(|shape| shape.parents.contains(principal))
        });
        askers
    }

    fn question(
        &self,
        asker: &EntityType,
        role: &Role,
        action: &ActionSchema,
        resource: &EntityUID,
    ) -> MatrixCell {
        let schema = self.schema();
        let holder = name_of(schema, &any(schema, &self.constants, &role.principal));
        let is_holder = *asker == role.principal;
        let principal = if is_holder {
            holder.clone()
        } else {
            name_of(schema, &any(schema, &self.constants, asker))
        };
        let member = EntityInput {
            uid: Some(principal.clone()),
            parents: vec![holder.clone()],
            ..EntityInput::default()
        };
        let id: &str = action.uid.eid().as_ref();
        MatrixCell {
            scope: role.scope.entity_type().to_string(),
            action: id.to_owned(),
            label: String::new(),
            column: role.slot.clone(),
            expected: None,
            exempt: None,
            input: RequestInput {
                principal: Some(principal),
                action: Some(Uid::new(action.uid.entity_type().to_string(), id)),
                resource: Some(name_of(schema, resource)),
                entities: (!is_holder).then_some(member).into_iter().collect(),
                role_assignments: vec![RoleAssignmentInput {
                    principal: Some(holder),
                    role: role.slot.clone(),
                    scope: Some(name_of(schema, &role.scope)),
                    expires_at: None,
                }],
                ..RequestInput::default()
            },
            now: DEFAULT_NOW,
            open_roles: Vec::new(),
            open_attributes: Vec::new(),
        }
    }
}
