//! The role assignments of a request.

use std::sync::Arc;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::checker::{Checker, listed};
use crate::{
    model::Uid,
    request::{
        FieldPath, RequestFacts, RoleAssignment, RoleAssignmentInput, RoleAssignments, shorten,
    },
};

impl Checker<'_> {
    /// Checks role assignments. One that names no principal or scope means the default.
    pub fn role_assignments(
        &mut self,
        sent: &[RoleAssignmentInput],
        (principal, resource): (Option<&EntityUID>, Option<&EntityUID>),
    ) -> Arc<RoleAssignments> {
        let list = FieldPath::Field("role_assignments");
        if !sent.is_empty() && self.refuses_facts() {
            self.violation(
                &list,
                "the store's directory says who holds which role: send none (`request_facts` in \
                 its `store.toml` is `refuse`)",
            );
            return Arc::default();
        }
        if !self.count_fits(&list, sent.len(), ("role_assignments", self.limits.role_assignments)) {
            return Arc::default();
        }
        let mut assignments = Vec::with_capacity(sent.len());
        for (index, assignment) in sent.iter().enumerate() {
            let path = FieldPath::Index(&list, index);
            let mut side = |field, written: Option<&Uid>, default: Option<&EntityUID>| match written
            {
                Some(uid) => self.uid(&FieldPath::Of(&path, field), uid),
                None => default.cloned(),
            };
            let principal = side("principal", assignment.principal.as_ref(), principal);
            let scope = side("scope", assignment.scope.as_ref(), resource);
            assignments.extend(self.role_assignment(&path, assignment, principal, scope));
        }
        Arc::new(RoleAssignments::new(self.schema(), assignments))
    }

    pub fn role_assignment(
        &mut self,
        path: &FieldPath<'_>,
        sent: &RoleAssignmentInput,
        principal: Option<EntityUID>,
        scope: Option<EntityUID>,
    ) -> Option<RoleAssignment> {
        let scope = scope?;
        let slots = self.schema().entity(scope.entity_type()).map(|shape| &shape.slots);
        let Some(slots) = slots.filter(|slots| !slots.is_empty()) else {
            let scopes = self.schema().entities().filter(|shape| !shape.slots.is_empty());
            let scopes = listed(scopes.map(|shape| &shape.entity_type));
            let held = if scopes.is_empty() {
                "the schema has no roles: no entity type is annotated with `@role`".to_owned()
            } else {
                format!("roles are held on {scopes}")
            };
            self.violation(
                &FieldPath::Of(path, "scope"),
                format!("no role can be held on a `{}`: {held}", scope.entity_type()),
            );
            return None;
        };
        let Some((slot, role_type)) = slots.get_key_value(sent.role.as_str()) else {
            let written = shorten(&sent.role);
            self.violation(
                &FieldPath::Of(path, "role"),
                format!(
                    "`{}` has no role `{written}`: its roles are {}",
                    scope.entity_type(),
                    listed(slots.keys())
                ),
            );
            return None;
        };
        let principal = principal?;
        if !self.can_be_in(principal.entity_type(), role_type) {
            self.violation(
                &FieldPath::Of(path, "principal"),
                format!("a `{}` cannot hold a role", principal.entity_type()),
            );
            return None;
        }
        Some(RoleAssignment { principal, slot: slot.clone(), scope, expires_at: sent.expires_at })
    }

    /// Returns whether callers may say nothing of what a directory could hold.
    pub fn refuses_facts(&self) -> bool {
        self.known.held.is_some_and(|held| held.request_facts == RequestFacts::Refuse)
    }

    fn can_be_in(&self, child: &EntityType, parent: &EntityType) -> bool {
        self.schema().entity(child).is_some_and(|shape| shape.parents.contains(parent))
    }
}
