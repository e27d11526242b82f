//! Membership, as far as it is known.

use cedar_policy_core::ast::{EntityUID, ValueKind};

use super::{
    abstract_value::{Abstract, Fails, Open, entity},
    evaluation::Evaluation,
    truth::Truth,
};
use crate::schema::Shape;

impl Evaluation<'_> {
    /// Evaluates `left in right`.
    pub(super) fn member(self, left: &Abstract, right: &Abstract) -> Result<Truth, Fails> {
        match (left, right) {
            (Abstract::Value(left), Abstract::Value(right)) => {
                let uid = entity(left)?;
                match &right.value {
                    ValueKind::Set(set) => {
                        let items = set.authoritative.iter();
                        let each = items.map(|item| Ok(self.is_in(uid, entity(item)?)));
                        Ok(Truth::any(each.collect::<Result<Vec<_>, Fails>>()?))
                    }
                    _ => Ok(self.is_in(uid, entity(right)?)),
                }
            }
            (Abstract::Value(left), Abstract::Open(right)) => {
                let uid = entity(left)?;
                if self.cannot_be_in(uid, right) {
                    return Ok(Truth::False);
                }
                Ok(Truth::Open(right.because_of.clone()))
            }
            (Abstract::Open(left), _) => Ok(Truth::Open(left.because_of.clone())),
            (Abstract::Record(_), _) | (_, Abstract::Record(_)) => Err(Fails),
        }
    }

    /// Returns whether an entity is in nothing that an open value may be.
    fn cannot_be_in(self, uid: &EntityUID, open: &Open) -> bool {
        let Some(Shape::Entity(of)) = &open.shape else { return false };
        let types = self.world.schema.entity(uid.entity_type()).map(|shape| &shape.parents);
        if **of != *uid.entity_type() && types.is_none_or(|types| !types.contains(of)) {
            return true;
        }
        let Some(roles) = self.world.open_roles_of(uid) else { return false };
        if **of == *uid.entity_type() {
            return false;
        }
        let ancestors = self.world.ancestors(self.engine, uid);
        match &open.role {
            // A Role of another scope type or slot is another Role, whichever scope it will be.
            Some(role) => {
                let is_such = |ancestor: &EntityUID| {
                    self.world.schema.scope_of(ancestor).is_some_and(|(scope, slot)| {
                        (scope.entity_type(), &slot) == (&role.0, &role.1)
                    })
                };
                !roles.contains(role) && !ancestors.iter().any(is_such)
            }
            None => roles.is_empty() && !ancestors.iter().any(|uid| uid.entity_type() == &**of),
        }
    }
}
