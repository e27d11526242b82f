//! Checked facts: the entities and role assignments of a request, or those that the items of a
//! batch share.

use std::sync::{Arc, OnceLock};

use cedar_policy_core::ast::{self, EntityUID, Literal, ValueKind};
use smol_str::SmolStr;

use crate::{
    model::{
        Timestamp,
        hash::{HashMap, HashSet},
    },
    schema::{Schema, Slot},
};

/// Lists up to this length are searched one by one, which is cheaper than making the key of a hash; longer ones
/// are indexed.
pub(crate) const SEARCHED: usize = 16;

/// The facts that a caller sent of one entity.
#[derive(Debug, Clone)]
pub struct EntityFacts {
    /// The entity.
    pub uid: EntityUID,
    /// Its attributes.
    pub attributes: Vec<(SmolStr, ast::Value)>,
    /// The entities that it is directly in.
    pub parents: Vec<EntityUID>,
    /// Its tags.
    pub tags: Vec<(SmolStr, ast::Value)>,
}

impl EntityFacts {
    /// Returns whether both say the same of the same entity, in whatever order.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        fn fields(fields: &[(SmolStr, ast::Value)]) -> HashMap<&SmolStr, &ast::Value> {
            fields.iter().map(|(name, value)| (name, value)).collect()
        }
        let parents = |facts: &Self| facts.parents.iter().cloned().collect::<HashSet<_>>();
        self.uid == other.uid
            && fields(&self.attributes) == fields(&other.attributes)
            && fields(&self.tags) == fields(&other.tags)
            && parents(self) == parents(other)
    }

    /// Returns the entities that attributes name, themselves or in sets and records.
    pub fn named(&self) -> impl Iterator<Item = &EntityUID> {
        let mut pending: Vec<_> = self.attributes.iter().map(|(_, value)| &value.value).collect();
        std::iter::from_fn(move || {
            loop {
                match pending.pop()? {
                    ValueKind::Lit(Literal::EntityUID(uid)) => return Some(&**uid),
                    ValueKind::Set(set) => {
                        pending.extend(set.authoritative.iter().map(|value| &value.value));
                    }
                    ValueKind::Record(fields) => {
                        pending.extend(fields.values().map(|value| &value.value));
                    }
                    ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => {}
                }
            }
        })
    }
}

/// A principal that holds a role on a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAssignment {
    /// The holder.
    pub principal: EntityUID,
    /// The role.
    pub slot: Slot,
    /// The entity on which it is held.
    pub scope: EntityUID,
    /// From this moment on the assignment does not exist.
    pub expires_at: Option<Timestamp>,
}

impl RoleAssignment {
    /// Returns whether the assignment exists at that moment.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// The entities of a request, no two of the same uid. An item of a batch lays its own over those
/// that all items share.
#[derive(Debug, Default)]
pub struct SentEntities {
    own: Vec<EntityFacts>,
    places: OnceLock<HashMap<EntityUID, usize>>,
    shared: Option<Arc<Self>>,
    has_roles: bool,
}

impl SentEntities {
    /// Collects entities, each of another uid.
    #[must_use]
    pub fn new(schema: &Schema, own: Vec<EntityFacts>) -> Self {
        let has_roles = own.iter().any(|entity| schema.is_role(&entity.uid));
        Self { own, places: OnceLock::new(), shared: None, has_roles }
    }

    /// Lays the entities over shared ones.
    #[must_use]
    pub fn over(self, shared: Arc<Self>) -> Self {
        let has_roles = self.has_roles || shared.has_roles;
        Self { shared: Some(shared), has_roles, ..self }
    }

    /// Returns whether one of them is of a role type.
    #[must_use]
    pub fn has_roles(&self) -> bool {
        self.has_roles
    }

    /// Returns the facts of an entity.
    #[must_use]
    pub fn get(&self, uid: &EntityUID) -> Option<&EntityFacts> {
        let own = if self.own.len() <= SEARCHED {
            self.own.iter().find(|entity| entity.uid == *uid)
        } else {
            let places = self.places.get_or_init(|| {
                self.own.iter().enumerate().map(|(at, entity)| (entity.uid.clone(), at)).collect()
            });
            places.get(uid).and_then(|at| self.own.get(*at))
        };
        own.or_else(|| self.shared.as_ref()?.get(uid))
    }

    /// Returns all entities: the own ones, then the shared ones that no own one replaces.
    pub fn iter(&self) -> impl Iterator<Item = &EntityFacts> {
        let shared = self.shared.iter().flat_map(|shared| &shared.own);
        let replaced = |entity: &&EntityFacts| {
            self.get(&entity.uid).is_some_and(|found| !std::ptr::eq(found, *entity))
        };
        self.own.iter().chain(shared.filter(move |entity| !replaced(entity)))
    }

    /// Returns how many there are, counting one that is replaced as well.
    #[must_use]
    pub fn len(&self) -> usize {
        self.own.len() + self.shared.as_ref().map_or(0, |shared| shared.len())
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.as_ref().is_none_or(|shared| shared.is_empty())
    }
}

/// The role assignments of a request, expired ones included.
#[derive(Debug, Default)]
pub struct RoleAssignments {
    list: Vec<RoleAssignment>,
    by_principal: OnceLock<Places>,
    by_scope: OnceLock<Places>,
    has_roles: bool,
}

/// Places in a list by entity.
type Places = HashMap<EntityUID, Vec<usize>>;

impl RoleAssignments {
    /// Collects assignments.
    #[must_use]
    pub fn new(schema: &Schema, list: Vec<RoleAssignment>) -> Self {
        let has_roles = list.iter().any(|assignment| schema.is_role(&assignment.principal));
        Self { list, by_principal: OnceLock::new(), by_scope: OnceLock::new(), has_roles }
    }

    /// Returns whether a holder is of a role type.
    #[must_use]
    pub fn has_roles(&self) -> bool {
        self.has_roles
    }

    /// Returns all assignments in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = &RoleAssignment> {
        self.list.iter()
    }

    /// Returns all assignments that exist at that moment.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &RoleAssignment> {
        self.list.iter().filter(move |assignment| assignment.is_in_force(now))
    }

    /// Returns the assignments of a principal.
    pub fn of<'a, 'u>(
        &'a self,
        principal: &'u EntityUID,
    ) -> impl Iterator<Item = &'a RoleAssignment> + use<'a, 'u> {
        self.found(principal, &self.by_principal, |role| &role.principal)
    }

    /// Returns the assignments on a scope.
    pub fn on<'a, 'u>(
        &'a self,
        scope: &'u EntityUID,
    ) -> impl Iterator<Item = &'a RoleAssignment> + use<'a, 'u> {
        self.found(scope, &self.by_scope, |role| &role.scope)
    }

    fn found<'a, 'u>(
        &'a self,
        uid: &'u EntityUID,
        places: &'a OnceLock<Places>,
        entity: fn(&RoleAssignment) -> &EntityUID,
    ) -> impl Iterator<Item = &'a RoleAssignment> + use<'a, 'u> {
        let (searched, indexed): (&[_], &[_]) = if self.list.len() <= SEARCHED {
            (&self.list, &[])
        } else {
            let places = places.get_or_init(|| {
                let mut places = Places::default();
                for (at, role) in self.list.iter().enumerate() {
                    places.entry(entity(role).clone()).or_default().push(at);
                }
                places
            });
            (&[], places.get(uid).map_or(&[], Vec::as_slice))
        };
        let searched = searched.iter().filter(move |role| entity(role) == uid);
        searched.chain(indexed.iter().filter_map(|at| self.list.get(*at)))
    }

    /// Returns how many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn schema() -> Schema {
        let (cedar, _) = cedar_policy::Schema::from_cedarschema_str("entity User;").unwrap();
        Schema::new(cedar, |_| false).unwrap()
    }

    fn uid(id: &str) -> EntityUID {
        EntityUID::with_eid_and_type("User", id).unwrap()
    }

    fn entity(id: &str, parent: &str) -> EntityFacts {
        EntityFacts {
            uid: uid(id),
            attributes: Vec::new(),
            parents: vec![uid(parent)],
            tags: Vec::new(),
        }
    }

    #[test]
    fn own_entities_replace_shared_ones_however_many_there_are() {
        for count in [2, SEARCHED + 2] {
            let id = |n| format!("u{n}");
            let all = (0..count).map(|n| entity(&id(n), "shared")).collect();
            let shared = Arc::new(SentEntities::new(&schema(), all));
            let own = vec![entity("u1", "own"), entity("new", "own")];
            let entities = SentEntities::new(&schema(), own).over(shared);
            assert_eq!(entities.iter().count(), count + 1);
            assert_eq!(entities.get(&uid("u0")).unwrap().parents, [uid("shared")]);
            assert_eq!(entities.get(&uid("u1")).unwrap().parents, [uid("own")]);
            assert_eq!(entities.get(&uid("new")).unwrap().parents, [uid("own")]);
            assert!(entities.get(&uid("none")).is_none());
            let of_u1 = entities.iter().filter(|entity| entity.uid == uid("u1"));
            assert_eq!(of_u1.count(), 1);
        }
    }

    #[test]
    fn assignments_are_found_by_principal_and_by_scope_however_many_there_are() {
        for count in [2, SEARCHED + 2] {
            let role = |n: usize| RoleAssignment {
                principal: uid(if n.is_multiple_of(2) { "even" } else { "odd" }),
                slot: Slot::new("editor"),
                scope: uid(&n.to_string()),
                expires_at: None,
            };
            let roles = RoleAssignments::new(&schema(), (0..count).map(role).collect());
            let scopes = |role: &RoleAssignment| role.scope.clone();
            let found: Vec<_> = roles.of(&uid("even")).map(scopes).collect();
            let expected: Vec<_> = (0..count).step_by(2).map(|n| uid(&n.to_string())).collect();
            assert_eq!(found, expected);
            assert_eq!(roles.of(&uid("none")).count(), 0);
            assert_eq!(
                roles.on(&uid("1")).map(|role| &role.principal).collect::<Vec<_>>(),
                [&uid("odd")]
            );
            assert_eq!(roles.on(&uid("none")).count(), 0);
        }
    }
}
