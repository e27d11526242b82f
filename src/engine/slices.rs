//! The index of policies by their scopes: a decision looks only at those whose scope can match.
//!
//! Leaving out a policy whose scope does not match changes neither decision, reasons nor errors: a
//! scope clause cannot fail, so such a policy is just not satisfied (Cedar's Lean development
//! proves it as `isAuthorized_eq_for_scope_based_policy_slice`).

use std::{
    collections::{HashMap, HashSet},
    hash::BuildHasher as _,
    sync::Arc,
};

use cedar_policy_core::{
    ast::{
        ActionConstraint, Effect, EntityReference, EntityType, EntityUID, Expr, Policy,
        PrincipalOrResourceConstraint as Constraint, SlotEnv,
    },
    entities::{Dereference, Entities},
};
use foldhash::fast::RandomState;

/// A policy with its condition built once.
#[derive(Debug)]
pub struct PreparedPolicy {
    policy: Policy,
    principal: Scope,
    resource: Scope,
    index: u32,
}

/// A scope clause on principal or resource, without variables to fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub entity_type: Option<Arc<EntityType>>,
    pub entity: Option<Arc<EntityUID>>,
    /// True where `entity` must be met exactly, and not only be an ancestor.
    pub exact: bool,
}

/// The uids under which a policy is found: those of its scope on principal and on resource.
type ScopeKey<'a> = (Option<&'a EntityUID>, Option<&'a EntityUID>);

/// The policies that can apply to one action.
#[derive(Debug, Default)]
struct ActionSlice {
    /// Policies with the hashes of their keys, in the order of the hashes. Two keys may share one.
    by_key: Vec<(u64, Arc<PreparedPolicy>)>,
    /// True where a key names a principal; else ancestors of the principal need no lookup.
    by_principal: bool,
    /// True where a key names a resource; else ancestors of the resource need no lookup.
    by_resource: bool,
}

/// The index of all policies by action, principal and resource.
#[derive(Debug, Default)]
pub struct Slices {
    /// In the order of their ids.
    policies: Vec<Arc<PreparedPolicy>>,
    by_action: HashMap<EntityUID, ActionSlice>,
    /// Policies on every action, kept once.
    of_any: ActionSlice,
    random: RandomState,
}

impl Slices {
    /// Indexes policies. `actions` holds the action entities of the schema with their ancestors.
    pub fn new<'a>(
        policies: impl IntoIterator<Item = &'a Policy>,
        actions: &[(EntityUID, HashSet<EntityUID>)],
    ) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        policies.sort_by(|a, b| AsRef::<str>::as_ref(a.id()).cmp(b.id().as_ref()));
        let policies: Vec<_> = (0..)
            .zip(policies)
            .map(|(index, policy)| Arc::new(PreparedPolicy::new(policy, index)))
            .collect();
        let random = RandomState::default();
        // Each key is hashed once, however many actions its policy is on.
        let hashes: Vec<_> = policies.iter().map(|policy| random.hash_one(policy.key())).collect();
        let slice = |policies: Vec<&Arc<PreparedPolicy>>| {
            let hashed = policies.into_iter().filter_map(|policy| {
                Some((*hashes.get(policy.index as usize)?, Arc::clone(policy)))
            });
            ActionSlice::new(hashed.collect())
        };
        let mut known: HashMap<&EntityUID, Option<&HashSet<EntityUID>>> =
            actions.iter().map(|(uid, ancestors)| (uid, Some(ancestors))).collect();
        // Found by the entity that a policy's scope names, a policy meets each action only once.
        let mut by_named: HashMap<&EntityUID, Vec<&Arc<PreparedPolicy>>> = HashMap::new();
        let mut of_any = Vec::new();
        for policy in &policies {
            match policy.policy.action_constraint() {
                ActionConstraint::Any => of_any.push(policy),
                constraint => {
                    for uid in constraint.iter_euids() {
                        known.entry(uid).or_insert(None);
                        by_named.entry(uid).or_default().push(policy);
                    }
                }
            }
        }
        let by_action = known.iter().map(|(action, ancestors)| {
            let ancestors = ancestors.iter().copied().flatten();
            let named = std::iter::once(*action).chain(ancestors).flat_map(|uid| {
                by_named.get(uid).into_iter().flatten().map(move |policy| (uid, *policy))
            });
            let reaching = named.filter(|(uid, policy)| match policy.policy.action_constraint() {
                ActionConstraint::Eq(_) => uid == action,
                _ => true,
            });
            // A policy may name the action and several groups that it is in.
            let mut reaching: Vec<_> = reaching.map(|(_, policy)| policy).collect();
            reaching.sort_unstable_by_key(|policy| policy.index);
            reaching.dedup_by_key(|policy| policy.index);
            ((*action).clone(), slice(reaching))
        });
        let by_action = by_action.collect();
        let of_any = slice(of_any);
        Self { by_action, of_any, policies, random }
    }

    /// Calls `visit` with every policy whose scope matches, each once.
    pub(super) fn matching<'a>(
        &'a self,
        principal: &EntityUID,
        action: &EntityUID,
        resource: &EntityUID,
        entities: &Entities,
        mut visit: impl FnMut(&'a Arc<PreparedPolicy>),
    ) {
        for slice in self.by_action.get(action).into_iter().chain([&self.of_any]) {
            let principals = keys(principal, entities, slice.by_principal);
            let resources = keys(resource, entities, slice.by_resource);
            for principal_key in &principals {
                for resource_key in &resources {
                    let key = (*principal_key, *resource_key);
                    for policy in slice.under(self.random.hash_one(key), key) {
                        if policy.principal.fits(principal) && policy.resource.fits(resource) {
                            visit(policy);
                        }
                    }
                }
            }
        }
    }

    /// Returns all policies, in the order of their ids.
    pub(crate) fn policies(&self) -> impl Iterator<Item = &Arc<PreparedPolicy>> {
        self.policies.iter()
    }

    /// Returns the policies on every action.
    pub(crate) fn of_any(&self) -> impl Iterator<Item = &Arc<PreparedPolicy>> {
        self.of_any.all()
    }

    /// Returns the policies on an action or on a group that it is in; not those on every action.
    pub(crate) fn of_action(
        &self,
        action: &EntityUID,
    ) -> impl Iterator<Item = &Arc<PreparedPolicy>> {
        self.by_action.get(action).into_iter().flat_map(ActionSlice::all)
    }

    /// Returns the policies that can apply to an action and name neither principal nor resource.
    pub(super) fn unnamed(&self, action: &EntityUID) -> impl Iterator<Item = &Arc<PreparedPolicy>> {
        let slices = self.by_action.get(action).into_iter().chain([&self.of_any]);
        let hash = self.random.hash_one((None, None) as ScopeKey<'_>);
        slices.flat_map(move |slice| slice.under(hash, (None, None)))
    }
}

/// Returns the keys under which policies on an entity are found: no uid, its own, and its ancestors'.
fn keys<'a>(uid: &'a EntityUID, entities: &'a Entities, named: bool) -> Vec<Option<&'a EntityUID>> {
    let mut keys = vec![None];
    if named {
        keys.push(Some(uid));
        if let Dereference::Data(entity) = entities.entity(uid) {
            keys.extend(entity.ancestors().filter(|ancestor| *ancestor != uid).map(Some));
        }
    }
    keys
}

impl ActionSlice {
    fn new(mut by_key: Vec<(u64, Arc<PreparedPolicy>)>) -> Self {
        by_key.sort_unstable_by_key(|(hash, policy)| (*hash, policy.index));
        Self {
            by_principal: by_key.iter().any(|(_, policy)| policy.principal.entity.is_some()),
            by_resource: by_key.iter().any(|(_, policy)| policy.resource.entity.is_some()),
            by_key,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<PreparedPolicy>> {
        self.by_key.iter().map(|(_, policy)| policy)
    }

    /// Returns the policies under a key with that hash.
    fn under<'a, 'k>(
        &'a self,
        hash: u64,
        key: ScopeKey<'k>,
    ) -> impl Iterator<Item = &'a Arc<PreparedPolicy>> + use<'a, 'k> {
        let start = self.by_key.partition_point(|(other, _)| *other < hash);
        let from_here = self.by_key.get(start..).unwrap_or_default().iter();
        from_here
            .take_while(move |(other, _)| *other == hash)
            .map(|(_, policy)| policy)
            .filter(move |policy| policy.key() == key)
    }
}

impl Scope {
    fn new(constraint: &Constraint) -> Self {
        let (entity_type, entity, exact) = match constraint {
            Constraint::Any => (None, None, false),
            Constraint::Is(ty) => (Some(ty), None, false),
            Constraint::Eq(reference) => (None, reference_uid(reference), true),
            Constraint::In(reference) => (None, reference_uid(reference), false),
            Constraint::IsIn(ty, reference) => (Some(ty), reference_uid(reference), false),
        };
        Self { entity_type: entity_type.cloned(), entity, exact }
    }

    /// Returns whether an entity that was found by this scope's key matches the rest of the clause.
    fn fits(&self, uid: &EntityUID) -> bool {
        self.entity_type.as_deref().is_none_or(|ty| ty == uid.entity_type())
            && (!self.exact || self.entity.as_deref().is_none_or(|entity| entity == uid))
    }
}

fn reference_uid(reference: &EntityReference) -> Option<Arc<EntityUID>> {
    match reference {
        EntityReference::EUID(uid) => Some(Arc::clone(uid)),
        // Policies have their slots filled; only templates do not, and they never get here.
        EntityReference::Slot(_) => None,
    }
}

impl PreparedPolicy {
    fn new(policy: &Policy, index: u32) -> Self {
        Self {
            index,
            principal: Scope::new(policy.principal_constraint().as_inner()),
            resource: Scope::new(policy.resource_constraint().as_inner()),
            policy: policy.clone(),
        }
    }

    fn key(&self) -> ScopeKey<'_> {
        (self.principal.entity.as_deref(), self.resource.entity.as_deref())
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn id(&self) -> &str {
        self.policy.id().as_ref()
    }

    /// Returns the id under which its text is found: a link is written as its template.
    pub(crate) fn written_as(&self) -> &str {
        self.policy.template().id().as_ref()
    }

    /// Returns its place in the index, in the order of the ids.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn principal(&self) -> &Scope {
        &self.principal
    }

    pub(crate) fn resource(&self) -> &Scope {
        &self.resource
    }

    pub(crate) fn is_forbid(&self) -> bool {
        self.policy.effect() == Effect::Forbid
    }

    pub(crate) fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.policy.annotations().map(|(name, annotation)| (name.as_ref(), annotation.val.as_str()))
    }

    /// Returns the `when` and `unless` clauses; none where there are none.
    pub(crate) fn condition(&self) -> Option<&Expr> {
        self.policy.non_scope_constraints()
    }

    pub(crate) fn variables(&self) -> &SlotEnv {
        self.policy.env()
    }
}
