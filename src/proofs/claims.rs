//! Claims about one kind of request, as questions to the solver.

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use cedar_policy_core::ast::{self, Expr};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};

use super::{
    policies::{Environment, StaticPolicy},
    text_of,
};
use crate::schema::Schema;

/// The ids of the policies that state what the solver does not know of requests.
const FACTS: &str = "fact of requests";

/// Compiles one policy for a kind of request.
pub(super) fn policy(
    policy: &Policy,
    schema: &Schema,
    env: &Environment<'_>,
) -> Result<CompiledPolicy, String> {
    CompiledPolicy::compile(policy, &env.request(), schema.cedar()).map_err(|error| text_of(&error))
}

/// Compiles one policy for a kind of request of which `facts` hold. Where one does not, no more of the policy
/// is evaluated.
pub(super) fn policy_given(
    policy: &StaticPolicy,
    facts: &[String],
    schema: &Schema,
    env: &Environment<'_>,
) -> Result<CompiledPolicy, String> {
    let facts = of_facts(facts)?;
    let facts = facts.iter().flat_map(|fact| {
        let core: &ast::Policy = fact.policy.as_ref();
        core.non_scope_constraints().cloned().map(Expr::not)
    });
    let condition = facts.chain([policy.condition()]).reduce(Expr::and);
    let effect = match policy.policy.effect() {
        Effect::Permit => ast::Effect::Permit,
        Effect::Forbid => ast::Effect::Forbid,
    };
    let core: &ast::Policy = policy.policy.as_ref();
    let condition = condition.unwrap_or_else(|| Expr::val(true));
    let given = ast::Policy::from_when_clause(effect, condition, core.id().clone(), None);
    self::policy(&given.into(), schema, env)
}

/// Compiles policies for a kind of request. What `facts` say holds of all requests that are asked about:
/// any other is denied.
pub(super) fn set<'p>(
    policies: impl IntoIterator<Item = &'p Policy>,
    facts: &[String],
    schema: &Schema,
    env: &Environment<'_>,
) -> Result<CompiledPolicySet, String> {
    let mut all: Vec<_> = policies.into_iter().cloned().collect();
    all.extend(of_facts(facts)?.into_iter().map(|fact| fact.policy));
    compiled(all, schema.cedar(), env)
}

/// Returns facts as policies that deny what they do not hold of.
pub(super) fn of_facts(facts: &[String]) -> Result<Vec<StaticPolicy>, String> {
    let facts = facts.iter().enumerate().map(|(index, fact)| {
        let id = PolicyId::new(format!("{FACTS} {index}"));
        let text = format!("forbid (principal, action, resource) unless {{ {fact} }};");
        let policy = Policy::parse(Some(id), text).map_err(|error| error.to_string())?;
        Ok(StaticPolicy::new(policy))
    });
    facts.collect()
}

/// Compiles policies for a kind of request under a schema of Cedar's.
pub(super) fn compiled(
    policies: impl IntoIterator<Item = Policy>,
    schema: &cedar_policy::Schema,
    env: &Environment<'_>,
) -> Result<CompiledPolicySet, String> {
    let mut set = PolicySet::new();
    for policy in policies {
        set.add(policy).map_err(|error| error.to_string())?;
    }
    CompiledPolicySet::compile(&set, &env.request(), schema).map_err(|error| text_of(&error))
}

/// Returns a permit of what the policy applies to.
pub(super) fn as_permit(policy: &Policy) -> Result<Policy, String> {
    with(policy, "effect", "permit".into())
}

/// Returns the policy without its scope's action, which has been looked at.
pub(super) fn of_any_action(policy: &Policy) -> Result<Policy, String> {
    with(policy, "action", serde_json::json!({ "op": "All" }))
}

/// Replaces a part of a policy.
fn with(policy: &Policy, part: &str, value: serde_json::Value) -> Result<Policy, String> {
    let mut json = policy.to_json().map_err(|error| error.to_string())?;
    if let Some(json) = json.as_object_mut() {
        json.insert(part.to_owned(), value);
    }
    Policy::from_json(Some(policy.id().clone()), json).map_err(|error| error.to_string())
}
