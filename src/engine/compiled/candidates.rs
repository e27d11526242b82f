//! The index of compiled policies: those that a request can touch, found without looking at the
//! others.

use std::{
    collections::{HashMap, HashSet},
    hash::BuildHasher,
    sync::Arc,
};

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    CompiledPolicy, Condition, NeedsCedar,
    expr::{Role, Target},
    facts::{Closure, CompiledFacts},
};
use crate::{
    engine::slices::{PreparedPolicy, Slices},
    request::SEARCHED,
    schema::Schema,
};

type Random = foldhash::fast::RandomState;

/// The place of a policy in the order of the ids.
type Index = u32;

/// The policies of a store, indexed by action and by the entities that their scopes name.
#[derive(Debug)]
pub(super) struct Candidates {
    /// Actions with the same policies and types share them.
    by_action: HashMap<EntityUID, Arc<OfAction>, Random>,
    /// Policies on every action that name a principal or a resource, kept once.
    of_any: NamedPolicies,
    random: Random,
}

#[derive(Debug)]
struct OfAction {
    /// Policies that name neither, for each pair of types of principal and resource.
    unnamed: Box<[OfTypes]>,
    named: NamedPolicies,
}

#[derive(Debug)]
struct OfTypes {
    principal: EntityType,
    resource: EntityType,
    policies: Box<[Index]>,
    /// True where one of them can only be evaluated by Cedar.
    cedar_only: bool,
}

/// Policies under hashes of what their scopes name. Two names may share a hash, so a policy that is
/// found here has yet to be tested whether its scope holds.
#[derive(Debug, Default)]
struct NamedPolicies {
    by_principal: HashMap<u64, Vec<Index>, Random>,
    by_resource: HashMap<u64, Vec<Index>, Random>,
    by_both: HashMap<(u64, u64), Vec<Index>, Random>,
    /// Principal hashes in `by_both`; a request without one skips that index.
    principals_of_both: HashSet<u64, Random>,
    principal_roles: NamedRoles,
    resource_roles: NamedRoles,
    /// True where a policy is on a Role that no scope has. Only a caller that sends this Role is in
    /// it.
    unknown_role: bool,
}

/// The Roles that scopes name, up to one more than [`SEARCHED`].
#[derive(Debug, Default)]
struct NamedRoles(Vec<Role>);

impl Candidates {
    pub(super) fn new(policies: &[CompiledPolicy], slices: &Slices, schema: &Schema) -> Self {
        let random = Random::default();
        let mut of_any = NamedPolicies::default();
        for index in slices.of_any().map(|policy| policy.index()) {
            if let Some(policy) = get(policies, index) {
                of_any.add(index, policy, &random);
            }
        }
        let mut known: HashMap<_, Arc<OfAction>> = HashMap::new();
        let by_action = schema.actions().map(|action| {
            let sorted = |policies: &mut dyn Iterator<Item = &Arc<PreparedPolicy>>| {
                let mut indices: Vec<_> = policies.map(|policy| policy.index()).collect();
                indices.sort_unstable();
                indices
            };
            let all = sorted(&mut slices.of_action(&action.uid));
            let unnamed = sorted(&mut slices.unnamed(&action.uid));
            let of_action = known
                .entry((all, unnamed, &action.principals, &action.resources))
                .or_insert_with_key(|(all, unnamed, principals, resources)| {
                    let mut named = NamedPolicies::default();
                    for index in all {
                        if let Some(policy) = get(policies, *index) {
                            named.add(*index, policy, &random);
                        }
                    }
                    let types = principals.iter().flat_map(|principal| {
                        resources.iter().map(move |resource| (principal, resource))
                    });
                    let unnamed = types.map(|(principal, resource)| {
                        OfTypes::new(principal, resource, unnamed, policies)
                    });
                    Arc::new(OfAction { unnamed: unnamed.collect(), named })
                });
            (action.uid.clone(), Arc::clone(of_action))
        });
        Self { by_action: by_action.collect(), of_any, random }
    }

    /// Calls `visit` with the place of every policy that may apply. Some may come twice.
    pub(super) fn visit<'a>(
        &'a self,
        facts: &CompiledFacts<'a>,
        mut visit: impl FnMut(Index) -> Result<(), NeedsCedar>,
    ) -> Result<(), NeedsCedar> {
        let request = facts.request();
        let of_action = self.by_action.get(&request.action).ok_or(NeedsCedar)?;
        let types = (request.principal.entity_type(), request.resource.entity_type());
        let of_types = of_action
            .unnamed
            .iter()
            .find(|of_types| (&of_types.principal, &of_types.resource) == types)
            .ok_or(NeedsCedar)?;
        if of_types.cedar_only {
            return Err(NeedsCedar);
        }
        for named in [&of_action.named, &self.of_any] {
            named.visit(facts, &self.random, &mut visit)?;
        }
        of_types.policies.iter().try_for_each(|index| visit(*index))
    }
}

fn get(policies: &[CompiledPolicy], index: Index) -> Option<&CompiledPolicy> {
    policies.get(index as usize)
}

impl OfTypes {
    fn new(
        principal: &EntityType,
        resource: &EntityType,
        unnamed: &[Index],
        policies: &[CompiledPolicy],
    ) -> Self {
        let fits = |index: &Index| {
            get(policies, *index).is_some_and(|policy| {
                let fits =
                    |of: &Option<Box<EntityType>>, ty| of.as_deref().is_none_or(|of| of == ty);
                fits(&policy.principal.entity_type, principal)
                    && fits(&policy.resource.entity_type, resource)
            })
        };
        let fitting: Box<[Index]> = unnamed.iter().copied().filter(fits).collect();
        let cedar_only = fitting
            .iter()
            .filter_map(|index| get(policies, *index))
            .any(|policy| matches!(policy.condition, Condition::CedarOnly));
        Self {
            principal: principal.clone(),
            resource: resource.clone(),
            policies: fitting,
            cedar_only,
        }
    }
}

impl NamedPolicies {
    fn add(&mut self, index: Index, policy: &CompiledPolicy, random: &Random) {
        let hash = |target: &Target| match target {
            Target::Entity(uid) => Some(hash_entity(random, uid)),
            Target::Role(role) => Some(random.hash_one(role.borrowed())),
            Target::UnknownRole => None,
        };
        let unknown = |target: &Option<Target>| matches!(target, Some(Target::UnknownRole));
        self.unknown_role |= unknown(&policy.principal.target) || unknown(&policy.resource.target);
        self.principal_roles.add(policy.principal.target.as_ref());
        self.resource_roles.add(policy.resource.target.as_ref());
        match (&policy.principal.target, &policy.resource.target) {
            (Some(principal), Some(resource)) => {
                if let Some(key) = hash(principal).zip(hash(resource)) {
                    self.by_both.entry(key).or_default().push(index);
                    self.principals_of_both.insert(key.0);
                }
            }
            (Some(principal), None) => {
                if let Some(key) = hash(principal) {
                    self.by_principal.entry(key).or_default().push(index);
                }
            }
            (None, Some(resource)) => {
                if let Some(key) = hash(resource) {
                    self.by_resource.entry(key).or_default().push(index);
                }
            }
            (None, None) => {}
        }
    }

    fn visit<'a>(
        &'a self,
        facts: &CompiledFacts<'a>,
        random: &Random,
        visit: &mut impl FnMut(Index) -> Result<(), NeedsCedar>,
    ) -> Result<(), NeedsCedar> {
        let request = facts.request();
        let (principal, resource) = (&request.principal, &request.resource);
        if self.unknown_role {
            // A Role that a caller puts into an entity is for Cedar, and is seen here.
            facts.closure(principal)?;
            facts.closure(resource)?;
        }
        for (side, roles, uid) in [
            (&self.by_principal, &self.principal_roles, principal),
            (&self.by_resource, &self.resource_roles, resource),
        ] {
            if side.is_empty() {
                continue;
            }
            for hash in roles.hashes(random, facts, &*facts.closure(uid)?) {
                side.get(&hash).into_iter().flatten().try_for_each(|index| visit(*index))?;
            }
        }
        if !self.by_both.is_empty() {
            let principals = facts.closure(principal)?;
            let named = |hash: &u64| self.principals_of_both.contains(hash);
            let of_principals = self.principal_roles.hashes(random, facts, &principals);
            for of_principal in of_principals.filter(named) {
                let resources = facts.closure(resource)?;
                for of_resource in self.resource_roles.hashes(random, facts, &resources) {
                    let found = self.by_both.get(&(of_principal, of_resource));
                    found.into_iter().flatten().try_for_each(|index| visit(*index))?;
                }
            }
        }
        Ok(())
    }
}

impl NamedRoles {
    fn add(&mut self, target: Option<&Target>) {
        if let Some(Target::Role(role)) = target
            && self.0.len() <= SEARCHED
            && !self.0.contains(role)
        {
            self.0.push((**role).clone());
        }
    }

    /// Returns the hashes of what an entity is in, as far as a scope may name it.
    fn hashes<'c, 'a>(
        &'a self,
        random: &'c Random,
        facts: &'c CompiledFacts<'a>,
        closure: &'c Closure<'a>,
    ) -> impl Iterator<Item = u64> + use<'c, 'a> {
        let all_roles = || {
            let mut hashes = Vec::new();
            closure.each_role(|role| hashes.push(random.hash_one(role)));
            hashes
        };
        let entities = closure.entities().iter().map(|uid| hash_entity(random, uid));
        // The few that are named are looked for among many that an entity may have, or the other
        // way round.
        let named = (self.0.len() <= SEARCHED).then(|| {
            let held = self.0.iter().filter(|role| facts.has_role(closure, role.borrowed()));
            held.map(|role| random.hash_one(role.borrowed()))
        });
        let all = named.is_none().then(all_roles);
        entities.chain(named.into_iter().flatten()).chain(all.into_iter().flatten())
    }
}
fn hash_entity(random: &Random, uid: &EntityUID) -> u64 {
    random.hash_one((AsRef::<str>::as_ref(uid.eid()), uid.entity_type().name().basename_as_ref()))
}
