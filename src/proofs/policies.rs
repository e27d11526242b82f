//! The policies of a store as the solver takes them, and the requests that each may apply to.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{EntityTypeName, Policy, PolicySet, RequestEnv};
use cedar_policy_core::ast::{
    self, ActionConstraint, EntityReference, EntityType, EntityUID, Expr, ExprKind, Literal,
    PrincipalOrResourceConstraint as Constraint, Var,
};
use smol_str::SmolStr;

use crate::{
    analysis::Kind,
    schema::{RecordShape, Schema},
};

/// A kind of request: an action, with types of principal and resource.
#[derive(Debug, Clone)]
pub(super) struct Environment<'a> {
    pub principal: &'a EntityType,
    pub action: &'a EntityUID,
    pub resource: &'a EntityType,
    pub context: &'a RecordShape,
}

impl std::fmt::Display for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let action: &str = self.action.eid().as_ref();
        write!(f, "a {} asks for {action} on a {}", self.principal, self.resource)
    }
}

impl<'a> Environment<'a> {
    /// Returns the environment as the solver's compiler takes it.
    pub fn request(&self) -> RequestEnv {
        RequestEnv::new(
            EntityTypeName::from(self.principal.clone()),
            self.action.clone().into(),
            EntityTypeName::from(self.resource.clone()),
        )
    }

    /// Returns it as a search takes it.
    pub fn kind(&self) -> Kind<'a> {
        Kind { action: self.action, principal: self.principal, resource: self.resource }
    }

    /// Returns whether it is the same kind of request under another schema.
    pub fn is(&self, other: &Environment<'_>) -> bool {
        (self.principal, self.action, self.resource)
            == (other.principal, other.action, other.resource)
    }
}

/// Returns all kinds of requests, ordered by action, principal and resource.
pub(super) fn environments(schema: &Schema) -> Vec<Environment<'_>> {
    let mut all: Vec<_> = schema
        .actions()
        .flat_map(|action| {
            action.principals.iter().flat_map(move |principal| {
                action.resources.iter().map(move |resource| Environment {
                    principal,
                    action: &action.uid,
                    resource,
                    context: &action.context,
                })
            })
        })
        .collect();
    all.sort_by_key(|env| (env.action, env.principal, env.resource));
    all
}

/// Policies without links: each link stands as a policy of its own.
#[derive(Debug)]
pub(super) struct StaticPolicies {
    policies: Vec<StaticPolicy>,
}

/// A policy or a filled-in link.
#[derive(Debug)]
pub(super) struct StaticPolicy {
    pub policy: Policy,
    /// True where the condition looks at the action, so that it may differ between actions that the
    /// scope does not tell apart.
    pub looks_at_action: bool,
}

impl StaticPolicies {
    /// Takes the policies and links of a set, in the order of their ids.
    ///
    /// # Errors
    /// A link cannot be filled in, with its id.
    pub fn of(set: &PolicySet) -> Result<Self, String> {
        let policies = set.policies().map(|policy| {
            if policy.is_static() {
                return Ok(StaticPolicy::new(policy.clone()));
            }
            let json = policy.to_json().map_err(|error| format!("`{}`: {error}", policy.id()))?;
            let policy = Policy::from_json(Some(policy.id().clone()), json)
                .map_err(|error| format!("`{}`: {error}", policy.id()))?;
            Ok(StaticPolicy::new(policy))
        });
        let mut policies: Vec<_> = policies.collect::<Result<_, String>>()?;
        policies.sort_by(|a, b| a.policy.id().cmp(b.policy.id()));
        Ok(Self { policies })
    }

    pub fn iter(&self) -> impl Iterator<Item = &StaticPolicy> {
        self.policies.iter()
    }

    /// Returns the policies that may apply to a kind of request.
    pub fn applying<'a>(&'a self, schema: &Schema, env: &Environment<'_>) -> Vec<&'a StaticPolicy> {
        self.policies.iter().filter(|policy| policy.may_apply(schema, env)).collect()
    }
}

impl StaticPolicy {
    pub fn new(policy: Policy) -> Self {
        let core: &ast::Policy = policy.as_ref();
        let looks_at_action =
            conditions(core).any(|expr| matches!(expr.expr_kind(), ExprKind::Var(Var::Action)));
        Self { policy, looks_at_action }
    }

    /// Returns whether the scope may hold for a kind of request. Whether it holds for the action and
    /// the types is decided here; which entity it is, and what that is in, is not.
    pub fn may_apply(&self, schema: &Schema, env: &Environment<'_>) -> bool {
        let core: &ast::Policy = self.policy.as_ref();
        let action = match core.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(action) => **action == *env.action,
            ActionConstraint::In(groups) => {
                groups.iter().any(|group| schema.is_action_in(env.action, group))
            }
            // A kind of Cedar's error-tolerant parser, which no store is read with.
            #[allow(unreachable_patterns)]
            _ => true,
        };
        action
            && may_be(schema, core.principal_constraint().as_inner(), env.principal)
            && may_be(schema, core.resource_constraint().as_inner(), env.resource)
    }

    /// Returns scope and conditions as one expression, without the action, which has been looked at.
    pub fn condition(&self) -> Expr {
        let core: &ast::Policy = self.policy.as_ref();
        let scope = [core.principal_constraint().as_expr(), core.resource_constraint().as_expr()];
        let parts = scope.into_iter().chain(core.non_scope_constraints().cloned());
        parts.reduce(Expr::and).unwrap_or_else(|| Expr::val(true))
    }

    /// Returns the kinds of requests to which the policy may apply. Of those that it cannot tell
    /// apart, one stands for all.
    pub fn environments<'a>(
        &self,
        schema: &Schema,
        all: &[Environment<'a>],
    ) -> Vec<Environment<'a>> {
        let mut seen = HashSet::new();
        let applying = all.iter().filter(|env| self.may_apply(schema, env));
        let new = applying.filter(|env| {
            let action = self.looks_at_action.then_some(env.action);
            seen.insert((env.principal, env.resource, env.context, action))
        });
        new.cloned().collect()
    }
}

/// Kinds of requests that the same policies cannot tell apart.
pub(super) struct Group<'a, 'p> {
    /// One of them, which stands for all.
    pub env: Environment<'a>,
    /// The policies that may apply: one list for each set of policies that was asked for.
    pub policies: Vec<Vec<&'p StaticPolicy>>,
    /// Their number.
    pub count: usize,
}

/// Groups kinds of requests by the policies of several sets that may apply to them. A set has the
/// schema by whose action groups its scopes are read. With `each_action`, actions are not grouped: what
/// is asked of the groups tells them apart.
pub(super) fn grouped<'a, 'p>(
    envs: impl IntoIterator<Item = Environment<'a>>,
    sets: &[(&Schema, &'p StaticPolicies)],
    each_action: bool,
) -> Vec<Group<'a, 'p>> {
    let mut groups: Vec<Group<'a, 'p>> = Vec::new();
    let mut places = HashMap::new();
    for env in envs {
        let policies: Vec<Vec<_>> =
            sets.iter().map(|(schema, set)| set.applying(schema, &env)).collect();
        let of_action =
            each_action || policies.iter().flatten().any(|policy| policy.looks_at_action);
        let ids: Vec<Vec<_>> = policies
            .iter()
            .map(|policies| policies.iter().map(|policy| policy.policy.id().clone()).collect())
            .collect();
        let key = (env.principal, env.resource, env.context, of_action.then_some(env.action), ids);
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.count += 1,
            None => groups.push(Group { env, policies, count: 1 }),
        }
    }
    groups
}

/// Returns the names of the attributes that policies look at.
pub(super) fn named_attributes(policies: &[&StaticPolicy]) -> BTreeSet<SmolStr> {
    let mut named = BTreeSet::new();
    for policy in policies {
        named.extend(conditions(policy.policy.as_ref()).flat_map(|expr| match expr.expr_kind() {
            ExprKind::GetAttr { attr, .. } | ExprKind::HasAttr { attr, .. } => {
                vec![attr.clone()]
            }
            ExprKind::ExtHasAttr { attrs, .. } => attrs.iter().cloned().collect(),
            _ => Vec::new(),
        }));
    }
    named
}

/// Returns the entities that policies name.
pub(super) fn named_entities(policies: &[&StaticPolicy]) -> BTreeSet<EntityUID> {
    let mut named = BTreeSet::new();
    for policy in policies {
        let core: &ast::Policy = policy.policy.as_ref();
        named.extend(conditions(core).filter_map(|expr| match expr.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) => Some((**uid).clone()),
            _ => None,
        }));
        let principal = core.principal_constraint();
        let resource = core.resource_constraint();
        let scopes = [principal.as_inner().get_euid(), resource.as_inner().get_euid()];
        named.extend(scopes.into_iter().flatten().map(|uid| (**uid).clone()));
    }
    named
}

fn conditions(policy: &ast::Policy) -> impl Iterator<Item = &Expr> {
    policy.non_scope_constraints().into_iter().flat_map(Expr::subexpressions)
}

fn may_be(schema: &Schema, constraint: &Constraint, entity_type: &EntityType) -> bool {
    let of_type = |reference: &EntityReference| match reference {
        EntityReference::EUID(uid) => uid.entity_type() == entity_type,
        EntityReference::Slot(_) => true,
    };
    let in_type = |reference: &EntityReference| match reference {
        EntityReference::EUID(uid) => {
            let parents = schema.entity(entity_type).map(|shape| &shape.parents);
            of_type(reference) || parents.is_some_and(|parents| parents.contains(uid.entity_type()))
        }
        EntityReference::Slot(_) => true,
    };
    match constraint {
        Constraint::Any => true,
        Constraint::Is(ty) => **ty == *entity_type,
        Constraint::Eq(entity) => of_type(entity),
        Constraint::In(entity) => in_type(entity),
        Constraint::IsIn(ty, entity) => **ty == *entity_type && in_type(entity),
    }
}
