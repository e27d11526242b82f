//! The shipped policies under symbolic analysis, where the solver cvc5 is at hand (Debian's package
//! `cvc5`, or the environment variable `CVC5`): no policy can fail, and none is dead, over all
//! requests and entities of every request environment.

use std::{
    collections::{HashMap, HashSet},
    process::{Command, Stdio},
    sync::Arc,
};

use cedar_policy::{Policy, RequestEnv};
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, solver::LocalSolver};
use humbaba::store::{Bounds, PolicyStore, embedded_stores};

use crate::support::skip::skip;

#[test]
fn no_shipped_policy_can_fail_and_none_is_dead() {
    let cvc5 = std::env::var("CVC5").unwrap_or_else(|_| "cvc5".into());
    let found =
        Command::new(cvc5).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        skip("the solver cvc5 is not installed (Debian: `cvc5`), or CVC5 does not name it");
        return;
    }
    let faults: Vec<String> = std::thread::scope(|scope| {
        let stores = embedded_stores().into_iter();
        let threads: Vec<_> = stores
            .map(|files| {
                scope.spawn(|| {
                    let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(analyse(&store))
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn analyse(store: &PolicyStore) -> Vec<String> {
    let solver = LocalSolver::cvc5_with_args(["--tlimit-per=20000"]).unwrap();
    let mut compiler = CedarSymCompiler::new(solver).unwrap();
    let (mut faults, mut queries) = (Vec::new(), 0);
    for policy in store.policies().policies() {
        let (mut ever_matches, mut ever_not) = (false, false);
        for environment in environments(store, policy) {
            let place = format!("{}: `{}` in {environment:?}", store.name(), policy.id());
            let compiled = CompiledPolicy::compile(policy, &environment, store.schema().cedar())
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            if !compiler.check_never_errors_opt(&compiled).await.unwrap() {
                faults.push(format!("can fail: {place}"));
            }
            ever_matches =
                ever_matches || !compiler.check_never_matches_opt(&compiled).await.unwrap();
            ever_not = ever_not || !compiler.check_always_matches_opt(&compiled).await.unwrap();
            queries += 3;
        }
        if !ever_matches {
            faults.push(format!("never applies: {}: `{}`", store.name(), policy.id()));
        }
        // A policy without a condition may apply to all its scope; a condition must matter.
        if !ever_not && policy.has_non_scope_constraint() {
            faults.push(format!("its condition always holds: {}: `{}`", store.name(), policy.id()));
        }
    }
    println!(
        "{}: {} policies, {queries} queries",
        store.name(),
        store.policies().num_of_policies()
    );
    faults
}

/// The request environments of a policy. Of those that differ only in the action, and have the same
/// context, one stands for all, unless the condition itself looks at the action.
fn environments(store: &PolicyStore, policy: &Policy) -> Vec<RequestEnv> {
    use cedar_policy_core::ast::{Expr, ExprKind, Var};

    let core: &cedar_policy_core::ast::Policy = policy.as_ref();
    let conditions = core.non_scope_constraints().into_iter().flat_map(Expr::subexpressions);
    let looks_at_action =
        conditions.into_iter().any(|e| matches!(e.expr_kind(), ExprKind::Var(Var::Action)));
    let contexts: HashMap<String, String> = store
        .schema()
        .actions()
        .map(|action| (action.uid.to_string(), format!("{:?}", action.context)))
        .collect();
    let mut seen = HashSet::new();
    let all = policy.get_valid_request_envs(store.schema().cedar());
    all.filter(|env| {
        let action = env.action().to_string();
        let context = contexts[&action].clone();
        let action = looks_at_action.then_some(action);
        seen.insert((env.principal().clone(), env.resource().clone(), context, action))
    })
    .collect()
}
